"""Tables: for the terminal, as Markdown and as LaTeX."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from dfer.records import FacePrediction, Prediction
from dfer.report.grid import DAGGER, EvaluationGrid, evaluation_grid
from dfer.report.style import emotion_color
from dfer.report.timeline import emotion_runs
from dfer.report.wording import MISSING, counted, merged, percent, span

MAX_RUNS = 8  # of a face, in the terminal
_NO_FACE = [Text(cell, "dim") for cell in (MISSING, "no face", MISSING, MISSING, "")]
_LATEX_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    DAGGER: r"$^\dagger$",
    "–": "--",
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
}


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
    return _with_notes(table, grid.remarks, grid.notes)


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


def prediction_table(predictions: Sequence[Prediction]) -> Table:
    """A row per face: its emotion, probability, when it is seen, and how the winning emotion changes.

    Args:
        predictions: of one model; a video without a face has a row that says so.
    """
    several = len(predictions) > 1
    table = new_table(None)
    if several:
        table.add_column("video", overflow="fold", max_width=40)
    table.add_column("face", justify="right")
    table.add_column("emotion", no_wrap=True)
    table.add_column("%", justify="right", style="bold")
    table.add_column("seen", no_wrap=True)
    table.add_column("over time", no_wrap=True)
    for prediction in predictions:
        rows = [_face_cells(face, prediction) for face in prediction.faces] or [_NO_FACE]
        for number, cells in enumerate(rows):
            name = [Text("" if number else _name(prediction))] if several else []
            table.add_row(*name, *cells, end_section=number == len(rows) - 1)
    return _with_notes(table, [], _warnings(predictions))


def _face_cells(face: FacePrediction, prediction: Prediction) -> list[Text]:
    seen = span(face.start, face.end, total=prediction.duration) if prediction.num_frames > 1 else MISSING
    return [
        Text(str(face.id)),
        Text(face.label, f"bold {emotion_color(face.label)}"),
        Text(percent(face.probabilities[face.label])),
        Text(seen),
        _course(face, prediction) if prediction.num_frames > 1 else Text(),
    ]


def _course(face: FacePrediction, prediction: Prediction) -> Text:
    """A line per run of one emotion; if there are many, each emotion's share of the time instead."""
    runs = emotion_runs(face)
    if len(runs) <= MAX_RUNS:
        spans = [span(run.start, run.end, total=prediction.duration) for run in runs]
        widest = max(map(len, spans), default=0)
        lines = [
            Text.assemble((f"{when:>{widest}}  ", "dim"), (run.label, emotion_color(run.label)))
            for when, run in zip(spans, runs, strict=True)
        ]
        return Text("\n").join(lines)
    lengths: dict[str, float] = {}
    for run in runs:
        lengths[run.label] = lengths.get(run.label, 0.0) + run.end - run.start
    total = sum(lengths.values()) or 1.0
    lines = [
        Text.assemble((f"{_share(length / total):>3} %  ", "dim"), (label, emotion_color(label)))
        for label, length in sorted(lengths.items(), key=lambda item: -item[1])
    ]
    return Text("\n").join([*lines, Text(f"{counted(len(runs) - 1, 'change')}", "dim")])


def _share(fraction: float) -> str:
    return "<1" if 0 < fraction < 0.005 else percent(fraction, 0)


def _warnings(predictions: Sequence[Prediction]) -> list[str]:
    """Each warning once; with the video's name unless it holds for all."""
    every = merged(*(prediction.warnings for prediction in predictions))
    common = [text for text in every if all(text in prediction.warnings for prediction in predictions)]
    own = [f"{_name(p)}: {text}" for p in predictions for text in p.warnings if text not in common]
    return [*common, *own]


def _name(prediction: Prediction) -> str:
    return Path(prediction.source).name or prediction.source


def bench_table(result: dict[str, Any]) -> Table:
    """Parameters, GMACs and speeds of the models.

    Args:
        result: of `dfer.bench.bench_models`.
    """
    table = new_table(result["machine"])
    table.add_column("model", no_wrap=True)
    table.add_column("attention", no_wrap=True)
    for heading in ("params\nM", "GMACs\n16 fr.", "GMACs\n64 fr.", "fp32", "bf16", "train"):
        table.add_column(heading, justify="right")
    table.add_column("fp32\nrel.", justify="right", style="bold")
    for row in result["models"]:
        table.add_row(
            row["name"],
            row["attention"],
            f"{row['parameters'] / 1e6:.2f}",
            f"{row['gmacs']:.2f}",
            f"{row['gmacs_64_frames']:.1f}",
            *(f"{row[key]:.2f}" for key in ("forward_float32", "forward_bf16", "training")),
            f"{row['relative']:.2f}",
        )
    batch = counted(result["batch_size"], "clip")
    return _with_notes(table, [f"fp32, bf16, train: clips/s, {batch} at a time; 1 GMAC is 2 GFLOPs"], [])


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


def markdown_table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table: the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(heading, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        first, *others = (escape_markdown(cell) for cell in cells)
        padded = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))]
        return f"| {' | '.join(padded)} |"

    rule = "|".join([":" + "-" * (widths[0] + 1), *("-" * (width + 1) + ":" for width in widths[1:])])
    return [line(heading), f"|{rule}|", *(line(row) for row in rows)]


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
        f"  \\caption{{{_escape_latex(said)}.}}",
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
    return f"    {' & '.join(map(_escape_latex, cells))} \\\\"


def _escape_latex(text: str) -> str:
    return "".join(_LATEX_SPECIAL.get(letter, letter) for letter in text)


def escape_markdown(text: str) -> str:
    """The text, its letters that Markdown would read as marks escaped."""
    return "".join(f"\\{letter}" if letter in "\\`*_|<>" else letter for letter in text)


def new_table(title: str | None) -> Table:
    """An empty table in the house's style, without columns yet."""
    return Table(
        title=None if title is None else Text(f"{title}\n", "bold"),
        title_justify="left",
        title_style="",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        show_edge=False,
        header_style="bold",
    )


def _with_notes(table: Table, remarks: Sequence[str], notes: Sequence[str]) -> Table:
    """The table with lines below it; as captions they would be broken at its width, however narrow."""
    framed = Table.grid()
    framed.add_row(table)
    if remarks or notes:
        framed.add_row("")
    for remark in remarks:
        framed.add_row(Text(remark, "dim"))
    for note in notes:
        framed.add_row(Text(note, "bold yellow"))
    return framed
