"""Faces made unrecognisable in a frame."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, get_args

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

HideStyle = Literal["blur", "pixelate"]
HIDE_STYLES: tuple[HideStyle, ...] = get_args(HideStyle)

MARGIN = 0.25  # around a box, in sides of the box: hair, ears and chin identify people too
# Of a face, in both styles, only the mean colours of cells are left, this many along the side of its box. People
# recognise a known face in 7x10 pixels (Sinha et al., "Face recognition by humans: nineteen results all computer vision
# researchers should know about", Proceedings of the IEEE 2006); with 3 cells and more, detectors still find a face.
CELLS = 2
_MIN_CELL = 4  # pixels
_SAME_FACE = 0.4  # overlap, as a share of the smaller box

_Frame = NDArray[np.uint8]
_Box = NDArray[np.float64]


def hide_faces(frame_rgb: _Frame, boxes_xyxy: Sequence[ArrayLike], style: HideStyle) -> _Frame:
    """Make the faces in a frame unrecognisable.

    Args:
        frame_rgb: uint8 [H, W, 3].
        boxes_xyxy: the faces' boxes, pixels; they are hidden with a margin of a quarter of their sides. Boxes of one
            face may overlap.
        style: "blur" for soft colours, "pixelate" for squares.

    Returns:
        uint8 [H, W, 3], a copy.
    """
    hidden = frame_rgb.copy()
    size_wh = np.array(frame_rgb.shape[1::-1])
    for box in _join(boxes_xyxy):
        sides_wh = box[2:] - box[:2]
        left, top = np.clip(np.floor(box[:2] - MARGIN * sides_wh), 0, size_wh).astype(int)
        right, bottom = np.clip(np.ceil(box[2:] + MARGIN * sides_wh), 0, size_wh).astype(int)
        if right > left and bottom > top:
            cell = max(_MIN_CELL, math.sqrt(sides_wh.prod()) / CELLS)
            hidden[top:bottom, left:right] = _reduce(hidden[top:bottom, left:right], cell, style)
    return hidden


def _join(boxes_xyxy: Sequence[ArrayLike]) -> list[_Box]:
    """Return the boxes, those of one face as the one box that holds them, so that no seam shows inside it."""
    joined: list[_Box] = []
    for box in (np.asarray(values, np.float64) for values in boxes_xyxy):
        same = [other for other in joined if _overlap(box, other) > _SAME_FACE]
        joined = [other for other in joined if not any(other is one for one in same)]
        corners = np.stack([box, *same])
        joined.append(np.concatenate([corners[:, :2].min(0), corners[:, 2:].max(0)]))
    return joined


def _overlap(one: _Box, other: _Box) -> float:
    """Return the common area of two boxes as a share of the smaller one."""
    common = np.maximum(np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2]), 0).prod()
    return float(common / max(min((box[2:] - box[:2]).prod() for box in (one, other)), 1e-6))


def _reduce(region: _Frame, cell: float, style: HideStyle) -> _Frame:
    """Return a region of which only the mean colours of its cells, of a side in pixels, are left."""
    height, width = region.shape[:2]
    cells_wh = max(1, round(width / cell)), max(1, round(height / cell))
    means = cv2.resize(region, cells_wh, interpolation=cv2.INTER_AREA)
    enlarge = cv2.INTER_NEAREST if style == "pixelate" else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(means, (width, height), interpolation=enlarge), np.uint8)
