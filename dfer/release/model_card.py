"""The figures of a model card: accuracy, calibration and stability on a test split, and timelines of real clips."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dfer.evaluation.evaluate import FoldOutcome, FoldTask, evaluate_fold
from dfer.evaluation.inference import run_clips, stored_feed
from dfer.evaluation.metrics import expected_calibration_error
from dfer.model.calibration import class_probabilities
from dfer.model.checkpoint import load_checkpoint
from dfer.prediction.predictor import Predictor
from dfer.prediction.timeline import emotion_runs
from dfer.pretrained import pretrained_name
from dfer.release.stability import CROP_CHANGES, VIDEO_CHANGES, agreement, changed_share, emotion_shares
from dfer.runs import find_checkpoint
from dfer.runtime.device import choose_device, describe_machine
from dfer.runtime.files import sha256_of
from dfer.store import open_store
from dfer.video import open_frames

logger = logging.getLogger(__name__)


def measure_model(
    checkpoint: str | Path,
    data: Path,
    *,
    videos: Sequence[Path] = (),
    fold: int | None = None,
    stability_clips: int = 1000,
    detector: str = "auto",
    detector_weights: Path | None = None,
    device: str = "auto",
    batch_size: int = 16,
) -> dict[str, Any]:
    """Everything in the card that is a number.

    Args:
        checkpoint: a file, or the name of shipped weights.
        data: the store whose test split is used.
        videos: real ones, to see what the model says of them.
        fold: of the store; by default the one the checkpoint was trained on.
        stability_clips: test clips on which the effect of changes is measured, spread evenly over the list.
        detector: for the videos; see `Predictor`.
        detector_weights: for the videos.
        device: "auto", "cpu" or "cuda".
        batch_size: clips at a time.

    Returns:
        The object `dfer.model_card/1`; fractions, not percent.

    Raises:
        DferError: the checkpoint, the store or a video cannot be used.
    """
    path = find_checkpoint(checkpoint)
    model, info = load_checkpoint(path)
    task = FoldTask(fold or info.data.get("fold") or 1, path, data)
    logger.info("testing %s on %s", path, data)
    tested = evaluate_fold(task, device=device, batch_size=batch_size)
    predictor = None
    if videos:
        predictor = Predictor(path, detector=detector, detector_weights=detector_weights, device=device)
    return {
        "schema": "dfer.model_card/1",
        "checkpoint": pretrained_name(path) or str(path),
        "sha256": sha256_of(path),
        "bytes": path.stat().st_size,
        "model": info.model_name,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "trained_on": info.trained_on(),
        "licence": info.licence,
        "labels": info.labels,
        "machine": describe_machine(choose_device(device)),
        "test": {
            "dataset": tested.dataset,
            "temperature": info.temperature,
            "ece_before": expected_calibration_error(class_probabilities(tested.logits), tested.labels),
            **tested.figures,
        },
        "stability": measure_stability(tested, task, clips=stability_clips, device=device, batch_size=batch_size),
        "videos": [] if predictor is None else [measure_video(predictor, video) for video in videos],
    }


def measure_stability(
    tested: FoldOutcome, task: FoldTask, *, clips: int, device: str = "auto", batch_size: int = 16
) -> dict[str, Any]:
    """How many answers change when the crops do.

    Args:
        tested: the answers to the crops as they are.
        task: what was tested.
        clips: how many, spread evenly over the list.
        device: "auto", "cpu" or "cuda".
        batch_size: clips at a time.

    Returns:
        "num_clips", and "changed": the share of them for each of `CROP_CHANGES`.
    """
    chosen = choose_device(device)
    model, info = load_checkpoint(task.checkpoint, chosen)
    store = open_store(task.data)
    readable = [row for row in store.select(task.fold, "test") if row.status == "ok"]
    places = np.unique(np.linspace(0, len(readable) - 1, min(clips, len(readable))).round().astype(np.int64))
    rows = [readable[place] for place in places]
    feed, changed = stored_feed(store, rows), {}
    for name, change in CROP_CHANGES.items():
        logger.info("%d clips %s", len(rows), name)
        outputs = run_clips(
            model, feed, rows, segments=info.segments, batch_size=batch_size, device=chosen, change=change
        )
        changed[name] = changed_share(tested.logits[places], outputs.logits)
    return {"num_clips": len(rows), "changed": changed}


def measure_video(predictor: Predictor, path: Path) -> dict[str, Any]:
    """What the model says of a video's main face, and whether it says the same of the video changed a little.

    Args:
        predictor: of the model.
        path: the video.

    Returns:
        "name", "duration" in seconds, "shares" of the time of each emotion, "runs" of one emotion, and for each of
        `VIDEO_CHANGES` the share of the time with the same answer, "agreement". Without a face the last three are
        empty, and of a single frame there is no agreement; it is None where the face is lost.

    Raises:
        VideoError: it cannot be read.
    """
    logger.info("%s", path)
    source = open_frames(path)
    prediction = predictor(source)
    found: dict[str, Any] = {"name": path.name, "duration": source.duration, "shares": {}, "runs": [], "agreement": {}}
    if not prediction.faces:
        return found
    (face,) = prediction.faces
    found["shares"] = emotion_shares(face)
    found["runs"] = [
        {"start": run.start, "end": run.end, "label": run.label, "probability": run.probability}
        for run in emotion_runs(face)
    ]
    for name, change in VIDEO_CHANGES.items() if source.num_frames > 1 else ():
        changed = change(source)
        faces = predictor(changed).faces
        offset = source.duration - changed.duration  # of a video that begins later
        found["agreement"][name] = agreement(face, faces[0], offset_s=offset) if faces else None
    return found
