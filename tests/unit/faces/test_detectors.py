"""Detectors on real frames, and where SCRFD's weights are looked for."""

from __future__ import annotations

import http.server
import io
import logging
import shutil
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from dfer.errors import DferError, UsageError
from dfer.faces import detectors
from dfer.faces.detectors import build_detector, find_detector_weights, scrfd, weights
from dfer.faces.detectors.haar import HaarDetector
from dfer.faces.detectors.scrfd import ScrfdDetector
from dfer.video import open_frames


@pytest.fixture(autouse=True)
def no_weights_about(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """An empty home, no network, nothing remembered of earlier tests."""
    monkeypatch.delenv(weights.WEIGHTS_ENV, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(weights, "PACK_URL", "http://127.0.0.1:9/none.zip")
    for remembered in (weights.download_detector_weights, detectors._warn_of_haar):
        remembered.cache_clear()
    yield
    for remembered in (weights.download_detector_weights, detectors._warn_of_haar):
        remembered.cache_clear()


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


def check_face(face: detectors.Face, size_hw: tuple[int, int], num_points: int) -> None:
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
        assert scrfd._input_wh(size_hw, side) == expected_wh

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
        detector._find_eye = lambda grey, box, place: None if place[0] > 0.5 else find_eye(grey, box, place)  # type: ignore[method-assign]
        (half,) = detector.detect(face_frames[0])

        assert half.landmarks[0] == pytest.approx(seen.landmarks[0])
        assert half.landmarks[1, 1] == pytest.approx(half.landmarks[0, 1], abs=0.02)

    @pytest.mark.parametrize("size_hw", [(16, 16), (20, 400), (2000, 16)])
    def test_any_frame_shape(self, size_hw: tuple[int, int]) -> None:
        frame = np.random.default_rng(0).integers(0, 256, (*size_hw, 3), np.uint8)
        assert HaarDetector().detect(frame) == []


class TestWeights:
    def put(self, file: Path) -> Path:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"onnx")
        return file

    @pytest.mark.parametrize("name", ["det_500m.onnx", "other.onnx", "buffalo_s/det_500m.onnx"])
    def test_folder_or_file(self, name: str, tmp_path: Path) -> None:
        file = self.put(tmp_path / "given" / name)

        assert find_detector_weights(file) == file
        assert find_detector_weights(tmp_path / "given") == file

    def test_detector_among_other_weights(self, tmp_path: Path) -> None:
        self.put(tmp_path / "1k3d68.onnx")
        file = self.put(tmp_path / "det_10g.onnx")
        self.put(tmp_path / "w600k_r50.onnx")
        assert find_detector_weights(tmp_path) == file

    def test_order(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        assert find_detector_weights() is None
        small = self.put(weights.insightface_models() / "buffalo_sc" / "det_500m.onnx")
        assert find_detector_weights() == small
        large = self.put(weights.insightface_models() / "buffalo_l" / "det_10g.onnx")
        assert find_detector_weights() == large
        named = self.put(tmp_path / "env" / "det_500m.onnx")
        monkeypatch.setenv(weights.WEIGHTS_ENV, str(named.parent))
        assert find_detector_weights() == named
        given = self.put(tmp_path / "given.onnx")
        assert find_detector_weights(given) == given

    @pytest.mark.parametrize("by", ["argument", "environment"])
    @pytest.mark.parametrize("kind", ["auto", "scrfd"])
    def test_named_but_missing(self, by: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        gone = tmp_path / "gone"
        monkeypatch.setenv(weights.WEIGHTS_ENV, str(gone) if by == "environment" else "")
        with pytest.raises(DferError, match="gone") as caught:
            build_detector(kind, gone if by == "argument" else None)
        assert caught.value.hint

    def test_folder_without_weights(self, tmp_path: Path) -> None:
        with pytest.raises(DferError, match=r"without \.onnx"):
            find_detector_weights(tmp_path)

    def test_broken_file(self, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(DferError, match=r"cannot load the detector.*det_x\.onnx") as caught:
            build_detector("auto", self.put(tmp_path / "det_x.onnx"))
        assert "\n" not in str(caught.value)
        assert capfd.readouterr().out == ""

    def test_scrfd_without_weights(self) -> None:
        with pytest.raises(DferError, match="no weights") as caught:
            build_detector("scrfd")
        assert weights.WEIGHTS_ENV in str(caught.value.hint)

    def test_auto_falls_back_aloud_once(self, caplog: pytest.LogCaptureFixture) -> None:
        assert [build_detector("auto").name for _ in range(3)] == ["haar"] * 3
        (record,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
        assert "Haar" in record.getMessage()

    def test_haar_asks_for_no_weights(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv(weights.WEIGHTS_ENV, str(tmp_path / "gone"))
        assert build_detector("haar").name == "haar"

    def test_unknown_kind(self) -> None:
        with pytest.raises(UsageError, match="retina"):
            build_detector("retina")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, bytes]]:
    """Serves the bytes under "pack" where the detector's pack is downloaded from."""
    content: dict[str, bytes] = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if content["pack"] == b"hang":
                threading.Event().wait(2)
                return
            self.send_response(200)
            self.send_header("Content-Length", content.get("length", str(len(content["pack"]))))
            self.end_headers()
            self.wfile.write(content["pack"])

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.daemon_threads = True
        threading.Thread(target=running.serve_forever, daemon=True).start()
        monkeypatch.setattr(weights, "PACK_URL", f"http://127.0.0.1:{running.server_port}/buffalo_sc.zip")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        yield content
        running.shutdown()


def zipped(name: str, data: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as pack:
        pack.writestr(name, data)
        pack.writestr("w600k_mbf.onnx", b"not wanted")
    return stream.getvalue()


class TestDownload:
    def test_pack_is_kept(self, server: dict[str, bytes], scrfd_weights: Path) -> None:
        original = find_detector_weights(scrfd_weights)
        assert original is not None
        server["pack"] = zipped("det_500m.onnx", original.read_bytes())

        assert build_detector("auto").name == "scrfd"
        kept = weights.insightface_models() / "buffalo_sc" / "det_500m.onnx"
        assert kept.read_bytes() == original.read_bytes()
        assert find_detector_weights() == kept
        assert [file.name for file in kept.parent.iterdir()] == [kept.name]

    @pytest.mark.parametrize(
        "pack",
        [b"no zip", zipped("other.txt", b"x"), zipped("det_500m.onnx", b"x" * 999)[:600], b"hang"],
        ids=["no zip", "no detector in it", "cut off", "server hangs"],
    )
    def test_failure_leaves_nothing(
        self, pack: bytes, server: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(weights, "TIMEOUT_S", 0.3)
        server["pack"] = pack

        file, reason = weights.download_detector_weights()

        assert file is None
        assert reason
        assert list(weights.insightface_models().rglob("*.*")) == []
        assert build_detector("auto").name == "haar"

    def test_unwritable_cache(self, server: dict[str, bytes], tmp_path: Path) -> None:
        server["pack"] = zipped("det_500m.onnx", b"x")
        shutil.rmtree(tmp_path / "home", ignore_errors=True)
        (tmp_path / "home").write_text("a file where the folder should be")

        assert weights.download_detector_weights()[0] is None
