"""The report of a store: what preprocessing made of a data set, as one HTML file and PNG contact sheets."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from dfer.drawing.contact_sheet import contact_sheet, film_strip, text_strip
from dfer.drawing.histogram import Histogram, draw_histogram, length_histogram, share_histogram
from dfer.drawing.page import Card, Illustration, Page, Section, html_page
from dfer.drawing.style import DARK, LIGHT, png_bytes
from dfer.reports.store_tables import (
    About,
    ClipRow,
    class_table,
    failure_table,
    fold_table,
    rate_bars,
    status_bars,
    status_name,
)
from dfer.runtime.files import write_bytes, write_text
from dfer.runtime.formatting import format_duration, percent, pluralize

REPORT = "report.html"
SHEETS = "contact_sheets"
STRIP_HW = (96, 586)  # pixels: six square crops and the gaps between them
CROPS_SHOWN, FRAMES_SHOWN = 6, 4  # of a clip; a source's frames are wider than crops
_JPEG_QUALITY = 80
_SHEET_COLUMNS, _SHEET_LETTERS_PX = 2, 13


@dataclass(frozen=True)
class ShownClip:
    """A clip of which some images are shown.

    Attributes:
        row: of the manifest.
        images: uint8 [H, W, 3], RGB, over time: crops, or frames of the source if it failed; none if there are none.
        interpolated: for each image, whether the face was not detected there.
        problem: why there is no image.
    """

    row: ClipRow
    images: Sequence[NDArray[np.uint8]] = ()
    interpolated: Sequence[bool] = ()
    problem: str = ""


@dataclass(frozen=True)
class StoreReport:
    """A report that is drawn and not yet written.

    Attributes:
        page: the HTML.
        sheets: name -> PNG of each contact sheet; those that would be empty are left out.
    """

    page: str
    sheets: dict[str, bytes] = field(repr=False)


def draw_store_report(
    about: About,
    rows: Sequence[ClipRow],
    *,
    notices: Sequence[str] = (),
    random: Sequence[ShownClip] = (),
    worst: Sequence[ShownClip] = (),
    failed: Sequence[ShownClip] = (),
) -> StoreReport:
    """Draw the report; the same arguments give the same bytes.

    Args:
        about: the store.
        rows: its manifest, whole.
        notices: what the reader of the raw data set noted, such as lists of other than the official sizes.
        random: some of the clips that are ok.
        worst: those with the fewest detections.
        failed: some that failed.
    """
    strips = {name: [_strip(clip) for clip in clips] for name, clips in _named(random, worst, failed)}
    galleries = [
        _gallery(title, text, clips, strips[name])
        for (name, clips), (title, text) in zip(_named(random, worst, failed), _GALLERIES, strict=True)
        if clips
    ]
    num_ok = sum(row.status == "ok" for row in rows)
    page = Page(
        title=f"{about.name}: what became of its clips",
        lead=_lead(about, rows),
        warning=f"Everyone who sees results from these clips must be told: {about.notice}." if about.notice else "",
        figures=_headline(rows, num_ok),
        sections=[
            *_status_section(rows, notices),
            *_failure_section(rows, num_ok),
            *_class_section(about, rows, num_ok),
            *_fold_section(about, rows, num_ok),
            *_quality_section(about, rows),
            *galleries,
        ],
        closing=f"dfer {about.tool_version}. Every clip and its fate: manifest.csv beside this file.",
    )
    sheets = {name: _sheet(clips, strips[name]) for name, clips in _named(random, worst, failed) if clips}
    return StoreReport(html_page(page), sheets)


def write_store_files(root: Path, report: StoreReport) -> Path:
    """Write the report into the store, and remove contact sheets that it no longer has.

    Returns:
        The path of the page.

    Raises:
        DferError: a file cannot be written.
    """
    for name in ("random", "worst", "failed"):
        path = root / SHEETS / f"{name}.png"
        if name in report.sheets:
            write_bytes(path, report.sheets[name])
        else:
            path.unlink(missing_ok=True)
    write_text(root / REPORT, report.page)
    return root / REPORT


_GALLERIES = [
    ("Random clips", "From every emotion in turn; each strip is one clip over time."),
    (
        "The weakest clips",
        "Of those that are ok: the face was detected in the smallest share of their crops, or they are the shortest.",
    ),
    (
        "Failed clips",
        "Frames from the beginning of the source, where it can be read. Missing clips have nothing to show.",
    ),
]


def _named(
    random: Sequence[ShownClip], worst: Sequence[ShownClip], failed: Sequence[ShownClip]
) -> list[tuple[str, Sequence[ShownClip]]]:
    return [("random", random), ("worst", worst), ("failed", failed)]


def _lead(about: About, rows: Sequence[ClipRow]) -> str:
    folds = {fold for row in rows for fold in row.folds}
    how = ""
    if any(row.status == "ok" for row in rows):
        found = (
            f"faces found by {about.detector}" if about.detector != "none" else "sources that are face crops already"
        )
        how = f"; {found}, crops of {about.crop_size} pixels"
    lists = f"{pluralize(len(about.labels), 'emotion')} in {pluralize(len(folds), 'fold')}" if folds else "no folds"
    return f"{pluralize(len(rows), 'clip')}, {lists}{how}."


def _headline(rows: Sequence[ClipRow], num_ok: int) -> list[tuple[str, str]]:
    ok = [row for row in rows if row.status == "ok"]
    crops = sum(row.num_frames for row in ok)
    figures = [
        (f"{len(rows):,}", "clips in the lists"),
        (f"{num_ok:,}", "clips ok"),
        (f"{percent(num_ok / len(rows) if rows else None)} %", "of them ok"),
        (f"{len(rows) - num_ok:,}", "clips failed"),
    ]
    if crops:
        figures.append((f"{crops:,}", "face crops"))
    if crops > len(ok):  # stills have no duration
        figures.append((format_duration(sum(row.num_frames / row.fps for row in ok if row.fps > 0)), "of faces"))
    return figures


def _status_section(rows: Sequence[ClipRow], notices: Sequence[str]) -> list[Section]:
    sections = [Section("By status", bars=status_bars(rows))]
    if notices:
        sections.append(Section("Noted while reading the lists", points=notices))
    return sections


def _failure_section(rows: Sequence[ClipRow], num_ok: int) -> list[Section]:
    if num_ok == len(rows):
        return [Section("Failures", ["None: every clip of the lists has its crops in the store."])]
    table = failure_table(rows)
    text = ["N stands for numbers that differ."] if any(" N" in cells[2] for cells in table) else []
    link = ("manifest.csv", "All of them, each with its reason: manifest.csv")
    return [Section("Failures", text, table=table, word_columns=(0, 2, 3), link=link)]


def _class_section(about: About, rows: Sequence[ClipRow], num_ok: int) -> list[Section]:
    text = (
        ["median: crops in a clip; detected: mean share of its crops in which the face was detected."] if num_ok else []
    )
    return [Section("By emotion", text, table=class_table(rows, about.labels), strong_rows=1)]


def _fold_section(about: About, rows: Sequence[ClipRow], num_ok: int) -> list[Section]:
    table = fold_table(rows, about.labels)
    text = ["clips: those of the lists. Under the emotions: those that are ok."] if num_ok else []
    return [Section("By fold and split", text, table=table, word_columns=(0, 1))] if len(table) > 1 else []


def _quality_section(about: About, rows: Sequence[ClipRow]) -> list[Section]:
    ok = [row for row in rows if row.status == "ok"]
    if not ok:
        return []
    images = []
    if about.detector != "none":
        whole = sum(row.detected >= 1 for row in ok)
        subtitle = f"% of a clip's crops · in all of them: {percent(whole / len(ok))} % of the clips"
        images.append(_histogram("detected", "Face detected", subtitle, share_histogram([row.detected for row in ok])))
    lengths = [row.num_frames for row in ok]
    subtitle = f"crops in a clip · {min(lengths):,} to {max(lengths):,}, median {median(lengths):g}"
    images.append(_histogram("lengths", "Length", subtitle, length_histogram(lengths)))
    sections = [Section("Detection and length", ["Numbers of clips that are ok."], images)]
    rates = rate_bars(ok)
    if rates:
        sections.append(Section("Frame rates of the sources", bars=rates))
    return sections


def _histogram(name: str, title: str, subtitle: str, histogram: Histogram) -> Illustration:
    def draw(dark: bool) -> Figure:
        return draw_histogram(histogram, title=title, subtitle=subtitle, theme=DARK if dark else LIGHT)

    alt = f"histogram: {title.lower()}, {subtitle}"
    return Illustration(name, alt, png_bytes(draw(dark=False)), png_bytes(draw(dark=True)))


def _strip(clip: ShownClip) -> NDArray[np.uint8] | None:
    if not len(clip.images):
        return None
    columns = CROPS_SHOWN if clip.row.status == "ok" else FRAMES_SHOWN
    return film_strip(clip.images, columns, STRIP_HW, marked=clip.interpolated)


def _gallery(title: str, text: str, clips: Sequence[ShownClip], strips: Sequence[NDArray[np.uint8] | None]) -> Section:
    cards = [
        Card(clip.row.clip_id, _said(clip), None if strip is None else _jpeg(strip), instead=clip.problem)
        for clip, strip in zip(clips, strips, strict=True)
    ]
    if any(any(clip.interpolated) for clip in clips):
        text += " An orange edge marks crops in which the face was not detected: its place was interpolated."
    return Section(title, [text], cards=cards)


def _said(clip: ShownClip) -> str:
    row = clip.row
    if row.status != "ok":
        # What cannot be shown says why in its picture's place.
        return f"{row.label_name} · {row.detail if len(clip.images) else status_name(row.status)}"
    crops = pluralize(row.num_frames, "crop")
    return f"{row.label_name} · {crops} · detected in {percent(row.detected, 0)} %"


def _sheet(clips: Sequence[ShownClip], strips: Sequence[NDArray[np.uint8] | None]) -> bytes:
    images = [
        text_strip(clip.problem, STRIP_HW) if strip is None else strip
        for clip, strip in zip(clips, strips, strict=True)
    ]
    captions = [f"{clip.row.clip_id} · {_said(clip)}" for clip in clips]
    buffer = io.BytesIO()
    sheet = contact_sheet(images, captions, _SHEET_COLUMNS, caption_px=_SHEET_LETTERS_PX)
    Image.fromarray(sheet).save(buffer, "png", compress_level=3)  # twice as fast as 6, a tenth larger
    return buffer.getvalue()


def _jpeg(image: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "jpeg", quality=_JPEG_QUALITY, optimize=True)
    return buffer.getvalue()
