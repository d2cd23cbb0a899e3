"""The report of `dfer eval --report`, and the tables of an evaluation: for the terminal, Markdown, LaTeX and HTML."""

from __future__ import annotations

from math import isnan
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table

from dfer.drawing.confusion import draw_confusion
from dfer.drawing.style import save_figure
from dfer.drawing.tables import escape_latex, escape_markdown, markdown_table, new_table, with_notes
from dfer.evaluation.results import ClassCounts, Evaluation, FoldEvaluation
from dfer.records import BEST_ON_TEST, BEST_ON_TEST_NOTE
from dfer.reports.across import across_remarks
from dfer.reports.evaluation_figures import write_evaluation_figures
from dfer.runtime.files import write_text
from dfer.runtime.formatting import MISSING, percent, pluralize
from dfer.shares import TRAINING

DAGGER = "†"


def evaluation_title(evaluation: Evaluation) -> str:
    """Return the data set and the fold, or the number of folds."""
    folds = evaluation.folds
    return f"{evaluation.dataset}, {f'fold {folds[0].fold}' if len(folds) == 1 else pluralize(len(folds), 'fold')}"


def evaluation_cells(evaluation: Evaluation) -> pd.DataFrame:
    """Return the table of an evaluation as text, percent with two decimals.

    A row per fold, by number, with a dagger where the epoch was chosen on the test fold; of several folds also "mean"
    and "pooled"; then a row for each other prior, the mean of the folds. The index holds the rows' names; the first two
    columns are WAR and UAR.
    """
    folds = _in_order(evaluation)
    values = pd.DataFrame({f"{fold.fold}{_mark(fold)}": _figures(fold, fold.intra_inter_ratio) for fold in folds}).T
    if len(folds) > 1:
        mark = DAGGER if any(map(_mark, folds)) else ""
        values.loc[f"mean{mark}"] = [*values.iloc[:, :-2].mean(), *values.iloc[:, -2:].sum()]
        values.loc[f"pooled{mark}"] = _figures(evaluation.pooled, None)  # distances of several models do not add up
    for prior, others in evaluation.under_other_priors().items():
        rows = pd.DataFrame([_figures(other, None) for other in others])
        values.loc[f"{prior} prior"] = [*rows.iloc[:, :-2].mean(), *rows.iloc[:, -2:].sum()]
    values.iloc[:, :-3] *= 100
    headings = ["WAR", "UAR", *evaluation.labels, "intra/inter", "clips", "unreadable"]
    formats = [*["{:.2f}"] * (len(headings) - 3), "{:.3f}", "{:,.0f}", "{:,.0f}"]
    cells = {n: [MISSING if isnan(v) else form.format(v) for v in values[n]] for n, form in enumerate(formats)}
    return pd.DataFrame(cells, values.index).set_axis(headings, axis=1)


def _in_order(evaluation: Evaluation) -> list[FoldEvaluation]:
    return sorted(evaluation.folds, key=lambda fold: fold.fold)


def _figures(counts: ClassCounts, ratio: float | None) -> pd.Series[float]:
    numbers = [counts.war, counts.uar, *counts.recalls, ratio, counts.num_clips, counts.num_unreadable]
    return pd.Series(numbers, dtype=float)


def _mark(fold: FoldEvaluation) -> str:
    return DAGGER if fold.selection == BEST_ON_TEST else ""


def evaluation_remarks(evaluation: Evaluation) -> list[str]:
    """Return the lines on how to read the table."""
    folds = evaluation.folds
    remarks = [f"WAR, UAR and recalls in percent; epoch: {' or '.join(dict.fromkeys(f.selection for f in folds))}"]
    others = evaluation.under_other_priors()
    if others or evaluation.prior != TRAINING:
        remarks.append(
            f"answers under the {evaluation.prior} prior" + ("; other priors in rows of their own" if others else "")
        )
    remarks += across_remarks(evaluation)
    unreadable = evaluation.pooled.num_unreadable
    if unreadable:
        readable = pd.DataFrame([(fold.war_readable, fold.uar_readable) for fold in folds], dtype=float).mean()
        war, uar = (percent(None if pd.isna(share) else share) for share in readable)
        counts, them = ("counts", "it") if unreadable == 1 else ("count", "them")
        clips = pluralize(unreadable, "clip")
        remarks.append(f"{clips} that could not be read {counts} as wrong; without {them} WAR {war}, UAR {uar}")
    if any(map(_mark, folds)):
        remarks.append(f"{DAGGER} {BEST_ON_TEST_NOTE}")
    return remarks


def evaluation_notes(evaluation: Evaluation) -> list[str]:
    """Return what the reader must not miss, but for what the remarks say."""
    return [note for note in evaluation.notes if note != BEST_ON_TEST_NOTE]


def write_evaluation_report(evaluation: Evaluation, out: Path) -> None:
    """Write README.md, table.tex, a confusion matrix of each fold and, of several folds, of all, and further figures.

    These are a reliability diagram, precision over recall, each fold's features, and the hardest clips.

    Args:
        evaluation: the results.
        out: the folder.

    Raises:
        DferError: a file cannot be written.
    """
    folds = _in_order(evaluation)
    plots: dict[str, ClassCounts] = {f"fold {fold.fold}": fold for fold in folds}
    if len(folds) > 1:
        plots = {"all folds": evaluation.pooled, **plots}
    text = evaluation_markdown(evaluation)
    for name, counts in plots.items():
        stem = f"confusion_{name.replace(' ', '_')}"
        figure = draw_confusion(
            counts.confusion,
            evaluation.labels,
            title=f"{evaluation.dataset}, {name}",
            subtitle=_subtitle(counts),
            footer=evaluation_notes(evaluation),
        )
        for suffix in (".png", ".pdf"):
            save_figure(figure, out / f"{stem}{suffix}")
        text += f"\n### Confusion matrix, {name}\n\n![confusion matrix, {name}]({stem}.png)\n"
    text += write_evaluation_figures(evaluation, out)
    write_text(out / "table.tex", evaluation_latex(evaluation))
    write_text(out / "README.md", text)


def _subtitle(counts: ClassCounts) -> str:
    parts = [f"WAR {percent(counts.war)}", f"UAR {percent(counts.uar)}"]
    if isinstance(counts, FoldEvaluation):
        parts.append(f"epoch: {counts.selection}")
    if isinstance(counts, FoldEvaluation) and counts.classes is not None and counts.classes.model_only:
        parts.append(f"protocol: {counts.classes.protocol}")
    if counts.num_unreadable:
        parts.append(f"{pluralize(counts.num_unreadable, 'unreadable clip')} not in the matrix")
    return " · ".join(parts)


def evaluation_table(evaluation: Evaluation, *, width: int | None = None) -> Table:
    """Return the table for the terminal: a row per fold, or where that is too wide, a column per fold.

    Args:
        evaluation: the results.
        width: columns of text to fit in; None for the terminal's.
    """
    cells, num_folds = evaluation_cells(evaluation), len(evaluation.folds)
    table = _fold_rows(cells, evaluation_title(evaluation), num_folds)
    if Console(width=1000).measure(table).maximum > (width or Console().width):
        table = _fold_columns(cells, evaluation_title(evaluation), num_folds)
    return with_notes(table, evaluation_remarks(evaluation), evaluation_notes(evaluation))


def _fold_rows(cells: pd.DataFrame, title: str, num_folds: int) -> Table:
    table = new_table(title)
    table.add_column("fold")
    for number, column in enumerate(cells.columns):
        heading = column.replace("/", "/\n").replace("unreadable", "un-\nreadable")
        table.add_column(heading, justify="right", style="bold" if number < 2 else "", no_wrap=True)
    for number, row in enumerate(cells.itertuples(name=None), start=1):
        table.add_row(*row, end_section=number == num_folds, style="cyan" if number > num_folds else "")
    return table


def _fold_columns(cells: pd.DataFrame, title: str, num_folds: int) -> Table:
    table = new_table(title)
    table.add_column("fold", no_wrap=True)
    for number, name in enumerate(cells.index):
        table.add_column(name, justify="right", style="cyan" if number >= num_folds else "", no_wrap=True)
    sections = {1, len(cells.columns) - 4}  # below UAR, and below the last recall
    for number, row in enumerate(cells.T.itertuples(name=None)):
        table.add_row(*row, end_section=number in sections, style="bold" if number < 2 else "")
    return table


def evaluation_markdown(evaluation: Evaluation) -> str:
    """Return the evaluation as a Markdown section: heading, notes, table, remarks, checkpoints."""
    cells = evaluation_cells(evaluation)
    lines = [f"## {escape_markdown(evaluation_title(evaluation))}", ""]
    lines += [f"> **{escape_markdown(note)}**\n" for note in evaluation_notes(evaluation)]
    lines += markdown_table(["fold", *cells.columns], list(cells.itertuples(name=None)))
    lines += ["", *(f"- {escape_markdown(remark)}" for remark in evaluation_remarks(evaluation))]
    lines += [f"- fold {fold.fold}: `{fold.checkpoint}`" for fold in _in_order(evaluation)]
    return "\n".join(lines) + "\n"


def evaluation_latex(evaluation: Evaluation) -> str:
    r"""Return the evaluation as a LaTeX table for the package booktabs."""
    cells = evaluation_cells(evaluation).reset_index(names="fold").map(escape_latex).rename(columns=escape_latex)
    remarks = [*evaluation_notes(evaluation), *evaluation_remarks(evaluation)]
    caption = ". ".join([evaluation_title(evaluation), *(text[:1].upper() + text[1:] for text in remarks)])
    table = cells.style.hide(axis="index").to_latex(
        hrules=True,
        position_float="centering",
        caption=f"{escape_latex(caption)}.",
        label=f"tab:{''.join(letter if letter.isalnum() else '-' for letter in evaluation.dataset)}",
        column_format="l" + "r" * (len(cells.columns) - 1),
    )
    return "% \\usepackage{booktabs}\n" + table.replace("\nmean", "\n\\midrule\nmean")
