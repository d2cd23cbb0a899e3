"""Runs on the same test clips -> intervals and paired tests, as `dfer.comparison/1`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from dfer.errors import UsageError
from dfer.evaluation.compared_runs import Run, require_same_truth, same_classes, same_clips
from dfer.evaluation.comparison import METRICS, Comparison, MethodResult, PairResult
from dfer.evaluation.metrics import confusion_matrix
from dfer.evaluation.statistics import (
    Floats,
    Interval,
    bootstrap,
    bootstrap_p,
    figures,
    fold_mean,
    holm,
    interval,
    mcnemar,
    unit_counts,
)
from dfer.records import BEST_ON_TEST
from dfer.runtime.formatting import pluralize

RESAMPLES = 10_000


def compare(
    runs: Sequence[Run],
    *,
    common: bool = False,
    resamples: int = RESAMPLES,
    seed: int = 0,
    against: str | None = None,
) -> Comparison:
    """Compare runs on the same test clips.

    Figures are means over the folds, as in `dfer eval`; resampling stays within each fold.

    Args:
        runs: at least two.
        common: compare on the clips that all runs have, instead of refusing runs on different ones.
        resamples: of the bootstrap.
        seed: of its draws.
        against: the name of the method that the others are tested against; None tests all pairs.

    Raises:
        UsageError: there is only one run, or no method of the name in `against`.
        DataError: the runs have different test clips, or none in common, or give a clip different labels.
    """
    if len(runs) < 2:
        raise UsageError("a comparison needs at least two runs", where="RUN")
    names = list(dict.fromkeys(run.name for run in runs))
    if against is not None and against not in names:
        raise UsageError(f"no method {against!r}", where="--against", hint=f"methods: {', '.join(names)}")
    return measure(runs, common=common, resamples=resamples, seed=seed, against=against)


def measure(
    runs: Sequence[Run],
    *,
    common: bool = False,
    resamples: int = RESAMPLES,
    seed: int = 0,
    against: str | None = None,
) -> Comparison:
    """Return the figures of one run or more with their intervals; else as `compare`.

    Args:
        runs: at least one.
        common: see `compare`.
        resamples: see `compare`.
        seed: see `compare`.
        against: see `compare`.
    """
    labels, renamed = same_classes(runs)
    aligned, left_out = same_clips(renamed, common=common)
    require_same_truth(aligned, labels)
    folds = list(aligned[0].folds)
    by_subject = all(of.subjects and all(of.subjects) for of in aligned[0].folds.values())
    counts, num_units = _counts(aligned, folds, len(labels), by_subject=by_subject)
    observed = fold_mean([figures(of.sum(axis=1)) for of in counts])
    samples = bootstrap(counts, resamples=resamples, seed=seed)
    members: dict[str, list[int]] = {}
    for number, run in enumerate(aligned):
        members.setdefault(run.name, []).append(number)
    methods = [_method(name, aligned, rows, observed, samples, len(labels)) for name, rows in members.items()]
    pairs = _pairs(aligned, members, observed, samples, against)
    notes = [f"{pluralize(left_out, 'clip')} that not all runs have left out"] if left_out else []
    notes += _protocol_notes(runs)
    return Comparison(
        labels=labels,
        folds=folds,
        num_clips=sum(len(aligned[0].folds[fold].clip_ids) for fold in folds),
        units="subjects" if by_subject else "clips",
        num_units=num_units,
        resamples=resamples,
        methods=methods,
        pairs=pairs,
        notes=notes,
    )


def _protocol_notes(runs: Sequence[Run]) -> list[str]:
    """Return a note if runs were answered among different classes, which makes their figures differ by itself."""
    protocols = {run.name: run.protocol for run in runs}
    if len(set(protocols.values())) < 2:
        return []
    parts = [f"{name} ({of or 'all classes in common'})" for name, of in protocols.items()]
    return [f"the runs were answered under different protocols, see `dfer eval --protocol`: {', '.join(parts)}"]


def _counts(
    runs: Sequence[Run], folds: Sequence[int], num_classes: int, *, by_subject: bool
) -> tuple[list[Floats], int]:
    found, num_units = [], 0
    for fold in folds:
        first = runs[0].folds[fold]
        keys = first.subjects if by_subject else first.clip_ids
        names, units = np.unique(np.array(keys, dtype=object).astype(str), return_inverse=True)
        num_units += len(names)
        answers = [run.folds[fold] for run in runs]
        found.append(np.stack([unit_counts(of.truth, of.predicted, units, num_classes) for of in answers]))
    return found, num_units


def _method(
    name: str, runs: Sequence[Run], rows: Sequence[int], observed: Floats, samples: Floats, num_classes: int
) -> MethodResult:
    own = [runs[row] for row in rows]
    values = _intervals(observed[rows].mean(axis=0), samples[:, rows].mean(axis=1))
    deviations = observed[rows].std(axis=0, ddof=1) if len(rows) > 1 else []
    answers = [of for run in own for of in run.folds.values()]
    confusions = [
        confusion_matrix(of.truth[of.predicted >= 0], of.predicted[of.predicted >= 0], num_classes) for of in answers
    ]
    clips = np.sum([np.bincount(of.truth, minlength=num_classes) for of in own[0].folds.values()], axis=0)
    seeds = [facts[0] if len(facts := run.facts("seed")) == 1 else None for run in own]
    return MethodResult(
        name=name,
        runs=[str(run.path) for run in own],
        seeds=seeds,
        best_on_test=any(BEST_ON_TEST in run.facts("selection") for run in own),
        metrics=dict(zip(METRICS, values, strict=False)),
        recalls=values[len(METRICS) :],
        deviations=dict(zip(METRICS, map(float, deviations), strict=False)),
        confusion=np.sum(confusions, axis=0) / len(own),
        clips=clips,
    )


def _intervals(values: Floats, samples: Floats) -> list[Interval]:
    return [interval(float(value), samples[:, number]) for number, value in enumerate(values)]


def _pairs(
    runs: Sequence[Run], members: Mapping[str, Sequence[int]], observed: Floats, samples: Floats, against: str | None
) -> list[PairResult]:
    pairs = []
    names = combinations(members, 2) if against is None else [(against, name) for name in members if name != against]
    for first, second in names:
        ones, others = members[first], members[second]
        change = observed[others].mean(axis=0) - observed[ones].mean(axis=0)
        drawn = samples[:, others].mean(axis=1) - samples[:, ones].mean(axis=1)
        values = _intervals(change, drawn)
        pairs.append(
            PairResult(
                first=first,
                second=second,
                metrics=dict(zip(METRICS, values, strict=False)),
                recalls=values[len(METRICS) :],
                p={name: bootstrap_p(drawn[:, number]) for number, name in enumerate(METRICS)},
                mcnemar=[mcnemar(_right(one), _right(other)) for one, other in _repeats(runs, ones, others)],
            )
        )
    return _corrected(pairs)


def _repeats(runs: Sequence[Run], ones: Sequence[int], others: Sequence[int]) -> list[tuple[Run, Run]]:
    """Return the runs of two methods in pairs: by seed if both have the same ones, else in their order."""
    seeds = [{str(runs[row].facts("seed")): runs[row] for row in rows} for rows in (ones, others)]
    if set(seeds[0]) == set(seeds[1]) and len(seeds[0]) == len(ones) == len(others):
        return [(run, seeds[1][seed]) for seed, run in seeds[0].items()]
    return [(runs[one], runs[other]) for one, other in zip(ones, others, strict=False)]


def _right(run: Run) -> NDArray[np.bool_]:
    return np.concatenate([of.truth == of.predicted for of in run.folds.values()])


def _corrected(pairs: Sequence[PairResult]) -> list[PairResult]:
    by_metric = {name: holm([pair.p[name] for pair in pairs]) for name in METRICS}
    tests = iter(holm([test.p for pair in pairs for test in pair.mcnemar]))
    return [
        replace(
            pair,
            p_holm={name: values[number] for name, values in by_metric.items()},
            mcnemar_holm=[next(tests) for _ in pair.mcnemar],
        )
        for number, pair in enumerate(pairs)
    ]
