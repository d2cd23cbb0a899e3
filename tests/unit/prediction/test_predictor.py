"""Predictions in time: slow videos, pauses, cuts, sampled frames, segments of exact length."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from dfer.errors import UsageError
from dfer.faces.align import alignment_settings
from dfer.labels import DFEW_LABELS
from dfer.prediction.predictor import Predictor
from dfer.prediction.time_left import TimeLeft
from dfer.records import FacePrediction, Prediction
from dfer.video import FrameSource, VideoWriter, open_frames
from tests.checkpoints import write_checkpoint
from tests.scenes import Person, Scene

FACE: list[Person] = [(0, 80, 60)]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that knows nothing, of clips of half a second."""
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    of_clips = {"alignment": alignment_settings(32), "crop_size": 32, "clip_s": 0.5}
    return write_checkpoint(path, labels=list(DFEW_LABELS), data={}, **of_clips)


def predict(
    checkpoint: Path,
    scene: Scene,
    times: NDArray[np.float64],
    *,
    duration: float | None = None,
    timed: bool = True,
    faces: str = "main",
    stride: float | None = None,
) -> Prediction:
    predictor = Predictor(checkpoint, detector="none", device="cpu", faces=faces, stride=stride)
    predictor.detector = scene.oracle
    return predictor(scene.source(times, duration or float(times[-1]) + 0.04, timed=timed))


def _edges(face: FacePrediction) -> list[float]:
    """Where the segments of a face meet, if they do."""
    assert [segment.end for segment in face.segments[:-1]] == [segment.start for segment in face.segments[1:]]
    return [face.segments[0].start, *(segment.end for segment in face.segments)]


@pytest.mark.parametrize("fps", [1, 0.5, 0.2, 0.1])
def test_a_slow_video_has_a_face_all_the_time(checkpoint: Path, fps: float) -> None:
    found = predict(checkpoint, Scene([FACE] * 6), np.arange(6) / fps, duration=6 / fps)
    (face,) = found.faces
    assert (face.start, face.end) == pytest.approx((0, 6 / fps))
    assert _edges(face) == pytest.approx(np.arange(7) / fps)
    assert sum(face.probabilities.values()) == pytest.approx(1)


@pytest.mark.parametrize("pause_s", [40, 60])
def test_a_pause_is_in_no_segment(checkpoint: Path, pause_s: float) -> None:
    times = np.arange(90) / 30
    times[32:] += pause_s
    (face,) = predict(checkpoint, Scene([FACE] * 90), times).faces
    assert face.start == 0
    assert face.end == pytest.approx(3 + pause_s, abs=0.01)
    assert max(segment.end for segment in face.segments if segment.start < 2) == pytest.approx(32 / 30)
    assert min(segment.start for segment in face.segments if segment.start > 2) == pytest.approx(32 / 30 + pause_s)
    assert sum(segment.end - segment.start for segment in face.segments) == pytest.approx(3, abs=0.01)


def test_somebody_else_after_a_pause_is_another_face(checkpoint: Path) -> None:
    times = np.arange(60) / 30
    times[20:] += 40
    scene = Scene([[(int(n >= 20), 80, 60)] for n in range(60)])
    longer, shorter = predict(checkpoint, scene, times, faces="all").faces
    assert (longer.id, shorter.id) == (0, 1)
    assert shorter.end == pytest.approx(20 / 30)
    assert longer.start == pytest.approx(20 / 30 + 40)
    assert (longer.visible, shorter.visible) == pytest.approx((40 / 30, 20 / 30), abs=0.01)


@pytest.mark.parametrize("bin_s", [0.1, 0.5, 1.0])
def test_bins_cover_the_video_and_segments_fill_them(checkpoint: Path, bin_s: float) -> None:
    scene = Scene([FACE] * 30 + [[]] * 30 + [FACE] * 30)
    predictor = Predictor(checkpoint, detector="none", device="cpu", bin=bin_s)
    predictor.detector = scene.oracle
    found = predictor(scene.source(np.arange(90) / 30, 3.0))
    assert found.bins is not None
    assert len(found.bins) == round(3 / bin_s)
    gone = found.bins[math.ceil(1.2 / bin_s) : math.floor(1.8 / bin_s)]
    assert all(one.visible == 0 and one.faces[0].label is None for one in gone)
    (face,) = found.faces
    assert sum(one.visible for one in found.bins) == pytest.approx(face.visible)
    bins_of = [(segment.start / bin_s + 1e-6, segment.end / bin_s - 1e-6) for segment in face.segments]
    assert all(math.floor(first) == math.floor(last) for first, last in bins_of)
    assert found.to_dict()["bins"][0]["faces"][0]["id"] == 0


@pytest.mark.parametrize("fps", [5, 24000 / 1001, 25, 30000 / 1001, 240])
def test_a_stride_gives_segments_of_its_length_at_any_rate(checkpoint: Path, fps: float) -> None:
    count = round(1.2 * fps)
    scene = Scene([FACE] * count)
    found = predict(checkpoint, scene, np.arange(count) / fps, duration=count / fps, stride=0.1)
    segments = [(s["start"], s["end"]) for s in found.to_dict()["faces"][0]["segments"]]
    assert segments[:11] == [(round(n / 10, 1), round((n + 1) / 10, 1)) for n in range(11)]


def dimmed(source: FrameSource, gain: Callable[[int], float]) -> FrameSource:
    """The source with each frame times a gain, but for the pixel that tells the oracle what it sees."""

    def decode(wanted: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        for index, frame in source.decode(wanted):
            shown = (gain(index) * frame).astype(np.uint8)
            shown[0, 0] = frame[0, 0]
            yield index, shown

    return replace(source, decode=decode)


def test_near_black_time_is_unsure(checkpoint: Path) -> None:
    scene = Scene([FACE] * 75)
    predictor = Predictor(checkpoint, detector="none", device="cpu", stride=0.5, window=0.5, faces="all")
    predictor.detector = scene.oracle
    source = dimmed(scene.source(np.arange(75) / 25, 3.0), lambda index: 0.015 if 25 <= index < 50 else 1.0)
    segments = [segment for face in predictor(source).faces for segment in face.segments]
    dark = [segment for segment in segments if segment.start >= 1 and segment.end <= 2]
    assert len(dark) == 2
    assert all("too dark" in segment.reasons for segment in dark)
    assert all("too dark" not in segment.reasons for segment in segments if segment not in dark)
    assert {segment.quality.detected for segment in segments if segment.quality} == {1.0}


def test_smoothing_is_a_choice(checkpoint: Path) -> None:
    scene = Scene([FACE] * 50)
    source = dimmed(scene.source(np.arange(50) / 25, 2.0), lambda index: 0.9 if index % 10 < 5 else 1.0)
    found = []
    for smooth in (True, False):
        predictor = Predictor(checkpoint, detector="none", device="cpu", stride=0.1, window=0.1, smooth=smooth)
        predictor.detector = scene.oracle
        (face,) = predictor(source).faces
        found.append(np.array([[*segment.probabilities.values()] for segment in face.segments]))
    changes = [np.abs(np.diff(rows, axis=0)).sum() for rows in found]
    assert 1e-6 < changes[0] < changes[1]


def test_a_box_is_the_mean_of_one_shot(checkpoint: Path) -> None:
    scene = Scene([[(0, 40 if n < 20 else 120, 60)] for n in range(50)], [60] * 20 + [160] * 30)
    (face,) = predict(checkpoint, scene, np.arange(50) / 25, stride=1.0).faces
    assert _edges(face) == pytest.approx([0, 0.8, 1.0, 2.0])
    assert [s.box[0] for s in face.segments] == pytest.approx([25, 105, 105], abs=0.1)


@pytest.mark.parametrize("count", [8, 16])
def test_a_face_in_one_of_sampled_frames_is_an_answer(checkpoint: Path, count: int) -> None:
    scene = Scene([FACE if n == 5 else [] for n in range(count)])
    (face,) = predict(checkpoint, scene, np.arange(count) / 25, timed=False).faces
    assert (face.start, face.end) == pytest.approx((0.2, 0.24))


def test_an_album_has_one_main_face_and_says_that_it_may_be_several(checkpoint: Path) -> None:
    scene = Scene([[(n, 40 + 9 * n, 60)] for n in range(8)])
    found = predict(checkpoint, scene, np.arange(8) / 25, timed=False)
    (face,) = found.faces
    assert len(face.segments) == 8
    assert any("too far apart to tell" in warning for warning in found.warnings)
    assert len(predict(checkpoint, scene, np.arange(8) / 25, timed=False, faces="all").faces) == 8


@pytest.mark.parametrize("value", [0, -1, 1e-9, float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["stride", "window"])
def test_lengths_that_are_none(name: str, value: float) -> None:
    with pytest.raises(UsageError, match=f"the {name} must be"):
        Predictor(**{name: value})  # type: ignore[arg-type]


def test_what_recognition_took_foretells_the_next_video_of_any_rate(checkpoint: Path) -> None:
    class Noted(TimeLeft):
        """Notes what is expected of recognition, seconds for a face in a frame, when a video begins."""

        def begin(self, *, face_frame_s: float | None, **rest: Any) -> None:
            self.expected_s = face_frame_s
            super().begin(face_frame_s=face_frame_s, **rest)

    predictor = Predictor(checkpoint, detector="none", device="cpu")
    frames = np.zeros((400, 32, 32, 3), np.uint8)
    first, second, short = Noted(), Noted(), Noted()
    predictor.analyse(frames, fps=25, time_left=first)
    took_s = first.face_frame_s
    assert first.expected_s is not None, "which was rehearsed"
    assert took_s is not None
    predictor.analyse(frames, fps=50, time_left=second)
    assert second.expected_s == pytest.approx(took_s / 2, rel=0.2)
    Predictor(checkpoint, detector="none", device="cpu").analyse(frames[:50], fps=25, time_left=short)
    assert short.expected_s is None, "a rehearsal would take longer than the video"


def test_frames_in_memory_are_answered_as_a_source(checkpoint: Path) -> None:
    scene = Scene([FACE] * 30)
    predictor = Predictor(checkpoint, detector="none", device="cpu", fps=10)
    predictor.detector = scene.oracle
    frames = [frame for _, frame in scene.source(np.arange(30) / 25, 1.2).iter_frames()]
    found = [predictor(np.stack(frames), fps=25), predictor(frames, fps=25), predictor(frames)]
    assert found[0] == found[1]
    assert [(one.source, one.fps, one.num_frames, one.warnings) for one in found[1:]] == [
        ("frames", 25.0, 30, []),
        ("frames", 10.0, 30, []),
    ]
    (face,) = found[0].faces
    assert (face.start, face.end) == pytest.approx((0, 1.2))


class TestRealClip:
    """Frames of a real clip with other timestamps, in a real container, found by the detector that is the default."""

    @staticmethod
    def predicted(checkpoint: Path, real_clips: Path, folder: Path, times: NDArray[np.float64]) -> Prediction:
        source = open_frames(real_clips / "single_face.mp4")
        with VideoWriter(folder / "clip.mp4", fps=25, size_hw=source.size_hw) as writer:
            for index, frame in source.iter_frames(range(len(times))):
                writer.write(frame, float(times[index]))
        return Predictor(checkpoint, detector="centerface", device="cpu")(folder / "clip.mp4")

    @pytest.mark.parametrize("fps", [1, 0.5, 0.2, 0.1])
    def test_slow(self, checkpoint: Path, real_clips: Path, tmp_path: Path, fps: float) -> None:
        (face,) = self.predicted(checkpoint, real_clips, tmp_path, np.arange(5) / fps).faces
        assert _edges(face)[:5] == pytest.approx(np.arange(5) / fps, abs=0.01)

    @pytest.mark.parametrize("pause_s", [40, 60])
    def test_pause(self, checkpoint: Path, real_clips: Path, tmp_path: Path, pause_s: float) -> None:
        times = np.arange(24) / 30
        times[10:] += pause_s
        (face,) = self.predicted(checkpoint, real_clips, tmp_path, times).faces
        assert not [s for s in face.segments if s.start < 0.33 and s.end > 0.34]
        assert sum(s.end - s.start for s in face.segments) == pytest.approx(0.8, abs=0.05)

    def test_stray_timestamp(self, checkpoint: Path, real_clips: Path, tmp_path: Path) -> None:
        times = np.append(np.arange(15) / 30, 100.0)
        (face,) = self.predicted(checkpoint, real_clips, tmp_path, times).faces
        assert face.start == 0
        assert max(s.end for s in face.segments if s.start < 50) == pytest.approx(0.5, abs=0.01)
        assert face.segments[-1].start == pytest.approx(100, abs=0.01)

    @pytest.mark.parametrize("count", [8, 16])
    def test_one_face_among_sampled_frames(
        self, checkpoint: Path, real_clips: Path, tmp_path: Path, count: int
    ) -> None:
        (_, face_rgb), *_ = open_frames(real_clips / "single_face.mp4").iter_frames([30])
        for index in range(count):
            image = face_rgb if index == 5 else np.full_like(face_rgb, 90)
            cv2.imwrite(str(tmp_path / f"{index}.png"), image[..., ::-1])
        (face,) = Predictor(checkpoint, detector="centerface", device="cpu")(tmp_path).faces
        assert (face.start, face.end) == pytest.approx((0.2, 0.24))
