"""The folder of `dfer eval --report`: tables and confusion matrices."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from dfer.drawing.figures import draw_confusion
from dfer.drawing.style import save_figure
from dfer.drawing.tables import escape_latex, escape_markdown, markdown_table, new_table, with_notes
from dfer.reports.grid import EvaluationGrid, evaluation_grid, evaluation_labels, pooled_confusion
from dfer.runtime.files import write_text
from dfer.runtime.formatting import percent, pluralize


def write_evaluation_report(evaluation: dict[str, Any], out: Path) -> None:
    """Write README.md, table.tex, and a confusion matrix of each fold and, of several folds, of all together.

    Args:
        evaluation: the object `dfer.evaluation/1`.
        out: the folder.

    Raises:
        DferError: a file cannot be written.
    """
    labels, notes = evaluation_labels(evaluation), evaluation_grid(evaluation).notes
    names = sorted(evaluation["folds"], key=int)
    plots = {f"fold {name}": evaluation["folds"][name] for name in names}
    if len(names) > 1:
        unreadable = sum(fold.get("num_unreadable", 0) for fold in plots.values())
        everything = {"confusion": pooled_confusion(evaluation), "num_unreadable": unreadable}
        plots = {"all folds": evaluation["pooled"] | everything, **plots}
    text = evaluation_markdown(evaluation)
    for name, result in plots.items():
        stem = f"confusion_{name.replace(' ', '_')}"
        title = f"{evaluation['dataset']}, {name}"
        figure = draw_confusion(result["confusion"], labels, title=title, subtitle=_subtitle(result), footer=notes)
        for suffix in (".png", ".pdf"):
            save_figure(figure, out / f"{stem}{suffix}")
        text += f"\n### Confusion matrix, {name}\n\n![confusion matrix, {name}]({stem}.png)\n"
    write_text(out / "table.tex", evaluation_latex(evaluation))
    write_text(out / "README.md", text)


def _subtitle(result: dict[str, Any]) -> str:
    parts = [f"WAR {percent(result['war'])}", f"UAR {percent(result['uar'])}"]
    if result.get("selection"):
        parts.append(f"epoch: {result['selection']}")
    if result.get("num_unreadable"):
        parts.append(f"{pluralize(result['num_unreadable'], 'unreadable clip')} not in the matrix")
    return " · ".join(parts)


def evaluation_table(evaluation: dict[str, Any], *, width: int | None = None) -> Table:
    """A row per fold with WAR, UAR, recalls, intra/inter ratio and numbers of clips; then mean and pooled.

    Where that is too wide, the table is turned: a column per fold.

    Args:
        evaluation: the object `dfer.evaluation/1`.
        width: columns of text to fit in; None for the terminal's.
    """
    grid = evaluation_grid(evaluation)
    table = _fold_rows(grid)
    if Console(width=1000).measure(table).maximum > (width or Console().width):
        table = _fold_columns(grid)
    return with_notes(table, grid.remarks, grid.notes)


def _fold_rows(grid: EvaluationGrid) -> Table:
    table = new_table(grid.title)
    table.add_column("fold")
    for number, column in enumerate(grid.columns):
        heading = column.replace("/", "/\n").replace("unreadable", "un-\nreadable")
        table.add_column(heading, justify="right", style="bold" if number < 2 else "", no_wrap=True)
    for row in grid.folds:
        table.add_row(row.name, *row.cells, end_section=row is grid.folds[-1])
    for row in grid.summaries:
        table.add_row(row.name, *row.cells, style="cyan")
    return table


def _fold_columns(grid: EvaluationGrid) -> Table:
    table = new_table(grid.title)
    table.add_column("fold", no_wrap=True)
    for row in grid.rows:
        table.add_column(row.name, justify="right", style="cyan" if row in grid.summaries else "", no_wrap=True)
    sections = {1, len(grid.columns) - 4}  # below UAR, and below the last recall
    for number, column in enumerate(grid.columns):
        cells = [row.cells[number] for row in grid.rows]
        table.add_row(column, *cells, end_section=number in sections, style="bold" if number < 2 else "")
    return table


def evaluation_markdown(evaluation: dict[str, Any]) -> str:
    """The evaluation as a Markdown section: heading, table, remarks, notes, checkpoints.

    Args:
        evaluation: the object `dfer.evaluation/1`.
    """
    grid = evaluation_grid(evaluation)
    lines = [f"## {escape_markdown(grid.title)}", ""]
    lines += [f"> **{escape_markdown(note)}**\n" for note in grid.notes]
    lines += markdown_table(["fold", *grid.columns], [[row.name, *row.cells] for row in grid.rows])
    lines += ["", *(f"- {escape_markdown(remark)}" for remark in grid.remarks)]
    for name in sorted(evaluation["folds"], key=int):
        checkpoint = evaluation["folds"][name].get("checkpoint")
        lines += [f"- fold {name}: `{checkpoint}`"] if checkpoint else []
    return "\n".join(lines) + "\n"


def evaluation_latex(evaluation: dict[str, Any]) -> str:
    r"""The evaluation as a LaTeX table for the package booktabs.

    Args:
        evaluation: the object `dfer.evaluation/1`.
    """
    grid = evaluation_grid(evaluation)
    said = ". ".join([grid.title, *(text[:1].upper() + text[1:] for text in [*grid.notes, *grid.remarks])])
    lines = [
        r"% \usepackage{booktabs}",
        r"\begin{table}",
        r"  \centering",
        f"  \\caption{{{escape_latex(said)}.}}",
        f"  \\label{{tab:{''.join(c if c.isalnum() else '-' for c in evaluation['dataset'])}}}",
        f"  \\begin{{tabular}}{{l{'r' * len(grid.columns)}}}",
        r"    \toprule",
        _latex_row(["fold", *grid.columns]),
        r"    \midrule",
    ]
    lines += [_latex_row([row.name, *row.cells]) for row in grid.folds]
    if grid.summaries:
        lines += [r"    \midrule", *(_latex_row([row.name, *row.cells]) for row in grid.summaries)]
    return "\n".join([*lines, r"    \bottomrule", r"  \end{tabular}", r"\end{table}"]) + "\n"


def _latex_row(cells: Sequence[str]) -> str:
    return f"    {' & '.join(map(escape_latex, cells))} \\\\"
