"""A face's answer, put together from those of its cells."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from dfer.faces.align import TEMPLATE_5PT
from dfer.prediction.faces import predict_face
from dfer.prediction.trust import TOO_DARK, TOO_SMALL
from dfer.prediction.windows import Cell, Window
from dfer.records import FacePrediction, FaceTrack

LABELS = ["happy", "angry"]
HAPPY, ANGRY = [0.95, 0.05], [0.1, 0.9]


def track(count: int = 40, size: float = 80.0, shots: list[int] | None = None) -> FaceTrack:
    box = np.array([10, 10, 10 + size, 10 + size], np.float32)
    return FaceTrack(
        track_id=0,
        frames=np.arange(count),
        boxes_xyxy=np.tile(box, (count, 1)),
        landmarks=np.tile((TEMPLATE_5PT * size + 10).astype(np.float32), (count, 1, 1)),
        detected=np.arange(count) % 4 != 0,
        score=0.8,
        shots=None if shots is None else np.array(shots),
        scores=np.linspace(0.6, 1.0, count).astype(np.float32),
    )


def cells(count: int = 4, frames: int = 10) -> list[Cell]:
    places = [range(n * frames, (n + 1) * frames) for n in range(count)]
    return [Cell(float(n), n + 1.0, place, Window(place, tuple(place))) for n, place in enumerate(places)]


def pictures(brightness: list[float]) -> NDArray[np.float32]:
    return np.array([[0.2, value] for value in brightness for _ in range(10)], np.float32)


def predict(rows: list[list[float]], given: NDArray[np.float32], face: FaceTrack | None = None) -> FacePrediction:
    return predict_face(
        face or track(), cells(), np.array(rows), given, LABELS, size_hw=(200, 200), smooth=face is not None
    )


def test_dark_time_is_unsure_and_has_no_say() -> None:
    face = predict([HAPPY, ANGRY, ANGRY, HAPPY], pictures([0.5, 0.005, 0.005, 0.5]))
    assert [segment.unsure for segment in face.segments] == [False, True, True, False]
    assert all(TOO_DARK in segment.reasons for segment in face.segments[1:3])
    assert face.label == "happy"
    assert face.probabilities["happy"] == pytest.approx(0.95)
    assert not face.unsure


def test_a_face_that_is_mostly_unsure_is_unsure_and_says_why() -> None:
    face = predict([HAPPY] * 4, pictures([0.5, 0.001, 0.001, 0.001]))
    assert face.unsure
    assert face.reasons[0] == TOO_DARK
    every = predict([ANGRY] * 4, pictures([0.001] * 4))
    assert (every.label, every.unsure) == ("angry", True)


def test_measures_are_those_of_the_segment() -> None:
    given = pictures([0.5, 0.4, 0.3, 0.2])
    given[3, 1] = 0.0  # one frame does not move a median
    face = predict([HAPPY] * 4, given)
    qualities = [segment.quality for segment in face.segments if segment.quality is not None]
    assert [quality.brightness for quality in qualities] == pytest.approx([0.5, 0.4, 0.3, 0.2])
    assert [quality.size for quality in qualities] == pytest.approx([80] * 4)
    assert qualities[0].yaw == pytest.approx(0, abs=1e-3)
    assert qualities[0].detected == pytest.approx(0.7)
    assert [quality.score for quality in qualities] == sorted(quality.score for quality in qualities)


def test_a_small_face_is_unsure_however_clear_the_answer() -> None:
    small = predict_face(
        track(size=6.0), cells(), np.array([HAPPY] * 4), pictures([0.5] * 4), LABELS, size_hw=(200, 200), smooth=True
    )
    assert all(TOO_SMALL in segment.reasons for segment in small.segments)


def test_frames_that_were_not_looked_at_are_not_measured() -> None:
    given = np.full((40, 2), np.nan, np.float32)
    given[0:5] = 0.2, 0.5
    face = predict([HAPPY] * 4, given)
    found = [segment.quality.brightness for segment in face.segments if segment.quality is not None]
    assert found == [pytest.approx(0.5), None, None, None]


def test_nothing_is_smoothed_over_a_cut() -> None:
    shots = [0] * 20 + [1] * 20
    short = [Cell(0.1 * n, 0.1 * (n + 1), cell.places, cell.window) for n, cell in enumerate(cells())]
    rows = np.array([HAPPY, HAPPY, ANGRY, ANGRY])
    found = [
        predict_face(face, short, rows, pictures([0.5] * 4), LABELS, size_hw=(200, 200), smooth=True).segments
        for face in (track(shots=shots), track())
    ]
    assert [segment.probabilities["happy"] for segment in found[0]] == pytest.approx([0.95, 0.95, 0.1, 0.1])
    assert found[1][1].probabilities["happy"] < 0.9
