"""The index of the pages of many videos and images: a table that can be sorted by each of its columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from dfer.drawing.pages import page_template, template_text
from dfer.drawing.player import script_hash
from dfer.runtime.formatting import MISSING, clock, percent, pluralize


@dataclass(frozen=True)
class IndexRow:
    """A video or image in the index.

    Attributes:
        link: address of its page.
        title: its name.
        source: the input as it was named.
        still: whether it is an image.
        duration: seconds; 0 for an image.
        faces: their number.
        visible: seconds in which they are seen, added up.
        unsure: the share of these whose answers should not be trusted; None if none is seen.
        confidence: the mean; None if all is unsure.
        changes_per_minute: of the emotion; None likewise.
        shares: of the trusted time, or of the faces in an image whose answers can be trusted, by emotion.
        colors: of the emotions.
        warnings: their number.
        error: why there is no answer; "" if there is one.
        pictures: of faces, as addresses that hold them.
    """

    link: str
    title: str
    source: str
    still: bool
    duration: float
    faces: int
    visible: float
    unsure: float | None
    confidence: float | None
    changes_per_minute: float | None
    shares: Mapping[str, float]
    colors: Mapping[str, str]
    warnings: int
    error: str = ""
    pictures: Sequence[str] = ()


@dataclass(frozen=True)
class Cell:
    """A cell of the table: its text, and the number that it is sorted by; None comes last."""

    text: str
    value: float | None


_NONE = Cell(MISSING, None)


def index_page(rows: Sequence[IndexRow], *, closing: str = "") -> str:
    """Return the index as HTML.

    Args:
        rows: the videos, in the order in which they are listed first.
        closing: small print at the end.
    """
    colors = {label: color for row in rows for label, color in row.colors.items()}
    columns = _columns(all(row.still for row in rows), list(colors))
    script = template_text("index.js")
    return page_template("index.html.j2").render(
        rows=[(row, [cell(row) for cell in columns.values()]) for row in rows],
        head=list(columns),
        kind=_kind(rows),
        pictured=any(row.pictures for row in rows),
        colors=colors,
        lead=_lead(rows),
        closing=closing,
        script=script,
        script_hash=script_hash(script),
    )


def _kind(rows: Sequence[IndexRow]) -> tuple[str, str]:
    """Return the page's heading, and what one row is."""
    kinds = {row.still for row in rows}
    if kinds == {True}:
        return "Images", "image"
    return ("Videos and images", "video or image") if True in kinds else ("Videos", "video")


def _lead(rows: Sequence[IndexRow]) -> str:
    images = sum(row.still for row in rows)
    total = sum(row.duration for row in rows)
    facts = []
    if images < len(rows) or not rows:
        facts += [pluralize(len(rows) - images, "video"), clock(total, total=total)]
    if images:
        facts.append(pluralize(images, "image"))
    facts.append(pluralize(sum(row.faces for row in rows), "face"))
    if failed := sum(bool(row.error) for row in rows):
        facts.append(f"{failed} without an answer")
    return " · ".join(facts)


def _columns(stills: bool, labels: Sequence[str]) -> dict[str, Callable[[IndexRow], Cell]]:
    """Return what the columns show by their heads; an index of images alone has none of time."""
    columns: dict[str, Callable[[IndexRow], Cell]] = {
        "length": lambda row: _time(row, row.duration, still="image"),
        "faces": lambda row: _NONE if row.error else Cell(str(row.faces), row.faces),
        "seen": lambda row: _time(row, row.visible),
        "not sure": lambda row: _share(row.unsure),
        "confidence": lambda row: _share(row.confidence),
        "changes per minute": _changes,
    }
    for head in ("length", "seen", "changes per minute") if stills else ():
        del columns[head]
    return columns | {label: partial(_share_of, label=label) for label in labels}


def _time(row: IndexRow, seconds: float, *, still: str = MISSING) -> Cell:
    if row.error:
        return _NONE
    return Cell(still, 0.0) if row.still else Cell(clock(seconds, total=seconds), seconds)


def _changes(row: IndexRow) -> Cell:
    value = None if row.still else row.changes_per_minute
    return _NONE if value is None else Cell(f"{value:.1f}", value)


def _share_of(row: IndexRow, label: str) -> Cell:
    return _share(row.shares.get(label) if any(row.shares.values()) else None)


def _share(value: float | None) -> Cell:
    return _NONE if value is None else Cell(f"{percent(value, 0)} %", value)
