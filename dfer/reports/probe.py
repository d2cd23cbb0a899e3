"""The tables and the plot of `dfer eval --probe`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from rich.console import Group, RenderableType
from rich.text import Text

from dfer.drawing.forest import draw_forest
from dfer.drawing.style import save_figure
from dfer.evaluation.comparison import Comparison
from dfer.evaluation.probe import verdict
from dfer.reports.comparison import recall_changes
from dfer.reports.result_table import (
    ResultTable,
    format_change,
    format_figure,
    format_p,
    markdown_lines,
    terminal_table,
)
from dfer.runtime.files import write_text
from dfer.runtime.formatting import MISSING

HEADINGS = {"war": "WAR", "uar": "UAR"}


def probe_tables(comparison: Comparison) -> list[ResultTable]:
    """Return the figures with the frames changed in each way, and the change of each class's recall."""
    pairs = {pair.second: pair for pair in comparison.pairs}
    rows = []
    for method in comparison.methods:
        row = [method.name]
        for key in HEADINGS:
            pair = pairs.get(method.name)
            row += [format_figure(method.metrics[key])]
            row += [format_change(pair.metrics[key]), format_p(pair.p_holm[key])] if pair else [MISSING, MISSING]
        rows.append(row)
    heading = ["frames", *(name for key in HEADINGS.values() for name in (key, f"Δ{key}", "p"))]
    return [
        ResultTable("Is it the dynamics?", heading, rows),
        ResultTable("Change of each class's recall", ["class", *pairs], recall_changes(comparison)),
    ]


def probe_remarks(comparison: Comparison) -> list[str]:
    """Return the lines on how to read the tables."""
    return [
        "frames in random order, backwards, the middle one repeated, half of them shown twice; in brackets 95 % "
        f"bootstrap intervals over {comparison.units}; p: paired bootstrap, corrected by Holm's method"
    ]


def probe_view(comparison: Comparison) -> RenderableType:
    """Return the tables and the verdict for the terminal."""
    first, second = probe_tables(comparison)
    tables = [terminal_table(first, []), "", terminal_table(second, probe_remarks(comparison))]
    return Group("", *tables, "", Text(verdict(comparison), "bold"))


def probe_dict(comparison: Comparison) -> dict[str, Any]:
    """Return the object `probe` in `dfer.evaluation/1`."""
    return {key: value for key, value in comparison.to_dict().items() if key != "schema"} | {
        "verdict": verdict(comparison)
    }


def write_probe_report(comparison: Comparison, out: Path) -> None:
    """Write probe.md and the plot.

    Args:
        comparison: the results.
        out: the folder.

    Raises:
        DferError: a file cannot be written.
    """
    figure = draw_probe(comparison)
    for suffix in (".png", ".pdf"):
        save_figure(figure, out / f"probe{suffix}")
    lines = ["## Is it the dynamics?", "", verdict(comparison), ""]
    for table in probe_tables(comparison):
        lines += [f"### {table.title}", "", *markdown_lines(table), ""]
    lines += [*(f"- {remark}" for remark in probe_remarks(comparison)), "", "![changes with intervals](probe.png)"]
    write_text(out / "probe.md", "\n".join(lines) + "\n")


def draw_probe(comparison: Comparison) -> Figure:
    """Draw the changes of WAR and UAR with their intervals."""
    bars = {pair.second: [pair.metrics[key].bar for key in HEADINGS] for pair in comparison.pairs}
    return draw_forest({}, bars, list(HEADINGS.values()), title="Is it the dynamics?", subtitle=verdict(comparison))
