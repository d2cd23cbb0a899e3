"""Checkpoint + fold -> metrics, as `dfer.evaluation/1`.

No test clip is dropped: short clips repeat frames, and a clip that could not be read counts as an error. The
figures over the clips that could be read stand beside.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dfer.errors import DataError, UsageError
from dfer.evaluation.inference import run_clips, stored_feed
from dfer.evaluation.metrics import (
    confusion_matrix,
    expected_calibration_error,
    intra_inter_ratio,
    per_class_recall,
    uar,
    war,
)
from dfer.faces.align import require_same_alignment
from dfer.labels import require_same_labels
from dfer.model.calibration import class_probabilities
from dfer.model.checkpoint import CheckpointInfo, load_checkpoint
from dfer.pretrained import pretrained_name
from dfer.records import BEST_ON_TEST, BEST_ON_TEST_NOTE
from dfer.runs import find_checkpoint, fold_checkpoint, fold_folder, folds_of, newest_run, read_run
from dfer.runtime.device import choose_device
from dfer.store import open_store

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FoldTask:
    """A checkpoint and the fold to test it on."""

    fold: int
    checkpoint: Path
    data: Path


@dataclass(frozen=True)
class FoldOutcome:
    """What a fold's test gave.

    Attributes:
        figures: the fold's object in `dfer.evaluation/1`.
        info: of the checkpoint.
        dataset: name of the store.
        unread: int64 [C], clips of each class that could not be read.
        logits: float32 [N, C] of the N readable clips, in the manifest's order.
        labels: int64 [N], theirs.
    """

    figures: dict[str, Any]
    info: CheckpointInfo
    dataset: str
    unread: NDArray[np.int64]
    logits: NDArray[np.float32]
    labels: NDArray[np.int64]


def plan_evaluation(
    *,
    folds: Sequence[int] | None = None,
    run: Path | None = None,
    checkpoint: Path | None = None,
    data: Path | None = None,
) -> list[FoldTask]:
    """What to evaluate, from what the user named; nothing named means all folds of the newest run.

    Args:
        folds: None for all that the run has.
        run: a run's folder, or that of one of its folds.
        checkpoint: instead of a run, a file or the name of shipped weights; its own fold unless `folds` names one.
        data: the store; by default the one it was trained on.

    Raises:
        DferError: there is no such run, fold, checkpoint or store.
    """
    if checkpoint is not None:
        checkpoint = find_checkpoint(checkpoint)
        _, info = load_checkpoint(checkpoint)
        own = info.data.get("fold")
        fold = folds[0] if folds else own
        if fold is None or (folds and len(folds) > 1):
            raise UsageError("a checkpoint is evaluated on one fold", where=checkpoint, hint="name it with --fold N")
        if data is None and pretrained_name(checkpoint):
            raise UsageError("shipped weights have no data of their own", where=checkpoint, hint="name a store: --data")
        return [FoldTask(fold, checkpoint, data or _data_of(checkpoint.parent))]
    if run is None:
        run = newest_run(folds[0] if folds else None)
    elif not folds_of(run) and folds_of(run.parent):  # the folder of one fold
        folds = folds or [int(run.name.removeprefix("fold"))]
        run = run.parent
    available = folds_of(run)
    missing = [fold for fold in folds or () if fold not in available]
    if missing or not available:
        raise UsageError(
            f"this run has no fold {missing[0]}" if missing else "no trained fold here",
            where=run,
            hint=f"its folds: {available}" if available else "train it with `dfer train RECIPE`",
        )
    folders = [(fold, fold_folder(run, fold)) for fold in folds or available]
    return [FoldTask(fold, fold_checkpoint(folder), data or _data_of(folder)) for fold, folder in folders]


def evaluate(
    tasks: Sequence[FoldTask],
    *,
    device: str = "auto",
    batch_size: int = 16,
    on_batch: Callable[[int, int], None] = lambda _count, _total: None,
) -> dict[str, Any]:
    """Evaluate each fold, and sum up.

    Args:
        tasks: see `plan_evaluation`.
        device: "auto", "cpu" or "cuda".
        batch_size: clips at a time; the figures do not depend on it.
        on_batch: called with the clips done in each batch and the clips of the fold.

    Returns:
        The object `dfer.evaluation/1`, and with it "labels", "notes" and for each fold "selection",
        "war_readable", "uar_readable", "num_unreadable", "ece".

    Raises:
        DferError: a store or checkpoint cannot be read, or the two do not fit.
    """
    folds: dict[str, dict[str, Any]] = {}
    notes: list[str] = []
    unread_in_all: NDArray[np.int64] | None = None
    labels: list[str] = []
    name = ""
    for task in tasks:
        outcome = evaluate_fold(task, device=device, batch_size=batch_size, on_batch=on_batch)
        info, unread = outcome.info, outcome.unread
        if labels:
            require_same_labels(labels, info.labels, what="the checkpoint", where=str(task.checkpoint))
        labels, name = info.labels, outcome.dataset
        folds[str(task.fold)] = outcome.figures
        unread_in_all = unread if unread_in_all is None else unread_in_all + unread
        notes += [note for note in _notes(info) if note not in notes]
    assert unread_in_all is not None, "plan_evaluation gives at least one task"
    pooled = np.sum([result["confusion"] for result in folds.values()], axis=0)
    return {
        "schema": "dfer.evaluation/1",
        "dataset": name,
        "labels": labels,
        "folds": folds,
        "mean": {key: float(np.mean([result[key] for result in folds.values()])) for key in ("war", "uar")},
        "pooled": {
            "war": war(pooled, unread_in_all),
            "uar": uar(pooled, unread_in_all),
            "per_class_recall": _recalls(labels, pooled, unread_in_all),
        },
        "notes": notes,
    }


def evaluate_fold(
    task: FoldTask,
    *,
    device: str = "auto",
    batch_size: int = 16,
    on_batch: Callable[[int, int], None] = lambda _count, _total: None,
) -> FoldOutcome:
    """Evaluate one fold; see `evaluate` for the arguments.

    Raises:
        DferError: the store or checkpoint cannot be read, or the two do not fit.
    """
    store = open_store(task.data)
    chosen = choose_device(device)
    model, info = load_checkpoint(task.checkpoint, chosen)
    require_same_labels(info.labels, store.info.labels, what="the data set", where=str(store.root))
    require_same_alignment(info.alignment, store.info.alignment, where=str(store.root))
    rows = store.select(task.fold, "test")
    if not rows:
        raise DataError(f"fold {task.fold} has no test clips", where=store.root)
    readable = [row for row in rows if row.status == "ok"]
    own = info.data.get("fold")
    if own not in (None, task.fold) and info.data.get("name") == store.info.name:
        logger.warning(
            "%s was trained on fold %s: fold %s's test clips may be among its own", task.checkpoint, own, task.fold
        )
    if info.data.get("fingerprint") != store.fingerprint():
        logger.warning("%s was trained on other data than %s", task.checkpoint, store.root)
    outputs = run_clips(
        model,
        stored_feed(store, readable),
        readable,
        segments=info.segments,
        batch_size=batch_size,
        device=chosen,
        on_batch=lambda count: on_batch(count, len(readable)),
    )
    truth = np.array([row.label for row in readable], np.int64)
    confusion = confusion_matrix(truth, outputs.predicted, len(info.labels))
    failed = [row.label for row in rows if row.status != "ok"]
    unread = np.bincount(np.array(failed, np.int64), minlength=len(info.labels))
    probabilities = class_probabilities(outputs.logits, info.temperature)
    figures = {
        "war": war(confusion, unread),
        "uar": uar(confusion, unread),
        "war_readable": war(confusion) if readable else None,
        "uar_readable": uar(confusion) if readable else None,
        "per_class_recall": _recalls(info.labels, confusion, unread),
        "confusion": confusion.tolist(),
        "num_clips": len(rows),
        "num_unreadable": len(failed),
        "ece": expected_calibration_error(probabilities, truth) if readable else None,
        "checkpoint": pretrained_name(task.checkpoint) or str(task.checkpoint),
        "selection": info.selection,
        "intra_inter_ratio": _ratio(outputs.features, truth),
    }
    return FoldOutcome(figures, info, store.info.name, unread, outputs.logits, truth)


def _recalls(labels: Sequence[str], confusion: NDArray[np.int64], unread: NDArray[np.int64]) -> dict[str, float | None]:
    """The recall of each emotion; None for one without clips."""
    recalls = per_class_recall(confusion, unread)
    return {label: None if np.isnan(value) else float(value) for label, value in zip(labels, recalls, strict=True)}


def _ratio(features: NDArray[np.float32], truth: NDArray[np.int64]) -> float | None:
    """None where it means nothing: fewer than two classes, or centres that coincide."""
    try:
        return intra_inter_ratio(features, truth)
    except ValueError:
        return None


def _notes(info: CheckpointInfo) -> list[str]:
    notes = [info.notice] if info.notice else []
    if info.selection == BEST_ON_TEST:
        notes.append(BEST_ON_TEST_NOTE)
    return notes


def _data_of(folder: Path) -> Path:
    return Path(read_run(folder)["data"]["path"])
