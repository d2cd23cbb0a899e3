"""The summary of `dfer sweep`: its tables, for the terminal, Markdown, LaTeX and as CSV, and its plot."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure
from rich.console import Group, RenderableType

from dfer.drawing.spread import draw_spread
from dfer.drawing.style import save_figure
from dfer.drawing.tables import escape_markdown
from dfer.evaluation.comparison import METRICS
from dfer.evaluation.sweep_results import DONE, CellResult, SweepResult
from dfer.records import BEST_ON_TEST_NOTE
from dfer.reports.comparison import DAGGER, HEADINGS
from dfer.reports.result_table import (
    BOOKTABS,
    ResultTable,
    format_change,
    format_p,
    latex_table,
    markdown_lines,
    terminal_table,
)
from dfer.runtime.cells import quote_cell
from dfer.runtime.files import write_json, write_text
from dfer.runtime.formatting import MISSING, format_duration, percent, pluralize

SUMMARY, RUNS = "summary", "runs.csv"
SWEEP_FILES = (*(f"{SUMMARY}{suffix}" for suffix in (".json", ".csv", ".md", ".tex", ".png", ".pdf")), RUNS)
_SHOWN = ("war", "uar")


def sweep_tables(result: SweepResult) -> list[ResultTable]:
    """Return the tables of a sweep: the figures of its cells, and their tests against the baseline if there are any."""
    return [_cell_table(result.cells), *([_test_table(result)] if result.pairs else [])]


def _cell_table(cells: Sequence[CellResult]) -> ResultTable:
    rows = [
        [
            *_columns(cell),
            f"{len(cell.done)}/{len(cell.runs)}",
            *(_figure(cell, key) for key in _SHOWN),
            MISSING if cell.seconds is None else format_duration(cell.seconds),
            f"{cell.parameters / 1e6:.2f}",
            _gmacs(cell.gmacs),
        ]
        for cell in cells
    ]
    told = list(cells[0].columns)
    heading = [*told, "runs", *(HEADINGS[key] for key in _SHOWN), "time of a run", "params M", "GMACs"]
    best = {(row, column + len(told) + 1) for column, key in enumerate(_SHOWN) for row in _best(cells, key)}
    return ResultTable("Cells", heading, rows, best, left=len(told))


def _columns(cell: CellResult) -> list[str]:
    first, *others = cell.columns.values()
    return [first + (DAGGER if cell.best_on_test else ""), *others]


def _name(cell: CellResult) -> str:
    return cell.name + (DAGGER if cell.best_on_test else "")


def _figure(cell: CellResult, metric: str) -> str:
    mean, deviation = cell.mean(metric), cell.deviation(metric)
    return percent(mean) + ("" if deviation is None else f" ± {percent(deviation)}")


def _best(cells: Sequence[CellResult], metric: str) -> list[int]:
    """Return the rows of the highest mean, as it is printed, of the cells that are complete; none if all are equal."""
    shown = {row: percent(cell.mean(metric)) for row, cell in enumerate(cells) if cell.is_complete}
    values = {row: float(text) for row, text in shown.items()}
    if len(set(values.values())) < 2:
        return []
    return [row for row, value in values.items() if value == max(values.values())]


def _test_table(result: SweepResult) -> ResultTable:
    by_name = {cell.name: cell for cell in result.cells}
    rows = [
        [
            *_columns(by_name[name]),
            *(text for key in _SHOWN for text in (format_change(pair.metrics[key]), format_p(pair.p_holm[key]))),
        ]
        for name, pair in result.pairs.items()
    ]
    told = list(result.cells[0].columns)
    heading = [*told, *(name for key in _SHOWN for name in (f"Δ{HEADINGS[key]}", "p"))]
    return ResultTable(f"Against {_name(by_name[result.baseline])}", heading, rows, left=len(told))


def sweep_title(result: SweepResult) -> str:
    """Return what was done, in a line."""
    runs = list(result.runs)
    done = sum(run.status == DONE for run in runs)
    whole = pluralize(len(runs), "run") if done == len(runs) else f"{done:,} of {pluralize(len(runs), 'run')} done"
    seeds, folds = {run.seed for run in runs}, {run.fold for run in runs}
    each = f"{pluralize(len(seeds), 'seed')}, {pluralize(len(folds), 'fold')}"
    return f"{result.name}: {pluralize(len(result.cells), 'cell')}, {each}, {whole}"


def sweep_remarks(result: SweepResult) -> list[str]:
    """Return the lines on how to read the tables."""
    remarks = ["percent: means over seeds and folds, ± their standard deviation; time: of a run's epochs, mean"]
    if result.comparison is not None and result.pairs:
        remarks.append(
            f"differences: means over the folds, with 95 % intervals and p of a paired bootstrap of the test "
            f"{result.comparison.units}, {result.comparison.resamples:,} resamples; p is corrected by Holm's method"
        )
    chosen = sorted({run.selection for run in result.runs if run.selection})
    remarks += [f"epoch of each run: {' or '.join(chosen)}"] if chosen else []
    if any(cell.best_on_test for cell in result.cells):
        remarks.append(f"{DAGGER} {BEST_ON_TEST_NOTE}")
    failed = [run for run in result.runs if run.error]
    remarks += [f"{run.status}: {run.path.name} fold {run.fold}: {run.error}" for run in failed]
    return [*remarks, *result.notes, f"summarised on {result.machine}"]


def sweep_view(result: SweepResult) -> RenderableType:
    """Return the tables for the terminal."""
    tables = sweep_tables(result)
    parts: list[RenderableType] = []
    for table in tables:
        remarks = sweep_remarks(result) if table is tables[-1] else []
        parts += [terminal_table(table, remarks), ""]
    return Group(*parts[:-1])


def sweep_markdown(result: SweepResult) -> str:
    """Return the summary as a Markdown section."""
    lines = [f"## {escape_markdown(sweep_title(result))}", ""]
    for table in sweep_tables(result):
        lines += [f"### {escape_markdown(table.title)}", "", *markdown_lines(table), ""]
    lines += [f"- {escape_markdown(remark)}" for remark in sweep_remarks(result)]
    return "\n".join([*lines, "", f"![all runs]({SUMMARY}.png)"]) + "\n"


def sweep_latex(result: SweepResult) -> str:
    """Return the tables in LaTeX, for the package booktabs."""
    remarks = [text[:1].upper() + text[1:] for text in sweep_remarks(result)]
    tables = sweep_tables(result)
    captions = [f"{sweep_title(result)}. {'. '.join(remarks)}.", f"{tables[-1].title}."]
    return BOOKTABS + "\n".join(latex_table(table, text) for table, text in zip(tables, captions, strict=False))


def sweep_csv(result: SweepResult) -> str:
    """Return a row per cell: what it varies, means and deviations (fractions), p against the baseline, cost."""
    rows = []
    for cell in result.cells:
        pair = result.pairs.get(cell.name)
        row = {"cell": cell.name, **cell.settings, "runs": len(cell.runs), "done": len(cell.done)}
        for key in METRICS:
            row |= {key: cell.mean(key), f"{key}_sd": cell.deviation(key)}
            row[f"{key}_p_holm"] = pair.p_holm[key] if pair else None
        row |= {"seconds": cell.seconds, "parameters": cell.parameters, "gmacs": cell.gmacs}
        rows.append(row)
    return _csv(rows)


def runs_csv(result: SweepResult) -> str:
    """Return a row per run: its cell, what it varies, seed, fold, status, figures (fractions), time, folder."""
    rows = [{"cell": cell.name, **cell.settings, **run.to_dict()} for cell in result.cells for run in cell.runs]
    return _csv(rows)


def _csv(rows: Sequence[dict[str, object]]) -> str:
    text = io.StringIO()
    cells = [
        {key: quote_cell(value) if isinstance(value, str) else value for key, value in row.items()} for row in rows
    ]
    pd.DataFrame(cells, dtype=object).to_csv(text, index=False, lineterminator="\n")  # 0 beside 0.5 stays 0
    return text.getvalue()


def draw_sweep(result: SweepResult) -> Figure:
    """Draw WAR and UAR of every run, and the mean and standard deviation of each cell."""
    groups = {_name(cell): [[run.scores[key] for run in cell.done] for key in _SHOWN] for cell in result.cells}
    baseline = next(cell for cell in result.cells if cell.name == result.baseline)
    return draw_spread(
        groups,
        [HEADINGS[key] for key in _SHOWN],
        reference=_name(baseline),
        title=sweep_title(result),
        subtitle="faint: each seed and fold; dot and bar: their mean ± standard deviation; dashed: mean of "
        f"{baseline.name}",
        footer=[f"{DAGGER} {BEST_ON_TEST_NOTE}"] if any(cell.best_on_test for cell in result.cells) else [],
    )


def write_sweep_report(result: SweepResult, out: Path) -> None:
    """Write summary.json, .csv, .md, .tex, .png and .pdf, and runs.csv.

    Args:
        result: what is known of the sweep.
        out: the sweep's folder.

    Raises:
        DferError: a file cannot be written.
    """
    figure = draw_sweep(result)
    for suffix in (".png", ".pdf"):
        save_figure(figure, out / f"{SUMMARY}{suffix}")
    write_text(out / f"{SUMMARY}.csv", sweep_csv(result))
    write_text(out / RUNS, runs_csv(result))
    write_text(out / f"{SUMMARY}.tex", sweep_latex(result))
    write_text(out / f"{SUMMARY}.md", sweep_markdown(result))
    write_json(out / f"{SUMMARY}.json", result.to_dict())


def plan_view(result: SweepResult) -> RenderableType:
    """Return the table of `--dry-run`: how far the runs of each cell are."""
    rows = [
        [*_columns(cell), _status(cell), f"{cell.parameters / 1e6:.2f}", _gmacs(cell.gmacs)] for cell in result.cells
    ]
    told = list(result.cells[0].columns)
    table = ResultTable(sweep_title(result), [*told, "runs", "params M", "GMACs"], rows, left=len(told) + 1)
    return terminal_table(table, [])


def _status(cell: CellResult) -> str:
    found = [run.status for run in cell.runs]
    return ", ".join(f"{found.count(status)} {status}" for status in dict.fromkeys(found))


def _gmacs(gmacs: float) -> str:
    return f"{gmacs:#.3g}" if gmacs < 1 else f"{gmacs:.2f}"
