"""Write the generated data set: videos and lists in DFEW's layout, and the ground truth beside them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import astuple, replace
from functools import partial
from pathlib import Path

import av
import cv2
import numpy as np

from dfer.datasets.notice import NOTICE_FILE
from dfer.errors import DferError, UsageError
from dfer.labels import DFEW_LABELS
from dfer.runtime.files import atomic_path, remove_unfinished, write_json, write_text
from dfer.runtime.workers import WorkerDiedError, run_tasks
from dfer.synth.canvas import Image
from dfer.synth.expression import ACTION_UNITS, POSE, perform
from dfer.synth.identity import draw_person
from dfer.synth.plan import NUM_FOLDS, ClipPlan, clip_rng, person_rng, plan_clips
from dfer.synth.render import Puppet
from dfer.synth.scene import draw_scene

# Raise when the same seed gives other files than before.
GENERATOR_VERSION = 2
FRAMES_PER_SECOND = 25
RECORDED_FRAMES = 40  # of each emotion in a recording
_SETTINGS = "synth.json"
_NOTICE = "trained on drawings only (`dfer synth`): what it says of real faces means nothing"
# x264's look-ahead reads a few bytes that it never wrote, so that its choices differ between runs.
_NO_LOOKAHEAD = "mbtree=0:rc-lookahead=0:b-adapt=0:scenecut=0:weightp=0"

_README = """Generated clips for dfer, in the layout of DFEW: drawings only, no person is shown.

    dfer synth OUT --clips {num_clips} --seed {seed}

Labels 1-7 are {labels}.
ground_truth/ holds a row per clip (clips.csv), and per frame landmarks, box, action units and pose (N.npz).
What is learned here says nothing about real faces: use it to try the pipeline, not to measure a method.
Surprise clips (a fright that resolves) and fear clips (a startle that turns into fear) hold the same frames and differ
only in their order over time.
"""


def generate_dataset(
    out: Path,
    *,
    num_clips: int = 600,
    seed: int = 0,
    workers: int = 1,
    on_clip: Callable[[int, int], None] | None = None,
) -> None:
    """Write the data set; finished clips of an interrupted run are kept.

    The files depend only on `num_clips` and `seed`, byte for byte, not on `workers`.

    Args:
        out: the folder to fill; new, empty, or of an earlier run with the same settings.
        num_clips: at least 7, one for each emotion.
        seed: 0 or more.
        workers: processes that draw.
        on_clip: called after every clip with (clips drawn, clips to draw), those of an earlier run not counted.

    Raises:
        UsageError: bad arguments, or `out` holds something else.
        DferError: a file cannot be written.
    """
    if num_clips < len(DFEW_LABELS):
        raise UsageError(f"{num_clips} clips are too few: each of the {len(DFEW_LABELS)} emotions needs one")
    if seed < 0 or workers < 1:
        raise UsageError("the seed must be 0 or more, and at least one worker is needed")
    _open_for_writing(out, {"num_clips": num_clips, "seed": seed, "generator_version": GENERATOR_VERSION})
    plans = plan_clips(num_clips, seed)
    missing = [plan for plan in plans if not all(path.exists() for path in _clip_paths(out, plan))]
    for done, _ in enumerate(_draw_all(missing, out, seed, workers), start=1):
        if on_clip is not None:
            on_clip(done, len(missing))
    remove_unfinished(out)
    _write_lists(out, plans)
    write_text(out / "README.txt", _README.format(num_clips=num_clips, seed=seed, labels=", ".join(DFEW_LABELS)))


def _open_for_writing(out: Path, settings: dict[str, int]) -> None:
    found = out / _SETTINGS
    if found.exists():
        try:
            theirs = json.loads(found.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            theirs = None
        if theirs != settings:
            hint = f"give another folder, or delete this one; it was made with {json.dumps(theirs)}"
            raise UsageError("the folder holds clips generated with other settings", where=out, hint=hint)
    elif out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError("the folder is not empty", where=out, hint="give a new or empty folder")
    else:
        write_text(out / NOTICE_FILE, _NOTICE + "\n")
        write_json(found, settings)


def _draw_all(plans: Sequence[ClipPlan], out: Path, seed: int, workers: int) -> Iterator[None]:
    """Draw the clips, yielding after each."""
    draw = partial(make_clip, out=out, seed=seed)
    if workers == 1 or len(plans) < 2:
        yield from map(draw, plans)
        return
    finished = run_tasks(draw, plans, workers=min(workers, len(plans)), initializer=cv2.setNumThreads, initargs=(1,))
    with closing(finished):
        for _, future in finished:
            try:
                yield future.result()
            except WorkerDiedError as error:
                hint = "run the same command again: finished work is kept"
                raise DferError("a drawing process died", where=out, hint=hint) from error


def make_clip(plan: ClipPlan, out: Path, seed: int) -> None:
    """Draw one clip and write its video and ground truth."""
    rng = clip_rng(seed, plan.number)
    scene = draw_scene(rng)
    puppet = Puppet(draw_person(person_rng(seed, plan.person)), scene)
    play = perform(plan.emotion, strength=plan.strength, num_frames=plan.num_frames, rng=rng)
    shots = [puppet.draw(play, t, rng) for t in range(plan.num_frames)]
    video, truth = _clip_paths(out, plan)
    with atomic_path(truth) as temporary:
        np.savez(
            temporary,
            landmarks=np.stack([shot.landmarks for shot in shots]),
            box_xyxy=np.stack([shot.box_xyxy for shot in shots]),
            action_units=play.action_units,
            action_unit_names=np.array(ACTION_UNITS),
            pose=play.pose,
            pose_names=np.array(POSE),
        )
    _encode(video, [shot.frame for shot in shots], crf=scene.crf)


def make_recording(path: Path, emotions: Sequence[str], *, fold: int, num_clips: int, seed: int) -> None:
    """Draw one person of a fold's test list going through several emotions, and write the video.

    Args:
        path: the video to write.
        emotions: names of `DFEW_LABELS`, each shown for `RECORDED_FRAMES` in this order.
        fold: 1-based.
        num_clips, seed: of the data set that the person is from.

    Raises:
        DferError: the file cannot be written.
    """
    plan = next(plan for plan in plan_clips(num_clips, seed) if plan.fold == fold)
    rng = clip_rng(seed, num_clips + fold)  # the clips use the numbers up to num_clips
    scene = draw_scene(rng)
    puppet = Puppet(draw_person(person_rng(seed, plan.person)), scene)
    count = RECORDED_FRAMES * len(emotions)
    # The head and the gaze move on, so that no jump tells where an emotion begins.
    calm = perform("neutral", strength=0.0, num_frames=count, rng=rng)
    shown = [perform(emotion, strength=0.9, num_frames=RECORDED_FRAMES, rng=rng) for emotion in emotions]
    play = replace(calm, action_units=np.concatenate([part.action_units for part in shown]))
    _encode(path, [puppet.draw(play, t, rng).frame for t in range(count)], crf=scene.crf)


def _encode(path: Path, frames: Sequence[Image], *, crf: int) -> None:
    """Write H.264 in MP4; one thread and no look-ahead, so that the bytes depend only on the frames."""
    height, width = frames[0].shape[:2]
    with atomic_path(path) as temporary, av.open(str(temporary), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=FRAMES_PER_SECOND)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"crf": str(crf), "preset": "veryfast", "threads": "1", "x264-params": _NO_LOOKAHEAD}
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def _clip_paths(out: Path, plan: ClipPlan) -> tuple[Path, Path]:
    return out / "Clip" / "original" / f"{plan.number}.mp4", out / "ground_truth" / f"{plan.number}.npz"


def _write_lists(out: Path, plans: Sequence[ClipPlan]) -> None:
    names = ("video_name", "emotion", "identity", "fold", "strength", "num_frames")
    write_text(out / "ground_truth" / "clips.csv", _csv_text(names, [astuple(plan) for plan in plans]))
    for fold in range(1, NUM_FOLDS + 1):
        for split, tested in (("train", False), ("test", True)):
            chosen = [plan for plan in plans if (plan.fold == fold) == tested]
            rows = [(plan.number, DFEW_LABELS.index(plan.emotion) + 1) for plan in chosen]
            path = out / "EmoLabel_DataSplit" / f"{split}(single-labeled)" / f"set_{fold}.csv"
            write_text(path, _csv_text(("video_name", "label"), rows))


def _csv_text(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    return "".join(",".join(map(str, row)) + "\n" for row in (header, *rows))
