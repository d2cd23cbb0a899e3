"""A video -> where in each face and when the answer comes from, on the windows that the prediction is made of.

Shape letters: N frames of a face, T frames of a window that the model sees, (T', H, W) the grid of its maps.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dfer.batches.sampling import evenly_spread
from dfer.errors import UsageError, VideoError
from dfer.explanation.maps import Method, explain_clips
from dfer.explanation.occlusion import MAX_PIECES, cut_pieces, occluded_logits
from dfer.explanation.sanity import SanityCheck, check_sanity
from dfer.faces.tracking.clock import Clock, clock_of
from dfer.model.pixels import prepare_clips
from dfer.prediction.predictor import Analysis, Predictor
from dfer.prediction.windows import Cell, Window, iter_window_crops
from dfer.records import FacePrediction, FaceTrack
from dfer.runtime.formatting import pluralize
from dfer.video import FrameSource

NUM_SHOWN = 8  # moments of a face on the contact sheet
MAX_STEPS = 400  # of time in a long video: its pieces are longer, so that it takes little longer than a prediction
SANITY_CLIPS = 4
_FAINT = 0.2  # of the strongest frames' maps: one that is weaker looks weaker

Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class Moment:
    """A moment of a face to show.

    Attributes:
        place: of the frame in the face's arrays.
        crop: uint8 [S, S, 3], RGB.
    """

    place: int
    crop: NDArray[np.uint8]


@dataclass(frozen=True)
class FaceExplanation:
    """The explanation of the answer for one face.

    Attributes:
        id: of the face, as in the prediction.
        label: the class that is explained.
        frames: int64 [N], indices of the frames that show the face.
        times_s: float64 [N], when they appear.
        probability: float32 [N], of the class in the segment of each frame.
        importance: float32 [N], the probability of the class that is lost without the piece of time around each frame,
            the mean over the windows that see it; NaN where no window does.
        maps: float32 [N, H, W] over the aligned crop, see `dfer.explanation.maps`; NaN where no window sees the frame.
        moments: evenly spread over the frames.
    """

    id: int
    label: str
    frames: NDArray[np.int64]
    times_s: NDArray[np.float64]
    probability: NDArray[np.float32]
    importance: NDArray[np.float32]
    maps: NDArray[np.float32]
    moments: list[Moment] = field(default_factory=list)

    @property
    def heat(self) -> NDArray[np.float32]:
        """The maps scaled for pictures, float32 [N, H, W]: 1 for the strongest place of a frame.

        0 is nothing or against the class; for maps that are nowhere negative, as by attention, their median. Where a
        frame's map is much weaker than those of others, its strongest place has less than 1.
        """
        maps = np.nan_to_num(self.maps)
        base = 0.0 if (maps < 0).any() else float(np.median(maps))
        tops = maps.max(axis=(1, 2)) - base
        tops = np.maximum(tops, _FAINT * np.quantile(tops, 0.95))[:, None, None]
        return np.asarray(np.clip((maps - base) / np.maximum(tops, 1e-12), 0, 1), np.float32)


@dataclass(frozen=True)
class Explanation:
    """The explanation of the answers about a video.

    Attributes:
        analysis: the prediction, with the frames and tracks behind it.
        method: of the maps.
        faces: that were asked for, each with its track.
        sanity: the check of the maps, if it was asked for.
    """

    analysis: Analysis
    method: Method
    faces: list[tuple[FaceExplanation, FaceTrack]]
    sanity: SanityCheck | None = None


class Explainer:
    """Explains the answers of a predictor.

    Args:
        predictor: gives the answers.
        method: "gradient" for what speaks for the class, "attention" for what the attention's weights let through.
        label: the class to explain; None for each face's answer.
        face: the face to explain; None for all that the predictor answers about.
        sanity: check that random weights destroy the maps.

    Raises:
        UsageError: the model has no such class, or no such map.
    """

    def __init__(
        self,
        predictor: Predictor,
        *,
        method: Method = "gradient",
        label: str | None = None,
        face: int | None = None,
        sanity: bool = False,
    ) -> None:
        labels = predictor.info.labels
        if label is not None and label not in labels:
            near = difflib.get_close_matches(label, labels, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}?" if near else f"it knows {', '.join(labels)}"
            raise UsageError(f"the model knows no class {label!r}", where="--class", hint=hint)
        self.predictor, self.method, self.label, self.face, self.sanity = predictor, method, label, face, sanity
        self._explain(torch.zeros(1, 1, 8, 8, 3, dtype=torch.uint8), 0)  # a model without such a map is refused at once

    def __call__(self, source: FrameSource | str | Path, on_progress: Progress | None = None) -> Explanation:
        """Explain the answers about one video, frame folder or image.

        Args:
            source: the file or folder, or its frames.
            on_progress: called with the pass ("detect", "recognise", "explain" or "check") and its progress, 0..1.

        Raises:
            VideoError: it cannot be read, or shows no face.
            UsageError: there is no face of that number.
        """
        progress = on_progress or (lambda _stage, _done: None)
        analysis = self.predictor.analyse(source, progress)
        chosen = self._choose(analysis)
        clock = clock_of(analysis.source)
        work = [_FaceWork(self.predictor, face, track, clock, self._class_of(face)) for face, track in chosen]
        clips: list[tuple[NDArray[np.uint8], int]] = []
        tracks = [track for _, track in chosen]
        windows = [(number, window) for number, item in enumerate(work) for window in item.windows]
        kept = set(evenly_spread(len(windows), min(SANITY_CLIPS, len(windows)))) if self.sanity else set()
        in_windows = iter_window_crops(
            analysis.source,
            tracks,
            windows,
            lambda frame, face, place: self.predictor.crop_face(frame, tracks[face].landmarks[place]),
        )
        for done, ((number, window), images) in enumerate(in_windows):
            sampled = np.array(window.sampled) - window.places.start
            self._add(work[number], window, images, sampled)
            if done in kept:
                clips.append((images[sampled], work[number].label))
            progress("explain", (done + 1) / len(windows))
        faces = [(item.result(self.predictor.info.labels, clock), item.track) for item in work]
        return Explanation(analysis, self.method, faces, self._check(clips, progress) if clips else None)

    def _choose(self, analysis: Analysis) -> list[tuple[FacePrediction, FaceTrack]]:
        pairs = list(zip(analysis.prediction.faces, analysis.tracks, strict=True))
        source = analysis.prediction.source
        if not pairs:
            raise VideoError(f"no face found in {pluralize(analysis.source.num_frames, 'frame')}", where=source)
        chosen = [pair for pair in pairs if self.face in (None, pair[0].id)]
        if not chosen:
            last = pairs[-1][0].id
            hint = f"faces are numbered 0 to {last}" if last else "the only face is 0"
            raise UsageError(f"no face {self.face}", where=source, hint=hint)
        return chosen

    def _class_of(self, face: FacePrediction) -> int:
        return self.predictor.info.labels.index(face.label if self.label is None else self.label)

    def _clip(self, frames: Tensor) -> Tensor:
        return prepare_clips(frames.to(self.predictor.device), self.predictor.model.config.image_size)

    def _explain(self, frames: Tensor, label: int) -> NDArray[np.float32]:
        model = self.predictor.model
        if frames.shape[1] == 1:
            frames = frames.expand(-1, model.config.num_frames, -1, -1, -1)
        maps = explain_clips(model, self._clip(frames), [label], method=self.method, mirror=self.predictor.mirror)
        return maps[0].cpu().numpy()

    def _add(self, work: _FaceWork, window: Window, images: NDArray[np.uint8], sampled: NDArray[np.int64]) -> None:
        """Explain one window of a face, and put what its frames get from it into the face's arrays."""
        predictor, frames = self.predictor, torch.from_numpy(images[sampled][None])
        work.add_maps(window, sampled, self._explain(frames, work.label), images)
        if not work.needs_time(window):
            return
        clip, pieces = self._clip(frames), cut_pieces(len(sampled), work.pieces)
        with torch.no_grad():
            whole = predictor.model.head(predictor.model.clip_features(clip, mirror=predictor.mirror))
        without = occluded_logits(predictor.model, clip, pieces, mirror=predictor.mirror)[0]
        logits = torch.cat([whole.float(), without]).cpu().numpy()
        answers = predictor.answering.probabilities(logits)[:, work.label]
        work.add_importance(window, sampled, pieces, answers[0] - answers[1:])

    def _check(self, clips: Sequence[tuple[NDArray[np.uint8], int]], progress: Progress) -> SanityCheck:
        frames = torch.from_numpy(np.stack([images for images, _ in clips]))
        return check_sanity(
            self.predictor.model,
            self._clip(frames),
            [label for _, label in clips],
            method=self.method,
            on_progress=lambda done: progress("check", done),
        )


class _FaceWork:
    """The explanation of a face while its windows come."""

    def __init__(self, predictor: Predictor, face: FacePrediction, track: FaceTrack, clock: Clock, label: int) -> None:
        self.face, self.track, self.label = face, track, label
        self.cells = predictor.cut_time(track, clock)
        self.windows = list(dict.fromkeys(cell.window for cell in self.cells))
        count = len(track.frames)
        longest = max(len(window.places) for window in self.windows)
        self.pieces = min(MAX_PIECES, max(2, math.ceil(MAX_STEPS * longest / count)))
        self._by_window: dict[Window, list[Cell]] = {}
        for cell in self.cells:
            self._by_window.setdefault(cell.window, []).append(cell)
        self._maps: NDArray[np.float32] | None = None
        self._sum, self._seen = np.zeros(count), np.zeros(count, np.int64)
        self._timed_to = 0
        self._to_show = set(evenly_spread(count, min(NUM_SHOWN, count)))
        self._moments: list[Moment] = []

    def add_maps(
        self, window: Window, sampled: NDArray[np.int64], maps: NDArray[np.float32], images: NDArray[np.uint8]
    ) -> None:
        """Give each frame of the window's cells its map, between those of the sampled frames around it."""
        if self._maps is None:
            self._maps = np.full((len(self.track.frames), *maps.shape[1:]), np.nan, np.float32)
        for cell in self._by_window[window]:
            places = np.array([place for place in cell.places if place in window.places])
            if not len(places):
                continue
            at = np.interp(places - window.places.start, *_unique(sampled))  # in sampled frames
            steps = np.clip((at + 0.5) * len(maps) / len(sampled) - 0.5, 0, len(maps) - 1)
            before = steps.astype(int)
            after = np.minimum(before + 1, len(maps) - 1)
            share = (steps - before)[:, None, None]
            self._maps[places] = (1 - share) * maps[before] + share * maps[after]
            self._moments += [Moment(p, images[p - window.places.start]) for p in places.tolist() if p in self._to_show]

    def needs_time(self, window: Window) -> bool:
        """Return whether the windows so far leave a part of this one's time out."""
        cells = self._by_window[window]
        return cells[-1].places.stop > self._timed_to and cells[-1].places.start < window.places.stop

    def add_importance(
        self, window: Window, sampled: NDArray[np.int64], pieces: Sequence[range], drops: NDArray[np.float64]
    ) -> None:
        """Give each frame of a window the drop of the piece that the sampled frame nearest to it belongs to."""
        of_sample = np.concatenate([[number] * len(piece) for number, piece in enumerate(pieces)]).astype(int)
        nearest = np.abs(np.arange(len(window.places))[:, None] - sampled[None]).argmin(axis=1)
        places = slice(window.places.start, window.places.stop)
        self._sum[places] += drops[of_sample[nearest]]
        self._seen[places] += 1
        self._timed_to = window.places.stop

    def result(self, labels: Sequence[str], clock: Clock) -> FaceExplanation:
        """Return the explanation."""
        times = clock.starts_s[self.track.frames]
        segments = self.face.segments
        ends = np.array([segment.end for segment in segments])
        of_frame = np.minimum(np.searchsorted(ends, times + 1e-6, side="right"), len(segments) - 1)
        label = labels[self.label]
        probability = np.array([segment.probabilities[label] for segment in segments], np.float32)[of_frame]
        with np.errstate(invalid="ignore"):
            importance = (self._sum / np.where(self._seen, self._seen, np.nan)).astype(np.float32)
        if self._maps is None:
            raise VideoError("no frame of the face could be decoded")
        moments = sorted(self._moments, key=lambda moment: moment.place)
        return FaceExplanation(
            self.face.id, label, self.track.frames, times, probability, importance, self._maps, moments
        )


def _unique(sampled: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the sampled frames, each once, and the mean position of each in the sample."""
    frames, inverse = np.unique(sampled, return_inverse=True)
    positions = np.bincount(inverse, np.arange(len(sampled))) / np.bincount(inverse)
    return frames, positions
