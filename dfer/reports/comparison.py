"""The report of `dfer compare`, and its tables: for the terminal, Markdown and LaTeX."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from rich.console import Group, RenderableType
from rich.text import Text

from dfer.drawing.confusion import draw_confusion_difference
from dfer.drawing.forest import draw_forest
from dfer.drawing.style import save_figure
from dfer.drawing.tables import escape_markdown
from dfer.evaluation.comparison import METRICS, Comparison, MethodResult, PairResult
from dfer.records import BEST_ON_TEST_NOTE
from dfer.reports.result_table import (
    BOOKTABS,
    ResultTable,
    format_change,
    format_figure,
    format_p,
    latex_table,
    markdown_lines,
    terminal_table,
)
from dfer.runtime.files import write_text
from dfer.runtime.formatting import pluralize

DAGGER = "†"
HEADINGS = {"war": "WAR", "uar": "UAR", "macro_f1": "macro-F1"}
_FOREST_METRICS = ("war", "uar")
MAX_PAIRS = 15  # in the figures
_MOST_COLUMNS = 3  # of methods or pairs beside the classes; more stand in rows, with a column for each class


def comparison_tables(comparison: Comparison) -> list[ResultTable]:
    """Return the tables of a comparison: methods, recalls, differences, and differences of the recalls."""
    methods, pairs = comparison.methods, comparison.pairs
    tables = [_method_table(methods), _recall_table(comparison)]
    if pairs:
        tables += [_pair_table(pairs), _effect_table(comparison)]
    return tables


def _method_table(methods: Sequence[MethodResult]) -> ResultTable:
    repeated = any(len(method.runs) > 1 for method in methods)
    rows = [
        [
            _name(method),
            *([str(len(method.runs))] if repeated else []),
            *(format_figure(method.metrics[key], method.deviations.get(key)) for key in METRICS),
        ]
        for method in methods
    ]
    values = np.array([[method.metrics[key].value for key in METRICS] for method in methods])
    offset = len(rows[0]) - len(METRICS)
    heading = ["method", *(["seeds"] if repeated else []), *HEADINGS.values()]
    return ResultTable("Methods", heading, rows, {(row, column + offset) for row, column in _best(values)})


def _recall_table(comparison: Comparison) -> ResultTable:
    title, labels, names = "Recall of each class", comparison.labels, list(map(_name, comparison.methods))
    recalls = [method.recalls for method in comparison.methods]
    cells = [list(map(format_figure, of)) for of in recalls]
    clips = [f"{count:,}" for count in comparison.methods[0].clips]
    best = _best(np.array([[recall.value for recall in of] for of in recalls]))
    if len(names) > _MOST_COLUMNS:
        rows = [["clips", *clips], *([name, *of] for name, of in zip(names, cells, strict=True))]
        return ResultTable(title, ["method", *labels], rows, {(place + 1, number + 1) for place, number in best})
    rows = [list(row) for row in zip(labels, clips, *cells, strict=True)]
    return ResultTable(title, ["class", "clips", *names], rows, {(number, place + 2) for place, number in best})


def _pair_table(pairs: Sequence[PairResult]) -> ResultTable:
    heading = ["second − first", "ΔWAR", "p", "ΔUAR", "p", "first only", "second only", "McNemar's p"]
    rows = []
    for pair in pairs:
        for number, (test, corrected) in enumerate(zip(pair.mcnemar, pair.mcnemar_holm, strict=True)):
            figures = [
                cell
                for key in _FOREST_METRICS
                for cell in (format_change(pair.metrics[key]), format_p(pair.p_holm[key]))
            ]
            own = [_pair_name(pair), *figures] if number == 0 else [""] * 5
            rows.append([*own, f"{test.only_first:,}", f"{test.only_second:,}", format_p(corrected)])
    return ResultTable("Differences", heading, rows)


def recall_changes(comparison: Comparison) -> list[list[str]]:
    """Return a row per class: its name, and the change of its recall in each pair."""
    return [
        [label, *(format_change(pair.recalls[number]) for pair in comparison.pairs)]
        for number, label in enumerate(comparison.labels)
    ]


def _effect_table(comparison: Comparison) -> ResultTable:
    title, names, rows = (
        "Differences of each class's recall",
        list(map(_pair_name, comparison.pairs)),
        recall_changes(comparison),
    )
    if len(names) > _MOST_COLUMNS:
        labels, *cells = zip(*rows, strict=True)
        return ResultTable(
            title, ["second − first", *labels], [[name, *of] for name, of in zip(names, cells, strict=True)]
        )
    return ResultTable(title, ["class", *names], rows)


def _name(method: MethodResult) -> str:
    return method.name + (DAGGER if method.best_on_test else "")


def _pair_name(pair: PairResult) -> str:
    return f"{pair.second} − {pair.first}"


def _best(values: NDArray[np.float64]) -> set[tuple[int, int]]:
    """Return row and column of the highest value of each column, as it is printed; none where all are the same."""
    shown = np.round(100 * values, 2)
    found = set()
    for column, of in enumerate(shown.T):
        known = of[~np.isnan(of)]
        if len(known) and known.min() < known.max():
            found |= {(row, column) for row, value in enumerate(of) if value == known.max()}
    return found


def comparison_title(comparison: Comparison) -> str:
    """Return what was compared, in a line."""
    methods, folds = pluralize(len(comparison.methods), "method"), pluralize(len(comparison.folds), "fold")
    return f"{methods} on {pluralize(comparison.num_clips, 'clip')} of {folds}"


def comparison_remarks(comparison: Comparison) -> list[str]:
    """Return the lines on how to read the tables."""
    units = comparison.units
    remarks = [
        "percent, means over the folds; in brackets 95 % intervals: "
        f"{comparison.resamples:,} resamples of the {comparison.num_units:,} {units}, within each fold"
    ]
    if any(method.deviations for method in comparison.methods):
        remarks.append(f"means over the seeds, ± their standard deviation; the intervals are over {units}, not seeds")
    if comparison.pairs:
        remarks.append(
            "tests: paired bootstrap, and McNemar's exact test of the clips that only one got right; p is corrected by "
            "Holm's method for the number of each"
        )
    if comparison.units == "subjects":
        remarks.append("McNemar's test takes clips of one person as independent: trust the bootstrap, which does not")
    if any(method.best_on_test for method in comparison.methods):
        remarks.append(f"{DAGGER} {BEST_ON_TEST_NOTE}")
    return [*remarks, *comparison.notes]


def comparison_view(comparison: Comparison) -> RenderableType:
    """Return the tables for the terminal."""
    parts: list[RenderableType] = [Text(f"{comparison_title(comparison)}\n", "bold")]
    tables = comparison_tables(comparison)
    for table in tables:
        remarks = comparison_remarks(comparison) if table is tables[-1] else []
        parts += [terminal_table(table, remarks), ""]
    return Group(*parts[:-1])


def comparison_markdown(comparison: Comparison) -> str:
    """Return the comparison as a Markdown section."""
    lines = [f"## {escape_markdown(comparison_title(comparison))}", ""]
    for table in comparison_tables(comparison):
        lines += [f"### {table.title}", "", *markdown_lines(table), ""]
    lines += [f"- {escape_markdown(remark)}" for remark in comparison_remarks(comparison)]
    return "\n".join(lines) + "\n"


def comparison_latex(comparison: Comparison) -> str:
    r"""Return the comparison as LaTeX tables for the package booktabs: the best in bold, best on test with a dagger."""
    title = comparison_title(comparison)
    remarks = [text[:1].upper() + text[1:] for text in comparison_remarks(comparison)]
    tables = comparison_tables(comparison)
    parts = []
    for table in tables:
        caption = f"{table.title}: {'. '.join([title, *(remarks if table is tables[0] else [])])}."
        parts.append(latex_table(table, caption))
    return BOOKTABS + "\n".join(parts)


def draw_comparison(comparison: Comparison) -> Figure:
    """Draw the forest plot: WAR and UAR of the methods, and their differences."""
    shown = comparison.pairs[:MAX_PAIRS]
    return draw_forest(
        {_name(method): [method.metrics[key].bar for key in _FOREST_METRICS] for method in comparison.methods},
        {_pair_name(pair): [pair.metrics[key].bar for key in _FOREST_METRICS] for pair in shown},
        [HEADINGS[key] for key in _FOREST_METRICS],
        title=comparison_title(comparison),
        subtitle=f"95 % bootstrap intervals over {comparison.units}; orange: does not reach zero, before "
        "correction for the number of pairs",
        footer=[f"{DAGGER} {BEST_ON_TEST_NOTE}"] if any(m.best_on_test for m in comparison.methods) else [],
    )


def write_comparison_report(comparison: Comparison, out: Path) -> None:
    """Write README.md, table.tex, the forest plot and a plot of each pair's confusion difference.

    Args:
        comparison: the results.
        out: the folder.

    Raises:
        DferError: a file cannot be written.
    """
    text = comparison_markdown(comparison) + "\n### Intervals\n\n![intervals](forest.png)\n"
    plots = {"forest": draw_comparison(comparison)}
    by_name = {method.name: method for method in comparison.methods}
    for number, pair in enumerate(comparison.pairs[:MAX_PAIRS], start=1):
        stem, name = f"confusion_difference_{number}", _pair_name(pair)
        plots[stem] = _draw_difference(by_name[pair.first], by_name[pair.second], comparison.labels, name)
        text += f"\n### Confusion, {escape_markdown(name)}\n\n![confusion, difference]({stem}.png)\n"
    for stem, figure in plots.items():
        for suffix in (".png", ".pdf"):
            save_figure(figure, out / f"{stem}{suffix}")
    write_text(out / "table.tex", comparison_latex(comparison))
    write_text(out / "README.md", text)


def _draw_difference(first: MethodResult, second: MethodResult, labels: Sequence[str], name: str) -> Figure:
    with np.errstate(invalid="ignore"):
        before, after = (method.confusion / method.clips[:, None] for method in (first, second))
    return draw_confusion_difference(
        before,
        after,
        labels,
        title=name,
        subtitle="change in points of each class's clips: on the diagonal, more is better; elsewhere, fewer are",
    )
