"""The size, sharpness and brightness of faces, and which way heads are turned."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from dfer.faces.align import TEMPLATE_5PT
from dfer.faces.quality import face_sizes, head_angles, measure_crop

# A mean face: right, down and away from the camera, in distances between the eyes.
MEAN_FACE = np.array([[-0.5, 0, 0], [0.5, 0, 0], [0, 0.6427, -0.5], [-0.4145, 1.1527, 0], [0.4145, 1.1527, 0]])


def rotation(yaw: float, pitch: float, roll: float) -> NDArray[np.float64]:
    y, p, r = np.radians([yaw, pitch, roll])
    about_y = np.array([[np.cos(y), 0, -np.sin(y)], [0, 1, 0], [np.sin(y), 0, np.cos(y)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(p), np.sin(p)], [0, -np.sin(p), np.cos(p)]])
    about_z = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


def seen(yaw: float, pitch: float = 0.0, roll: float = 0.0, scale: float = 40.0) -> NDArray[np.float64]:
    """The landmarks of a turned mean face, [1, 5, 2]."""
    return (scale * (MEAN_FACE @ rotation(yaw, pitch, roll).T)[:, :2] + (200, 120))[None]


@pytest.mark.parametrize("yaw", [-60, -30, 0, 20, 45, 75])
def test_yaw_is_positive_to_the_right(yaw: float) -> None:
    assert head_angles(seen(yaw))[0] == pytest.approx([yaw, 0, 0], abs=0.5)


@pytest.mark.parametrize("pitch", [-40, -15, 10, 35])
def test_pitch_is_positive_upwards(pitch: float) -> None:
    assert head_angles(seen(0, pitch))[0] == pytest.approx([0, pitch, 0], abs=0.5)


@pytest.mark.parametrize("roll", [-120, -20, 35, 90, 170])
def test_roll_is_positive_clockwise(roll: float) -> None:
    assert head_angles(seen(0, 0, roll))[0] == pytest.approx([0, 0, roll], abs=0.5)


@pytest.mark.parametrize("scale", [2, 40, 900])
def test_angles_do_not_depend_on_size_or_place(scale: float) -> None:
    assert head_angles(seen(25, 0, 0, scale) + 1000) == pytest.approx(head_angles(seen(25)), abs=1e-6)


def test_a_mirrored_head_looks_the_other_way() -> None:
    mirrored = seen(32, 8)[:, [1, 0, 2, 4, 3]] * (-1, 1)
    yaw, pitch, _ = head_angles(mirrored)[0]
    assert (yaw, pitch) == pytest.approx((-32, 8), abs=0.6)


def test_eyes_alone_give_the_roll_and_no_landmarks_nothing() -> None:
    assert head_angles(np.array([[[10.0, 10.0], [20.0, 20.0]]]))[0] == pytest.approx([np.nan, np.nan, 45], nan_ok=True)
    assert np.isnan(head_angles(np.zeros((3, 5, 2)))).all()
    assert np.isnan(head_angles(np.zeros((3, 2, 2)))).all()


def test_the_template_is_a_frontal_face() -> None:
    yaw, _, roll = head_angles(TEMPLATE_5PT[None] * 128)[0]
    assert (yaw, roll) == pytest.approx((0, 0), abs=1e-6)


def test_size_is_the_root_of_the_area() -> None:
    boxes = np.array([[0, 0, 20, 45], [5, 5, 15, 15], [3, 3, 1, 9]], np.float32)
    assert face_sizes(boxes).tolist() == [30, 10, 0]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_darker_picture_is_less_bright_and_a_blurred_one_less_sharp(seed: int) -> None:
    coarse = np.random.default_rng(seed).integers(0, 256, (32, 32, 3)).astype(np.uint8)
    crop = np.asarray(cv2.resize(coarse, (128, 128)), np.uint8)
    as_is = measure_crop(crop)
    dark = measure_crop((crop * 0.25).astype(np.uint8))
    assert dark.brightness == pytest.approx(as_is.brightness / 4, abs=0.01)
    sharpness = [measure_crop(np.asarray(cv2.GaussianBlur(crop, (0, 0), s), np.uint8)).sharpness for s in (2, 4, 8)]
    assert as_is.sharpness > sharpness[0] > sharpness[1] > sharpness[2]


def test_brightness_goes_from_black_to_white() -> None:
    found = [measure_crop(np.full((128, 128, 3), value, np.uint8)) for value in (0, 51, 255)]
    assert [quality.brightness for quality in found] == pytest.approx([0, 0.2, 1])
    assert [quality.sharpness for quality in found] == [0, 0, 0]
