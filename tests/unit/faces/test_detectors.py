"""Detectors on real frames."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from dfer.faces.align import align_face, resize_crop
from dfer.faces.detectors import build_detector, find_detector_weights, network
from dfer.faces.detectors.haar import HaarDetector
from dfer.faces.detectors.none import AlignedFrames
from dfer.faces.detectors.scrfd import ScrfdDetector
from dfer.records import Face
from dfer.video import open_frames


@pytest.fixture(scope="module")
def face_frames(real_clips: Path) -> list[NDArray[np.uint8]]:
    return [
        frame
        for name in ("single_face.mp4", "WolfgangLanger_Pexels.mp4")
        for _, frame in open_frames(real_clips / name).iter_frames(range(2, 70, 12))
    ]


@pytest.fixture(scope="module")
def scrfd_detector(scrfd_weights: Path) -> ScrfdDetector:
    found = find_detector_weights(scrfd_weights)
    assert found is not None
    return ScrfdDetector(found)


def check_face(face: Face, size_hw: tuple[int, int], num_points: int) -> None:
    x1, y1, x2, y2 = face.box_xyxy
    assert face.box_xyxy.dtype == face.landmarks.dtype == np.float32
    assert face.landmarks.shape == (num_points, 2)
    assert 0 < face.score <= 1
    assert x2 - x1 > 40
    assert y2 - y1 > 40
    assert np.all((face.landmarks >= (x1, y1)) & (face.landmarks <= (x2, y2)))
    assert face.landmarks[0, 0] < face.landmarks[1, 0]
    assert np.all(face.landmarks[:2, 1] < (y1 + y2) / 2 + 0.05 * (y2 - y1))


class TestScrfd:
    def test_finds_each_face_once(self, scrfd_detector: ScrfdDetector, face_frames: list[NDArray[np.uint8]]) -> None:
        for frame in face_frames:
            (face,) = scrfd_detector.detect(frame)
            check_face(face, (360, 640), 5)
            eyes, nose, mouth = face.landmarks[:2], face.landmarks[2], face.landmarks[3:]
            assert eyes[:, 1].max() < nose[1] < mouth[:, 1].min()

    def test_finds_none_where_there_is_none(self, scrfd_detector: ScrfdDetector, real_clips: Path) -> None:
        frames = open_frames(real_clips / "no_face.mp4").iter_frames([0, 50])
        assert [scrfd_detector.detect(frame) for _, frame in frames] == [[], []]

    @pytest.mark.parametrize("size_hw", [(360, 640), (640, 360), (64, 64), (31, 700)])
    def test_coordinates_are_the_frames(
        self, scrfd_detector: ScrfdDetector, face_frames: list[NDArray[np.uint8]], size_hw: tuple[int, int]
    ) -> None:
        """A face pasted into any shape of frame is found where it was pasted."""
        (face,) = scrfd_detector.detect(face_frames[0])
        x1, y1, x2, y2 = face.box_xyxy.astype(int)
        side = min(size_hw) * 9 // 10
        frame = np.full((*size_hw, 3), 127, np.uint8)
        pasted = cv2.resize(face_frames[0][y1 - 20 : y2 + 20, x1 - 30 : x2 + 30], (side, side))
        frame[:side, -side:] = pasted
        found = scrfd_detector.detect(frame)

        if size_hw[0] > 40:  # in the thin strip the face is too small to ask for
            centre = (found[0].box_xyxy[:2] + found[0].box_xyxy[2:]) / 2
            assert centre == pytest.approx([size_hw[1] - side / 2, side / 2], abs=side / 8)

    def test_small_face_is_found_at_the_larger_input(
        self, scrfd_weights: Path, face_frames: list[NDArray[np.uint8]]
    ) -> None:
        found = find_detector_weights(scrfd_weights)
        assert found is not None
        frame = np.full((1080, 1920, 3), 127, np.uint8)
        frame[500:545, 900:980] = cv2.resize(face_frames[0], (80, 45), interpolation=cv2.INTER_AREA)

        assert ScrfdDetector(found, input_sides=(320,)).detect(frame) == []
        assert len(ScrfdDetector(found, input_sides=(320, 1280)).detect(frame)) == 1

    def test_lying_face_that_fills_its_frame_is_found_at_a_smaller_input(
        self, scrfd_weights: Path, scrfd_detector: ScrfdDetector, face_frames: list[NDArray[np.uint8]]
    ) -> None:
        found = find_detector_weights(scrfd_weights)
        assert found is not None
        frame = face_frames[5]  # the last of single_face.mp4
        x1, y1, x2, y2 = scrfd_detector.detect(frame)[0].box_xyxy
        half = 0.3 * max(x2 - x1, y2 - y1)
        top, left = int((y1 + y2) / 2 - half), int((x1 + x2) / 2 - half)
        close_up = np.rot90(frame[top : top + int(2 * half), left : left + int(2 * half)])

        assert ScrfdDetector(found, input_sides=(320, 640)).detect(close_up) == []
        (face,) = scrfd_detector.detect(close_up)
        left_eye, right_eye = face.landmarks[:2]
        assert abs(left_eye[1] - right_eye[1]) > abs(left_eye[0] - right_eye[0])  # nearer one above the other

    def test_most_prominent_face_comes_first(
        self, scrfd_detector: ScrfdDetector, face_frames: list[NDArray[np.uint8]]
    ) -> None:
        frame = np.concatenate([cv2.resize(face_frames[0], (320, 180))] * 2)
        frame = np.concatenate([frame, face_frames[0]], axis=1)
        faces = scrfd_detector.detect(frame)

        assert len(faces) == 3
        assert (faces[0].box_xyxy[0] + faces[0].box_xyxy[2]) / 2 > 320
        assert all(face.box_xyxy[2] < 330 for face in faces[1:])

    @pytest.mark.parametrize(
        ("size_hw", "side", "expected_wh"),
        [
            ((360, 640), 320, (320, 192)),
            ((640, 360), 320, (192, 320)),
            ((224, 224), 320, (320, 320)),
            ((2, 900), 320, (320, 32)),
        ],
        ids=["landscape", "portrait", "square", "strip"],
    )
    def test_input_follows_the_frames_shape(
        self, size_hw: tuple[int, int], side: int, expected_wh: tuple[int, int]
    ) -> None:
        assert network.input_size_wh(size_hw, side) == expected_wh

    def test_runs_on_one_thread_and_prints_nothing(
        self, scrfd_weights: Path, face_frames: list[NDArray[np.uint8]], capfd: pytest.CaptureFixture[str]
    ) -> None:
        detector = build_detector("scrfd", scrfd_weights)
        detector.detect(face_frames[0])

        assert isinstance(detector, ScrfdDetector)
        options = detector._model.session.get_session_options()
        assert (options.intra_op_num_threads, options.inter_op_num_threads) == (1, 1)
        assert capfd.readouterr().out == ""


class TestHaar:
    def test_agrees_with_scrfd(self, scrfd_detector: ScrfdDetector, face_frames: list[NDArray[np.uint8]]) -> None:
        detector = HaarDetector()
        errors = []
        for frame in face_frames:
            (reference,) = scrfd_detector.detect(frame)
            faces = detector.detect(frame)
            assert len(faces) == 1
            check_face(faces[0], (360, 640), 2)
            distance = np.linalg.norm(reference.landmarks[1] - reference.landmarks[0])
            errors.append(np.linalg.norm(faces[0].landmarks - reference.landmarks[:2], axis=1).mean() / distance)
        assert np.median(errors) < 0.08
        assert np.max(errors) < 0.25

    def test_finds_none_where_there_is_none(self, real_clips: Path) -> None:
        detector = HaarDetector()
        frames = open_frames(real_clips / "no_face.mp4").iter_frames(range(0, 95, 15))
        assert [detector.detect(frame) for _, frame in frames] == [[]] * 7

    def test_hidden_eyes_are_placed_and_lower_the_score(self, face_frames: list[NDArray[np.uint8]]) -> None:
        detector = HaarDetector()
        (seen,) = detector.detect(face_frames[0])
        detector._find_eye = lambda *_: None  # type: ignore[method-assign, assignment]
        (estimated,) = detector.detect(face_frames[0])

        assert estimated.score < 0.6 * seen.score
        width = seen.box_xyxy[2] - seen.box_xyxy[0]
        assert np.linalg.norm(estimated.landmarks - seen.landmarks, axis=1).max() < 0.1 * width

    def test_one_hidden_eye_follows_the_other(self, face_frames: list[NDArray[np.uint8]]) -> None:
        detector = HaarDetector()
        (seen,) = detector.detect(face_frames[0])
        find_eye = detector._find_eye
        detector._find_eye = lambda grey, box, number: None if number == 1 else find_eye(grey, box, number)  # type: ignore[method-assign]
        (half,) = detector.detect(face_frames[0])

        assert half.landmarks[0] == pytest.approx(seen.landmarks[0])
        assert half.landmarks[1, 1] == pytest.approx(half.landmarks[0, 1], abs=0.02)

    @pytest.mark.parametrize("degrees", [0, -15, 15, -28, 28])
    def test_tilted_face_that_fills_its_picture_is_found_once_with_its_eyes(
        self, scrfd_detector: ScrfdDetector, face_frames: list[NDArray[np.uint8]], degrees: int
    ) -> None:
        detector, errors = HaarDetector(), []
        for frame in face_frames:
            (expected,) = scrfd_detector.detect(frame)
            middle, side = expected.landmarks.mean(0), 1.1 * (expected.box_xyxy[2:] - expected.box_xyxy[:2]).max()
            right, down = expected.landmarks[1] - expected.landmarks[0]
            tilt = float(np.degrees(np.arctan2(down, right)))
            turning = cv2.getRotationMatrix2D(middle.tolist(), degrees + tilt, 64 / side)
            turning[:, 2] += 32 - middle
            (face,) = detector.detect(cv2.warpAffine(frame, turning, (64, 64), borderMode=cv2.BORDER_REPLICATE))
            eyes = expected.landmarks[:2] @ turning[:, :2].T + turning[:, 2]
            errors.append(np.linalg.norm(face.landmarks - eyes, axis=1).mean() / np.linalg.norm(eyes[1] - eyes[0]))
        assert np.median(errors) < 0.12
        assert np.max(errors) < 0.3

    def test_small_face_is_found_beside_one_that_fills_the_frame(self, face_frames: list[NDArray[np.uint8]]) -> None:
        detector = HaarDetector()
        (face,) = detector.detect(face_frames[0])
        x1, y1, x2, y2 = face.box_xyxy.astype(int)
        frame = np.full((360, 640, 3), 127, np.uint8)
        frame[:, :330] = cv2.resize(face_frames[0][y1 - 10 : y2 + 20, x1 - 10 : x2 + 10], (330, 360))
        frame[90:264, 330:] = cv2.resize(face_frames[0], (310, 174))

        large, small = detector.detect(frame)
        assert large.box_xyxy[2] < 330 < small.box_xyxy[0]

    def test_pieces_without_a_face_have_none(self, real_clips: Path) -> None:
        frames = [frame for _, frame in open_frames(real_clips / "no_face.mp4").iter_frames(range(0, 95, 12))]
        pieces = [frame[y : y + 160, x : x + 160] for frame in frames for y in (0, 190, 380) for x in (0, 400, 800)]
        detector = HaarDetector()
        assert [detector.detect(np.ascontiguousarray(piece)) for piece in pieces] == [[]] * 72

    @pytest.mark.parametrize("size_hw", [(16, 16), (20, 400), (2000, 16)])
    def test_any_frame_shape(self, size_hw: tuple[int, int]) -> None:
        frame = np.random.default_rng(0).integers(0, 256, (*size_hw, 3), np.uint8)
        assert HaarDetector().detect(frame) == []


class TestAlignedFrames:
    @pytest.mark.parametrize("size_hw", [(64, 64), (90, 50), (50, 91)])
    def test_whole_frame_is_the_face_and_aligning_it_is_resizing(self, size_hw: tuple[int, int]) -> None:
        frame = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (*size_hw, 3)).astype(np.uint8), (0, 0), 4)
        (face,) = AlignedFrames().detect(frame)

        assert face.box_xyxy.tolist() == [0, 0, size_hw[1], size_hw[0]]
        side = max(size_hw)
        difference = align_face(frame, face.landmarks, side).astype(int) - resize_crop(frame, side)
        assert np.abs(difference).max() <= 1
