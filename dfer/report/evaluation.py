"""The folder of `dfer eval --report`: tables and confusion matrices."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dfer.files import write_text
from dfer.report.figures import plot_confusion
from dfer.report.grid import evaluation_grid, evaluation_labels, pooled_confusion
from dfer.report.tables import evaluation_latex, evaluation_markdown
from dfer.report.wording import counted, percent


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
        for suffix in (".png", ".pdf"):
            plot_confusion(
                result["confusion"],
                labels,
                out / f"{stem}{suffix}",
                title=f"{evaluation['dataset']}, {name}",
                subtitle=_subtitle(result),
                footer=notes,
            )
        text += f"\n### Confusion matrix, {name}\n\n![confusion matrix, {name}]({stem}.png)\n"
    write_text(out / "table.tex", evaluation_latex(evaluation))
    write_text(out / "README.md", text)


def _subtitle(result: dict[str, Any]) -> str:
    parts = [f"WAR {percent(result['war'])}", f"UAR {percent(result['uar'])}"]
    if result.get("selection"):
        parts.append(f"epoch: {result['selection']}")
    if result.get("num_unreadable"):
        parts.append(f"{counted(result['num_unreadable'], 'unreadable clip')} not in the matrix")
    return " · ".join(parts)
