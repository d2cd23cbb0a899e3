"""Checkpoint + fold -> metrics, as `dfer.evaluation/1`.

No test clip is dropped: short clips repeat frames, and a clip that could not be read counts as an error. The
metrics over the readable clips are reported beside.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dfer.errors import DataError, DferError, UsageError
from dfer.evaluation.across import Across, JoinedClasses, count_left_out, join_classes, tested_rows, trained_store
from dfer.evaluation.features import choose_features
from dfer.evaluation.inference import Change, evaluation_loader, run_clips
from dfer.evaluation.keep import keep_answers
from dfer.evaluation.marks import Marks
from dfer.evaluation.metrics import intra_inter_ratio
from dfer.evaluation.plan import FoldTask
from dfer.evaluation.results import ClassCounts, Evaluation, FoldEvaluation
from dfer.faces.align import require_same_alignment
from dfer.labels import require_same_labels
from dfer.model.checkpoint import CheckpointInfo, load_checkpoint
from dfer.model.priors import Answering, choose_answering, comparable_answerings
from dfer.model.video_model import VideoModel
from dfer.pretrained import pretrained_name
from dfer.records import BEST_ON_TEST, BEST_ON_TEST_NOTE, Split
from dfer.runtime.device import choose_device
from dfer.store import Store, open_store

logger = logging.getLogger(__name__)


def evaluate(
    tasks: Sequence[FoldTask],
    *,
    device: str = "auto",
    batch_size: int = 16,
    prior: str | None = None,
    mirror: bool | None = None,
    change: Callable[[], Change] | None = None,
    across: Across | None = None,
    splits: Sequence[Split] = ("test",),
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
        across: the user's decisions on data with other classes, see `dfer.evaluation.across`.
        splits: the lists of a fold that are tested together.
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
        if "train" in splits and trained_store(store, info) is not None:
            hint = "test on its test list: --clips test"
            raise UsageError("the model was trained on clips of this data set", where=store.root, hint=hint)
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
            across=across,
            splits=splits,
            on_batch=on_batch,
        )
        labels = labels or result.labels
        require_same_labels(labels, result.labels, what="the checkpoint", where=str(task.checkpoint))
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
    across: Across | None = None,
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
        across: the user's decisions on data with other classes, see `dfer.evaluation.across`.
        on_batch: called with the number of clips in each batch and in the fold.

    Raises:
        DferError: the store does not fit the checkpoint, or has no such test list.
    """
    joined, classes = join_classes(store, info, fold, across)
    require_same_alignment(info.alignment, store.info.alignment, where=str(store.root))
    rows = tested_rows(joined, fold, splits)
    left_out = count_left_out(store, classes, fold, splits)
    if not rows:
        why = f" of the common classes; {sum(left_out.values()):,} of others" if left_out else ""
        tested = sorted({number for row in joined.rows for number, split in row.folds.items() if split in splits})
        hint = f"the folds that have some: {tested}" if tested else None
        raise DataError(f"fold {fold} has no {' or '.join(splits)} clips{why}", where=store.root, hint=hint)
    if change is None:  # else it was said before
        _warn_of_other_data(info, store, fold, checkpoint)
    readable = [row for row in rows if row.ok]
    answering = choose_answering(info, prior, where=checkpoint)
    outputs = run_clips(
        model,
        evaluation_loader(joined, readable, model, segments=info.segments, batch_size=batch_size),
        on_batch=lambda count: on_batch(count, len(readable)),
        change=change,
        mirror=info.mirror if mirror is None else mirror,
    )
    marks = Marks(info.labels, rows, outputs.logits, {} if classes is None else classes.merged)
    shown = info.labels if classes is None else classes.shown()
    probabilities, truth = marks.probabilities(answering, shown), marks.truth(shown)
    return FoldEvaluation(
        **vars(marks.counts(answering, shown)),
        others=[marks.counts(other, shown) for other in comparable_answerings(info, answering, where=checkpoint)],
        fold=fold,
        labels=list(shown),
        checkpoint=pretrained_name(checkpoint) or str(checkpoint),
        selection=info.selection,
        logits=outputs.logits,
        truth=truth,
        probabilities=probabilities,
        clips=rows,
        splits=tuple(splits),
        classes=classes,
        left_out=left_out,
        under_other_protocol=_under_other_protocol(marks, answering, classes),
        intra_inter_ratio=_ratio(outputs.features, truth),
        features=choose_features(outputs.features),
        data=store.root,
    )


def _under_other_protocol(marks: Marks, answering: Answering, classes: JoinedClasses | None) -> ClassCounts | None:
    if classes is None or classes.other_protocol is None:
        return None
    return marks.counts(answering, classes.shown(classes.other_protocol))


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
