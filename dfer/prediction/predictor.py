"""Any video -> Prediction: detect, track and align as preprocessing does, then a window of frames at a time.

Two passes over the video, detection and then recognition, keep memory flat however long it is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from dfer.batches.sampling import sample_frames
from dfer.errors import UsageError
from dfer.faces.align import align_face, alignment_settings, require_same_alignment, resize_crop
from dfer.faces.detectors import build_detector
from dfer.faces.tracking.track import choose_main_track, track_faces
from dfer.model.calibration import class_probabilities
from dfer.model.checkpoint import load_checkpoint
from dfer.model.pixels import prepare_clips
from dfer.prediction.windows import Cell, Window, cut_cells
from dfer.pretrained import pretrained_name
from dfer.records import FacePrediction, FaceTrack, Prediction, Segment
from dfer.runs import default_checkpoint, find_checkpoint
from dfer.runtime.device import choose_device
from dfer.video import FrameSource, open_frames

BATCH_WINDOWS = 8


@dataclass(frozen=True)
class Analysis:
    """A prediction with what it was made from, for drawing it on the video."""

    prediction: Prediction
    source: FrameSource
    tracks: list[FaceTrack]


class Predictor:
    """Answers which emotion the faces in a video show, over time.

    Args:
        checkpoint: a `.safetensors` file that `dfer train` wrote, or the name of shipped weights, "default"; None for
            $DFER_CHECKPOINT, else the newest run's, else the shipped ones.
        detector: "auto", or a key of `dfer.faces.detectors.DETECTORS`.
        detector_weights: file or folder of the detector's weights.
        device: "auto", "cpu" or "cuda".
        faces: "main" for the most prominent face, "all" for every one that is tracked.
        stride: seconds of a segment of the timeline; None for as many consecutive frames as the model looks at.
        window: seconds around the middle of a segment that the model's frames are spread over, as training spreads
            them over a clip; None for what a training clip lasted. Never fewer frames than the model looks at.

    Raises:
        DferError: no checkpoint, a checkpoint that cannot be used, or no detector.
    """

    def __init__(
        self,
        checkpoint: str | Path | None = None,
        *,
        detector: str = "auto",
        detector_weights: str | Path | None = None,
        device: str = "auto",
        faces: str = "main",
        stride: float | None = None,
        window: float | None = None,
    ) -> None:
        if faces not in ("main", "all"):
            raise UsageError(f"faces must be main or all, not {faces!r}")
        for name, value in (("stride", stride), ("window", window)):
            if value is not None and not value > 0:
                raise UsageError(f"the {name} must be above 0 seconds, not {value}", where=f"--{name}")
        self.checkpoint = default_checkpoint() if checkpoint is None else find_checkpoint(checkpoint)
        self.device = choose_device(device)
        self.model, self.info = load_checkpoint(self.checkpoint, self.device)
        weights = Path(detector_weights) if detector_weights is not None else None
        self.detector = build_detector(detector, weights)
        if not self.detector.aligned_input:
            here = alignment_settings(self.info.crop_size)
            require_same_alignment(self.info.alignment, here, where=str(self.checkpoint))
        self.faces, self.stride, self.window = faces, stride, window

    def __call__(
        self, source: str | Path | FrameSource, on_progress: Callable[[str, float], None] | None = None
    ) -> Prediction:
        """The answer about one video, frame folder or image.

        Args:
            source: the file or folder, or its frames.
            on_progress: called with the pass ("detect" or "recognise") and its progress, 0..1.

        Raises:
            VideoError: it cannot be read.
        """
        return self.analyse(source, on_progress).prediction

    def analyse(
        self, source: str | Path | FrameSource, on_progress: Callable[[str, float], None] | None = None
    ) -> Analysis:
        """As calling it, with the tracks behind the answer."""
        progress = on_progress or (lambda _stage, _done: None)
        frames = source if isinstance(source, FrameSource) else open_frames(Path(source))
        tracks = self._tracks(frames, progress)
        num_frames = self.model.config.num_frames
        window_s = self.info.clip_s if self.window is None else self.window
        window = max(num_frames, round(window_s * frames.fps))
        stride = num_frames if self.stride is None else max(1, round(self.stride * frames.fps))
        timelines = [cut_cells(track, face, stride=stride, window=window) for face, track in enumerate(tracks)]
        windows = list(dict.fromkeys(cell.window for cells in timelines for cell in cells))
        probabilities = self._recognise(frames, tracks, windows, progress)
        prediction = Prediction(
            source=str(frames.path if isinstance(source, FrameSource) else source),
            duration=frames.duration,
            fps=frames.fps,
            num_frames=frames.num_frames,
            model={
                "name": self.info.model_name,
                "checkpoint": pretrained_name(self.checkpoint) or str(self.checkpoint),
                "labels": self.info.labels,
            },
            faces=[
                self._face(face, track, frames, [(cell, probabilities[cell.window]) for cell in cells])
                for face, (track, cells) in enumerate(zip(tracks, timelines, strict=True))
            ],
            warnings=self._warnings(frames, tracks),
        )
        return Analysis(prediction, frames, tracks)

    # ---- the two passes

    def _tracks(self, source: FrameSource, progress: Callable[[str, float], None]) -> list[FaceTrack]:
        if self.detector.aligned_input:
            return [_whole_frames(source)]
        watched = _watch(source.iter_frames(), lambda index: progress("detect", (index + 1) / source.num_frames))
        tracks = track_faces(watched, self.detector, fps=source.fps)
        if self.faces == "main":
            main = choose_main_track(tracks, source.size_hw, source.num_frames)
            tracks = [] if main is None else [main]
        return [replace(track, track_id=number) for number, track in enumerate(tracks)]

    @torch.inference_mode()
    def _recognise(
        self,
        source: FrameSource,
        tracks: Sequence[FaceTrack],
        windows: Sequence[Window],
        progress: Callable[[str, float], None],
    ) -> dict[Window, NDArray[np.float64]]:
        """Class probabilities float64 [C] of each window."""
        results: dict[Window, NDArray[np.float64]] = {}
        batch: list[tuple[Window, NDArray[np.uint8]]] = []

        def flush() -> None:
            if batch:
                clips = torch.from_numpy(np.stack([frames for _, frames in batch])).to(self.device)
                logits = self.model(prepare_clips(clips, self.model.config.image_size)).cpu().numpy()
                probabilities = class_probabilities(logits, self.info.temperature)
                results.update(zip((w for w, _ in batch), probabilities, strict=True))
                batch.clear()
                progress("recognise", len(results) / len(windows))

        for window, crops in self._window_crops(source, tracks, windows):
            config = self.model.config
            chosen = sample_frames(len(crops), config.num_frames, self.info.segments)
            batch.append((window, crops[chosen]))
            if len(batch) == BATCH_WINDOWS:
                flush()
        flush()
        return results

    def _window_crops(
        self, source: FrameSource, tracks: Sequence[FaceTrack], windows: Sequence[Window]
    ) -> Iterator[tuple[Window, NDArray[np.uint8]]]:
        """Each window with its aligned crops, uint8 [N, S, S, 3], from one pass over the frames they need."""
        waiting: list[deque[Window]] = [deque() for _ in tracks]
        wanted: dict[int, list[tuple[int, int]]] = {}  # frame -> (face, place in its track)
        for window in windows:
            waiting[window.face].append(window)
            for place in range(window.first, window.last + 1):
                wanted.setdefault(int(tracks[window.face].frames[place]), []).append((window.face, place))
        held: list[dict[int, NDArray[np.uint8]]] = [{} for _ in tracks]
        for index, frame in source.iter_frames(sorted(wanted)):
            for face, place in dict.fromkeys(wanted[index]):
                held[face][place] = self._crop(frame, tracks[face].landmarks[place])
                queue = waiting[face]
                while queue and queue[0].last == place:
                    window = queue.popleft()
                    yield window, np.stack([held[face][n] for n in range(window.first, window.last + 1)])
                    keep_from = queue[0].first if queue else place + 1
                    held[face] = {n: crop for n, crop in held[face].items() if n >= keep_from}

    def _crop(self, frame: NDArray[np.uint8], landmarks: NDArray[np.float32]) -> NDArray[np.uint8]:
        size = self.info.crop_size
        return resize_crop(frame, size) if self.detector.aligned_input else align_face(frame, landmarks, size)

    # ---- the answer

    def _face(
        self,
        number: int,
        track: FaceTrack,
        source: FrameSource,
        answers: Sequence[tuple[Cell, NDArray[np.float64]]],
    ) -> FacePrediction:
        segments, lengths = [], []
        height, width = source.size_hw
        for cell, probabilities in answers:
            start, end = _span(source, int(track.frames[cell.first]), int(track.frames[cell.last]))
            box = track.boxes_xyxy[cell.first : cell.last + 1].mean(0)
            # Detectors guess the part of a face that lies outside the frame.
            x1, y1, x2, y2 = (float(value) for value in np.clip(box, 0, (width, height, width, height)))
            segments.append(
                Segment(start, end, *self._named(probabilities), box=(x1, y1, x2, y2))  # label, probabilities
            )
            lengths.append(end - start)
        average = np.average([probabilities for _, probabilities in answers], axis=0, weights=lengths)
        start, end = _span(source, int(track.frames[0]), int(track.frames[-1]))
        return FacePrediction(number, start, end, *self._named(average), segments=segments)

    def _named(self, probabilities: NDArray[np.float64]) -> tuple[str, dict[str, float]]:
        probabilities = probabilities / probabilities.sum()
        named = {label: float(value) for label, value in zip(self.info.labels, probabilities, strict=True)}
        return self.info.labels[int(probabilities.argmax())], named

    def _warnings(self, source: FrameSource, tracks: Sequence[FaceTrack]) -> list[str]:
        warnings = [self.info.notice] if self.info.notice else []
        if not tracks:
            warnings.append(f"no face found in {source.num_frames} frames")
        warnings += source.warnings
        trained_with = self.info.data.get("detector")
        if tracks and not self.detector.aligned_input and trained_with not in (self.detector.name, None):
            warnings.append(f"faces were found with {self.detector.name}, in training with {trained_with}")
        return warnings


def _span(source: FrameSource, first: int, last: int) -> tuple[float, float]:
    """From the moment a frame appears to the moment another disappears, seconds."""
    times = source.times_s
    end = times[last + 1] if last + 1 < len(times) else max(source.duration, times[last])
    return float(times[first]), float(end)


def _whole_frames(source: FrameSource) -> FaceTrack:
    height, width = source.size_hw
    count = source.num_frames
    return FaceTrack(
        track_id=0,
        frames=np.arange(count),
        boxes_xyxy=np.tile(np.array([0, 0, width, height], np.float32), (count, 1)),
        landmarks=np.zeros((count, 5, 2), np.float32),
        detected=np.ones(count, np.bool_),
        score=1.0,
    )


def _watch(
    frames: Iterator[tuple[int, NDArray[np.uint8]]], seen: Callable[[int], None]
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    for index, frame in frames:
        yield index, frame
        seen(index)
