"""The folder of `dfer predict --report`: a page per video, the copies of videos that need one, and an index.

The index lists every page that lies in the folder, so that runs over parts of a collection can share it.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from dfer.datasets.outputs import REPORT_MARK
from dfer.drawing.player import failed_page, player_page
from dfer.drawing.style import emotion_color
from dfer.drawing.video_index import IndexRow, index_page
from dfer.errors import DataError, DferError, UsageError
from dfer.records import IMAGE_SUFFIXES, VIDEO_SUFFIXES, Prediction
from dfer.reports.video_page import Shown, VideoSummary, failure_page, video_page
from dfer.runtime.files import write_text
from dfer.runtime.reading import open_regular, parse_json
from dfer.settings import read_record
from dfer.version import __version__

INDEX = "index.html"
MEDIA = "media"  # the folder of copies
_SUMMARY = re.compile(rb'<script type="application/json" id="summary">(.*?)</script>', re.DOTALL)
_SUMMARY_BYTES = 1 << 17  # a page's summary is at its beginning
_NOT_PLAIN = re.compile(r"[^\w.()+,@ -]|^[.\s-]+|[.\s]+$")
_MAX_STEM = 80


@dataclass(frozen=True)
class Place:
    """The place of a video's page.

    Attributes:
        source: the input, as predictions name it.
        page: the HTML file.
        copy: the video's copy for the browser, if it needs one.
        frame: the same for an image.
    """

    source: str
    page: Path
    copy: Path
    frame: Path


def plan_pages(folder: Path, sources: Sequence[str]) -> list[Place]:
    """Return where the pages of videos lie, named after them; videos of one name get a part of their path's SHA-256.

    Args:
        folder: of the report.
        sources: the inputs, as predictions name them.
    """
    stems = [_stem(text) for text in sources]
    counts = Counter(stem.casefold() for stem in stems)
    places = []
    for text, stem in zip(sources, stems, strict=True):
        taken = counts[stem.casefold()] > 1 or stem.casefold() == Path(INDEX).stem
        known = None if taken else read_summary(folder / f"{stem}.html")
        if taken or stem != _bare(text) or (known is not None and known.source != text):
            stem = f"{stem}~{hashlib.sha256(text.encode()).hexdigest()[:8]}"
        media = folder / MEDIA / stem
        places.append(Place(text, folder / f"{stem}.html", Path(f"{media}.mp4"), Path(f"{media}.jpg")))
    return places


def _stem(text: str) -> str:
    return _NOT_PLAIN.sub("_", _bare(text))[:_MAX_STEM].rstrip(". ") or "video"


def _bare(text: str) -> str:
    path = Path(text)
    return path.stem if path.suffix.lower() in IMAGE_SUFFIXES | VIDEO_SUFFIXES else path.name


def refuse_foreign(folder: Path, places: Sequence[Place]) -> None:
    """Check that nothing but earlier pages would be overwritten.

    Raises:
        UsageError: a file in the way is not such a page.
    """
    for path in (folder / INDEX, *(place.page for place in places)):
        if path.exists() and not _is_ours(path):
            hint = "choose another folder, or remove the file"
            raise UsageError("--report would overwrite a file that dfer has not written", where=path, hint=hint)


def _is_ours(path: Path) -> bool:
    return REPORT_MARK in _beginning(path) if path.name == INDEX else read_summary(path) is not None


def read_summary(page: Path) -> VideoSummary | None:
    """Return the values that a page holds for the index; None if there is no page, or it is no page of a video."""
    found = _SUMMARY.search(_beginning(page))
    if found is None:
        return None
    try:
        values = parse_json(found[1])
        return read_record(VideoSummary, values, what="damaged page", where=page, error=DataError)
    except (DataError, ValueError):
        return None


def _beginning(path: Path) -> bytes:
    try:
        with open_regular(path) as file:
            return file.read(_SUMMARY_BYTES)
    except OSError:
        return b""


def write_page(place: Place, prediction: Prediction, shown: Shown, key: str) -> None:
    """Write the page of a video; the index is written by `write_index`.

    Raises:
        DferError: it cannot be written.
    """
    write_text(place.page, player_page(video_page(prediction, shown, key=key, index=INDEX)))


def write_failure(place: Place, error: DferError) -> bool:
    """Write the page of an input without an answer; a page with an answer about it is kept.

    Returns:
        False if one was kept.

    Raises:
        DferError: it cannot be written.
    """
    known = read_summary(place.page)
    if known is not None and not known.error:
        return False
    write_text(place.page, failed_page(failure_page(place.source, error, index=INDEX)))
    return True


def write_index(folder: Path) -> None:
    """Write the index of all pages in a folder.

    Raises:
        DferError: it cannot be written.
    """
    pages = sorted(path for path in folder.glob("*.html") if path.name != INDEX)
    found = [(path, summary) for path in pages if (summary := read_summary(path)) is not None]
    rows = [_index_row(path, summary) for path, summary in sorted(found, key=lambda item: item[1].source)]
    write_text(folder / INDEX, index_page(rows, closing=f"Made by dfer {__version__}."))


def _index_row(page: Path, summary: VideoSummary) -> IndexRow:
    trusted = sum(summary.seconds.values())
    return IndexRow(
        link=quote(page.name),
        title=Path(summary.source).name or summary.source,
        source=summary.source,
        still=Path(summary.source).suffix.lower() in IMAGE_SUFFIXES if summary.error else not summary.duration,
        duration=summary.duration,
        faces=summary.faces,
        visible=summary.visible,
        unsure=summary.unsure / summary.visible if summary.visible else None,
        confidence=summary.confidence,
        changes_per_minute=summary.changes_per_minute,
        shares={label: seconds / trusted if trusted else 0.0 for label, seconds in summary.seconds.items()},
        colors={label: emotion_color(label) for label in summary.seconds},
        warnings=summary.warnings,
        error=summary.error,
        pictures=summary.pictures,
    )
