"""The results of a comparison: figures of methods with intervals, and differences of pairs with tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dfer.evaluation.statistics import LEVEL, Interval, McNemar

METRICS = ("war", "uar", "macro_f1")


@dataclass(frozen=True)
class MethodResult:
    """The figures of one method, means over its seeds.

    Attributes:
        name: of the method.
        runs: the paths of its runs.
        seeds: of them, None where it is not known.
        best_on_test: whether an epoch was chosen on the test fold.
        metrics: WAR, UAR and macro-F1 by name.
        recalls: of each class.
        deviations: standard deviation over the seeds by name; empty for one run.
        confusion: float [C, C], confusion[true][predicted] of the clips that could be read, mean over the seeds.
        clips: int [C], clips of each class, readable or not.
    """

    name: str
    runs: list[str]
    seeds: list[int | None]
    best_on_test: bool
    metrics: dict[str, Interval]
    recalls: list[Interval]
    deviations: dict[str, float]
    confusion: NDArray[np.float64] = field(repr=False)
    clips: NDArray[np.int64] = field(repr=False)

    def to_dict(self, labels: Sequence[str]) -> dict[str, Any]:
        """Return the method's object in `dfer.comparison/1`."""
        return {
            "name": self.name,
            "runs": self.runs,
            "seeds": self.seeds,
            "best_on_test": self.best_on_test,
            **{name: value.to_dict() for name, value in self.metrics.items()},
            "standard_deviation": self.deviations,
            "per_class_recall": dict(zip(labels, (recall.to_dict() for recall in self.recalls), strict=True)),
            "confusion": self.confusion.tolist(),
        }


@dataclass(frozen=True)
class PairResult:
    """The difference of two methods, the second minus the first.

    Attributes:
        first: name.
        second: name.
        metrics: differences of WAR, UAR and macro-F1 by name.
        recalls: of each class.
        p: of the paired bootstrap, by the metric's name.
        p_holm: corrected for the number of pairs.
        mcnemar: of the methods' runs, those of the same seed or place together.
        mcnemar_holm: their p-values, corrected for the number of all such tests.
    """

    first: str
    second: str
    metrics: dict[str, Interval]
    recalls: list[Interval]
    p: dict[str, float]
    p_holm: dict[str, float] = field(default_factory=dict)
    mcnemar: list[McNemar] = field(default_factory=list)
    mcnemar_holm: list[float] = field(default_factory=list)

    def to_dict(self, labels: Sequence[str]) -> dict[str, Any]:
        """Return the pair's object in `dfer.comparison/1`."""
        tests = zip(self.mcnemar, self.mcnemar_holm, strict=True)
        return {
            "first": self.first,
            "second": self.second,
            **{
                name: {**value.to_dict(), "p": self.p[name], "p_holm": self.p_holm[name]}
                for name, value in self.metrics.items()
            },
            "per_class_recall": dict(zip(labels, (recall.to_dict() for recall in self.recalls), strict=True)),
            "mcnemar": [{**vars(test), "p_holm": corrected} for test, corrected in tests],
        }


@dataclass(frozen=True)
class Comparison:
    """Methods on the same test clips.

    Attributes:
        labels: class names.
        folds: their numbers.
        num_clips: of all folds.
        units: what was drawn in the bootstrap, "clips" or "subjects".
        num_units: of all folds.
        resamples: of the bootstrap.
        methods: at least two, or one with several seeds.
        pairs: of all methods.
        notes: what the reader must know.
    """

    labels: list[str]
    folds: list[int]
    num_clips: int
    units: str
    num_units: int
    resamples: int
    methods: list[MethodResult]
    pairs: list[PairResult]
    notes: list[str]

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object of the schema `dfer.comparison/1`."""
        return {
            "schema": "dfer.comparison/1",
            "labels": self.labels,
            "folds": self.folds,
            "num_clips": self.num_clips,
            "bootstrap": {
                "units": self.units, "num_units": self.num_units, "resamples": self.resamples, "level": LEVEL
            },
            "methods": [method.to_dict(self.labels) for method in self.methods],
            "pairs": [pair.to_dict(self.labels) for pair in self.pairs],
            "notes": self.notes,
        }  # fmt: skip
