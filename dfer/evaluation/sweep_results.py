"""The results of a sweep: each run's figures, each cell's mean and deviation, and tests against one cell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dfer.evaluation.compare import RESAMPLES, measure
from dfer.evaluation.compared_runs import Run
from dfer.evaluation.comparison import METRICS, Comparison, PairResult
from dfer.evaluation.predictions import FoldPredictions
from dfer.evaluation.statistics import figures, unit_counts
from dfer.records import BEST_ON_TEST
from dfer.runtime.formatting import shorten_home

DONE = "done"


@dataclass(frozen=True)
class RunResult:
    """A run of a sweep.

    Attributes:
        seed: of its training.
        fold: 1-based.
        path: the run's folder.
        status: "done", "failed", "in use" by another process, "damaged", or how far it is.
        scores: WAR, UAR and macro-F1 by name, fractions; empty unless it is done.
        seconds: time that its epochs took; None where it is not known.
        selection: how the tested epoch was chosen; None where it is not known.
        error: why it failed.
        answers: for its test clips; None unless it is done.
    """

    seed: int
    fold: int
    path: Path
    status: str
    scores: Mapping[str, float] = field(default_factory=dict)
    seconds: float | None = None
    selection: str | None = None
    error: str | None = None
    answers: FoldPredictions | None = field(default=None, repr=False, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """Return the run's object in `dfer.sweep/1`."""
        return {
            "seed": self.seed,
            "fold": self.fold,
            "path": shorten_home(str(self.path)),
            "status": self.status,
            **{name: self.scores.get(name) for name in METRICS},
            "seconds": self.seconds,
            "selection": self.selection,
            "error": self.error,
        }


@dataclass(frozen=True)
class CellResult:
    """The runs of a cell, all seeds and folds, and what its model costs.

    Attributes:
        name: of the cell.
        settings: what it varies.
        columns: what tells it from the other cells, by the heading of a table's column; the same headings in all cells.
        runs: all of them, done or not.
        parameters: of the model.
        gmacs: 10⁹ multiply-adds for a clip.
    """

    name: str
    settings: Mapping[str, Any]
    columns: Mapping[str, str]
    runs: Sequence[RunResult]
    parameters: int
    gmacs: float

    @property
    def done(self) -> list[RunResult]:
        """The runs that are trained and tested."""
        return [run for run in self.runs if run.status == DONE]

    @property
    def is_complete(self) -> bool:
        """True if all runs are done."""
        return len(self.done) == len(self.runs)

    @property
    def best_on_test(self) -> bool:
        """True if an epoch was chosen on the test fold."""
        return any(run.selection == BEST_ON_TEST for run in self.runs)

    def mean(self, metric: str) -> float | None:
        """Return the mean of a figure over the runs that are done, seeds and folds alike; None without any."""
        values = self._values(metric)
        return float(np.mean(values)) if values else None

    def deviation(self, metric: str) -> float | None:
        """Return the standard deviation of a figure over the runs that are done; None for fewer than two."""
        values = self._values(metric)
        return float(np.std(values, ddof=1)) if len(values) > 1 else None

    @property
    def seconds(self) -> float | None:
        """The mean time that the epochs of a run took; None where it is not known."""
        known = [run.seconds for run in self.done if run.seconds is not None]
        return float(np.mean(known)) if known else None

    def _values(self, metric: str) -> list[float]:
        return [run.scores[metric] for run in self.done]

    def to_dict(self) -> dict[str, Any]:
        """Return the cell's object in `dfer.sweep/1`."""
        return {
            "name": self.name,
            "settings": dict(self.settings),
            **{name: {"mean": self.mean(name), "standard_deviation": self.deviation(name)} for name in METRICS},
            "seconds": self.seconds,
            "parameters": self.parameters,
            "gmacs": self.gmacs,
            "best_on_test": self.best_on_test,
            "runs": [run.to_dict() for run in self.runs],
        }


@dataclass(frozen=True)
class SweepResult:
    """The results of a sweep, as far as they are known.

    Attributes:
        name: of the sweep.
        baseline: name of the cell that the others are tested against.
        cells: all of them.
        machine: that this was computed on, which may not be the only one.
        comparison: of the cells that are complete and have the baseline's test clips; None where there is none yet.
        notes: what the reader must know.
    """

    name: str
    baseline: str
    cells: Sequence[CellResult]
    machine: str
    comparison: Comparison | None = None
    notes: Sequence[str] = ()

    @property
    def runs(self) -> Iterator[RunResult]:
        """The runs of all cells."""
        return (run for cell in self.cells for run in cell.runs)

    @property
    def pairs(self) -> dict[str, PairResult]:
        """The tests against the baseline, by the name of the other cell."""
        return {pair.second: pair for pair in self.comparison.pairs} if self.comparison else {}

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object of the schema `dfer.sweep/1`."""
        compared = self.comparison.to_dict() if self.comparison else {}
        return {
            "schema": "dfer.sweep/1",
            "name": self.name,
            "baseline": self.baseline,
            "machine": self.machine,
            "cells": [cell.to_dict() for cell in self.cells],
            "comparison": {key: value for key, value in compared.items() if key != "schema"} or None,
            "notes": list(self.notes),
        }


def scores_of(answers: FoldPredictions) -> dict[str, float]:
    """Return WAR, UAR and macro-F1 of a fold, fractions; a clip that could not be read counts as an error."""
    units = np.zeros(len(answers.truth), np.int64)
    counts = unit_counts(answers.truth, answers.predicted, units, len(answers.labels))
    return dict(zip(METRICS, map(float, figures(counts.sum(axis=0))), strict=False))


def compare_cells(
    cells: Sequence[CellResult], baseline: str, *, resamples: int = RESAMPLES
) -> tuple[Comparison | None, list[str]]:
    """Test the complete cells against the baseline, on the same test clips: see `dfer.evaluation.compare`.

    Args:
        cells: of a sweep.
        baseline: the name of one of them.
        resamples: of the bootstrap.

    Returns:
        The comparison, None as long as the baseline is not complete; and what the reader must know of it.
    """
    complete = sorted((cell for cell in cells if cell.is_complete), key=lambda cell: cell.name != baseline)
    if not complete or complete[0].name != baseline:
        return None, [f"no tests yet: {baseline} is not complete"]
    clips = _clips(complete[0])
    same = [cell for cell in complete if _clips(cell) == clips]
    notes = [f"{cell.name} has other test clips than {baseline}: not tested" for cell in complete if cell not in same]
    runs = [run for cell in same for run in _seeds(cell)]
    return measure(runs, resamples=resamples, against=baseline), notes


def _clips(cell: CellResult) -> set[tuple[int, str]]:
    return {(run.fold, clip) for run in cell.runs if run.answers for clip in run.answers.clip_ids}


def _seeds(cell: CellResult) -> list[Run]:
    """Return the runs of a cell, each with all its folds."""
    folds: dict[Path, dict[int, FoldPredictions]] = {}
    for run in cell.runs:
        if run.answers is not None:
            folds.setdefault(run.path, {})[run.fold] = run.answers
    return [Run(cell.name, path, dict(sorted(of.items()))) for path, of in folds.items()]
