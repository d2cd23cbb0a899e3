"""Runs to compare: their answers read, and brought to the same classes and the same clips."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np

from dfer.errors import DataError, UsageError
from dfer.evaluation.predictions import UNREAD, FoldPredictions, read_predictions
from dfer.runtime.files import is_same_file, sha256_of
from dfer.runtime.formatting import pluralize
from dfer.store.names import our_name

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Run:
    """A run to compare.

    Attributes:
        name: of the method; runs that share one are its repeats with other seeds.
        path: its folder or table.
        folds: its answers by fold.
    """

    name: str
    path: Path
    folds: dict[int, FoldPredictions] = field(repr=False)

    def facts(self, key: str) -> list[Any]:
        """Return what the folds' records say, each value once; None where they say nothing."""
        return list(dict.fromkeys(answers.record.get(key) for answers in self.folds.values()))

    @property
    def protocol(self) -> str | None:
        """The protocol of data with other classes, see `dfer.evaluation.across`; None for the model's own classes."""
        return next(
            (answers.record["across"]["protocol"] for answers in self.folds.values() if "across" in answers.record),
            None,
        )


def read_runs(named: Sequence[str]) -> list[Run]:
    """Read the runs to compare.

    Args:
        named: folders or tables; NAME=PATH gives the method's name. Runs that differ in nothing but the seed are
            repeats of one method.

    Raises:
        UsageError: one is named twice, or two methods have one name.
        DataError: a run has no answers, or damaged ones.
    """
    given = [_named(text) for text in named]
    paths = [path for _, path in given]
    for number, path in enumerate(paths):
        if any(is_same_file(path, other) for other in paths[:number]):
            raise UsageError("this run is named twice", where=path)
    runs = [Run(name or "", path, read_predictions(path)) for name, path in given]
    for run in runs:
        _warn_if_stale(run)
    short = _short_names(paths)
    unnamed = [replace(run, name=name) for run, name in zip(runs, short, strict=True) if not run.name]
    renamed = {run.path: run for run in _as_repeats(unnamed)}
    return [renamed.get(run.path, run) for run in runs]


def path_of(text: str) -> Path:
    """Return the path in [NAME=]PATH."""
    return _named(text)[1]


def _named(text: str) -> tuple[str | None, Path]:
    name, separator, path = text.partition("=")
    return (name, Path(path)) if separator and name and not Path(text).exists() else (None, Path(text))


def _short_names(paths: Sequence[Path]) -> list[str]:
    names = [path.resolve().stem if path.is_file() else path.resolve().name for path in paths]
    return [name if names.count(name) == 1 else str(path) for name, path in zip(names, paths, strict=True)]


def _as_repeats(runs: Sequence[Run]) -> list[Run]:
    """Give the runs that differ only in the seed one name."""
    groups: dict[object, list[Run]] = {}
    for run in runs:
        made = (
            *(tuple(map(str, run.facts(key))) for key in ("settings", "selection", "prior", "mirror")),
            run.protocol,
        )
        known = run.facts("settings")
        groups.setdefault(made if len(known) == 1 and known[0] else run.path, []).append(run)
    found = []
    for group in groups.values():
        seeds = [tuple(run.facts("seed")) for run in group]
        name = _common_name([run.name for run in group])
        found += [replace(run, name=name) for run in group] if len(set(seeds)) == len(group) else group
    return found


def _common_name(names: Sequence[str]) -> str:
    if len(names) == 1:
        return names[0]
    columns = zip(*names, strict=False)
    shared = "".join(letters[0] for letters in takewhile(lambda letters: len(set(letters)) == 1, columns))
    return re.sub(r"[-_., ]*(seed[-_. ]*\d*|s)?[-_., ]*$", "", shared) or names[0]


def _warn_if_stale(run: Run) -> None:
    for fold, answers in run.folds.items():
        known = answers.record.get("checkpoint", {})
        path = Path(known.get("path", "")).expanduser()
        if path.is_file() and sha256_of(path) != known.get("sha256"):
            logger.warning("%s, fold %d: its checkpoint has changed since; run `dfer eval` again", run.path, fold)


def same_classes(runs: Sequence[Run]) -> tuple[list[str], list[Run]]:
    """Return the classes of all runs, by our names, and the runs with labels in their order."""
    named = [_class_names(run) for run in runs]
    labels = list(dict.fromkeys(name for names in named for name in names.values()))
    place = {name: number for number, name in enumerate(labels)}
    return labels, [
        replace(run, folds={fold: _relabelled(of, names, place) for fold, of in run.folds.items()})
        for run, names in zip(runs, named, strict=True)
    ]


def _class_names(run: Run) -> dict[str, str]:
    """Return our name of each class, unless two of a run's classes would then be one."""
    own = list(dict.fromkeys(label for answers in run.folds.values() for label in answers.labels))
    ours = {name: our_name(name) for name in own}
    return ours if len(set(ours.values())) == len(own) else dict(zip(own, own, strict=True))


def _relabelled(answers: FoldPredictions, names: Mapping[str, str], place: Mapping[str, int]) -> FoldPredictions:
    numbers = np.array([*(place[names[label]] for label in answers.labels), UNREAD], np.int64)  # the last for UNREAD
    return replace(answers, labels=list(place), truth=numbers[answers.truth], predicted=numbers[answers.predicted])


def same_clips(runs: Sequence[Run], *, common: bool) -> tuple[list[Run], int]:
    """Return the runs with their clips in the same order, and how many clips were left out.

    Raises:
        DataError: they have different clips and `common` is not set, or none in common.
    """
    sets = [{(fold, clip) for fold, of in run.folds.items() for clip in of.clip_ids} for run in runs]
    shared, every = set.intersection(*sets), set.union(*sets)
    if shared != every and not common:
        _refuse(runs, sets)
    if not shared:
        raise DataError("the runs have no test clip in common", where=" ".join(str(run.path) for run in runs))
    first = runs[0].folds
    order = {fold: [clip for clip in of.clip_ids if (fold, clip) in shared] for fold, of in first.items()}
    order = {fold: clips for fold, clips in order.items() if clips}
    return [
        replace(run, folds={fold: _selected(run.folds[fold], clips) for fold, clips in order.items()}) for run in runs
    ], len(every) - len(shared)


def _refuse(runs: Sequence[Run], sets: Sequence[set[tuple[int, str]]]) -> None:
    for run, clips in zip(runs[1:], sets[1:], strict=True):
        for having, lacking, more in ((runs[0], run, sets[0] - clips), (run, runs[0], clips - sets[0])):
            if more:
                fold, clip = min(more)
                raise DataError(
                    f"the runs were tested on different clips: {having.path} has {len(more):,} that {lacking.path} "
                    f"lacks, such as {clip} of fold {fold}",
                    where=lacking.path,
                    hint="compare the clips that all runs have: --common",
                )


def _selected(answers: FoldPredictions, clips: Sequence[str]) -> FoldPredictions:
    place = {clip: number for number, clip in enumerate(answers.clip_ids)}
    rows = [place[clip] for clip in clips]
    return FoldPredictions(
        labels=answers.labels,
        clip_ids=list(clips),
        truth=answers.truth[rows],
        predicted=answers.predicted[rows],
        subjects=[answers.subjects[row] for row in rows] if answers.subjects else [],
        record=answers.record,
    )


def require_same_truth(runs: Sequence[Run], labels: Sequence[str]) -> None:
    for run in runs[1:]:
        for fold, answers in run.folds.items():
            first = runs[0].folds[fold]
            different = np.flatnonzero(first.truth != answers.truth)
            if len(different):
                place = int(different[0])
                ours, theirs = (labels[int(of.truth[place])] for of in (first, answers))
                raise DataError(
                    f"{pluralize(len(different), 'clip')} of fold {fold} with another label than in {runs[0].path}: "
                    f"{answers.clip_ids[place]} is {theirs}, and {ours} there",
                    where=run.path,
                )
