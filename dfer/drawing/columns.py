"""Column widths of a table for the terminal, so that words and figures stay whole as long as there is room."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from rich.cells import cell_len

_PIECES = re.compile(r"\S+?(?:[-/,=](?=\w)|(?=\s)|$)|\s+")  # a word may be broken after these signs
_NARROWEST = 3  # columns of a terminal
GAPS = (2, 1)  # between two columns, in an ordinary and in a dense table


def fit_columns(
    heading: Sequence[str], rows: Sequence[Sequence[str]], width: int, rigid: Collection[int]
) -> tuple[list[int], int]:
    """Return the width of each column, and of the gaps between them.

    Args:
        heading: names of the columns.
        rows: cells, maybe of several lines.
        width: of the terminal.
        rigid: numbers of columns, those of figures, whose lines are wrapped only if there is no other way.
    """
    columns = list(zip(heading, *rows, strict=True))
    widest = [max(map(cell_len, "\n".join(texts).splitlines())) for texts in columns]
    words = [max(cell_len(piece) for text in texts for piece in _pieces(text)) for texts in columns]
    lines = [max(map(cell_len, "\n".join(texts[1:]).splitlines()), default=0) for texts in columns]
    least = [max(word, lines[n]) if n in rigid else word for n, word in enumerate(words)]
    for gap in GAPS:
        room = width - gap * (len(columns) - 1)
        if sum(least) <= room:
            return _widened(least, widest, room), gap
    return (_widened(words, widest, room) if sum(words) <= room else _narrowed(words, room)), gap


def _widened(widths: Sequence[int], widest: Sequence[int], room: int) -> list[int]:
    """Give the room that is left to the columns that are wrapped most."""
    found = list(widths)
    for _ in range(room - sum(found)):
        ratio, column = max((most / has, -number) for number, (most, has) in enumerate(zip(widest, found, strict=True)))
        if ratio <= 1:
            break
        found[-column] += 1
    return found


def _narrowed(widths: Sequence[int], room: int) -> list[int]:
    """Take what is missing from the widest columns."""
    found = list(widths)
    while sum(found) > room and max(found) > _NARROWEST:
        found[found.index(max(found))] -= 1
    return found


def wrap_cell(text: str, width: int) -> str:
    """Return a cell's text with line breaks between words, and where it must be within one; longer pieces stay."""
    return "\n".join(line for whole in text.split("\n") for line in _wrap_line(whole, width))


def _wrap_line(text: str, width: int) -> list[str]:
    lines, line = [], ""
    for piece in _PIECES.findall(text):
        if line and cell_len((line + piece).rstrip()) > width:
            lines.append(line.rstrip())
            line = ""
        line += piece if line or not piece.isspace() else ""
    return [*lines, line.rstrip()]


def _pieces(text: str) -> list[str]:
    return [piece for piece in _PIECES.findall(text) if not piece.isspace()] or [" "]
