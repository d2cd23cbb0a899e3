"""The index of many videos' pages: a table that can be sorted by each of its columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dfer.drawing.pages import page_template, template_text
from dfer.drawing.player import script_hash
from dfer.runtime.formatting import MISSING, clock, percent, pluralize


@dataclass(frozen=True)
class IndexRow:
    """A video in the index.

    Attributes:
        link: address of its page.
        title: its name.
        source: the input as it was named.
        duration: seconds; 0 for an image.
        faces: their number.
        visible: seconds in which they are seen, added up.
        unsure: the share of these whose answers should not be trusted; None if none is seen.
        confidence: the mean; None if all is unsure.
        changes_per_minute: of the emotion; None likewise.
        shares: of the trusted time, by emotion.
        colors: of the emotions.
        warnings: their number.
        error: why there is no answer; "" if there is one.
    """

    link: str
    title: str
    source: str
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


@dataclass(frozen=True)
class Cell:
    """A cell of the table: its text, and the number that it is sorted by; None comes last."""

    text: str
    value: float | None


def index_page(rows: Sequence[IndexRow], *, closing: str = "") -> str:
    """Return the index as HTML.

    Args:
        rows: the videos, in the order in which they are listed first.
        closing: small print at the end.
    """
    colors = {label: color for row in rows for label, color in row.colors.items()}
    head = ["length", "faces", "seen", "not sure", "confidence", "changes per minute", *colors]
    script = template_text("index.js")
    return page_template("index.html.j2").render(
        rows=[(row, _cells(row, list(colors))) for row in rows],
        head=head,
        first_emotion=len(head) - len(colors),
        colors=colors,
        lead=_lead(rows),
        closing=closing,
        script=script,
        script_hash=script_hash(script),
    )


def _lead(rows: Sequence[IndexRow]) -> str:
    total = sum(row.duration for row in rows)
    faces = pluralize(sum(row.faces for row in rows), "face")
    failed = sum(bool(row.error) for row in rows)
    facts = [pluralize(len(rows), "video"), clock(total, total=total), faces]
    if failed:
        facts.append(f"{failed} without an answer")
    return " · ".join(facts)


def _cells(row: IndexRow, labels: Sequence[str]) -> list[Cell]:
    if row.error:
        return [Cell(MISSING, None)] * (6 + len(labels))
    changes = row.changes_per_minute
    return [
        Cell(clock(row.duration, total=row.duration) if row.duration else "image", row.duration),
        Cell(str(row.faces), row.faces),
        Cell(clock(row.visible, total=row.visible), row.visible),
        _share(row.unsure),
        _share(row.confidence),
        Cell(MISSING if changes is None else f"{changes:.1f}", changes),
        *(_share(row.shares.get(label) if any(row.shares.values()) else None) for label in labels),
    ]


def _share(value: float | None) -> Cell:
    return Cell(MISSING if value is None else f"{percent(value, 0)} %", value)
