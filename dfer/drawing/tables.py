"""Tables for the terminal, as Markdown and as LaTeX."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from dfer.names import printable

_LATEX_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "†": r"$^\dagger$",
    "–": "--",
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
}


def markdown_table(
    heading: Sequence[str], rows: Sequence[Sequence[str]], bold: Collection[tuple[int, int]] = (), *, left: int = 1
) -> list[str]:
    """Return the lines of a Markdown table: the first column to the left, the others to the right.

    Args:
        heading: names of the columns.
        rows: cells.
        bold: row and column of the cells to set in bold.
        left: number of columns, the first ones, that are to the left.
    """
    import pandas as pd  # only here: `dfer predict` draws tables, too, and needs no pandas

    def cell(row: int, column: int, text: str) -> str:
        return f"**{escape_markdown(text)}**" if (row, column) in bold else escape_markdown(text)

    cells = [[cell(row, column, text) for column, text in enumerate(texts)] for row, texts in enumerate(rows)]
    table = pd.DataFrame(cells, columns=list(map(escape_markdown, heading)))
    alignment = ["left"] * left + ["right"] * (len(heading) - left)
    return table.to_markdown(index=False, disable_numparse=True, colalign=alignment).splitlines()


def escape_latex(text: str) -> str:
    """Return the text with the characters escaped that LaTeX reads as commands."""
    return "".join(_LATEX_SPECIAL.get(letter, letter) for letter in text)


def escape_markdown(text: str) -> str:
    """Return the text with the characters escaped that Markdown reads as marks."""
    return "".join(f"\\{letter}" if letter in "\\`*_|<>" else letter for letter in text)


class _PlainTable(Table):
    """A table whose text is shown as it is: names and labels are no markup, and cannot control a terminal."""

    def add_column(self, header: RenderableType = "", *arguments: Any, **settings: Any) -> None:
        """Add a column; see `Table.add_column`."""
        super().add_column(_plain(header), *arguments, **settings)

    def add_row(self, *cells: RenderableType | None, **settings: Any) -> None:
        """Add a row; see `Table.add_row`."""
        super().add_row(*map(_plain, cells), **settings)


def _plain(cell: Any) -> Any:
    if isinstance(cell, str):
        return Text(printable(cell, keep="\n"))
    if isinstance(cell, Text) and (shown := printable(cell.plain, keep="\n")) != cell.plain:
        cell.plain = shown
    return cell


def new_table(title: str | None) -> Table:
    """Return an empty table in the common style, without columns yet."""
    return _PlainTable(
        title=None if title is None else Text(f"{printable(title)}\n", "bold"),
        title_justify="left",
        title_style="",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        show_edge=False,
        header_style="bold",
    )


def with_notes(table: Table, remarks: Sequence[str], notes: Sequence[str] = ()) -> Table:
    """Return the table with its title above and lines below; as parts of it they would be wrapped at its width."""
    framed = _PlainTable.grid()
    if table.title:
        framed.add_row(table.title)
        table.title = None
    framed.add_row(table)
    if remarks or notes:
        framed.add_row("")
    for remark in remarks:
        framed.add_row(Text(printable(remark), "dim"))
    for note in notes:
        framed.add_row(Text(printable(note), "bold yellow"))
    return framed
