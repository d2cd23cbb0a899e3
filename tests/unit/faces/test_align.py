"""Alignment: geometry, agreement of eye pairs and five points, sharpness, and the settings that are stored."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from dfer.errors import DataError
from dfer.faces.align import (
    TEMPLATE_5PT,
    align_face,
    alignment_settings,
    estimate_similarity,
    require_same_alignment,
    resize_crop,
    template_points,
)

SIZE = 128


def similarity(scale: float, degrees: float, shift: tuple[float, float]) -> NDArray[np.float64]:
    a, b = scale * np.cos(np.deg2rad(degrees)), scale * np.sin(np.deg2rad(degrees))
    return np.array([[a, -b, shift[0]], [b, a, shift[1]]])


def move(matrix: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.float64]:
    return points @ matrix[:, :2].T + matrix[:, 2]


def draw_landmarks(landmarks: NDArray[np.float64], radius: float) -> NDArray[np.uint8]:
    frame = np.full((1080, 1920, 3), 20, np.uint8)
    for x, y in landmarks:
        centre = (round(x * 16), round(y * 16))
        cv2.circle(frame, centre, round(radius * 16), (250, 250, 250), -1, cv2.LINE_AA, shift=4)
    return frame


def find_dots(crop: NDArray[np.uint8], near: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the centre of brightness around each point."""
    light = np.maximum(crop[..., 0].astype(float) - 30, 0)
    centres = []
    for x, y in np.round(near).astype(int):
        patch = light[y - 5 : y + 6, x - 5 : x + 6]
        rows, columns = np.mgrid[y - 5 : y + 6, x - 5 : x + 6]
        centres.append([(patch * columns).sum() / patch.sum(), (patch * rows).sum() / patch.sum()])
    return np.array(centres)


def test_template_is_a_centred_upright_face() -> None:
    mirrored = TEMPLATE_5PT[[1, 0, 2, 4, 3]] * (-1, 1) + (1, 0)
    assert mirrored == pytest.approx(TEMPLATE_5PT)
    eyes, mouth = TEMPLATE_5PT[0, 1], TEMPLATE_5PT[3, 1]
    # A face is about three times as high as the distance from eyes to mouth: a third each for brow and chin.
    assert eyes - (mouth - eyes) >= 0
    assert mouth + 0.75 * (mouth - eyes) <= 1
    assert template_points(112, 2) == pytest.approx(template_points(112)[:2])
    with pytest.raises(ValueError, match="landmarks"):
        template_points(112, 3)


@pytest.mark.parametrize("num_points", [2, 5])
@pytest.mark.parametrize(("scale", "degrees"), [(0.2, 0), (1.0, 35), (3.5, -120)])
def test_similarity_is_recovered(num_points: int, scale: float, degrees: float) -> None:
    points = template_points(SIZE, num_points)
    matrix = similarity(scale, degrees, (40, -7))

    assert estimate_similarity(points, move(matrix, points)) == pytest.approx(matrix)


def test_similarity_is_the_least_squares_one() -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(0, 50, (5, 2))
    template = rng.normal(0, 30, (5, 2))
    matrix = estimate_similarity(points, template)

    # Against the general solver, on the four unknowns a, b, x, y.
    x, y = points.T
    rows = np.concatenate([np.stack([x, -y, x * 0 + 1, x * 0], axis=1), np.stack([y, x, x * 0, x * 0 + 1], axis=1)])
    a, b, u, v = np.linalg.lstsq(rows, template.T.ravel(), rcond=None)[0]
    assert matrix == pytest.approx(np.array([[a, -b, u], [b, a, v]]))
    assert np.linalg.det(matrix[:, :2]) > 0


@pytest.mark.parametrize(
    "points",
    [np.zeros((5, 2)), np.full((5, 2), np.nan), np.zeros((1, 2)), np.zeros((5, 3))],
    ids=["coincident", "nan", "one point", "three dimensions"],
)
def test_similarity_refuses(points: NDArray[np.float64]) -> None:
    with pytest.raises(ValueError, match=r"landmarks|expected"):
        estimate_similarity(points, template_points(SIZE))


@pytest.mark.parametrize("num_points", [2, 5])
@pytest.mark.parametrize("scale", [0.5, 0.95, 1.4, 1.6, 2.3, 5.0])
def test_landmarks_are_mapped_to_the_template(scale: float, num_points: int) -> None:
    template = template_points(SIZE)
    landmarks = move(similarity(scale, 17, (800, 400)), template)
    frame = draw_landmarks(landmarks, radius=max(2 * scale, 2))

    crop = align_face(frame, landmarks[:num_points], SIZE)

    assert crop.shape == (SIZE, SIZE, 3)
    assert crop.dtype == np.uint8
    assert np.abs(find_dots(crop, template) - template).max() < 0.15


def test_large_faces_are_averaged_not_sampled() -> None:
    """Fine stripes become their mean grey; bilinear sampling by itself would leave moire."""
    frame = np.zeros((1200, 1200, 3), np.uint8)
    frame[:, ::2] = 200
    landmarks = move(similarity(6.5, 20, (300, 150)), template_points(SIZE))

    crop = align_face(frame, landmarks, SIZE)

    assert crop.mean() == pytest.approx(100, abs=2)
    assert crop.std() < 8


def test_sharpness_does_not_jump_as_a_face_comes_nearer() -> None:
    rng = np.random.default_rng(0)
    frame = cv2.GaussianBlur(rng.integers(0, 256, (700, 700, 3), np.uint8), (0, 0), 2)
    details = []
    for scale in np.arange(1.2, 2.6, 0.05):
        crop = align_face(frame, move(similarity(scale, 3, (150, 150)), template_points(SIZE)), SIZE)
        details.append(cv2.Laplacian(crop, cv2.CV_64F).std() * 1.0)
    steps = np.abs(np.diff(details)) / np.array(details[1:])
    assert steps.max() < 0.15


def test_edge_is_repeated_outside_the_frame() -> None:
    frame = np.full((100, 100, 3), 90, np.uint8)
    landmarks = move(similarity(1, 0, (-60, -60)), template_points(SIZE))

    assert np.all(align_face(frame, landmarks, SIZE) == 90)


def test_face_entirely_outside_the_frame() -> None:
    frame = np.full((50, 60, 3), 90, np.uint8)
    landmarks = move(similarity(4, 0, (5000, -9000)), template_points(SIZE))

    assert np.all(align_face(frame, landmarks, SIZE) == 90)


@pytest.mark.parametrize("shape", [(224, 224), (48, 48), (200, 100), (60, 90), (SIZE, SIZE)])
def test_aligned_images_are_resized(shape: tuple[int, int]) -> None:
    image = np.full((*shape, 3), 50, np.uint8)
    centre = (shape[0] // 2, shape[1] // 2)
    image[centre[0] - 4 : centre[0] + 4, centre[1] - 4 : centre[1] + 4] = 250

    crop = resize_crop(image, SIZE)

    assert crop.shape == (SIZE, SIZE, 3)
    rows, columns = np.nonzero(crop[..., 0] > 150)
    assert rows.mean() == pytest.approx((SIZE - 1) / 2, abs=1)
    assert columns.mean() == pytest.approx((SIZE - 1) / 2, abs=1)
    # Not stretched.
    assert np.ptp(rows) == pytest.approx(np.ptp(columns), abs=1)


class TestSettings:
    def test_survive_json(self) -> None:
        settings = alignment_settings(SIZE)
        read = json.loads(json.dumps(settings))
        assert read == settings
        require_same_alignment(settings, read, where="dataset.json")

    @pytest.mark.parametrize(
        ("change", "key"),
        [({"size": 112}, "size"), ({"template": "other/1"}, "template"), ({"points": []}, "points"), ({"x": 1}, "x")],
        ids=["size", "template", "points", "additional"],
    )
    def test_mismatch_is_an_error(self, change: dict[str, object], key: str) -> None:
        with pytest.raises(DataError, match=rf"{key} is .*dataset\.json") as caught:
            require_same_alignment(alignment_settings(SIZE), alignment_settings(SIZE) | change, where="dataset.json")
        assert caught.value.hint
