"""Keep each clip's answer of a fold, and what made it, for comparisons."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from dfer.errors import DferError
from dfer.evaluation.across import TEST_ONLY
from dfer.evaluation.plan import FoldTask
from dfer.evaluation.predictions import UNREAD, FoldPredictions, write_predictions
from dfer.evaluation.results import FoldEvaluation
from dfer.model.checkpoint import CheckpointInfo
from dfer.pretrained import pretrained_name
from dfer.recipe import deciding_keys, load_recipe
from dfer.runtime.files import sha256_of
from dfer.store import Store
from dfer.store.joined import own_fold
from dfer.version import __version__


def keep_answers(task: FoldTask, result: FoldEvaluation, info: CheckpointInfo, store: Store, *, mirror: bool) -> None:
    """Write the answers for a fold's test clips to `task.out`; without one, do nothing.

    Args:
        task: what was evaluated.
        result: its results.
        info: of the checkpoint.
        store: that was tested on.
        mirror: whether each clip was averaged with its mirror image.

    Raises:
        DferError: a file cannot be written.
    """
    if task.out is None:
        return
    record = {
        "dataset": store.info.name,
        "fold": task.fold,
        "model": info.model_name,
        "checkpoint": {
            "path": pretrained_name(task.checkpoint) or str(task.checkpoint.resolve()),
            "sha256": sha256_of(task.checkpoint),
        },
        "selection": info.selection,
        "prior": result.prior,
        "mirror": mirror,
        **_training(task.checkpoint.parent),
        **({} if result.classes is None else {"across": result.classes.to_dict(), "left_out": result.left_out}),
        **({} if result.splits == TEST_ONLY else {"splits": list(result.splits)}),
        "store": {"path": str(store.root.resolve()), "fingerprint": store.fingerprint()},
        "dfer": __version__,
    }
    fold = own_fold(store, task.fold)
    splits = [(row.clip_id, split) for row in store.rows if (split := row.folds.get(fold))]
    answers = fold_predictions(result, record)
    write_predictions(task.out, answers, logits=result.logits, logit_labels=info.labels, splits=splits)


def _training(folder: Path) -> dict[str, Any]:
    """Return the seed of a trained fold, and a digest of its other settings, by which seeds are seen to be repeats."""
    try:
        keys = deciding_keys(load_recipe(folder / "recipe.yaml"))
    except DferError:  # weights that are in no run
        return {"seed": None, "settings": None}
    seed = keys["train"].pop("seed")
    del keys["name"]
    return {"seed": seed, "settings": hashlib.sha256(json.dumps(keys, sort_keys=True).encode()).hexdigest()}


def fold_predictions(result: FoldEvaluation, record: dict[str, Any]) -> FoldPredictions:
    """Return the answers for a fold's test clips.

    Args:
        result: of the fold.
        record: what made them.
    """
    place = {label: number for number, label in enumerate(result.labels)}
    readable = np.array([row.ok for row in result.clips], bool)
    predicted = np.full(len(readable), UNREAD, np.int64)
    probabilities = np.full((len(readable), len(result.labels)), np.nan)
    predicted[readable] = result.probabilities.argmax(axis=1)
    probabilities[readable] = result.probabilities
    return FoldPredictions(
        labels=result.labels,
        clip_ids=[row.clip_id for row in result.clips],
        truth=np.array([place[row.label_name] for row in result.clips], np.int64),
        predicted=predicted,
        probabilities=probabilities,
        frames=np.array([row.num_frames for row in result.clips], np.int64),
        subjects=[row.subject for row in result.clips],
        record=record,
    )
