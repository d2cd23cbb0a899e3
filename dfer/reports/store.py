"""The report of a store: what preprocessing made of a data set, as one HTML file and PNG contact sheets."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from dfer.drawing.contact_sheet import contact_sheet, film_strip, text_strip
from dfer.drawing.figures import draw_histogram
from dfer.drawing.pages import Page, Picture, Section, html_page
from dfer.drawing.style import DARK, LIGHT, png_bytes
from dfer.reports.store_tables import (
    Bins,
    class_table,
    clip_frame,
    failure_table,
    fold_table,
    length_bins,
    rate_bars,
    share_bins,
    status_bars,
    status_name,
)
from dfer.runtime.files import write_bytes
from dfer.runtime.formatting import format_duration, percent, pluralize
from dfer.store import DatasetInfo
from dfer.store.manifest import ManifestRow

REPORT = "report.html"
STRIP_HW = (96, 586)  # pixels: six square crops and the gaps between them
CROPS_SHOWN, FRAMES_SHOWN = 6, 4  # of a clip; a source's frames are wider than crops
_JPEG_QUALITY = 80
_SHEET_COLUMNS, _SHEET_LETTERS_PX = 2, 13
_GALLERIES = {
    "random": ("Random clips", "From every emotion in turn; each strip is one clip over time."),
    "worst": (
        "The weakest clips",
        "Of those that are ok: the face was detected in the smallest share of their crops, or they are the shortest.",
    ),
    "failed": (
        "Failed clips",
        "Frames from the beginning of the source, where it can be read. Missing clips have nothing to show.",
    ),
}


@dataclass(frozen=True)
class ShownClip:
    """A clip of which some images are shown.

    Attributes:
        row: of the manifest.
        images: uint8 [H, W, 3], RGB, over time: crops, or frames of the source if it failed; none if there are none.
        interpolated: for each image, whether the face was not detected there.
        problem: the reason why there is no image.
    """

    row: ManifestRow
    images: Sequence[NDArray[np.uint8]] = ()
    interpolated: Sequence[bool] = ()
    problem: str = ""


def draw_store_report(
    info: DatasetInfo,
    rows: Sequence[ManifestRow],
    shown: Mapping[str, Sequence[ShownClip]],
    *,
    notices: Sequence[str] = (),
) -> dict[str, bytes]:
    """Draw the report; the same arguments give the same bytes.

    Args:
        info: of the store.
        rows: its whole manifest.
        shown: "random": some of the clips that are ok; "worst": those with the fewest detections; "failed": some that
            failed.
        notices: remarks of the raw data set's reader, such as that lists are not of the official sizes.

    Returns:
        path relative to the store -> content: the page, and a contact sheet for each kind of clips that is not empty.
    """
    clips = clip_frame(rows)
    ok = clips[clips["status"] == "ok"]
    sections = [*_status_sections(clips, notices), _failure_section(clips), _class_section(clips, info.labels)]
    sections += [*_fold_section(clips, info.labels), *_quality_sections(ok, info.detector)]
    sheets = {}
    for kind, (title, text) in _GALLERIES.items():
        strips = [_strip(clip) for clip in shown[kind]]
        if strips:
            sections.append(_gallery(title, text, shown[kind], strips))
            sheets[f"contact_sheets/{kind}.png"] = _sheet(shown[kind], strips)
    notice = f"Everyone who sees results from these clips must know: {info.notice}." if info.notice else ""
    closing = f"dfer {info.tool_version}. Every clip, and what became of it: manifest.csv beside this file."
    page = Page(
        f"{info.name}: what became of its clips", _lead(info, clips), notice, _headline(clips), sections, closing
    )
    return {REPORT: html_page(page).encode(), **sheets}


def write_store_files(root: Path, files: Mapping[str, bytes]) -> Path:
    """Write a report into the store, and remove contact sheets that it no longer has.

    Args:
        root: the store.
        files: of `draw_store_report`.

    Returns:
        The path of the page.

    Raises:
        DferError: a file cannot be written.
    """
    for path, content in files.items():
        write_bytes(root / path, content)
    for kind in _GALLERIES:
        if f"contact_sheets/{kind}.png" not in files:
            (root / "contact_sheets" / f"{kind}.png").unlink(missing_ok=True)
    return root / REPORT


def _lead(info: DatasetInfo, clips: pd.DataFrame) -> str:
    folds = {fold for folds in clips["folds"] for fold in folds}
    crops = ""
    if (clips["status"] == "ok").any():
        found = "sources that are face crops already" if info.detector == "none" else f"faces found by {info.detector}"
        crops = f"; {found}, crops of {info.crop_size} pixels"
    lists = f"{pluralize(len(info.labels), 'emotion')} in {pluralize(len(folds), 'fold')}" if folds else "no folds"
    return f"{pluralize(len(clips), 'clip')}, {lists}{crops}."


def _headline(clips: pd.DataFrame) -> list[tuple[str, str]]:
    ok = clips[clips["status"] == "ok"]
    crops = int(ok["num_frames"].sum())
    figures = [
        (f"{len(clips):,}", "clips in the lists"),
        (f"{len(ok):,}", "clips ok"),
        (f"{percent(len(ok) / len(clips) if len(clips) else None)} %", "of them ok"),
        (f"{len(clips) - len(ok):,}", "clips failed"),
    ]
    if crops:
        figures.append((f"{crops:,}", "face crops"))
    if crops > len(ok):  # stills have no duration
        timed = ok[ok["fps"] > 0]
        figures.append((format_duration(float((timed["num_frames"] / timed["fps"]).sum())), "of faces"))
    return figures


def _status_sections(clips: pd.DataFrame, notices: Sequence[str]) -> list[Section]:
    sections = [Section("By status", bars=status_bars(clips))]
    return [*sections, Section("Noted while reading the lists", points=notices)] if notices else sections


def _failure_section(clips: pd.DataFrame) -> Section:
    if (clips["status"] == "ok").all():
        return Section("Failures", ["None: every clip of the lists has its crops in the store."])
    table = failure_table(clips)
    text = ["N stands for numbers that differ."] if any(" N" in cells[2] for cells in table) else []
    link = ("manifest.csv", "All of them, each with its reason: manifest.csv")
    return Section("Failures", text, table=table, word_columns=(0, 2, 3), link=link)


def _class_section(clips: pd.DataFrame, labels: Sequence[str]) -> Section:
    explained = "median: crops in a clip; detected: mean share of its crops in which the face was detected."
    text = [explained] if (clips["status"] == "ok").any() else []
    if clips["soft"].any():
        others = pluralize(int(clips["soft"].sum()), "clip")
        text.append(f"Not counted here: {others} without a majority, for training on soft labels only.")
    return Section("By emotion", text, table=class_table(clips, labels), strong_rows=1)


def _fold_section(clips: pd.DataFrame, labels: Sequence[str]) -> list[Section]:
    table = fold_table(clips, labels)
    text = ["clips: those of the lists. Under the emotions: those that are ok."] if "ok" in table[0] else []
    return [Section("By fold and split", text, table=table, word_columns=(0, 1))] if len(table) > 1 else []


def _quality_sections(ok: pd.DataFrame, detector: str) -> list[Section]:
    if ok.empty:
        return []
    figures = []
    if detector != "none":
        whole = (ok["detected"] >= 1).mean()
        subtitle = f"% of a clip's crops · in all of them: {percent(whole)} % of the clips"
        figures.append(_histogram("detected", "Face detected", subtitle, share_bins(ok["detected"])))
    lengths = ok["num_frames"]
    subtitle = f"crops in a clip · {lengths.min():,} to {lengths.max():,}, median {lengths.median():g}"
    figures.append(_histogram("lengths", "Length", subtitle, length_bins(lengths)))
    sections = [Section("Detection and length", ["Numbers of clips that are ok."], figures)]
    rates = rate_bars(ok)
    return [*sections, Section("Frame rates of the sources", bars=rates)] if rates else sections


def _histogram(name: str, title: str, subtitle: str, bins: Bins) -> Picture:
    light, dark = (
        png_bytes(draw_histogram(*bins, title=title, subtitle=subtitle, theme=theme)) for theme in (LIGHT, DARK)
    )
    return Picture(name, f"histogram: {title.lower()}, {subtitle}", light, dark)


def _strip(clip: ShownClip) -> NDArray[np.uint8] | None:
    if not len(clip.images):
        return None
    columns = CROPS_SHOWN if clip.row.ok else FRAMES_SHOWN
    return film_strip(clip.images, columns, STRIP_HW, marked=clip.interpolated)


def _gallery(title: str, text: str, clips: Sequence[ShownClip], strips: Sequence[NDArray[np.uint8] | None]) -> Section:
    cards = [
        Picture(clip.row.clip_id, _caption(clip), b"" if strip is None else _jpeg(strip), instead=clip.problem)
        for clip, strip in zip(clips, strips, strict=True)
    ]
    if any(any(clip.interpolated) for clip in clips):
        text += " An orange edge marks crops in which the face was not detected: its place was interpolated."
    return Section(title, [text], cards=cards)


def _caption(clip: ShownClip) -> str:
    row = clip.row
    if not row.ok:
        # Without images, the reason stands in their place.
        return f"{row.label_name} · {row.detail if len(clip.images) else status_name(row.status)}"
    crops = pluralize(row.num_frames, "crop")
    return f"{row.label_name} · {crops} · detected in {percent(row.detected, 0)} %"


def _sheet(clips: Sequence[ShownClip], strips: Sequence[NDArray[np.uint8] | None]) -> bytes:
    images = [
        text_strip(clip.problem, STRIP_HW) if strip is None else strip
        for clip, strip in zip(clips, strips, strict=True)
    ]
    captions = [f"{clip.row.clip_id} · {_caption(clip)}" for clip in clips]
    buffer = io.BytesIO()
    sheet = contact_sheet(images, captions, _SHEET_COLUMNS, caption_px=_SHEET_LETTERS_PX)
    Image.fromarray(sheet).save(buffer, "png", compress_level=3)  # twice as fast as 6, a tenth larger
    return buffer.getvalue()


def _jpeg(image: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "jpeg", quality=_JPEG_QUALITY, optimize=True)
    return buffer.getvalue()
