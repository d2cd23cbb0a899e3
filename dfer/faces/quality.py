"""The quality of a face in a picture: its size, its sharpness and brightness, and which way the head is turned."""

from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from dfer.faces.align import TEMPLATE_5PT
from dfer.faces.tracking.appearance import PATCH_SIDE, measure_sharpness

# The tip of the nose in a mean face, in distances between the eyes: how far it lies before the plane of eyes and mouth,
# at which the landmarks of turned heads are best explained by rotations, and how much lower it lies than in the
# template, at which half of the heads look up and half down. Both fitted on 2,693 test stills of FER+ and faces160
# with CenterFace's landmarks.
_NOSE_DEPTH, _NOSE_LOWER = 0.5, 0.07
_EYES_APART = TEMPLATE_5PT[1, 0] - TEMPLATE_5PT[0, 0]


class PictureQuality(NamedTuple):
    """The quality of a face's pixels.

    Attributes:
        sharpness: see `dfer.faces.tracking.appearance.measure_sharpness`.
        brightness: the mean of the face's inner part, 0 for black to 1 for white.
    """

    sharpness: float
    brightness: float


def measure_crop(crop_rgb: NDArray[np.uint8]) -> PictureQuality:
    """Measure the pixels of a face.

    Args:
        crop_rgb: the aligned face, uint8 [S, S, 3].
    """
    patch = cv2.resize(crop_rgb, (PATCH_SIDE, PATCH_SIDE), interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(patch, cv2.COLOR_RGB2GRAY)
    inner = PATCH_SIDE // 4
    return PictureQuality(
        measure_sharpness(np.asarray(patch, np.uint8)), float(grey[inner:-inner, inner:-inner].mean() / 255)
    )


def face_sizes(boxes_xyxy: NDArray[Any]) -> NDArray[np.float64]:
    """Return the sizes of faces, float64 [N], pixels: the square roots of the areas of their boxes [N, 4]."""
    sides = np.maximum(np.asarray(boxes_xyxy, np.float64)[:, 2:] - boxes_xyxy[:, :2], 0)
    return np.asarray(np.sqrt(sides.prod(axis=1)))


def head_angles(landmarks: NDArray[Any]) -> NDArray[np.float64]:
    """Estimate which way heads are turned.

    The landmarks are taken for a mean face, flat but for the nose, that was rotated and projected without perspective.

    Args:
        landmarks: [N, 5, 2] or [N, 2, 2], pixels, as in `dfer.records.Face`.

    Returns:
        float64 [N, 3], degrees: yaw, positive to the picture's right; pitch, positive upwards; roll, positive
        clockwise. NaN where the landmarks coincide, and for yaw and pitch where there are only the eyes.
    """
    points = np.asarray(landmarks, np.float64)
    if points.shape[1] == 2:
        across = points[:, 1] - points[:, 0]
        roll = np.where(across.any(axis=1), np.degrees(np.arctan2(across[:, 1], across[:, 0])), np.nan)
        return np.stack([np.full(len(points), np.nan), np.full(len(points), np.nan), roll], axis=1)
    points = points - points.mean(axis=1, keepdims=True)
    # [N, 2, 3], the first two rows of a rotation but for scale and noise; an SVD makes them one.
    projections = np.swapaxes(points, 1, 2) @ np.linalg.pinv(_mean_face()).T
    u, _, v = np.linalg.svd(projections, full_matrices=False)
    rows = u @ v
    third = np.cross(rows[:, 0], rows[:, 1])
    ahead = -np.stack([rows[:, 0, 2], rows[:, 1, 2], third[:, 2]], axis=1)  # where the face looks
    yaw = np.arctan2(ahead[:, 0], -ahead[:, 2])
    pitch = np.arctan2(-ahead[:, 1], np.hypot(ahead[:, 0], ahead[:, 2]))
    roll = np.arctan2(rows[:, 1, 0], rows[:, 0, 0])
    angles = np.degrees(np.stack([yaw, pitch, roll], axis=1))
    angles[np.abs(points).max(axis=(1, 2)) < 1e-6] = np.nan
    return np.asarray(angles)


def _mean_face() -> NDArray[np.float64]:
    """Return the mean face's landmarks, float64 [5, 3], around its centre: right, down and away from the camera."""
    face = np.zeros((5, 3))
    face[:, :2] = TEMPLATE_5PT / _EYES_APART
    face[2] += 0, _NOSE_LOWER, -_NOSE_DEPTH
    return np.asarray(face - face.mean(axis=0))
