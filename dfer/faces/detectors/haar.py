"""OpenCV's Haar cascades: need no download, and find frontal faces that are not small."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from dfer.faces.detectors.protocol import Detector
from dfer.records import Face

# Frames are resized to this longer side. The cascade's window is 24 pixels wide: at 160 it finds faces down to a
# seventh of the longer side; the second size is for smaller faces.
SIDES = (160, 320)
SCALE_FACTOR = 1.1
MIN_NEIGHBOURS = 4
MIN_FACE = 0.15  # of the frame's shorter side; smaller detections are mostly false

# The mean position of the eyes in the cascade's box, from SCRFD's landmarks on real videos; and how far from it, in
# box widths, an eye detection is accepted.
_EYES_IN_BOX = np.array([[0.305, 0.400], [0.690, 0.400]])
_EYE_REACH = 0.09
_EYE_PATCH = np.array([0.24, 0.22])  # half the search patch, in box widths: eyebrow to cheek, nose to temple
_FACE_SIDE = 96  # faces are resized to this width for the eye cascade
_ESTIMATED_EYE = 0.7  # factor on the score for each eye that was placed by mean proportions


class HaarDetector(Detector):
    """Finds faces and their two eyes.

    Eyes that the eye cascade misses (closed, in shadow, behind glasses) are placed by mean proportions, which lowers
    the face's score.

    Source: Viola and Jones, "Rapid object detection using a boosted cascade of simple features", CVPR 2001; the
    cascades come with OpenCV.
    """

    name = "haar"

    def __init__(self) -> None:
        folder = Path(cv2.__file__).parent / "data"
        self._faces = cv2.CascadeClassifier(str(folder / "haarcascade_frontalface_default.xml"))
        # Equalize contrast locally: over the whole frame, a bright background would drown a dark face.
        self._contrast = cv2.createCLAHE(clipLimit=2.0, tileGridSize=(4, 4))
        self._eyes = cv2.CascadeClassifier(str(folder / "haarcascade_eye.xml"))

    def detect(self, frame_rgb: NDArray[np.uint8], around: NDArray[np.float64] | None = None) -> list[Face]:  # noqa: ARG002
        """Return the faces in a frame, uint8 [H, W, 3], the most prominent (score x area) first."""
        grey = np.asarray(cv2.cvtColor(frame_rgb, cv2.COLOR_RGB2GRAY), np.uint8)
        # A frame that the first size already enlarges has no smaller faces.
        sides = SIDES if max(grey.shape) > SIDES[0] else SIDES[:1]
        for side in sides:
            boxes, neighbours = self._find_boxes(grey, min(side, max(*grey.shape, SIDES[0])))
            if len(boxes):
                faces = [self._face(grey, box, int(n)) for box, n in zip(boxes, neighbours, strict=True)]
                return sorted(faces, key=lambda face: face.score * _area(face.box_xyxy), reverse=True)
        return []

    def _find_boxes(self, grey: NDArray[np.uint8], side: int) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
        """Return boxes (x, y, width, height) in pixels of the frame, and how many raw detections each merges."""
        scale = side / max(grey.shape)
        small = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        smallest = round(MIN_FACE * min(small.shape))
        boxes, neighbours = self._faces.detectMultiScale2(
            self._contrast.apply(small),
            scaleFactor=SCALE_FACTOR,
            minNeighbors=MIN_NEIGHBOURS,
            minSize=(smallest, smallest),
        )
        return np.asarray(boxes, np.float64).reshape(-1, 4) / scale, np.asarray(neighbours, np.int32)

    def _face(self, grey: NDArray[np.uint8], box_xywh: NDArray[np.float64], neighbours: int) -> Face:
        corner, width = box_xywh[:2], box_xywh[2]
        found = [self._find_eye(grey, box_xywh, place) for place in _EYES_IN_BOX]
        eyes = np.array([place if eye is None else eye for place, eye in zip(_one_sided(found), found, strict=True)])
        score = neighbours / (neighbours + MIN_NEIGHBOURS) * _ESTIMATED_EYE ** sum(eye is None for eye in found)
        return Face(
            box_xyxy=np.concatenate([corner, corner + box_xywh[2:]]).astype(np.float32),
            landmarks=(corner + eyes * width).astype(np.float32),
            score=score,
        )

    def _find_eye(
        self, grey: NDArray[np.uint8], box_xywh: NDArray[np.float64], place: NDArray[np.float64]
    ) -> NDArray[np.float64] | None:
        """Return the eye nearest to its mean position, in widths of the box; None if none is near."""
        width = box_xywh[2]
        left, top = np.maximum(np.round((place - _EYE_PATCH) * width + box_xywh[:2]), 0).astype(int)
        right, bottom = np.round((place + _EYE_PATCH) * width + box_xywh[:2]).astype(int)
        patch = grey[top:bottom, left:right]
        if min(patch.shape) < 8:
            return None
        scale = _FACE_SIDE / width
        patch = np.asarray(cv2.resize(patch, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
        side = round(0.16 * _FACE_SIDE)
        found = self._eyes.detectMultiScale(
            cv2.equalizeHist(patch), scaleFactor=SCALE_FACTOR, minNeighbors=3, minSize=(side, side)
        )
        hits = np.asarray(found, np.float64).reshape(-1, 4)
        centres = ((hits[:, :2] + hits[:, 2:] / 2) / scale + ([left, top] - box_xywh[:2])) / width
        distances = np.linalg.norm(centres - place, axis=1)
        if len(hits) == 0 or distances.min() > _EYE_REACH:
            return None
        return np.asarray(centres[distances.argmin()])


def _one_sided(found: list[NDArray[np.float64] | None]) -> NDArray[np.float64]:
    """Return the mean eye positions, shifted as far as the one eye that was found, if only one was."""
    shifts = [eye - place for eye, place in zip(found, _EYES_IN_BOX, strict=True) if eye is not None]
    return _EYES_IN_BOX + (shifts[0] if len(shifts) == 1 else 0.0)


def _area(box_xyxy: NDArray[np.float32]) -> float:
    return float((box_xyxy[2] - box_xyxy[0]) * (box_xyxy[3] - box_xyxy[1]))
