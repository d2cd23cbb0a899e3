"""Checkpoint + fold -> metrics, as `dfer.evaluation/1`.

No test clip is dropped: short clips repeat frames, and a clip that could not be read counts as an error. The
metrics over the readable clips are reported beside.
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
from dfer.evaluation.inference import evaluation_loader, run_clips
from dfer.evaluation.metrics import confusion_matrix, expected_calibration_error, intra_inter_ratio
from dfer.evaluation.results import Evaluation, FoldEvaluation, PriorCounts
from dfer.faces.align import require_same_alignment
from dfer.labels import require_same_labels
from dfer.model.checkpoint import CheckpointInfo, load_checkpoint, read_checkpoint_info
from dfer.model.priors import Answering, choose_answering, comparable_answerings
from dfer.model.video_model import VideoModel
from dfer.pretrained import pretrained_name
from dfer.recipe import load_recipe
from dfer.records import BEST_ON_TEST, BEST_ON_TEST_NOTE, Split
from dfer.run_records import read_run
from dfer.runs import find_checkpoint, fold_checkpoint, fold_folder, folds_of, newest_run
from dfer.runtime.device import choose_device
from dfer.store import Store, open_store
from dfer.store.joined import fit_store

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FoldTask:
    """A checkpoint, and the fold of the store `data` to test it on."""

    fold: int
    checkpoint: Path
    data: Path


def plan_evaluation(
    *,
    folds: Sequence[int] | None = None,
    run: Path | None = None,
    checkpoint: Path | None = None,
    data: Path | None = None,
) -> list[FoldTask]:
    """Return what to evaluate, from what the user named; by default all folds of the newest run.

    Args:
        folds: None for all that the run has.
        run: a run's folder, or that of one of its folds.
        checkpoint: instead of a run, a file or the name of shipped weights; its own fold unless `folds` names one.
        data: the store; by default the one it was trained on.

    Raises:
        DferError: there is no such run, fold, checkpoint or store.
    """
    if checkpoint is not None:
        return [_plan_checkpoint(find_checkpoint(checkpoint), folds, data)]
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


def _plan_checkpoint(checkpoint: Path, folds: Sequence[int] | None, data: Path | None) -> FoldTask:
    own = read_checkpoint_info(checkpoint).data.get("fold")
    fold = folds[0] if folds else own
    if fold is None or (folds and len(folds) > 1):
        raise UsageError("a checkpoint is evaluated on one fold", where=checkpoint, hint="name it with --fold N")
    if data is None and pretrained_name(checkpoint):
        raise UsageError("shipped weights have no data of their own", where=checkpoint, hint="name a store: --data")
    return FoldTask(fold, checkpoint, data or _data_of(checkpoint.parent))


def _data_of(folder: Path) -> Path:
    """Return the store that a fold was trained on, or is being trained on: run.json comes with the last epoch.

    Raises:
        UsageError: there are several.
    """
    if (folder / "recipe.yaml").is_file() and not (folder / "run.json").exists():
        stores = list(map(str, load_recipe(folder / "recipe.yaml").data.folders))
    else:
        data = read_run(folder)["data"]
        stores = [data["path"]] if "path" in data else [store["path"] for store in data["stores"]]
    if len(stores) > 1:
        hint = f"test on one of them: --data {' or --data '.join(stores)}"
        raise UsageError("trained on several stores", where=folder, hint=hint)
    return Path(stores[0]).expanduser()


def evaluate(
    tasks: Sequence[FoldTask],
    *,
    device: str = "auto",
    batch_size: int = 16,
    prior: str | None = None,
    mirror: bool | None = None,
    on_batch: Callable[[int, int], None] = lambda _count, _total: None,
) -> Evaluation:
    """Evaluate each fold.

    Args:
        tasks: see `plan_evaluation`; at least one.
        device: "auto", "cpu" or "cuda".
        batch_size: clips at a time; the results do not depend on it.
        prior: see `dfer.model.priors.choose_answering`; None for the checkpoint's default.
        mirror: average each clip with its mirror image; None for what the checkpoint says.
        on_batch: called with the number of clips in each batch and in the fold.

    Raises:
        DferError: a store or checkpoint cannot be read, or the two do not fit.
    """
    folds: list[FoldEvaluation] = []
    notes: list[str] = []
    labels: list[str] = []
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
            on_batch=on_batch,
        )
        folds.append(result)
        notes += [info.notice] if info.notice else []
        notes += [warning] if (warning := _detector_warning(info, store)) else []
        notes += [BEST_ON_TEST_NOTE] if info.selection == BEST_ON_TEST else []
    return Evaluation(store.info.name, labels, folds, list(dict.fromkeys(notes)))


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
    _warn_of_other_data(info, trained_on, fold, checkpoint)
    readable = [row for row in rows if row.ok]
    answering = choose_answering(info, prior, where=checkpoint)
    outputs = run_clips(
        model,
        evaluation_loader(store, readable, model, segments=info.segments, batch_size=batch_size),
        on_batch=lambda count: on_batch(count, len(readable)),
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
