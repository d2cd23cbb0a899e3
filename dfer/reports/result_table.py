"""A table of results as text, and its forms: for the terminal, Markdown and LaTeX."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from dfer.drawing.columns import fit_columns, wrap_cell
from dfer.drawing.tables import escape_latex, markdown_table, new_table, with_notes
from dfer.evaluation.statistics import Interval
from dfer.runtime.formatting import MISSING, percent

BOOKTABS = "% \\usepackage{booktabs}\n\n"
_SIGNS = {"−": "$-$", "±": r"$\pm$", "Δ": r"$\Delta$", "<": "$<$", ">": "$>$", "×": r"$\times$", "²": "$^2$"}


@dataclass(frozen=True)
class ResultTable:
    """A table as text.

    Attributes:
        title: of the table.
        heading: names of the columns.
        rows: cells.
        best: row and column of the cells that are set in bold.
        left: number of columns, the first ones, whose text begins at the left.
    """

    title: str
    heading: list[str]
    rows: list[list[str]]
    best: set[tuple[int, int]] = field(default_factory=set)
    left: int = 1


def format_figure(value: Interval, deviation: float | None = None) -> str:
    """Return a figure in percent with its interval, and its standard deviation if there is one."""
    if np.isnan(value.value):
        return MISSING
    spread = "" if deviation is None else f" ± {percent(deviation)}"
    return f"{percent(value.value)}{spread} [{percent(value.low)}, {percent(value.high)}]"


def format_change(value: Interval) -> str:
    """Return a difference in points with its interval."""
    if np.isnan(value.value):
        return MISSING
    return f"{100 * value.value:+.2f} [{100 * value.low:+.2f}, {100 * value.high:+.2f}]"


def format_p(p: float) -> str:
    """Return a p-value with two significant digits, a small one as a bound; in one word, so that no line ends in it."""
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def terminal_table(table: ResultTable, remarks: Sequence[str]) -> RenderableType:
    """Return a table for the terminal; where that is too narrow, intervals stand below their figures, and words wrap.

    Args:
        table: the table.
        remarks: lines on how to read it.
    """
    return _Fitted(table, remarks)


@dataclass(frozen=True)
class _Fitted:
    """A table that takes the form that fits the terminal when it is printed."""

    table: ResultTable
    remarks: Sequence[str]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield with_notes(self._form_for(console, options.max_width), self.remarks)

    def _form_for(self, console: Console, width: int) -> Table:
        wide = _filled(self.table, self.table.heading, self.table.rows)
        if console.measure(wide, options=console.options.update_width(10_000)).maximum <= width:
            return wide
        rows = [[cell.replace(" [", "\n[") for cell in cells] for cells in self.table.rows]  # intervals below
        rigid = range(self.table.left, len(self.table.heading))
        widths, gap = fit_columns(self.table.heading, rows, width, rigid)
        heading, *cells = (list(map(wrap_cell, texts, widths)) for texts in [self.table.heading, *rows])
        drawn = _filled(self.table, heading, cells)
        drawn.padding = (0, gap - 1, 0, 0)
        for column, columns in zip(drawn.columns, widths, strict=True):
            column.width = columns
        return drawn


def _filled(table: ResultTable, heading: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    drawn = new_table(table.title)
    for number, name in enumerate(heading):
        drawn.add_column(name, justify="left" if number < table.left else "right", overflow="fold")
    for row, cells in enumerate(rows):
        drawn.add_row(*(Text(text, "bold" if (row, n) in table.best else "") for n, text in enumerate(cells)))
    return drawn


def markdown_lines(table: ResultTable) -> list[str]:
    """Return the lines of a table in Markdown."""
    return markdown_table(table.heading, table.rows, table.best, left=table.left)


def latex_table(table: ResultTable, caption: str) -> str:
    r"""Return a table for LaTeX's package booktabs.

    Args:
        table: the table.
        caption: plain text.
    """

    def cell(row: int, column: int, text: str) -> str:
        value, bracket, bounds = _latex(text).partition(" [")
        value = rf"\textbf{{{value}}}" if (row, column) in table.best else value
        return rf"{value} {{\scriptsize [{bounds}}}" if bracket else value

    rows = [[cell(row, column, text) for column, text in enumerate(cells)] for row, cells in enumerate(table.rows)]
    heading = [_latex(name) for name in table.heading]
    text: str = (
        pd.DataFrame(rows)
        .style.hide(axis="index")
        .to_latex(
            hrules=True,
            position_float="centering",
            caption=_latex(caption),
            label=f"tab:{re.sub('[^a-z]+', '-', table.title.lower())}",
            column_format="l" * table.left + "r" * (len(heading) - table.left),
        )
    )
    # Two columns of one name, such as p, are more than pandas' style can print.
    return text.replace(" & ".join(map(str, range(len(heading)))), " & ".join(heading), 1)


def _latex(text: str) -> str:
    r"""Return escaped text, with mathematical signs: in text, `-` is a hyphen, and `<` an inverted exclamation mark."""
    signed = re.sub(r"(?<![\w)])-(?=\d)", "−", text)
    return "".join(_SIGNS.get(letter, letter) for letter in escape_latex(signed))
