"""Measure weights and write the results into a model card: accuracy, calibration, stability, real videos.

    dfer preprocess ferplus ./raw
    python -m dfer.release.model_card default data/ferplus data/faces160:val+test --without fear --clips clips/

The first store is the one that the confusion, the recalls and the stability are about; a row of a table is about each.
Stores of the same data with other detectors are simply further stores. A store is answered under its own prior, where
the weights were calibrated under one of its name, else under the default.

The results go between two marks in the card; the rest of its text is written by hand. Nearly all of the time goes into
the test clips and the seven changed copies of some of them; --stability-clips sets their number.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from dfer.batches.sampling import evenly_spread
from dfer.evaluation.across import store_as_trained
from dfer.evaluation.inference import evaluation_loader, run_clips
from dfer.evaluation.metrics import expected_calibration_error
from dfer.model.checkpoint import CheckpointInfo, load_checkpoint
from dfer.model.video_model import VideoModel
from dfer.prediction.predictor import Predictor
from dfer.pretrained import pretrained_name
from dfer.records import VIDEO_SUFFIXES
from dfer.records.timeline import emotion_runs
from dfer.release.card_sets import CardSet, MeasuredSet, measure_set, parse_set
from dfer.release.script import run_script
from dfer.release.stability import CROP_CHANGES, VIDEO_CHANGES, agreement, changed_share, emotion_shares
from dfer.reports.model_card import update_model_card, write_diagrams
from dfer.runs import find_checkpoint
from dfer.runtime.device import choose_device, describe_machine
from dfer.runtime.files import sha256_of, write_json
from dfer.video import open_frames

logger = logging.getLogger(__name__)


def measure_model(
    checkpoint: str | Path,
    data: Path | Sequence[CardSet],
    *,
    without: Sequence[str] = (),
    videos: Sequence[Path] = (),
    fold: int | None = None,
    stability_clips: int = 1000,
    detector: str = "auto",
    detector_weights: Path | None = None,
    device: str = "auto",
    batch_size: int = 16,
) -> dict[str, Any]:
    """Measure everything in the card that is a number.

    Args:
        checkpoint: a file, or the name of shipped weights.
        data: the store whose test split is used, or several stores.
        without: labels that a further mean recall leaves out.
        videos: real ones, to see what the model predicts on them.
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
    path, chosen = find_checkpoint(checkpoint), choose_device(device)
    sets = [CardSet(data)] if isinstance(data, Path) else data
    predictor = None
    if videos:
        predictor = Predictor(path, detector=detector, detector_weights=detector_weights, device=device)
    model, info = (predictor.model, predictor.info) if predictor else load_checkpoint(path, chosen)
    own_fold = fold or info.data.get("fold") or 1
    tested_sets = []
    for member in sets:
        logger.info("testing %s on %s", path, member.path)
        tested_sets.append(measure_set(model, info, member, own_fold, checkpoint=path, batch_size=batch_size))
    first = tested_sets[0]
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
        "machine": describe_machine(chosen),
        "test": {
            "dataset": first.store.info.name,
            "split": " and ".join(sets[0].splits),
            "temperature": first.answering.temperature,
            "ece_before": expected_calibration_error(
                replace(first.answering, temperature=1.0).probabilities(first.result.logits), first.result.truth
            ),
            **first.result.to_dict(),
        },
        "without": list(without),
        "sets": [tested.figures(info.labels, without) for tested in tested_sets],
        "stability": measure_stability(model, info, first, clips=stability_clips, batch_size=batch_size),
        "videos": [] if predictor is None else [measure_video(predictor, video) for video in videos],
    }


def measure_stability(
    model: VideoModel, info: CheckpointInfo, tested: MeasuredSet, *, clips: int, batch_size: int = 16
) -> dict[str, Any]:
    """Measure how many predictions change when the crops do.

    Args:
        model: on the device to compute on.
        info: of its checkpoint.
        tested: the results on the crops as they are.
        clips: how many, spread evenly over the list.
        batch_size: clips at a time.

    Returns:
        "num_clips", and "changed": the share of them for each of `CROP_CHANGES`.
    """
    fold, logits = tested.result.fold, tested.result.logits
    store = store_as_trained(tested.store, info, fold)
    readable = [row for row in store.select(fold, *tested.member.splits) if row.ok]
    places = evenly_spread(len(readable), clips)
    rows = [readable[place] for place in places]
    loader, changed = evaluation_loader(store, rows, model, segments=info.segments, batch_size=batch_size), {}
    for name, change in CROP_CHANGES.items():
        logger.info("%d clips %s", len(rows), name)
        outputs = run_clips(model, loader, change=change, mirror=info.mirror)
        before, after = map(tested.answering.probabilities, (logits[places], outputs.logits))
        changed[name] = changed_share(before, after)
    return {"num_clips": len(rows), "changed": changed}


def measure_video(predictor: Predictor, path: Path) -> dict[str, Any]:
    """Measure what the model predicts for a video's main face, and whether small changes of the video alter it.

    Args:
        predictor: of the model.
        path: the video.

    Returns:
        "name", "duration" in seconds, "shares" of the time of each emotion, "runs" of one emotion, and for each of
        `VIDEO_CHANGES` the share of the time with the same emotion, "agreement". Without a face the last three are
        empty, for a single frame there is no agreement; it is None where the face is lost.

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


def main() -> None:
    """Update a model card, from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", help="a .safetensors, or the name of shipped weights")
    parser.add_argument(
        "data", type=parse_set, nargs="+", metavar="STORE[:SPLITS]", help="stores, such as data/x:val+test"
    )
    parser.add_argument(
        "--without", action="append", default=[], metavar="LABEL", help="left out of a second mean recall"
    )
    parser.add_argument("--images", type=Path, help="folder of the diagrams; by default images/ beside the card")
    parser.add_argument("--clips", type=Path, help="a folder of real videos")
    parser.add_argument("--detector-weights", type=Path, help="for the videos")
    parser.add_argument("--stability-clips", type=int, default=1000, help="test clips that are also changed")
    parser.add_argument("--history", type=Path, help="the runs' records, as dfer.release.publish wrote them")
    parser.add_argument("--out", type=Path, default=Path("docs/model_card.md"), help="the card")
    parser.add_argument("--json", type=Path, help="also write the results as JSON")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    files = sorted(options.clips.iterdir()) if options.clips else []
    measured = measure_model(
        options.checkpoint,
        options.data,
        without=options.without,
        videos=[file for file in files if file.suffix.lower() in VIDEO_SUFFIXES],
        stability_clips=options.stability_clips,
        detector_weights=options.detector_weights,
    )
    if options.history:
        measured["training"] = json.loads(options.history.read_text(encoding="utf-8"))
    if options.json:
        write_json(options.json, measured)
    write_diagrams(measured, options.images or options.out.parent / "images")
    update_model_card(options.out, measured)


if __name__ == "__main__":
    run_script(main)
