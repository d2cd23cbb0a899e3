"""Invented answers of runs for tests of comparisons."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dfer.evaluation.predictions import FoldPredictions, write_predictions

LABELS = ["happy", "sad", "neutral"]


def write_run(
    path: Path,
    *,
    right: Sequence[float] = (0.8, 0.6, 0.4),
    seed: int = 0,
    folds: Sequence[int] = (1, 2),
    clips: int = 60,
    unread: int = 0,
    subjects: int = 0,
    settings: str | None = None,
    selection: str = "last",
    labels: Sequence[str] = LABELS,
) -> Path:
    """Write the answers of a run that gets a share of each class right.

    Args:
        path: the run's folder.
        right: the share of each class.
        seed: of the draws, and the seed of the run.
        folds: their numbers.
        clips: of each fold, the same ones for every run.
        unread: how many of each fold could not be read.
        subjects: people in each fold; 0 where they are not known.
        settings: digest of the recipe.
        selection: of the epoch.
        labels: class names.
    """
    for fold in folds:
        truth = np.random.default_rng(fold).integers(0, len(labels), clips)
        rng = np.random.default_rng([fold, seed])
        predicted = np.where(rng.random(clips) < np.array(right)[truth], truth, (truth + 1) % len(labels))
        predicted[:unread] = -1
        record = {"fold": fold, "seed": seed, "settings": settings, "selection": selection}
        answers = FoldPredictions(
            list(labels),
            [f"f{fold}c{number}" for number in range(clips)],
            truth,
            predicted,
            subjects=[f"p{fold}{n % subjects}" for n in range(clips)] if subjects else [""] * clips,
            record=record,
        )
        write_predictions(
            path / f"fold{fold}", answers, logits=np.zeros((clips - unread, len(labels)), np.float32), splits=[]
        )
    return path
