"""Answers about a stream while it runs: what each face shows, from the last second of it.

Detection goes on while the model works, on another core. The model is asked again as soon as it has answered and a
stride has passed, so that the answers stay near the newest frame however slow the machine is.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dfer.batches.sampling import sample_frames
from dfer.faces.align import align_face, resize_crop
from dfer.faces.quality import PictureQuality, measure_crop
from dfer.faces.tracking.follow import FaceFollower, Followed
from dfer.prediction.faces import predict_face
from dfer.prediction.predictor import Predictor
from dfer.prediction.windows import MIN_STRIDE_S, STILLS_WINDOW_S, Cell, Window, default_window_s
from dfer.records import Face, FacePrediction, FaceTrack
from dfer.runtime.machine import usable_cores
from dfer.video.live import LiveFrame

STRIDE_S = 0.25  # between answers, at least
_GONE_S = 0.3  # a face that was not seen for so long is not answered about
_BUDGET_S = 0.25  # for the backbone, in each answer
_FIRST_LOOKS = 2  # that tell how long one takes
_EARLY = 0.75  # of the time between two looks: frames do not come exactly when they should
_SWITCH = 1.5  # another face must be so much larger to become the main one


@dataclass(frozen=True)
class LiveAnswer:
    """The answer about the faces in a stretch of time, of one segment each.

    Attributes:
        start: when it begins, seconds of the stream.
        end: when the newest frame that it knows of was shown.
        faces: those that were seen.
        came_s: when the newest frame came, by `time.monotonic`.
    """

    start: float
    end: float
    faces: list[FacePrediction]
    came_s: float


@dataclass
class _Look:
    """A face in a frame.

    Attributes:
        time_s: when it is shown.
        crop: the aligned face, uint8 [S, S, 3].
        picture: its quality.
        face: how it was found.
        maps: what the model's backbone makes of it and, if that counts, of its mirror image: [looks, ...]; None until
            it was asked.
    """

    time_s: float
    crop: NDArray[np.uint8]
    picture: PictureQuality
    face: Face
    maps: Tensor | None = None


_Seen = deque[_Look]  # the last second of a face


@dataclass(frozen=True)
class _Question:
    """The model's next task: windows of crops of some faces, and what else their answers are made from."""

    start: float
    frame: LiveFrame
    seen: dict[int, list[_Look]]


class LiveRecogniser:
    """Answers about the faces of a stream. Use it as a context manager: the model works in a thread.

    Args:
        predictor: its model, detector and settings; `stride` is the least time between answers, a quarter
            of a second by default.
    """

    def __init__(self, predictor: Predictor) -> None:
        self._predictor, info = predictor, predictor.info
        self._recogniser = predictor.recogniser()
        self._follower = FaceFollower(predictor.detector)
        self._window_s = predictor.window or default_window_s(info.clip_s, STILLS_WINDOW_S)
        self._stride_s = predictor.stride or STRIDE_S
        # As many as the model looks at, so that it sees each of them in every window: the backbone runs once for each.
        self._step_s = self._window_s / predictor.model.config.num_frames
        self._seen: dict[int, _Seen] = {}
        self._look_s = 0.0  # that the backbone takes for a look, lately; 0 until it is known
        self._main: int | None = None
        self._asked_s = -np.inf
        self._waiting: Future[LiveAnswer] | None = None
        # The other cores decode and detect meanwhile; threads of the model that wait for each other's core would
        # take several times as long.
        self._pool = ThreadPoolExecutor(1, "model", torch.set_num_threads, (max(1, usable_cores() // 2),))

    def __enter__(self) -> LiveRecogniser:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def look(self, frame: LiveFrame) -> list[Followed]:
        """Find the faces of the next frame, and ask the model about them if it has answered what it was asked before.

        Returns:
            The faces, of which `answer` speaks by their numbers.
        """
        followed = self._choose(self._follow(frame))
        for number, face in followed:
            seen = self._seen.setdefault(number, deque())
            if not seen or frame.time_s - seen[-1].time_s >= _EARLY * self._step_s:
                crop = self._crop(frame.rgb, face)
                seen.append(_Look(frame.time_s, crop, measure_crop(crop), face))
        for number, seen in list(self._seen.items()):
            while seen and seen[0].time_s < frame.time_s - self._window_s:
                seen.popleft()
            if not seen:
                del self._seen[number]
        if self._waiting is None and frame.time_s - self._asked_s >= self._stride_s - MIN_STRIDE_S:
            self._ask(frame)
        return followed

    def answer(self, *, wait: bool = False) -> LiveAnswer | None:
        """Return the model's answer if it has one; each is returned once.

        Args:
            wait: for the answer to what it was asked last.
        """
        if self._waiting is None or not (wait or self._waiting.done()):
            return None
        waiting, self._waiting = self._waiting, None
        return waiting.result()

    def _follow(self, frame: LiveFrame) -> list[Followed]:
        if not self._predictor.detector.aligned_input:
            return self._follower.follow(frame.rgb, frame.time_s)
        height, width = frame.rgb.shape[:2]
        return [Followed(0, Face(np.array([0, 0, width, height], np.float32), np.zeros((5, 2), np.float32), 1.0))]

    def _choose(self, followed: list[Followed]) -> list[Followed]:
        """Return all faces, or the main one: the largest, and the same as before unless another is clearly larger."""
        if self._predictor.faces == "all" or not followed:
            return followed
        sizes = {number: float(np.prod(face.box_xyxy[2:] - face.box_xyxy[:2])) for number, face in followed}
        largest = max(sizes, key=lambda number: sizes[number])
        if self._main not in sizes or sizes[largest] > _SWITCH * sizes[self._main]:
            self._main = largest
        return [one for one in followed if one.number == self._main]

    def _crop(self, frame_rgb: NDArray[np.uint8], face: Face) -> NDArray[np.uint8]:
        size = self._predictor.info.crop_size
        if self._predictor.detector.aligned_input:
            return resize_crop(frame_rgb, size)
        return align_face(frame_rgb, face.landmarks, size)

    def _ask(self, frame: LiveFrame) -> None:
        now_s, start = frame.time_s, max(self._asked_s, 0.0)
        seen = {
            number: list(looks)
            for number, looks in self._seen.items()
            if now_s - looks[-1].time_s <= _GONE_S + self._step_s
        }
        self._asked_s = now_s
        self._waiting = self._pool.submit(self._recognise, _Question(start, frame, seen))

    @torch.inference_mode()
    def _recognise(self, question: _Question) -> LiveAnswer:
        faces: list[FacePrediction] = []
        known = self._affordable(question.seen)
        if known:
            predictor = self._predictor
            count, segments = predictor.model.config.num_frames, predictor.info.segments
            clips = [
                [looks[place] for place in sample_frames(len(looks), count, segments).tolist()]
                for looks in known.values()
            ]
            logits = predictor.model.head(self._features(clips)).cpu().numpy()
            faces = [
                self._face(number, looks, row, question)
                for (number, looks), row in zip(known.items(), predictor.answering.probabilities(logits), strict=True)
            ]
        return LiveAnswer(question.start, question.frame.time_s, faces, question.frame.came_s)

    def _affordable(self, seen: dict[int, list[_Look]]) -> dict[int, list[_Look]]:
        """Return the looks that can be answered about in time, of every face the newest.

        Where the machine is slow, the backbone sees fewer of the new ones, spread over their time.
        """
        if not seen or not self._recogniser.sees_frames_alone:
            return seen
        most = max(1, int(_BUDGET_S / len(seen) / self._look_s)) if self._look_s else _FIRST_LOOKS
        kept = {}
        for number, looks in seen.items():
            new = [look for look in looks if look.maps is None]
            chosen = {id(new[place]) for place in np.linspace(len(new) - 1, 0, min(most, len(new)), dtype=int)}
            kept[number] = [look for look in looks if look.maps is not None or id(look) in chosen]
        return kept

    def _features(self, clips: Sequence[Sequence[_Look]]) -> Tensor:
        """Return the features [B, D] of B clips of T looks; the backbone runs for those that it has not seen yet."""
        if not self._recogniser.sees_frames_alone:
            return self._recogniser.clip_features([[look.crop for look in clip] for clip in clips])
        new = list({id(look): look for clip in clips for look in clip if look.maps is None}.values())
        if new:
            begun = time.monotonic()
            for look, maps in zip(new, self._recogniser.frame_maps([look.crop for look in new]), strict=True):
                look.maps = maps
            took_s = (time.monotonic() - begun) / len(new)
            self._look_s = 0.5 * (self._look_s or took_s) + 0.5 * took_s
        return self._recogniser.encode_maps([[_maps_of(look) for look in clip] for clip in clips])

    def _face(
        self, number: int, looks: Sequence[_Look], probabilities: NDArray[np.float64], question: _Question
    ) -> FacePrediction:
        """Return the answer about a face: a segment of what is new of it, with the quality of what was looked at."""
        count = len(looks)
        scores = np.array([look.face.score for look in looks], np.float32)
        track = FaceTrack(
            track_id=number,
            frames=np.arange(count),
            boxes_xyxy=np.stack([look.face.box_xyxy for look in looks]),
            landmarks=np.stack([look.face.landmarks for look in looks]),
            detected=np.ones(count, np.bool_),
            score=float(scores.mean()),
            scores=scores,
        )
        first = next((place for place, look in enumerate(looks) if look.time_s > question.start), count - 1)
        start = question.start if first else max(question.start, looks[0].time_s)
        window = Window(range(count), tuple(range(count)))
        cell = Cell(start, max(question.frame.time_s, start + MIN_STRIDE_S), range(first, count), window)
        return predict_face(
            track,
            [cell],
            probabilities[None],
            np.array([look.picture for look in looks], np.float32),
            self._predictor.info.labels,
            size_hw=(question.frame.rgb.shape[0], question.frame.rgb.shape[1]),
            smooth=False,
        )


def _maps_of(look: _Look) -> Tensor:
    assert look.maps is not None  # for mypy: the backbone has seen all that are asked about
    return look.maps
