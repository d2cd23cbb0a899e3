"""Any video -> Prediction: detect, track and align as preprocessing does, then classify windows of frames.

Two passes over the video, detection and then recognition, keep memory flat however long it is.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from dfer.errors import UsageError
from dfer.faces.align import align_face, alignment_settings, require_same_alignment, resize_crop, template_points
from dfer.faces.detectors import build_detector, choose_detector
from dfer.faces.quality import PictureQuality, measure_crop
from dfer.faces.recognition import FaceEncoder, find_recognition_weights
from dfer.faces.tracking.clock import Clock, clock_of
from dfer.faces.tracking.track import track_faces, track_main_face, whole_frames
from dfer.model.checkpoint import load_checkpoint
from dfer.model.priors import choose_answering
from dfer.names import name_text
from dfer.prediction.faces import predict_face
from dfer.prediction.recognition import Recogniser, count_frames
from dfer.prediction.runtimes import AUTO, build_engine, require_runtime
from dfer.prediction.time_left import TimeLeft
from dfer.prediction.windows import (
    MIN_STRIDE_S,
    Cell,
    FaceWindow,
    Sampling,
    cut_cells,
    default_stride_s,
    default_window_s,
    iter_crops,
)
from dfer.pretrained import pretrained_name
from dfer.records import FaceTrack, Prediction
from dfer.records.bins import check_bin, cut_bins, stride_within
from dfer.runs import default_checkpoint, find_checkpoint
from dfer.runtime.device import choose_device
from dfer.runtime.files import sha256_of
from dfer.runtime.formatting import pluralize
from dfer.version import __version__
from dfer.video import FrameSource, frames_source, open_frames
from dfer.video.limits import check_rate

_REHEARSE_FROM = 400  # frames; of a shorter video, recognition is expected to take as long as detection
_REHEARSED_S = 10.0  # of video

Progress = Callable[[str, float], None]
Frame = NDArray[np.uint8]
Source = str | Path | FrameSource | ArrayLike | Sequence[ArrayLike]


@dataclass(frozen=True)
class Analysis:
    """A prediction with the frames and tracks it was made from, for drawing it on the video."""

    prediction: Prediction
    source: FrameSource
    tracks: list[FaceTrack]


class Predictor:
    """Predicts which emotions the faces in a video show, over time.

    Args:
        checkpoint: a `.safetensors` file that `dfer train` wrote, the folder of a fold or run, or the name of shipped
            weights, "default"; None for $DFER_CHECKPOINT, else the shipped default weights.
        detector: "auto", or a key of `dfer.faces.detectors.DETECTORS`.
        detector_weights: file or folder of the detector's weights.
        device: "auto", "cpu" or "cuda".
        faces: "main" for the most prominent face, "all" for every one that is tracked.
        stride: seconds of a segment of the timeline; None for as long as the model's frames in a row, taken at 20 to
            30 frames a second, and never shorter than one frame is shown.
        window: seconds around the middle of a segment that the model's frames are spread over, as training spreads
            them over a clip; None for what a training clip lasted, for a model of stills 1 second, or the default
            length of a segment if that is more.
        prior: how often each emotion is expected: "balanced", "training", a data set or a file, see
            `dfer.model.priors.choose_answering`; None for the checkpoint's default.
        mirror: average each window with its mirror image, for twice the computation; None for what the checkpoint says.
        fps: frames per second of sources without times, such as frame folders; 25 by default.
        bin: seconds of a bin of the regular grid on which the prediction answers as well; None for no grid. Segments
            then fill a bin exactly, unless `stride` is given.
        smooth: smooth the timeline lightly, see `dfer.prediction.smoothing`.
        recognition_weights: a network whose embeddings say who is who after a cut, or "none"; None for the one that is
            found, see `dfer.faces.recognition.find_recognition_weights`.
        runtime: of `dfer.prediction.runtimes.RUNTIMES`, which runs the model; "auto" for the fastest at hand that keeps
            its answers.

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
        prior: str | Path | None = None,
        mirror: bool | None = None,
        fps: float | None = None,
        bin: float | None = None,
        smooth: bool = True,
        recognition_weights: str | Path | None = None,
        runtime: str = AUTO,
    ) -> None:
        if faces not in ("main", "all"):
            raise UsageError(f"faces must be main or all, not {faces!r}")
        for name, value in (("stride", stride), ("window", window)):
            if value is not None and not MIN_STRIDE_S <= value < math.inf:
                raise UsageError(
                    f"the {name} must be above 0, at least {MIN_STRIDE_S} seconds, not {value}", where=f"--{name}"
                )
        check_bin(bin)
        require_runtime(runtime)
        check_rate(fps)
        self.checkpoint = default_checkpoint() if checkpoint is None else find_checkpoint(checkpoint)
        self.device = choose_device(device)
        self.model, self.info = load_checkpoint(self.checkpoint, self.device)
        self.answering = choose_answering(self.info, None if prior is None else str(prior), where=self.checkpoint)
        self.mirror = self.info.mirror if mirror is None else mirror
        weights = Path(detector_weights) if detector_weights is not None else None
        name, self.detector_weights = choose_detector(detector, weights)
        self.detector = build_detector(name, self.detector_weights)
        if not self.detector.aligned_input:
            here = alignment_settings(self.info.crop_size)
            require_same_alignment(self.info.alignment, here, where=str(self.checkpoint))
        self.faces, self.stride, self.window, self.fps, self.bin = faces, stride, window, fps, bin
        self.smooth = smooth
        found = None if self.detector.aligned_input else find_recognition_weights(recognition_weights)
        self.encoder = FaceEncoder(found) if found else None
        self._face_s: float | None = None  # that recognition takes for a second of a face; None until it was measured
        self.runtime, self.engine = build_engine(runtime, self.model, self.device)

    @property
    def description(self) -> dict[str, Any]:
        """The model as predictions name it."""
        return {
            "name": self.info.model_name,
            "checkpoint": pretrained_name(self.checkpoint) or name_text(self.checkpoint),
            "labels": self.info.labels,
            "prior": self.answering.prior,
            "mirror": self.mirror,
        }

    @property
    def settings(self) -> dict[str, Any]:
        """All that the answer about a video depends on, as JSON has it. Files are named by their SHA-256."""
        weights, shift = self.detector_weights, self.answering.shift
        calibration = repr((self.answering.temperature, None if shift is None else shift.tolist()))
        return {
            "dfer": __version__,
            **self.description,
            "weights": sha256_of(self.checkpoint),
            "calibration": hashlib.sha256(calibration.encode()).hexdigest(),
            "detector": self.detector.name,
            "detector_weights": None if weights is None else sha256_of(weights),
            "recognition_weights": None if self.encoder is None else sha256_of(self.encoder.weights),
            "faces": self.faces,
            "stride": self.stride,
            "window": self.window,
            "fps": self.fps,
            "bin": self.bin,
            "smooth": self.smooth,
            "runtime": self.runtime,
        }

    def __call__(self, source: Source, on_progress: Progress | None = None, *, fps: float | None = None) -> Prediction:
        """Predict the emotions in one video, frame folder or image.

        Args:
            source: the file or folder, or its frames: an open source, an RGB array, uint8 [N, H, W, 3], or a list of
                frames [H, W, 3].
            fps: frames per second of frames without times; the predictor's by default.
            on_progress: called with the pass ("detect" or "recognise") and its progress, 0..1.

        Raises:
            VideoError: it cannot be read.
        """
        return self.analyse(source, on_progress, fps=fps).prediction

    def analyse(
        self,
        source: Source,
        on_progress: Progress | None = None,
        *,
        fps: float | None = None,
        time_left: TimeLeft | None = None,
    ) -> Analysis:
        """Predict as a call does, and return the tracks behind the answer as well; `time_left` is kept up to date."""
        left = time_left or TimeLeft()

        def progress(stage: str, done: float) -> None:
            (left.detected if stage == "detect" else left.recognised)(done)
            if on_progress:
                on_progress(stage, done)

        frames = _open(source, self.fps if fps is None else fps)
        clock = clock_of(frames)
        if time_left and self._face_s is None and frames.num_frames >= _REHEARSE_FROM:
            self._face_s = self._rehearse(clock, frames.size_hw)
        left.begin(
            num_frames=len(clock),
            face_frame_s=None if self._face_s is None else self._face_s * clock.usual_s,
            main_only=self.faces == "main",
            threads=self.recogniser().threads,
        )
        tracks = self._find_tracks(frames, clock, progress, left)
        timelines = [self.cut_time(track, clock) for track in tracks]
        windows = list(dict.fromkeys((face, cell.window) for face, cells in enumerate(timelines) for cell in cells))
        pictures = [np.full((len(track.frames), 2), np.nan, np.float32) for track in tracks]
        probabilities = self._recognise(frames, tracks, windows, pictures, progress)
        if left.face_frame_s:
            self._face_s = left.face_frame_s / clock.usual_s
        faces = [
            predict_face(
                track,
                cells,
                np.stack([probabilities[track.track_id, cell.window] for cell in cells]),
                pictures[track.track_id],
                self.info.labels,
                size_hw=frames.size_hw,
                smooth=self.smooth,
            )
            for track, cells in zip(tracks, timelines, strict=True)
        ]
        prediction = Prediction(
            source=name_text(source if isinstance(source, str | Path) else frames.path),
            duration=frames.duration,
            fps=frames.fps,
            num_frames=frames.num_frames,
            model=self.description,
            faces=faces,
            warnings=self._warnings(frames, tracks),
            bins=cut_bins(faces, bin_s=self.bin, end_s=frames.duration) if self.bin else None,
            notice=self.info.notice,
        )
        return Analysis(prediction, frames, tracks)

    def cut_time(self, track: FaceTrack, clock: Clock) -> list[Cell]:
        """Return the cells that a face's time is cut into, each with the window that its answer is based on.

        Args:
            track: the face.
            clock: when the video's frames are shown.
        """
        config = self.model.config
        default_s = default_stride_s(clock, config.num_frames)
        window_s = self.window or default_window_s(self.info.clip_s, default_s)
        stride_s = self.stride or (stride_within(self.bin, default_s) if self.bin else default_s)
        sampling = Sampling(window_s, config.num_frames, self.info.segments)
        return cut_cells(track, clock, stride_s=stride_s, sampling=sampling)

    def _find_tracks(self, source: FrameSource, clock: Clock, progress: Progress, left: TimeLeft) -> list[FaceTrack]:
        if self.detector.aligned_input:
            return [whole_frames(source.num_frames, source.size_hw)]
        watched = source.watch_frames(lambda done: progress("detect", done), around=left.wait_for)
        encode = self.encoder.encode if self.encoder else None
        if self.faces == "main":
            main = track_main_face(watched, self.detector, clock, source.size_hw, encode, left.saw)
            tracks = [] if main is None else [main]
        else:
            tracks = track_faces(watched, self.detector, clock, encode, left.saw)
        shown_s = clock.ends_s - clock.starts_s
        tracks.sort(key=lambda track: -shown_s[track.frames].sum())
        return [replace(track, track_id=number) for number, track in enumerate(tracks)]

    @torch.inference_mode()
    def _recognise(
        self,
        source: FrameSource,
        tracks: Sequence[FaceTrack],
        windows: Sequence[FaceWindow],
        pictures: Sequence[NDArray[np.float32]],
        progress: Progress,
    ) -> dict[FaceWindow, NDArray[np.float64]]:
        """Return the class probabilities, float64 [C], of each window.

        Args:
            source: the video.
            tracks: its faces.
            windows: each once; those of a face in order of time.
            pictures: of each face, float32 [frames, 2]; filled with the quality of the crops that the model sees.
            progress: called with the pass and its progress.
        """

        def crop(frame: Frame, face: int, place: int) -> Frame:
            image, pictures[face][place] = self._crop(frame, tracks[face].landmarks[place])
            return image

        sampled = ((face, window.sampled) for face, window in windows)
        crops = iter_crops(source, tracks, sampled, crop)
        results: dict[FaceWindow, NDArray[np.float64]] = {}
        for done, features in self.recogniser().features(windows, crops, lambda share: progress("recognise", share)):
            probabilities = self.answering.probabilities(self.model.head(features).cpu().numpy())
            results.update(zip(done, probabilities, strict=True))
        return results

    def _rehearse(self, clock: Clock, size_hw: tuple[int, int]) -> float:
        """Return the seconds that recognition takes for a second of a face, measured on a black picture."""
        step_s = clock.usual_s
        count = min(math.ceil(_REHEARSED_S / step_s), _REHEARSE_FROM)
        steady = Clock(step_s * np.arange(count, dtype=np.float64), step_s * count)
        cells = self.cut_time(whole_frames(count, size_hw), steady)
        windows = list(dict.fromkeys((0, cell.window) for cell in cells))
        recogniser, black = self.recogniser(), np.zeros((*size_hw, 3), np.uint8)
        landmarks = template_points(min(size_hw) // 2).astype(np.float32)
        crop, _ = self._crop(black, landmarks)
        frame_s, window_s = recogniser.rehearse(crop, self.model.config.num_frames)
        begun = time.monotonic()
        self._crop(black, landmarks)
        frame_s += (time.monotonic() - begun) / recogniser.threads
        return (count_frames(windows) * frame_s + len(windows) * window_s) / (count * step_s)

    def recogniser(self) -> Recogniser:
        """Return what computes the features of windows with this model."""
        image_size = self.model.config.image_size
        return Recogniser(self.engine, image_size=image_size, mirror=self.mirror, device=self.device)

    def _crop(self, frame: Frame, landmarks: NDArray[np.float32]) -> tuple[Frame, PictureQuality]:
        image = self.crop_face(frame, landmarks)
        return image, measure_crop(image)

    def crop_face(self, frame: Frame, landmarks: NDArray[np.float32]) -> Frame:
        """Return the crop, uint8 [S, S, 3], of a frame, uint8 [H, W, 3], as training had it.

        Args:
            frame: which is the crop already where the detector says so.
            landmarks: of the face, float32 [5, 2] or [2, 2].
        """
        size = self.info.crop_size
        return resize_crop(frame, size) if self.detector.aligned_input else align_face(frame, landmarks, size)

    def _warnings(self, source: FrameSource, tracks: Sequence[FaceTrack]) -> list[str]:
        warnings = []
        if not tracks:
            where = "the image" if source.num_frames == 1 else pluralize(source.num_frames, "frame")
            warnings.append(f"no face found in {where}")
        if any(track.people is not None for track in tracks):
            warnings.append(
                "the frames lie too far apart to tell if they show one person: the main face of each is taken"
            )
        warnings += source.warnings
        if source.fps_assumed:
            warnings.append(f"frames without times: {source.fps:g} a second are assumed; --fps sets the rate")
        if tracks and not self.detector.aligned_input and (text := self.info.detector_warning(self.detector.name)):
            warnings.append(text)
        return warnings


def _open(source: Source, fps: float | None) -> FrameSource:
    """Return the frames of a source.

    Raises:
        VideoError: it cannot be read.
    """
    if isinstance(source, FrameSource):
        return source
    if isinstance(source, str | Path):
        return open_frames(Path(source), fps=fps)
    return frames_source(source, fps=fps)
