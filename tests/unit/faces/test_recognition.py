"""Face embeddings by a small network with the interface of insightface's: means of colours over 4x4 parts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from dfer.errors import DferError
from dfer.faces import recognition
from dfer.faces.recognition import ARCFACE_TEMPLATE, FaceEncoder, find_recognition_weights
from dfer.faces.tracking.track import track_faces
from dfer.records import Face
from tests.scenes import SIZE_HW, Oracle, make_face, steady

RED, BLUE, GREEN = (220, 60, 50), (40, 70, 210), (60, 190, 60)


def save_network(
    path: Path, *, side: int = 112, kernel: int = 28, flat: bool = True, kind: int = TensorProto.FLOAT
) -> Path:
    """A network whose embedding is the means of the colours in parts of the face."""
    given = helper.make_tensor_value_info("input.1", kind, ["N", 3, side, side])
    result = helper.make_tensor_value_info("out", kind, None)
    nodes = [helper.make_node("AveragePool", ["input.1"], ["pooled"], kernel_shape=[kernel] * 2, strides=[kernel] * 2)]
    nodes += [helper.make_node("Flatten" if flat else "Identity", ["pooled"], ["out"])]
    model = helper.make_model(
        helper.make_graph(nodes, "means", [given], [result]), opset_imports=[helper.make_opsetid("", 13)], ir_version=8
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, str(path))
    return path


@pytest.fixture
def encoder(tmp_path: Path) -> FaceEncoder:
    return FaceEncoder(save_network(tmp_path / "w600k_test.onnx"))


@pytest.fixture(autouse=True)
def no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An insightface cache of the test's own, still empty."""
    monkeypatch.setattr(recognition, "insightface_models", lambda: tmp_path / "cache")
    monkeypatch.delenv("DFER_RECOGNITION_WEIGHTS", raising=False)
    return tmp_path / "cache"


def aligned_face() -> Face:
    """A face that lies in its frame of 112 pixels as the network needs it."""
    return Face(np.array([10, 10, 102, 102], np.float32), ARCFACE_TEMPLATE.astype(np.float32), 1.0)


def test_the_network_gets_rgb_from_minus_one_to_one(encoder: FaceEncoder) -> None:
    frame = np.zeros((112, 112, 3), np.uint8)
    frame[:, :56, 0] = 255
    embedding = encoder.encode(frame, aligned_face())
    assert embedding is not None
    values = embedding.reshape(3, 4, 4) * np.sqrt(48)
    assert values[0, :, :2] == pytest.approx(1, abs=0.02)
    assert values[0, :, 2:] == pytest.approx(-1, abs=0.02)
    assert values[1:] == pytest.approx(-1, abs=0.02)
    assert float(np.linalg.norm(embedding)) == pytest.approx(1)


def test_a_face_is_turned_and_scaled_to_the_template(encoder: FaceEncoder) -> None:
    rng = np.random.default_rng(0)
    picture = np.kron(rng.integers(0, 255, (7, 7, 3)), np.ones((16, 16, 1))).astype(np.uint8)
    frame = np.full((300, 400, 3), 90, np.uint8)
    frame[20:244, 100:324] = np.rot90(np.kron(picture, np.ones((2, 2, 1), np.uint8)))
    points = ARCFACE_TEMPLATE * 2
    turned = np.stack([100 + points[:, 1], 20 + 223 - points[:, 0]], axis=1).astype(np.float32)
    face = Face(np.array([100, 20, 324, 244], np.float32), turned, 1.0)
    one, other = encoder.encode(picture, aligned_face()), encoder.encode(frame, face)
    assert one is not None
    assert other is not None
    assert float(one @ other) > 0.99


def test_two_landmarks_are_not_enough(encoder: FaceEncoder) -> None:
    face = Face(np.array([10, 10, 60, 60], np.float32), np.array([[20, 30], [50, 30]], np.float32), 1.0)
    assert encoder.encode(np.zeros((112, 112, 3), np.uint8), face) is None


@pytest.mark.parametrize(
    ("save", "message"),
    [
        (lambda path: path.write_bytes(b"no network"), "cannot load the recognition network"),
        (lambda path: path.write_bytes(b""), "cannot load the recognition network"),
        (lambda path: save_network(path, side=96, kernel=24), "its input is"),
        (lambda path: save_network(path, kernel=112), "its output is [1, 3]"),
        (lambda path: save_network(path, flat=False), "its output is [1, 3, 4, 4]"),
        (lambda path: save_network(path, kind=TensorProto.DOUBLE), "recognition network"),
    ],
)
def test_what_is_no_such_network_is_one_clear_line(
    save: Callable[[Path], object], message: str, tmp_path: Path
) -> None:
    save(tmp_path / "a.onnx")
    with pytest.raises(DferError) as raised:
        FaceEncoder(tmp_path / "a.onnx")
    assert message in str(raised.value)
    assert "a.onnx" in str(raised.value)
    assert "\n" not in str(raised.value)
    assert raised.value.hint


def test_a_detector_is_no_recognition_network(scrfd_weights: Path) -> None:
    for file in [*scrfd_weights.glob("**/*.onnx")][:1]:
        with pytest.raises(DferError):
            FaceEncoder(file)


def test_weights_are_found_where_the_user_has_them(
    tmp_path: Path, no_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find_recognition_weights() is None
    small = save_network(no_cache / "buffalo_sc" / "w600k_mbf.onnx")
    (no_cache / "buffalo_sc" / "det_500m.onnx").write_bytes(b"")
    assert find_recognition_weights() == small
    large = save_network(no_cache / "buffalo_l" / "w600k_r50.onnx")
    assert find_recognition_weights() == large
    assert find_recognition_weights(no_cache / "buffalo_sc") == small
    assert find_recognition_weights("none") is None
    own = save_network(tmp_path / "own" / "mine.onnx")
    monkeypatch.setenv("DFER_RECOGNITION_WEIGHTS", str(own))
    assert find_recognition_weights() == own
    assert find_recognition_weights(small) == small
    monkeypatch.setenv("DFER_RECOGNITION_WEIGHTS", str(tmp_path / "nowhere"))
    with pytest.raises(DferError, match=r"\$DFER_RECOGNITION_WEIGHTS does not exist"):
        find_recognition_weights()
    (tmp_path / "empty").mkdir()
    with pytest.raises(DferError, match="--recognition-weights is a folder without"):
        find_recognition_weights(tmp_path / "empty")


def scene(
    shots: list[list[tuple[float, tuple[int, int, int]]]],
) -> tuple[Iterator[tuple[int, NDArray[np.uint8]]], Oracle]:
    """A video of shots of 12 frames; in each, faces at places x, of a colour and with a pattern that no other has."""

    def faces_at(n: int) -> list[Face]:
        return [make_face(x, 60, 40) for x, _ in shots[n // 12]]

    def frames() -> Iterator[tuple[int, NDArray[np.uint8]]]:
        for n in range(12 * len(shots)):
            number = n // 12
            frame = np.full((*SIZE_HW, 3), 30 + 90 * (number % 3), np.uint8)
            rng = np.random.default_rng(number)
            for x, colour in shots[number]:
                pattern = np.kron(rng.integers(-60, 60, (7, 7, 1)), np.ones((8, 8, 1)))
                left = int(x) - 28
                frame[32:88, left : left + 56] = np.clip(np.array(colour) + pattern, 0, 255)
            frame[0, 0] = n // 256, n % 256, 0
            yield n, frame

    return frames(), Oracle(faces_at)


def test_people_are_recognised_after_a_cut(encoder: FaceEncoder) -> None:
    shots = [[(45, RED), (115, BLUE)], [(80, GREEN)], [(50, BLUE)], [(110, RED)]]
    frames, oracle = scene(shots)
    plain = track_faces(frames, oracle, steady(48))
    assert len(plain) > 3  # nobody looks the same again
    frames, oracle = scene(shots)
    tracks = track_faces(frames, oracle, steady(48), encoder.encode)
    assert [sorted({n // 12 for n in track.frames.tolist()}) for track in tracks] == [[0, 3], [0, 2], [1]]


def test_people_seen_together_stay_two_however_alike_they_are(encoder: FaceEncoder) -> None:
    frames, oracle = scene([[(45, RED), (115, RED)], [(80, RED)], [(45, RED), (115, RED)]])
    tracks = track_faces(frames, oracle, steady(36), encoder.encode)
    assert all(len(set(track.frames.tolist())) == len(track.frames) for track in tracks)
    assert len(tracks) == 5  # and nobody can say who the one between them is
