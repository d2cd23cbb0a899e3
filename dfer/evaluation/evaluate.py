"""Checkpoint + fold -> metrics, as `dfer.evaluation/1`.

No test clip is dropped: short clips repeat frames, and a clip that could not be read counts as an error. The
metrics over the readable clips are reported beside.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dfer.errors import DataError, DferError
from dfer.evaluation.inference import Change, evaluation_loader, run_clips
from dfer.evaluation.keep import keep_answers
from dfer.evaluation.metrics import confusion_matrix, expected_calibration_error, intra_inter_ratio
from dfer.evaluation.plan import FoldTask
from dfer.evaluation.results import Evaluation, FoldEvaluation, PriorCounts
from dfer.faces.align import require_same_alignment
from dfer.labels import require_same_labels
from dfer.model.checkpoint import CheckpointInfo, load_checkpoint
from dfer.model.priors import Answering, choose_answering, comparable_answerings
from dfer.model.video_model import VideoModel
from dfer.pretrained import pretrained_name
from dfer.records import BEST_ON_TEST, BEST_ON_TEST_NOTE, Split
from dfer.runtime.device import choose_device
from dfer.store import Store, open_store
from dfer.store.joined import fit_store

logger = logging.getLogger(__name__)


def evaluate(
    tasks: Sequence[FoldTask],
    *,
    device: str = "auto",
    batch_size: int = 16,
    prior: str | None = None,
    mirror: bool | None = None,
    change: Callable[[], Change] | None = None,
    on_batch: Callable[[int, int], None] = lambda _count, _total: None,
) -> Evaluation:
    """Evaluate each fold, and keep the answers for its clips as soon as they are known.

    Args:
        tasks: see `dfer.evaluation.plan`; at least one.
        device: "auto", "cpu" or "cuda".
        batch_size: clips at a time; the results do not depend on it.
        prior: see `dfer.model.priors.choose_answering`; None for the checkpoint's default.
        mirror: average each clip with its mirror image; None for what the checkpoint says.
        change: makes a change of the frames that the model sees, for each fold a new one.
        on_batch: called with the number of clips in each batch and in the fold.

    Raises:
        DferError: a store or checkpoint cannot be read, or the two do not fit.
    """
    folds: list[FoldEvaluation] = []
    notes: list[str] = []
    labels: list[str] = []
    not_kept: list[DferError] = []
    for task in tasks:
        store = open_store(task.data)
        model, info = load_checkpoint(task.checkpoint, choose_device(device))
        labels = labels or info.labels
        require_same_labels(labels, info.labels, what="the checkpoint", where=str(task.checkpoint))
        result = evaluate_fold(
            model,
            info,
            store,
            task.fold,
            checkpoint=task.checkpoint,
            batch_size=batch_size,
            prior=prior,
            mirror=mirror,
            change=None if change is None else change(),
            on_batch=on_batch,
        )
        folds.append(result)
        try:
            keep_answers(task, result, info, store, mirror=info.mirror if mirror is None else mirror)
        except DferError as error:  # a run on a disk that only others write to can still be tested
            not_kept.append(error)
        notes += [info.notice] if info.notice else []
        notes += [warning] if (warning := _detector_warning(info, store)) else []
        notes += [BEST_ON_TEST_NOTE] if info.selection == BEST_ON_TEST else []
    return Evaluation(store.info.name, labels, folds, list(dict.fromkeys(notes)), not_kept)


def evaluate_fold(
    model: VideoModel,
    info: CheckpointInfo,
    store: Store,
    fold: int,
    *,
    checkpoint: Path,
    batch_size: int = 16,
    prior: str | None = None,
    mirror: bool | None = None,
    splits: Sequence[Split] = ("test",),
    change: Change | None = None,
    on_batch: Callable[[int, int], None] = lambda _count, _total: None,
) -> FoldEvaluation:
    """Evaluate a loaded model on the test list of one fold, or on several of its lists together.

    Args:
        model: on the device to compute on.
        info: of its checkpoint.
        store: the clips.
        fold: 1-based.
        checkpoint: the file it was loaded from.
        batch_size: clips at a time; the results do not depend on it.
        prior: see `dfer.model.priors.choose_answering`; None for the checkpoint's default.
        mirror: average each clip with its mirror image; None for what the checkpoint says.
        splits: the lists.
        change: of the frames that the model sees.
        on_batch: called with the number of clips in each batch and in the fold.

    Raises:
        DferError: the store does not fit the checkpoint, or has no such test list.
    """
    trained_on = store
    store = store_as_trained(store, info, fold)
    require_same_labels(info.labels, store.info.labels, what="the data set", where=str(store.root))
    require_same_alignment(info.alignment, store.info.alignment, where=str(store.root))
    rows = store.select(fold, *splits)
    if not rows:
        raise DataError(f"fold {fold} has no {' or '.join(splits)} clips", where=store.root)
    if change is None:  # else it was said before
        _warn_of_other_data(info, trained_on, fold, checkpoint)
    readable = [row for row in rows if row.ok]
    answering = choose_answering(info, prior, where=checkpoint)
    outputs = run_clips(
        model,
        evaluation_loader(store, readable, model, segments=info.segments, batch_size=batch_size),
        on_batch=lambda count: on_batch(count, len(readable)),
        change=change,
        mirror=info.mirror if mirror is None else mirror,
    )
    truth = np.array([row.label for row in readable], np.int64)
    lost = np.array([row.label for row in rows if not row.ok], np.int64)
    unreadable = np.bincount(lost, minlength=len(info.labels))

    def counts(under: Answering) -> PriorCounts:
        probabilities = under.probabilities(outputs.logits)
        return PriorCounts(
            confusion=confusion_matrix(truth, probabilities.argmax(axis=1), len(info.labels)),
            unreadable=unreadable,
            prior=under.prior,
            ece=expected_calibration_error(probabilities, truth) if readable else None,
        )

    return FoldEvaluation(
        **vars(counts(answering)),
        others=[counts(other) for other in comparable_answerings(info, answering, where=checkpoint)],
        fold=fold,
        checkpoint=pretrained_name(checkpoint) or str(checkpoint),
        selection=info.selection,
        logits=outputs.logits,
        truth=truth,
        probabilities=answering.probabilities(outputs.logits),
        clips=rows,
        intra_inter_ratio=_ratio(outputs.features, truth),
    )


def store_as_trained(store: Store, info: CheckpointInfo, fold: int) -> Store:
    """Return a store with a checkpoint's labels, if that was trained on several stores; else as it is.

    Args:
        store: one of them, or another one.
        info: of the checkpoint.
        fold: the fold that is asked for.

    Raises:
        DataError: the checkpoint does not know a class of the store.
    """
    if "stores" not in info.data:
        return store
    known = trained_store(store, info) or {}
    return fit_store(store, info.labels, known.get("labels", {}), fold)


def trained_store(store: Store, info: CheckpointInfo) -> dict[str, Any] | None:
    """Return what a checkpoint says of a store that it was trained on, maybe in another state; None for others."""
    stores: list[dict[str, Any]] = info.data.get("stores") or [info.data]
    same = [known for known in stores if known.get("fingerprint") == store.fingerprint()]
    return next(iter([*same, *(known for known in stores if known.get("name") == store.info.name)]), None)


def _warn_of_other_data(info: CheckpointInfo, store: Store, fold: int, checkpoint: Path) -> None:
    own, known = info.data.get("fold"), trained_store(store, info)
    # A single fold stands for each of the others' where stores are joined.
    one_fold = "stores" in info.data and store.info.num_folds == 1
    if own not in (None, fold) and known is not None and known.get("name") == store.info.name and not one_fold:
        logger.warning("%s was trained on fold %s: fold %s's test clips may be among its own", checkpoint, own, fold)
    if known is None or known.get("fingerprint") != store.fingerprint():
        logger.warning("%s was trained on other data than %s", checkpoint, store.root)
    if warning := _detector_warning(info, store):
        logger.warning("%s: %s", store.root, warning)


def _detector_warning(info: CheckpointInfo, store: Store) -> str | None:
    # Which detector aligned the frames that came as crops is not known.
    return None if store.info.detector == "none" else info.detector_warning(store.info.detector)


def _ratio(features: NDArray[np.float32], truth: NDArray[np.int64]) -> float | None:
    """The ratio, or None where it is not defined: fewer than two classes, or centres that coincide."""
    try:
        return intra_inter_ratio(features, truth)
    except ValueError:
        return None
