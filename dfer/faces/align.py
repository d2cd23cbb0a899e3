"""Face crops aligned by a similarity transform that maps the landmarks to a fixed template."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dfer.errors import DataError

# Left eye, right eye, nose tip, left and right mouth corner, in a crop of side 1. The proportions are those of the
# mean face behind ArcFace's template (Deng et al., CVPR 2019), made symmetric so that a mirrored crop is aligned too,
# and placed so that forehead, brows and chin lie inside the crop.
TEMPLATE_5PT: NDArray[np.float64] = np.array(
    [[0.3625, 0.4000], [0.6375, 0.4000], [0.5000, 0.5575], [0.3860, 0.7170], [0.6140, 0.7170]]
)
TEMPLATE_NAME = "dfer-5pt/1"

# Large faces are first averaged down to this multiple of the crop's resolution. The shrinking factor is not rounded,
# or the sharpness would jump from frame to frame as a face comes nearer.
_OVERSAMPLING = 1.5


def template_points(size: int, num_points: int = 5) -> NDArray[np.float64]:
    """Return the template in pixels of a crop.

    Args:
        size: side of the crop, pixels.
        num_points: 5, or 2 for the eyes only.

    Returns:
        float64 [num_points, 2], pixel coordinates (x, y); the centre of the first pixel is (0, 0).
    """
    if num_points not in (2, 5):
        raise ValueError(f"expected 2 or 5 landmarks, got {num_points}")
    return TEMPLATE_5PT[:num_points] * size - 0.5


def estimate_similarity(points: NDArray[Any], template: NDArray[Any]) -> NDArray[np.float64]:
    """Fit the rotation, uniform scale and shift that map `points` to `template`, by least squares.

    Args:
        points: [N, 2], N >= 2, in pixels of the frame.
        template: [N, 2], their target positions.

    Returns:
        float64 [2, 3], mapping (x, y, 1) of the frame to the crop; never a reflection.

    Raises:
        ValueError: the shapes differ, a value is NaN or infinite, or all points coincide.

    Source: Umeyama, "Least-squares estimation of transformation parameters between two point patterns", TPAMI
    1991; in the plane its solution is one complex division.
    """
    points, template = np.asarray(points, np.float64), np.asarray(template, np.float64)
    if points.shape != template.shape or points.ndim != 2 or points.shape[1] != 2 or len(points) < 2:
        raise ValueError(f"expected two arrays [N, 2], got {points.shape} and {template.shape}")
    # A similarity without reflection is z -> a z + b in the complex plane.
    z, w = points @ [1, 1j], template @ [1, 1j]
    centred = z - z.mean()
    spread = float(np.sum(np.abs(centred) ** 2))
    if not (math.isfinite(spread) and spread > 1e-12):
        raise ValueError("the landmarks coincide, or are NaN or infinite")
    a = np.vdot(centred, w - w.mean()) / spread
    b = w.mean() - a * z.mean()
    return np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]])


def align_face(frame_rgb: NDArray[np.uint8], landmarks: NDArray[Any], size: int) -> NDArray[np.uint8]:
    """Cut out a face, upright and centred.

    Outside the frame, its edge pixels are repeated: black would reveal how a clip is framed, and a reflection would
    show a second mouth.

    Args:
        frame_rgb: uint8 [H, W, 3].
        landmarks: [5, 2] or [2, 2], pixels, as in `dfer.records.Face`.
        size: side of the crop, pixels.

    Returns:
        uint8 [size, size, 3].
    """
    return warp_face(frame_rgb, landmarks, size, template_points(size, len(landmarks)))


def warp_face(
    frame_rgb: NDArray[np.uint8], landmarks: NDArray[Any], size: int, template: NDArray[np.float64]
) -> NDArray[np.uint8]:
    """Cut out a face as `align_face` does, by another template.

    Args:
        frame_rgb: uint8 [H, W, 3].
        landmarks: [N, 2], pixels.
        size: side of the crop, pixels.
        template: float64 [N, 2], where the landmarks come to lie, pixels of the crop.

    Returns:
        uint8 [size, size, 3].
    """
    matrix = estimate_similarity(landmarks, template)
    shrink = 1 / (math.hypot(matrix[0, 0], matrix[1, 0]) * _OVERSAMPLING)
    if shrink > 1:
        # Bilinear sampling would skip pixels: average them first.
        frame_rgb, matrix = _shrink_around(frame_rgb, matrix, size, shrink)
    crop = cv2.warpAffine(frame_rgb, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(crop, np.uint8)


def resize_crop(frame_rgb: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Resize an aligned face image; one that is not square is first padded with its edge pixels.

    Args:
        frame_rgb: uint8 [H, W, 3].
        size: side of the crop, pixels.

    Returns:
        uint8 [size, size, 3].
    """
    height, width = frame_rgb.shape[:2]
    if height != width:
        y, x = (max(height, width) - height) // 2, (max(height, width) - width) // 2
        bottom, right = max(height, width) - height - y, max(height, width) - width - x
        frame_rgb = np.asarray(cv2.copyMakeBorder(frame_rgb, y, bottom, x, right, cv2.BORDER_REPLICATE), np.uint8)
    if frame_rgb.shape[0] == size:
        return frame_rgb
    method = cv2.INTER_AREA if frame_rgb.shape[0] > size else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(frame_rgb, (size, size), interpolation=method), np.uint8)


def alignment_settings(size: int) -> dict[str, Any]:
    """Return the settings of the alignment, for `dataset.json` and checkpoints.

    Args:
        size: side of the crops, pixels.
    """
    return {"template": TEMPLATE_NAME, "points": TEMPLATE_5PT.tolist(), "size": size, "border": "replicate"}


def require_same_alignment(ours: dict[str, Any], theirs: dict[str, Any], *, where: str) -> None:
    """Check that two sets of crops were aligned in the same way.

    Raises:
        DataError: the settings differ; names the first difference.
    """
    for key in sorted(ours.keys() | theirs.keys()):
        if ours.get(key) != theirs.get(key):
            values = f"{ours.get(key)!r:.60} in one, {theirs.get(key)!r:.60} in the other"
            raise DataError(
                f"faces are aligned differently: {key:.60} is {values}",
                where=where,
                hint="preprocess the data again, or use a checkpoint trained on crops of this alignment",
            )


def _shrink_around(
    frame_rgb: NDArray[np.uint8], matrix: NDArray[np.float64], size: int, factor: float
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Return the part of the frame that the crop needs, averaged down by `factor`, and the matrix for it."""
    inverse = cv2.invertAffineTransform(matrix)
    corners = np.array([[x, y, 1] for x in (-1, size) for y in (-1, size)]) @ inverse.T
    limits = np.array(frame_rgb.shape[1::-1])
    low = np.clip(np.floor(corners.min(0) - factor), 0, limits - 1).astype(int)
    high = np.clip(np.ceil(corners.max(0) + factor) + 1, low + 1, limits).astype(int)
    part = frame_rgb[low[1] : high[1], low[0] : high[0]]
    shrunk_wh = np.maximum(np.round((high - low) / factor), 1).astype(int)
    shrunk = cv2.resize(part, tuple(shrunk_wh.tolist()), interpolation=cv2.INTER_AREA)
    # Pixel x of the shrunk part lies at (x + 1/2) * scale - 1/2 of the part.
    scale = (high - low) / shrunk_wh
    to_frame = np.array([[scale[0], 0, low[0] + scale[0] / 2 - 0.5], [0, scale[1], low[1] + scale[1] / 2 - 0.5]])
    return np.asarray(shrunk, np.uint8), matrix @ np.vstack([to_frame, [0, 0, 1]])
