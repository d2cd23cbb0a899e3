"""The appearance of a face: whether two detections show the same person, and whether the image is sharp."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dfer.faces.align import align_face
from dfer.records import Face

# Every face is aligned to this side in pixels, so that neither similarity nor sharpness depends on its size.
PATCH_SIDE = 64
_CELLS, _ORIENTATIONS = 8, 8
_PATTERN_SIDE = 24
_SHAPE_DIM = _CELLS * _CELLS * _ORIENTATIONS + _PATTERN_SIDE**2
_COLOUR_BINS, _COLOUR_RANGE = 24, (-32, 48)  # of Lab's a and b channels; skin lies in this range
_BRIGHTNESS = 0.5  # mean of a face whose colours are looked at
# Two people in the same light have the same colours, so colours can only rule a match out, never confirm it.
_MIN_COLOUR_SIMILARITY = 0.85


def face_patch(frame_rgb: NDArray[np.uint8], face: Face) -> NDArray[np.uint8]:
    """Return the aligned face at a fixed size, uint8 [64, 64, 3]."""
    return align_face(frame_rgb, face.landmarks, PATCH_SIDE)


def measure_sharpness(patch: NDArray[np.uint8]) -> float:
    """Return the variance of a face's Laplacian over the variance of its brightness, independent of contrast.

    Args:
        patch: uint8 [64, 64, 3] from `face_patch`.

    Returns:
        0 for a flat image; above about 0.1 for a sharp face, below 0.01 for a face out of focus.
    """
    grey = _grey(patch)[8:-8, 8:-8]
    return float(cv2.Laplacian(grey, cv2.CV_32F).var() / (grey.var() + 25.0))  # 25: the noise of a flat image


def describe_appearance(patch: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Compute a descriptor by which a face is recognised within one video.

    Args:
        patch: uint8 [64, 64, 3] from `face_patch`.

    Returns:
        float32 [1664]: a unit vector [1088] of shape (edge directions, and light and dark, of equal weight), then a
        unit vector [576] of colour (square roots of a histogram).

    Source: Dalal and Triggs, "Histograms of oriented gradients for human detection", CVPR 2005, with signed
    directions, since a face's light and dark do not swap.
    """
    grey = _grey(patch)
    shape = np.concatenate([_edge_directions(grey), _light_and_dark(grey)]) / np.sqrt(2)
    lab = cv2.cvtColor(_evenly_lit(patch), cv2.COLOR_RGB2LAB)[8:-4, 8:-8]
    counts = cv2.calcHist([lab], [1, 2], None, [_COLOUR_BINS] * 2, [*_COLOUR_RANGE] * 2)
    colour = np.sqrt(np.maximum(cv2.GaussianBlur(counts, (0, 0), 1.0), 0)).ravel()
    return np.concatenate([shape, _unit(colour)]).astype(np.float32)


def similarity(ours: list[NDArray[np.float32]], theirs: list[NDArray[np.float32]]) -> float:
    """Return the highest similarity between two faces' descriptors: 1 for one image, about 0.4 for two people."""
    if not ours or not theirs:
        return 0.0
    a, b = np.stack(ours), np.stack(theirs)
    shapes = a[:, :_SHAPE_DIM] @ b[:, :_SHAPE_DIM].T
    colours = a[:, _SHAPE_DIM:] @ b[:, _SHAPE_DIM:].T
    return float(np.where(colours >= _MIN_COLOUR_SIMILARITY, shapes, 0.0).max())


def _evenly_lit(patch: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return a face at one brightness, 0..1: the colours of a face are weaker in less light."""
    linear = patch.astype(np.float32)
    return np.asarray(np.minimum(linear * (_BRIGHTNESS / max(float(linear[8:-4, 8:-8].mean()), 1.0)), 1.0), np.float32)


def _unit(values: NDArray[Any]) -> NDArray[np.float32]:
    return np.asarray(values.ravel() / max(float(np.linalg.norm(values)), 1e-6), np.float32)


def _grey(patch: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.asarray(cv2.cvtColor(patch, cv2.COLOR_RGB2GRAY), np.float32)


def _edge_directions(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a unit vector [512]: in each of 8x8 cells, the strength of the edges in each of 8 directions."""
    soft = cv2.GaussianBlur(grey, (0, 0), 1.0)
    dx, dy = cv2.Sobel(soft, cv2.CV_32F, 1, 0), cv2.Sobel(soft, cv2.CV_32F, 0, 1)
    strength = np.sqrt(np.hypot(dx, dy))  # the root keeps one strong edge from dominating
    turn = np.arctan2(dy, dx) % (2 * np.pi) / (2 * np.pi) * _ORIENTATIONS
    low = np.floor(turn)
    share = turn - low
    cell = np.arange(PATCH_SIDE) // (PATCH_SIDE // _CELLS)
    place = (cell[:, None] * _CELLS + cell[None, :]) * _ORIENTATIONS
    counts = np.zeros(_CELLS * _CELLS * _ORIENTATIONS)
    for direction, weight in ((low, 1 - share), (low + 1, share)):
        where = place + direction.astype(np.int64) % _ORIENTATIONS
        counts += np.bincount(where.ravel(), (strength * weight).ravel(), counts.size)
    cells = counts.reshape(-1, _ORIENTATIONS)
    cells /= np.linalg.norm(cells, axis=1, keepdims=True) + 8.0  # a flat cell's noise stays small
    return _unit(cells)


def _light_and_dark(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a unit vector [576]: the face at 24x24 without the gradual change of light across it."""
    small = cv2.resize(grey, (_PATTERN_SIDE, _PATTERN_SIDE), interpolation=cv2.INTER_AREA)
    pattern = small - cv2.GaussianBlur(small, (0, 0), _PATTERN_SIDE / 4)
    pattern -= pattern.mean()
    return _unit(pattern)
