"""The whole pipeline on generated clips: synth -> preprocess -> train -> eval -> predict -> report.

Every step runs the code of the other commands and can be resumed, and so can the demo.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dfer.datasets import read_dataset
from dfer.evaluation.evaluate import evaluate
from dfer.evaluation.plan import plan_evaluation
from dfer.evaluation.results import Evaluation
from dfer.prediction.predictor import Predictor
from dfer.preprocessing import Settings, preprocess
from dfer.recipe import load_recipe
from dfer.records import Prediction
from dfer.reports.demo import contact_sheet, write_demo_report
from dfer.reports.prediction import write_annotated_video
from dfer.reports.shown_clips import write_store_report
from dfer.run_records import read_metrics
from dfer.runs import fold_folder
from dfer.runtime.device import describe_machine
from dfer.runtime.files import write_json
from dfer.runtime.machine import usable_cores
from dfer.store import Store, open_store, read_clip
from dfer.store.manifest import ManifestRow
from dfer.synth.dataset import generate_dataset, make_recording
from dfer.training import TrainingObserver, train

NUM_CLIPS = 600
FOLDS = (1,)
SEED = 0
SHOWN = ("happy", "surprise", "angry", "sad")  # in the recording, one after another


class ProgressDisplay(Protocol):
    """A progress display for one step."""

    def set(self, done: int, total: int, extra: str = "") -> None:
        """Show that `done` of `total` items are done."""


def run_demo(
    out: Path,
    *,
    num_clips: int = NUM_CLIPS,
    folds: Sequence[int] = FOLDS,
    overrides: Sequence[str] = (),
    say: Callable[[str], None],
    show: Callable[[str, str], AbstractContextManager[ProgressDisplay]],
    observer: TrainingObserver,
) -> tuple[Evaluation, Prediction]:
    """Run the pipeline; an interrupted demo continues where it stopped.

    Args:
        out: the folder for raw, data, runs, evaluation.json, prediction.json and report.
        num_clips: clips to generate.
        folds: to train and test.
        overrides: KEY=VALUE changes to recipes/demo.yaml.
        say: called with a line at each step.
        show: opens a progress display for (what, unit).
        observer: of the training.

    Returns:
        The results on identities never seen in training, and the prediction for a recording of one of them.

    Raises:
        DferError: a step failed.
    """
    raw, data, run = out / "raw", out / "data", out / "runs" / "demo"
    recipe = load_recipe(Path("recipes/demo.yaml"), [f"data.path={json.dumps(str(data))}", *overrides])
    seconds: dict[str, float] = {}
    workers = usable_cores()

    say(f"1/6 synth: {num_clips} clips of drawn faces, seven emotions -> {raw}")
    with _timed(seconds, "synth"), show("synth", "clips") as progress:
        generate_dataset(raw, num_clips=num_clips, seed=SEED, workers=workers, on_clip=progress.set)

    say(f"2/6 preprocess: detect, track, align and pack the faces -> {data}")
    with _timed(seconds, "preprocess"), show("preprocess", "clips") as progress:
        done = 0

        def on_clip(_row: ManifestRow, total: int) -> None:
            nonlocal done
            done += 1
            progress.set(done, total)

        # The Haar cascade comes with OpenCV: the demo downloads nothing.
        summary = preprocess(
            read_dataset("dfew", raw), raw, data, Settings(detector="haar"), workers=workers, on_clip=on_clip
        )
    write_store_report(data, raw)
    say("    " + ", ".join(f"{count} clips {status}" for status, count in sorted(summary.counts.items())))

    say(f"3/6 train: a small LOGO-Former, {recipe.train.epochs} epochs -> {run}")
    with _timed(seconds, "train"):
        train(recipe, folds=folds, out=run, device="auto", observer=observer)

    say("4/6 eval: on people never seen in training")
    with _timed(seconds, "eval"):
        evaluation = evaluate(plan_evaluation(run=run, folds=folds, data=data))
    write_json(out / "evaluation.json", evaluation.to_dict())

    recording = out / "report" / "recording.mp4"
    checkpoint = Path(evaluation.folds[0].checkpoint)
    say(f"5/6 predict: a recording of one of them, going through {', '.join(SHOWN)} -> {recording}")
    with _timed(seconds, "predict"):
        make_recording(recording, SHOWN, fold=folds[0], num_clips=num_clips, seed=SEED)
        analysed = Predictor(checkpoint, detector="haar").analyse(recording)
        write_annotated_video(analysed, out / "report" / "prediction.mp4")
    write_json(out / "prediction.json", analysed.prediction.to_dict())

    say(f"6/6 report -> {out / 'report'}")
    write_demo_report(
        out / "report",
        evaluation=evaluation,
        prediction=analysed.prediction,
        contact_sheet=_contact_sheet(open_store(data), folds[0]),
        metrics=read_metrics(fold_folder(run, folds[0])),
        machine=describe_machine(),
        timings=seconds,
        notes=evaluation.notes,
    )
    return evaluation, analysed.prediction


@contextmanager
def _timed(seconds: dict[str, float], step: str) -> Iterator[None]:
    begun = time.monotonic()
    yield
    seconds[step] = time.monotonic() - begun


def _contact_sheet(store: Store, fold: int, columns: int = 7, rows_per_emotion: int = 1) -> NDArray[np.uint8]:
    """Return a sheet of aligned crops over time, one test clip per emotion."""
    images, captions = [], []
    for label, name in enumerate(store.info.labels):
        clips = [row for row in store.select(fold, "test") if row.label == label and row.ok]
        for row in clips[:rows_per_emotion]:
            chosen = np.linspace(0, row.num_frames - 1, columns).astype(int)
            images += list(read_clip(store.clip_path(row.clip_id), chosen))
            captions += [name, *[""] * (columns - 1)]
    return contact_sheet(images, captions, columns)
