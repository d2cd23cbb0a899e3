"""Who is who: a clip of known people, cut from shots at other sizes, beside the numbers that tracking gives them.

Each input shows one person. From them shots are cut: of one person or of two side by side, from another moment of the
recording, at another size, in another place and in other light. So it is known who is in every frame.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from dfer.errors import VideoError
from dfer.faces.detectors import Detector, build_detector
from dfer.faces.recognition import FaceEncoder, find_recognition_weights
from dfer.faces.tracking.clock import Clock
from dfer.faces.tracking.track import track_faces
from dfer.faces.tracking.tracklets import box_centres
from dfer.records import FaceTrack
from dfer.runtime.device import describe_machine
from dfer.video import open_frames

SCHEMA = "dfer.bench.identity/1"
FPS = 25.0
SIZE_WH = (640, 360)
SHOT_S = (0.8, 1.6)  # the shortest and the longest
FACE_SIDES = (40.0, 180.0)  # pixels: the smallest and the largest face
GAINS = (0.7, 1.2)  # of the light
_TOGETHER = 0.25  # share of the shots that show two people
_SOURCE_STEP_S = 1 / FPS

Frame = NDArray[np.uint8]


@dataclass(frozen=True)
class Panel:
    """A person in a shot.

    Attributes:
        person: place in the list of people.
        moment: where in the recording the shot begins, 0..1.
        face_side: of the face, pixels.
        shift: of the face's centre from that of its part of the frame, in shares of the part.
        gain: of the light.
    """

    person: int
    moment: float
    face_side: float
    shift: tuple[float, float]
    gain: float


@dataclass(frozen=True)
class Shot:
    """A shot: its length in frames, and who stands in it from left to right."""

    frames: int
    panels: tuple[Panel, ...]


def plan_shots(people: int, shots: int, seed: int) -> list[Shot]:
    """Draw the shots of a clip: every person returns, and no two successive shots show the same people.

    Args:
        people: their number, two or more.
        shots: their number.
        seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    plan: list[Shot] = []
    turn: list[int] = []
    for _ in range(shots):
        if len(turn) < 2:
            turn += rng.permutation(people).tolist()
        shown = [turn.pop(0)]
        if rng.random() < _TOGETHER and (other := next((one for one in turn if one != shown[0]), None)) is not None:
            turn.remove(other)
            shown.append(other)
        before = {panel.person for panel in plan[-1].panels} if plan else set()
        if before == set(shown):
            shown = [next(one for one in range(people) if one not in before or len(shown) > 1)]
        low, high = np.log(FACE_SIDES)
        panels = [
            Panel(
                person,
                float(rng.random()),
                float(np.exp(rng.uniform(low, high - 0.3 * (len(shown) - 1)))),
                (float(rng.uniform(-0.12, 0.12)), float(rng.uniform(-0.12, 0.12))),
                float(rng.uniform(*GAINS)),
            )
            for person in shown
        ]
        plan.append(Shot(round(FPS * rng.uniform(*SHOT_S)), tuple(panels)))
    return plan


class Recording:
    """The frames of one person, and where the face stands in them.

    Raises:
        VideoError: it cannot be read, or shows no face.
    """

    def __init__(self, path: Path, detector: Detector) -> None:
        self._source = open_frames(path)
        self._detector = detector
        self._path = path

    def take(self, moment: float, count: int) -> tuple[list[Frame], NDArray[np.float64]]:
        """Return `count` successive frames at 25 a second, and the box [4] of the face in the first that shows one.

        Args:
            moment: where they begin, 0 for the beginning, 1 for as late as possible.
            count: of the frames; a shorter recording, such as an image, goes back and forth.
        """
        times = self._source.times_s - self._source.times_s[0]
        start_s = moment * max(0.0, float(times[-1]) - count * _SOURCE_STEP_S)
        wanted_s = start_s + np.arange(count) * _SOURCE_STEP_S
        length_s = max(float(times[-1]), 1e-9)
        wanted_s = length_s - np.abs(wanted_s % (2 * length_s) - length_s)  # back and forth
        indices = np.clip(np.searchsorted(times, wanted_s + 1e-6, side="right") - 1, 0, len(times) - 1)
        found = dict(self._source.iter_frames(sorted(set(indices.tolist()))))
        frames = [found[index] for index in indices.tolist() if index in found]
        for frame in frames:
            if faces := self._detector.detect(frame):
                return frames, faces[0].box_xyxy.astype(np.float64)
        raise VideoError("no face to cut a shot from", where=self._path, hint="each input shows one person")


def draw_shots(plan: Sequence[Shot], recordings: Sequence[Recording]) -> Iterator[tuple[Frame, tuple[int, ...]]]:
    """Yield the frames of a clip, uint8 [360, 640, 3], each with the people in its parts from left to right."""
    width, height = SIZE_WH
    for number, shot in enumerate(plan):
        part_w = width // len(shot.panels)
        taken = [recordings[panel.person].take(panel.moment, shot.frames) for panel in shot.panels]
        tone = np.array([40 + 37 * number % 90, 50 + 53 * number % 80, 60 + 71 * number % 70])
        for place in range(min(len(frames) for frames, _ in taken)):
            canvas = np.empty((height, width, 3), np.uint8)
            for column, (panel, (frames, box)) in enumerate(zip(shot.panels, taken, strict=True)):
                part = _place(frames[place], box, panel, (part_w, height), tone)
                canvas[:, column * part_w : (column + 1) * part_w] = part
            yield canvas, tuple(panel.person for panel in shot.panels)


def _place(
    frame: Frame, box: NDArray[np.float64], panel: Panel, size_wh: tuple[int, int], tone: NDArray[np.int64]
) -> Frame:
    """Return a part of a frame that shows the person with the face at its size and place."""
    scale = panel.face_side / max(float(np.sqrt(np.prod(box[2:] - box[:2]))), 1.0)
    centre = (box[:2] + box[2:]) / 2
    target = np.array(size_wh) * (0.5 + np.array(panel.shift))
    matrix = np.hstack([scale * np.eye(2), (target - scale * centre)[:, None]])
    if scale < 0.7:  # averaged down first, since bilinear sampling would skip pixels
        frame = np.asarray(cv2.GaussianBlur(frame, (0, 0), 0.4 / scale), np.uint8)
    drawn = cv2.warpAffine(frame, matrix, size_wh, borderValue=tone.tolist())
    return np.asarray(np.clip(drawn * panel.gain, 0, 255), np.uint8)


def bench_identity(
    people: Sequence[Path],
    *,
    shots: int = 24,
    seeds: int = 1,
    detector: str = "auto",
    detector_weights: Path | None = None,
    recognition_weights: str | Path | None = None,
    on_step: Callable[[str], None] = lambda _text: None,
) -> dict[str, Any]:
    """Track the people of generated clips, and count the errors of their identities.

    Args:
        people: videos, frame folders or images, two or more, each of one person.
        shots: of each clip.
        seeds: number of clips.
        detector: "auto", or a key of `dfer.faces.detectors.DETECTORS`.
        detector_weights: its weights.
        recognition_weights: as for `find_recognition_weights`.
        on_step: called with a line on what is done next.

    Returns:
        `dfer.bench.identity/1`: the counts of `count_errors` for each clip, and of all.

    Raises:
        DferError: an input cannot be read or shows no face, or the detector cannot be built.
    """
    finder = build_detector(detector, detector_weights)
    found = find_recognition_weights(recognition_weights)
    encoder = FaceEncoder(found) if found else None
    recordings = [Recording(path, finder) for path in people]
    clips = []
    for seed in range(seeds):
        on_step(f"clip {seed + 1} of {seeds}")
        drawn = list(draw_shots(plan_shots(len(people), shots, seed), recordings))
        clock = Clock(np.arange(len(drawn)) / FPS, len(drawn) / FPS)
        tracks = track_faces(enumerate(frame for frame, _ in drawn), finder, clock, encoder.encode if encoder else None)
        clips.append(count_errors([shown for _, shown in drawn], tracks, SIZE_WH[0]))
    summed = {key: sum(clip[key] for clip in clips) for key in clips[0] if key not in ("idf1", "found")}
    means = {key: float(np.mean([clip[key] for clip in clips])) for key in ("idf1", "found")}
    return {
        "schema": SCHEMA, "machine": describe_machine(), "detector": finder.name,
        "recognition": f"{found.name} beside their looks" if found else "their looks", "inputs": len(people),
        "shots": shots, "clips": clips, "all": summed | means,
    }  # fmt: skip


def count_errors(truth: Sequence[Sequence[int]], tracks: Sequence[FaceTrack], width: int) -> dict[str, Any]:
    """Count the errors of the identities that tracks have.

    Args:
        truth: of each frame the people in its parts, from left to right.
        tracks: of `track_faces`; a face is that of the part in which its centre lies.
        width: of the frames, pixels.

    Returns:
        `people` and `tracks`; `switches`, how often the number of a person changes from one frame in which the face is
        found to the next; `splits`, the numbers that people have beyond one each; `merges`, the people that numbers
        have beyond one each, for 0.2 s or longer; `found`, the share of the faces that are in a track; `idf1`.

    Source: Ristani et al., "Performance Measures and a Data Set for Multi-Target, Multi-Camera Tracking", 2016 (IDF1).
    """
    people = sorted({person for shown in truth for person in shown})
    counts = np.zeros((len(people), len(tracks)), np.int64)
    numbers: dict[int, list[tuple[int, int]]] = {person: [] for person in people}
    for column, track in enumerate(tracks):
        centres = box_centres(track.boxes_xyxy)[:, 0]
        for frame, centre in zip(track.frames.tolist(), centres.tolist(), strict=True):
            shown = truth[frame]
            person = shown[min(max(int(centre * len(shown) / width), 0), len(shown) - 1)]
            counts[people.index(person), column] += 1
            numbers[person].append((frame, column))
    shared = counts >= 0.2 * FPS
    rows, columns = linear_sum_assignment(-counts)
    total, found = sum(map(len, truth)), int(counts.sum())
    sequences = [[column for _, column in sorted(seen)] for seen in numbers.values()]
    return {
        "people": len(people),
        "tracks": len(tracks),
        "switches": sum(one != two for sequence in sequences for one, two in pairwise(sequence)),
        "splits": int(np.maximum((counts > 0).sum(1) - 1, 0).sum()),
        "merges": int(np.maximum(shared.sum(0) - 1, 0).sum()),
        "found": min(1.0, found / total),
        "idf1": 2 * int(counts[rows, columns].sum()) / (total + found),
    }
