"""The table of published results, with runs of your own in it: for the terminal, Markdown, LaTeX and JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from dfer.evaluation.comparison import Comparison, MethodResult
from dfer.evaluation.published import PublishedResult
from dfer.records import BEST_ON_TEST
from dfer.reports.result_table import BOOKTABS, ResultTable, format_figure, latex_table, markdown_lines
from dfer.runtime.formatting import MISSING

NAMES = {"dfew": "DFEW", "ferv39k": "FERV39k", "mafw": "MAFW"}
DAGGER = "†"
REMARKS = (
    "percent, as published; none was reproduced here",
    f"{DAGGER} the epoch is known to have been chosen on the test fold, from the published code; where no selection is "
    "given it is not known, and most code does so",
)


@dataclass(frozen=True)
class PublishedTable:
    """Published results on a data set, and runs of your own.

    Attributes:
        dataset: its name.
        results: newest first.
        own: comparisons of one method each, which come before them.
        notes: what the reader must know of the runs.
    """

    dataset: str
    results: Sequence[PublishedResult]
    own: Sequence[Comparison] = ()
    notes: Sequence[str] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object of the schema `dfer.published/1`: fractions, as everywhere."""
        results = [asdict(result) for result in self.results]
        for result in results:
            for name in ("uar", "war"):
                result[name] = None if result[name] is None else round(result[name] / 100, 6)
        return {
            "schema": "dfer.published/1",
            "dataset": self.dataset,
            "results": results,
            "own": [method.to_dict(of.labels) for of in self.own for method in of.methods],
            "notes": list(self.notes),
        }


def published_table(table: PublishedTable) -> ResultTable:
    """Return the table as text: your own runs first, in bold and with their intervals, then the newest."""
    own = [_own_row(method) for comparison in table.own for method in comparison.methods]
    heading = ["method", "year", "modality", "pretraining", "input", "selection", "source", "UAR", "WAR"]
    rows = [*own, *map(_row, table.results)]
    bold = {(row, column) for row in range(len(own)) for column in (0, 7, 8)}
    title = f"Published results on {NAMES[table.dataset]}"
    return ResultTable(title, heading, rows, bold, left=7)


def _row(result: PublishedResult) -> list[str]:
    return [
        result.method + (DAGGER if result.selection == BEST_ON_TEST else ""),
        str(result.year),
        result.modality,
        *(text or MISSING for text in (result.pretraining, result.input, result.selection)),
        result.source,
        *(MISSING if value is None else f"{value:.2f}" for value in (result.uar, result.war)),
    ]


def _own_row(method: MethodResult) -> list[str]:
    name = method.name + (DAGGER if method.best_on_test else "")
    selection = BEST_ON_TEST if method.best_on_test else MISSING
    figures = (format_figure(method.metrics[key]) for key in ("uar", "war"))
    return [name, MISSING, "V", MISSING, MISSING, selection, "your run", *figures]


def published_remarks(table: PublishedTable) -> list[str]:
    """Return the lines on how to read the table."""
    intervals = ["in brackets 95 % bootstrap intervals over the test clips"] if table.own else []
    return [*REMARKS, *intervals, *table.notes]


def published_markdown(table: PublishedTable) -> str:
    """Return the table as a Markdown section."""
    result = published_table(table)
    lines = [f"## {result.title}", "", *markdown_lines(result), ""]
    return "\n".join([*lines, *(f"- {remark}" for remark in published_remarks(table))]) + "\n"


def published_latex(table: PublishedTable) -> str:
    """Return the table in LaTeX, for the package booktabs."""
    result = published_table(table)
    remarks = [text[:1].upper() + text[1:] for text in published_remarks(table)]
    return BOOKTABS + latex_table(result, f"{'. '.join([result.title, *remarks])}.")
