"""How a face looks: whether two sightings show the same person, and whether the picture is sharp."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from dfer.faces.align import align_face
from dfer.records import Face

# Every face is brought to this many pixels, so that neither likeness nor sharpness depends on its size.
_SIDE = 64
_CELLS, _ORIENTATIONS = 8, 8
_PATTERN_SIDE = 24
_COLOUR_BINS, _COLOUR_RANGE = 24, (96, 176)  # of Lab's a and b, in which faces lie
# Two people under one light have the same colours, and one person under two lights has not: colour can only tell
# faces apart.
_MIN_COLOUR_LIKENESS = 0.85


@dataclass(frozen=True)
class Look:
    """What is remembered of one sighting.

    Attributes:
        shape: float32 [1088], unit length: directions of edges, and light and dark, each half of the weight.
        colour: float32 [576], unit length: square roots of the shares of colours.
    """

    shape: NDArray[np.float32]
    colour: NDArray[np.float32]


def face_patch(frame_rgb: NDArray[np.uint8], face: Face) -> NDArray[np.uint8]:
    """The aligned face at a fixed size, uint8 [64, 64, 3]."""
    return align_face(frame_rgb, face.landmarks, _SIDE)


def measure_sharpness(patch: NDArray[np.uint8]) -> float:
    """Variance of the Laplacian over variance of the brightness, of an aligned face; contrast does not matter.

    Args:
        patch: of `face_patch`.

    Returns:
        0 for a flat image; above about 0.1 for a sharp face, below 0.01 for a face out of focus.
    """
    grey = _grey(patch)[8:-8, 8:-8]
    return float(cv2.Laplacian(grey, cv2.CV_32F).var() / (grey.var() + 25.0))  # 25: noise of a flat image


def describe_look(patch: NDArray[np.uint8]) -> Look:
    """What to remember of an aligned face.

    Args:
        patch: of `face_patch`.

    Source: Dalal and Triggs, "Histograms of oriented gradients for human detection", CVPR 2005, with signed
    directions, since a face's light and dark do not swap.
    """
    grey = _grey(patch)
    shape = np.concatenate([_edge_directions(grey), _light_and_dark(grey)]) / np.sqrt(2)
    lab = cv2.cvtColor(patch, cv2.COLOR_RGB2LAB)[8:-4, 8:-8]
    counts = cv2.calcHist([lab], [1, 2], None, [_COLOUR_BINS] * 2, [*_COLOUR_RANGE] * 2)
    colour = np.sqrt(np.maximum(cv2.GaussianBlur(counts, (0, 0), 1.0), 0)).ravel()
    return Look(shape.astype(np.float32), (colour / max(float(np.linalg.norm(colour)), 1e-6)).astype(np.float32))


def likeness(one: list[Look], other: list[Look]) -> float:
    """How alike the two most similar looks of two faces are: 1 for the same picture, about 0.4 for two people."""
    if not one or not other:
        return 0.0
    colours = np.stack([look.colour for look in one]) @ np.stack([look.colour for look in other]).T
    shapes = np.stack([look.shape for look in one]) @ np.stack([look.shape for look in other]).T
    return float(np.where(colours >= _MIN_COLOUR_LIKENESS, shapes, 0.0).max())


def _grey(patch: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.asarray(cv2.cvtColor(patch, cv2.COLOR_RGB2GRAY), np.float32)


def _edge_directions(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """Unit vector [512]: for each of 8x8 cells, how strong edges are in each of 8 directions."""
    soft = cv2.GaussianBlur(grey, (0, 0), 1.0)
    dx, dy = cv2.Sobel(soft, cv2.CV_32F, 1, 0), cv2.Sobel(soft, cv2.CV_32F, 0, 1)
    strength = np.sqrt(np.hypot(dx, dy))  # the root keeps one strong edge from deciding alone
    turn = np.arctan2(dy, dx) % (2 * np.pi) / (2 * np.pi) * _ORIENTATIONS
    low = np.floor(turn)
    share = turn - low
    cell = np.arange(_SIDE) // (_SIDE // _CELLS)
    place = (cell[:, None] * _CELLS + cell[None, :]) * _ORIENTATIONS
    counts = np.zeros(_CELLS * _CELLS * _ORIENTATIONS)
    for direction, weight in ((low, 1 - share), (low + 1, share)):
        where = place + direction.astype(np.int64) % _ORIENTATIONS
        counts += np.bincount(where.ravel(), (strength * weight).ravel(), counts.size)
    cells = counts.reshape(-1, _ORIENTATIONS)
    cells /= np.linalg.norm(cells, axis=1, keepdims=True) + 8.0  # a flat cell's noise stays small
    return np.asarray(cells.ravel() / max(float(np.linalg.norm(cells)), 1e-6), np.float32)


def _light_and_dark(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """Unit vector [576]: the face at 24x24 without the course of the light over it."""
    small = cv2.resize(grey, (_PATTERN_SIDE, _PATTERN_SIDE), interpolation=cv2.INTER_AREA)
    pattern = small - cv2.GaussianBlur(small, (0, 0), _PATTERN_SIDE / 4)
    pattern -= pattern.mean()
    return np.asarray(pattern.ravel() / max(float(np.linalg.norm(pattern)), 1e-6), np.float32)
