"""An evaluation as rows of text, the same for the terminal, Markdown, LaTeX and HTML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dfer.records import BEST_ON_TEST, BEST_ON_TEST_NOTE
from dfer.runtime.formatting import MISSING, percent, pluralize, unique_lines

DAGGER = "†"


@dataclass(frozen=True)
class GridRow:
    """A fold, with a dagger where the epoch was chosen on the test fold; or a summary of all folds."""

    name: str
    cells: list[str]


@dataclass(frozen=True)
class EvaluationGrid:
    """What a table of an evaluation says.

    Attributes:
        title: data set and number of folds.
        columns: headings of the cells; the first two are WAR and UAR.
        folds: a row each.
        summaries: mean and pooled, where there are several folds.
        remarks: how to read the figures.
        notes: what the reader must not miss, such as that the model has seen drawings only.
    """

    title: str
    columns: list[str]
    folds: list[GridRow]
    summaries: list[GridRow]
    remarks: list[str]
    notes: list[str]

    @property
    def rows(self) -> list[GridRow]:
        """The folds and the summaries."""
        return [*self.folds, *self.summaries]


def evaluation_labels(evaluation: dict[str, Any]) -> list[str]:
    """The class names in the order of the confusion matrices."""
    return list(evaluation.get("labels") or next(iter(evaluation["folds"].values()))["per_class_recall"])


def pooled_confusion(evaluation: dict[str, Any]) -> NDArray[np.int64]:
    """int64 [C, C]: the folds' confusion matrices added up."""
    matrices = [np.array(fold["confusion"], np.int64) for fold in evaluation["folds"].values()]
    return sum(matrices[1:], start=matrices[0])


def evaluation_grid(evaluation: dict[str, Any]) -> EvaluationGrid:
    """Lay an evaluation out: a row per fold, percent with two decimals.

    Args:
        evaluation: the object `dfer.evaluation/1`; optional in each fold: "selection", "num_unreadable",
            "war_readable", "uar_readable"; at the top: "labels", "notes".
    """
    labels = evaluation_labels(evaluation)
    names = sorted(evaluation["folds"], key=int)
    folds = [evaluation["folds"][name] for name in names]
    mark = DAGGER if any(fold.get("selection") == BEST_ON_TEST for fold in folds) else ""
    summaries = [
        GridRow(f"mean{mark}", _mean_cells(evaluation["mean"], folds, labels)),
        GridRow(f"pooled{mark}", _pooled_cells(evaluation, folds, labels)),
    ]
    remarks, notes = _remarks(folds), list(evaluation.get("notes", []))
    if mark:
        remarks.append(f"{DAGGER} {BEST_ON_TEST_NOTE}")
        notes = [note for note in notes if note != BEST_ON_TEST_NOTE]  # said already
    return EvaluationGrid(
        title=f"{evaluation['dataset']}, {f'fold {names[0]}' if len(names) == 1 else pluralize(len(names), 'fold')}",
        columns=["WAR", "UAR", *labels, "intra/inter", "clips", "unreadable"],
        folds=[_fold_row(name, fold, labels) for name, fold in zip(names, folds, strict=True)],
        summaries=summaries if len(folds) > 1 else [],
        remarks=remarks,
        notes=notes,
    )


def _fold_row(name: str, fold: dict[str, Any], labels: Sequence[str]) -> GridRow:
    marked = name + DAGGER if fold.get("selection") == BEST_ON_TEST else name
    recalls = [fold["per_class_recall"].get(label) for label in labels]
    return GridRow(marked, _cells(fold["war"], fold["uar"], recalls, [fold]))


def _mean_cells(mean: dict[str, float], folds: Sequence[dict[str, Any]], labels: Sequence[str]) -> list[str]:
    recalls = [_mean([fold["per_class_recall"].get(label) for fold in folds]) for label in labels]
    return _cells(mean["war"], mean["uar"], recalls, folds)


def _pooled_cells(evaluation: dict[str, Any], folds: Sequence[dict[str, Any]], labels: Sequence[str]) -> list[str]:
    confusion, pooled = pooled_confusion(evaluation), evaluation["pooled"]
    clips = confusion.sum(axis=1)
    recalls: list[float | None] = [float(confusion[c, c] / clips[c]) if clips[c] else None for c in range(len(labels))]
    if any(fold.get("num_unreadable") for fold in folds):
        # The matrices leave the unreadable clips out, and do not tell their classes.
        given = pooled.get("per_class_recall", {})
        recalls = [given.get(label) for label in labels]
    cells = _cells(pooled["war"], pooled["uar"], recalls, folds)
    cells[-3] = MISSING  # distances are not to be pooled over models
    return cells


def _cells(war: float, uar: float, recalls: Sequence[float | None], folds: Sequence[dict[str, Any]]) -> list[str]:
    ratio = _mean([fold.get("intra_inter_ratio") for fold in folds])
    return [
        percent(war),
        percent(uar),
        *(percent(recall) for recall in recalls),
        MISSING if ratio is None else f"{ratio:.3f}",
        f"{sum(fold['num_clips'] for fold in folds):,}",
        f"{sum(fold.get('num_unreadable', 0) for fold in folds):,}",
    ]


def _remarks(folds: Sequence[dict[str, Any]]) -> list[str]:
    remarks = ["WAR, UAR and recalls in percent"]
    selections = unique_lines([fold["selection"] for fold in folds if fold.get("selection")])
    if selections:
        remarks[0] += f"; epoch: {' or '.join(selections)}"
    unreadable = sum(fold.get("num_unreadable", 0) for fold in folds)
    if unreadable:
        war, uar = (percent(_mean([fold.get(key) for fold in folds])) for key in ("war_readable", "uar_readable"))
        counts, them = ("counts", "it") if unreadable == 1 else ("count", "them")
        clips = pluralize(unreadable, "clip")
        remarks.append(f"{clips} that could not be read {counts} as wrong; without {them} WAR {war}, UAR {uar}")
    return remarks


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
