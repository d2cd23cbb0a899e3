"""The part that all detectors with a network share: the sizes of its input, and close-ups of known faces."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dfer.faces.detectors.protocol import Detector, prominence
from dfer.records import Face

# The longer side of the network's input. Faces that matter fill a good part of their frame and are found at the
# first size, at a fifth of the cost of the usual 640x640. Otherwise the face may be small, or fill its frame so much
# that the network, which needs some context around a face, finds it only at a smaller size.
INPUT_SIDES = (320, 640, 224, 128)
# Around a known face, a square of this side (in longer sides of its box) is cut out and fed to the network at about
# the face's own size, clipped to these limits: its landmarks then lie within 3% of the inter-ocular distance of those
# found at 640x640.
CLOSE_UP = 1.4
FACE_SIDES = (96, 256)

Floats = NDArray[np.floating[Any]]

_STRIDE = 32  # the networks halve their input five times


class NetworkDetector(Detector):
    """Runs a network at several sizes of its input. A subclass says how the network runs at one of them.

    Args:
        input_sides: longer sides of the network's input, tried in this order until a face is found.

    Attributes:
        face_sides: smallest and largest side of a known face in the network's input, pixels.
    """

    uses_around = True
    face_sides: tuple[int, int] = FACE_SIDES

    def __init__(self, input_sides: tuple[int, ...] = INPUT_SIDES) -> None:
        self.input_sides = input_sides

    @abstractmethod
    def run(self, image_rgb: NDArray[np.uint8], input_wh: tuple[int, int]) -> list[Face]:
        """Run the network once.

        Args:
            image_rgb: uint8 [H, W, 3].
            input_wh: width and height of the network's input, no smaller than the image, which lies in its upper
                left corner; multiples of 32.

        Returns:
            The faces, in pixels of the image, in any order.
        """

    def detect(self, frame_rgb: NDArray[np.uint8], around: NDArray[np.float64] | None = None) -> list[Face]:
        """Return the faces in a frame; see `Detector.detect`."""
        if around is not None:
            return self._detect_around(frame_rgb, around)
        longer, largest = max(frame_rgb.shape[:2]), 0
        for side in self.input_sides:
            # Enlarging a frame more than twofold adds no detail.
            if side > largest >= longer * 2:
                continue
            largest = max(largest, side)
            faces = self.detect_at(frame_rgb, side)
            if faces:
                return sorted(faces, key=prominence, reverse=True)
        return []

    def _detect_around(self, frame_rgb: NDArray[np.uint8], box_xyxy: NDArray[np.float64]) -> list[Face]:
        """Return the faces near a box, the nearest first."""
        centre, longer = (box_xyxy[:2] + box_xyxy[2:]) / 2, float((box_xyxy[2:] - box_xyxy[:2]).max())
        half = max(CLOSE_UP * longer, 2.0) / 2
        limits = frame_rgb.shape[1::-1]
        x1, y1 = (min(max(math.floor(c - half), 0), limit - 1) for c, limit in zip(centre, limits, strict=True))
        x2, y2 = (max(min(math.ceil(c + half), limit), 1) for c, limit in zip(centre, limits, strict=True))
        if x2 - x1 < 8 or y2 - y1 < 8:
            return []
        low, high = self.face_sides
        # Keep the scale at the frame's edge, where the cut-out is smaller.
        side = CLOSE_UP * min(max(longer, low), high) * max(x2 - x1, y2 - y1) / (2 * half)
        faces = self.detect_at(frame_rgb[y1:y2, x1:x2], max(1, round(side / _STRIDE)) * _STRIDE)
        moved = [_transform(face, 1.0, (x1, y1)) for face in faces]
        return sorted(moved, key=lambda face: float(np.abs(face.box_xyxy - box_xyxy).sum()))

    def detect_at(self, image_rgb: NDArray[np.uint8], side: int) -> list[Face]:
        """Return the faces that the network finds at one size of its input.

        Args:
            image_rgb: uint8 [H, W, 3].
            side: the image's longer side is resized to it, pixels.
        """
        scale = side / max(image_rgb.shape[:2])
        size_wh = tuple(max(1, round(length * scale)) for length in image_rgb.shape[1::-1])
        small = np.asarray(cv2.resize(image_rgb, size_wh), np.uint8)
        ratio = np.array([length / short for length, short in zip(image_rgb.shape[1::-1], size_wh, strict=True)])
        return [_transform(face, ratio) for face in self.run(small, input_size_wh(image_rgb.shape[:2], side))]


def input_size_wh(size_hw: tuple[int, ...], side: int) -> tuple[int, int]:
    """Return the smallest network input that holds the image with its longer side at `side`, to save padding."""
    scale = side / max(size_hw)
    height, width = (max(_STRIDE, -(-round(length * scale) // _STRIDE) * _STRIDE) for length in size_hw)
    return width, height


def box_overlap(box_xyxy: Floats, others_xyxy: Floats) -> Floats:
    """Return the intersection over union [N] of a box [4] with others [N, 4]."""
    low, high = np.maximum(box_xyxy[:2], others_xyxy[:, :2]), np.minimum(box_xyxy[2:], others_xyxy[:, 2:])
    common = np.prod(np.maximum(high - low, 0), axis=1)
    areas = np.prod(others_xyxy[:, 2:] - others_xyxy[:, :2], axis=1)
    return np.asarray(common / (areas + np.prod(box_xyxy[2:] - box_xyxy[:2]) - common))


def _transform(face: Face, scale: float | NDArray[np.float64], shift: tuple[float, float] = (0.0, 0.0)) -> Face:
    """Return the face with each point (x, y) scaled, then shifted."""
    corners = face.box_xyxy.reshape(2, 2) * scale + np.asarray(shift)
    landmarks = face.landmarks * scale + np.asarray(shift)
    return Face(corners.ravel().astype(np.float32), landmarks.astype(np.float32), face.score)
