"""Prediction: its runtimes beside a plain Former-DFER and beside real time, its start, and its memory."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dfer.bench.memory import LIMIT_BYTES, SIZE_HW, write_long_video, write_video
from dfer.errors import DferError
from dfer.model import MODELS
from dfer.prediction.predictor import Predictor
from dfer.prediction.runtimes import RUNTIMES, build_engine, require_runtime
from dfer.prediction.time_left import TimeLeft
from dfer.pretrained import pretrained_name
from dfer.records import Prediction
from dfer.runtime.device import describe_machine
from dfer.runtime.machine import load_average, peak_memory_bytes, usable_cores, used_memory_bytes
from dfer.runtime.reading import parse_json
from dfer.runtime.workers import WorkerDiedError, run_tasks
from dfer.video import open_frames

SCHEMA = "dfer.bench.predict/1"
PLAIN = "former_dfer"
_BATCH = 4  # clips
_EXACT = "float32"

# Runs in a new process, where nothing is loaded. The first progress comes with the first frame that is analysed.
_START = """
import sys, time
begun = time.perf_counter()
import json
from dfer import Predictor
imported = time.perf_counter()
path, checkpoint, detector, weights = sys.argv[1:]
predictor = Predictor(checkpoint, detector=detector, detector_weights=weights or None)
loaded = time.perf_counter()
class Begun(Exception): pass
def stop(stage, done): raise Begun
try: predictor(path, stop)
except Begun: pass
print(json.dumps({"import_s": imported - begun, "load_s": loaded - imported, "open_s": time.perf_counter() - loaded}))
"""


@dataclass
class _Runs:
    """The measurements of one runtime; times in seconds."""

    batch_s: list[float] = field(default_factory=list)
    whole_s: dict[int, list[float]] = field(default_factory=dict)  # by the number of faces
    cores_s: dict[int, list[float]] = field(default_factory=dict)  # processor time
    answers: dict[int, Prediction] = field(default_factory=dict)


def bench_prediction(
    video: Path,
    *,
    checkpoint: str | Path | None = None,
    detector: str = "auto",
    detector_weights: Path | None = None,
    runtimes: Sequence[str] = (),
    faces: Sequence[int] = (1, 3),
    repeat: int = 3,
    seconds: float = 5.0,
    minutes: float | None = None,
    on_step: Callable[[str], None] = lambda _text: None,
) -> dict[str, Any]:
    """Measure prediction by each runtime, in turn, so that other work on the machine slows each of them alike.

    Args:
        video: shows a face.
        checkpoint: as `Predictor` takes it.
        detector, detector_weights: see `Predictor`.
        runtimes: of `RUNTIMES`; none means all that this machine has.
        faces: how many copies of the video stand side by side, in one prediction each.
        repeat: predictions by each runtime.
        seconds: time for the speed of the model, of each runtime.
        minutes: length of a 1080p video whose prediction's memory and time left are checked; None for none.
        on_step: called with a line about the next step.

    Returns:
        `dfer.bench.predict/1`: "machine", "cores", "load" (how many processes wanted a core in the minute before, on
        average), "video", "duration" in seconds, "size_hw", "checkpoint", "detector", "mirror", "auto" (the default
        runtime), "start": "import_s", "load_s", "open_s" of a new process up to its first frame and "process_s",
        the whole of it; "plain": clips/s of the plain Former-DFER; "runtimes", each with "name", "clips_per_s",
        "relative" (to the plain model), and by number of faces "real_time" (seconds of video a second, after loading),
        "core_s" (seconds of a core for a second of video), "same_labels" and "largest_difference" of segments beside
        float32; "memory": see `_measure_long`, None without `minutes`.

    Raises:
        DferError: the video cannot be read or shows no face, or a runtime is unknown or not there.
    """
    source = open_frames(video)
    options: dict[str, Any] = {"detector": detector, "detector_weights": detector_weights}
    auto = Predictor(checkpoint, **options)
    names = [require_runtime(name) for name in runtimes] or _available(auto)
    on_step("start of a new process")
    start = _measure_start(video, auto)
    plain_s, runs = _measure_engines(auto, names, seconds, on_step)
    predictors = {
        name: Predictor(checkpoint, **options, faces="all", runtime=name) for name in dict.fromkeys([*names, _EXACT])
    }
    with TemporaryDirectory(prefix="dfer-bench-") as folder:
        for count in faces:
            shown = video if count == 1 else _side_by_side(video, count, Path(folder) / f"{count}.mp4", on_step)
            for number in range(repeat):
                on_step(f"predicting {count} x {source.duration:.1f} s of faces, {number + 1} of {repeat}")
                for name, predictor in predictors.items():
                    _run_whole(predictor, shown, count, runs.setdefault(name, _Runs()))
        memory = None if minutes is None else _measure_long(video, auto, minutes, Path(folder), on_step)
    return {
        "schema": SCHEMA,
        "machine": describe_machine(),
        "cores": usable_cores(),
        "load": load_average(),
        "video": video.name,
        "duration": source.duration,
        "size_hw": list(source.size_hw),
        "checkpoint": pretrained_name(auto.checkpoint) or str(auto.checkpoint),
        "detector": auto.detector.name,
        "mirror": auto.mirror,
        "auto": auto.runtime,
        "start": start,
        "plain": {"name": PLAIN, "clips_per_s": _BATCH / median(plain_s)},
        "runtimes": [
            _summary(name, runs[name], runs[_EXACT], median(plain_s), faces, source.duration) for name in names
        ],
        "memory": memory,
    }


def _available(predictor: Predictor) -> list[str]:
    """Return the runtimes that this machine has and that are different for this model."""
    found: dict[str, None] = {}
    for name in RUNTIMES:
        try:
            found[build_engine(name, predictor.model, predictor.device)[0]] = None
        except DferError:  # not on this machine, or not this model
            continue
    return list(found)


def _measure_start(video: Path, predictor: Predictor) -> dict[str, float]:
    weights = predictor.detector_weights
    given = [str(video), str(predictor.checkpoint), predictor.detector.name, "" if weights is None else str(weights)]
    begun = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", _START, *given], capture_output=True, text=True, check=False)
    process_s = time.perf_counter() - begun
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        raise DferError(f"a new process failed ({reason[0]:.200})", where=video)
    return {**parse_json(done.stdout), "process_s": process_s}


@torch.inference_mode()
def _measure_engines(
    predictor: Predictor, names: Sequence[str], seconds: float, on_step: Callable[[str], None]
) -> tuple[list[float], dict[str, _Runs]]:
    """Return the seconds of each batch by the plain Former-DFER, and by the runtimes."""
    config = predictor.model.config
    plain = MODELS[PLAIN].build(num_classes=len(predictor.info.labels)).eval()
    own = torch.randn(_BATCH, config.num_frames, 3, config.image_size, config.image_size)
    theirs = torch.randn(_BATCH, plain.config.num_frames, 3, plain.config.image_size, plain.config.image_size)
    engines = {name: build_engine(name, predictor.model, predictor.device)[1] for name in names}
    runs = {name: _Runs() for name in names}
    works: list[tuple[Callable[[Tensor], Tensor], Tensor, list[float]]] = [
        (engines[name].forward_features, own.to(predictor.device), runs[name].batch_s) for name in names
    ]
    plain_s: list[float] = []
    works.append((plain, theirs, plain_s))
    on_step(f"the model's speed, {', '.join([*names, PLAIN])}")
    for work, clips, _ in works:
        work(clips)
    while sum(plain_s) < seconds:
        for work, clips, spent in works:
            begun = time.perf_counter()
            work(clips)
            spent.append(time.perf_counter() - begun)
    return plain_s, runs


def _run_whole(predictor: Predictor, video: Path, count: int, runs: _Runs) -> None:
    begun, core_begun = time.perf_counter(), time.process_time()
    prediction = predictor(video)
    runs.whole_s.setdefault(count, []).append(time.perf_counter() - begun)
    runs.cores_s.setdefault(count, []).append(time.process_time() - core_begun)
    if not prediction.faces:
        raise DferError("no face found", where=video, hint="name a video that shows a face")
    runs.answers[count] = prediction


def _side_by_side(video: Path, count: int, path: Path, on_step: Callable[[str], None]) -> Path:
    """Write copies of a video side by side, as many people who all are seen all the time."""
    on_step(f"writing {count} faces side by side")
    source = open_frames(video)

    def rows() -> Iterator[NDArray[np.uint8]]:
        for _, frame in source.iter_frames():
            yield np.concatenate([frame[:, ::-1] if n % 2 else frame for n in range(count)], axis=1)

    write_video(rows(), path, fps=source.fps)
    return path


def _summary(
    name: str, runs: _Runs, exact: _Runs, plain_s: float, faces: Sequence[int], duration: float
) -> dict[str, Any]:
    spent = median(runs.batch_s)
    agreement = {count: _agreement(runs.answers[count], exact.answers[count]) for count in faces}
    return {
        "name": name,
        "clips_per_s": _BATCH / spent,
        "relative": plain_s / spent,
        "real_time": {str(count): duration / median(runs.whole_s[count]) for count in faces},
        "core_s": {str(count): median(runs.cores_s[count]) / duration for count in faces},
        "same_labels": {str(count): agreement[count][0] for count in faces},
        "largest_difference": {str(count): agreement[count][1] for count in faces},
    }


def _agreement(one: Prediction, exact: Prediction) -> tuple[float, float]:
    """Return the share of segments with the same label, and the largest difference of a probability."""
    pairs = [
        (ours, theirs)
        for face, other in zip(one.faces, exact.faces, strict=True)
        for ours, theirs in zip(face.segments, other.segments, strict=True)
    ]
    same = [ours.label == theirs.label for ours, theirs in pairs]
    differences = [
        abs(p - theirs.probabilities[label]) for ours, theirs in pairs for label, p in ours.probabilities.items()
    ]
    return sum(same) / len(same), max(differences)


def _measure_long(
    video: Path, predictor: Predictor, minutes: float, folder: Path, on_step: Callable[[str], None]
) -> dict[str, Any]:
    """Return the memory of a process that predicts a long 1080p video, and how well it knew the time left.

    Returns:
        "minutes", "size_hw", "seconds" it took, "start_bytes" (with the model, before the video), "quarters": the most
        seen in each quarter of each pass, by its name, "peak_bytes", "limit_bytes", and "time_left_error": by how much
        the time left was wrong, relative to what it turned out to be, at most, between 10 and 90 % of the whole time.
    """
    on_step(f"writing {minutes:g} minutes of 1080p")
    clip = folder / "long.mp4"
    write_long_video(video, clip, minutes)
    on_step(f"predicting {minutes:g} minutes of 1080p")
    weights = predictor.detector_weights
    task = (clip, predictor.checkpoint, predictor.detector.name, weights)
    begun = time.perf_counter()
    ((_, future),) = run_tasks(_predict_long, [task], workers=1)
    try:
        measured = future.result()
    except WorkerDiedError as error:
        raise DferError(f"the process died ({error})", where=video) from error
    return {
        "minutes": open_frames(clip).duration / 60,
        "size_hw": list(SIZE_HW),
        "seconds": time.perf_counter() - begun,
        **measured,
        "limit_bytes": LIMIT_BYTES,
    }


def _predict_long(task: tuple[Path, Path, str, Path | None]) -> dict[str, Any]:
    clip, checkpoint, detector, weights = task
    predictor = Predictor(checkpoint, detector=detector, detector_weights=weights)
    start, begun = used_memory_bytes(), time.perf_counter()
    quarters: dict[str, list[int]] = {}
    left, estimates = TimeLeft(), list[tuple[float, float]]()

    def watch(stage: str, done: float) -> None:
        most = quarters.setdefault(stage, [0] * 4)
        quarter = min(3, int(4 * done))
        most[quarter] = max(most[quarter], used_memory_bytes())
        if (seconds := left.seconds) is not None:
            estimates.append((time.perf_counter() - begun, seconds))

    analysis = predictor.analyse(clip, watch, time_left=left)
    whole_s = time.perf_counter() - begun
    return {
        "faces": len(analysis.tracks),
        "time_left_error": _largest_error(estimates, whole_s),
        "start_bytes": start,
        "quarters": quarters,
        # Linux counts its own record of the peak in larger steps.
        "peak_bytes": max(peak_memory_bytes() or 0, *(size for sizes in quarters.values() for size in sizes)),
    }


def _largest_error(estimates: Sequence[tuple[float, float]], whole_s: float) -> float | None:
    """Return by how much the time left was wrong, relative to what it turned out to be, at most, from 10 to 90 %.

    Args:
        estimates: the seconds that had passed, and those that were said to be left.
        whole_s: seconds that all took.
    """
    errors = [
        abs(left_s / (whole_s - passed_s) - 1) for passed_s, left_s in estimates if 0.1 <= passed_s / whole_s <= 0.9
    ]
    return max(errors, default=None)
