"""SCRFD, run by insightface on one CPU thread."""

from __future__ import annotations

import math
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dfer.errors import DferError
from dfer.records import Face

# The longer side of the network's input. Faces that matter fill a good part of their frame and are found at the
# first one, at a fifth of the usual 640x640's cost; where nothing is found, the face may be small, or fill its frame
# so much that the network, which wants to see some of what is around it, finds it only in a smaller picture.
INPUT_SIDES = (320, 640, 224, 128)
# A known face is cut out with so much around it, in lengths of its box's longer side, and shown to the network at
# about its own size, kept between these: the landmarks are then within 3% of the inter-ocular distance of those
# found at 640x640.
CLOSE_UP = 1.4
FACE_SIDES = (96, 256)
MIN_SCORE = 0.5

_STRIDE = 32  # the network halves its input five times


class ScrfdDetector:
    """Finds faces with five landmarks.

    Args:
        weights: the .onnx file.
        num_threads: threads of onnxruntime; callers that run workers want 1.
        input_sides: longer sides of the network's input, tried in this order until a face is found.

    Raises:
        DferError: the file is no SCRFD model with landmarks.

    Source: Guo et al., "Sample and Computation Redistribution for Efficient Face Detection", ICLR 2022.
    """

    name = "scrfd"

    def __init__(self, weights: Path, *, num_threads: int = 1, input_sides: tuple[int, ...] = INPUT_SIDES) -> None:
        self.weights = weights
        self.input_sides = input_sides
        self._model = _load(weights, num_threads)
        self._model.det_thresh = MIN_SCORE

    def detect(self, frame_rgb: NDArray[np.uint8]) -> list[Face]:
        """All faces of an RGB uint8 [H, W, 3] frame, the most prominent (score x area) first."""
        longer, largest = max(frame_rgb.shape[:2]), 0
        for side in self.input_sides:
            # Enlarging a frame twofold already shows the network all that it holds.
            if side > largest >= longer * 2:
                continue
            largest = max(largest, side)
            faces = self._run(frame_rgb, side)
            if faces:
                return sorted(faces, key=_prominence, reverse=True)
        return []

    def detect_around(self, frame_rgb: NDArray[np.uint8], box_xyxy: NDArray[np.float64]) -> Face | None:
        """The face nearest to a known place, looked at closely.

        Args:
            frame_rgb: RGB uint8 [H, W, 3].
            box_xyxy: [4], where the face should be, pixels.

        Returns:
            The face, or None if there is none.
        """
        centre, longer = (box_xyxy[:2] + box_xyxy[2:]) / 2, float((box_xyxy[2:] - box_xyxy[:2]).max())
        half = max(CLOSE_UP * longer, 2.0) / 2
        limits = frame_rgb.shape[1::-1]
        x1, y1 = (min(max(math.floor(c - half), 0), limit - 1) for c, limit in zip(centre, limits, strict=True))
        x2, y2 = (max(min(math.ceil(c + half), limit), 1) for c, limit in zip(centre, limits, strict=True))
        if x2 - x1 < 8 or y2 - y1 < 8:
            return None
        low, high = FACE_SIDES
        # The same scale at the frame's rim, where the cut-out is smaller.
        side = CLOSE_UP * min(max(longer, low), high) * max(x2 - x1, y2 - y1) / (2 * half)
        faces = self._run(frame_rgb[y1:y2, x1:x2], max(1, round(side / _STRIDE)) * _STRIDE)
        moved = [
            Face(
                face.box_xyxy + np.array([x1, y1, x1, y1], np.float32),
                face.landmarks + np.array([x1, y1], np.float32),
                face.score,
            )
            for face in faces
        ]
        return min(moved, key=lambda face: float(np.abs(face.box_xyxy - box_xyxy).sum()), default=None)

    def _run(self, image_rgb: NDArray[np.uint8], side: int) -> list[Face]:
        """The faces of an image whose longer side is brought to `side` pixels."""
        scale = side / max(image_rgb.shape[:2])
        size_wh = tuple(max(1, round(length * scale)) for length in image_rgb.shape[1::-1])
        # Small before its channels are swapped: that reads much less.
        small = cv2.cvtColor(cv2.resize(image_rgb, size_wh), cv2.COLOR_RGB2BGR)
        boxes, landmarks = self._model.detect(small, input_size=_input_wh(image_rgb.shape[:2], side))
        ratio = np.array([length / short for length, short in zip(image_rgb.shape[1::-1], size_wh, strict=True)])
        return [
            Face((box[:4] * np.tile(ratio, 2)).astype(np.float32), (points * ratio).astype(np.float32), float(box[4]))
            for box, points in zip(boxes, landmarks, strict=True)
        ]


def _input_wh(size_hw: tuple[int, ...], side: int) -> tuple[int, int]:
    """The smallest input that holds the image with its longer side at `side`: no time goes into padding."""
    scale = side / max(size_hw)
    height, width = (max(_STRIDE, -(-round(length * scale) // _STRIDE) * _STRIDE) for length in size_hw)
    return width, height


def _prominence(face: Face) -> float:
    x1, y1, x2, y2 = face.box_xyxy
    return face.score * float((x2 - x1) * (y2 - y1))


def _load(weights: Path, num_threads: int) -> Any:
    hint = "give SCRFD's det_*.onnx of insightface, or its folder"
    # insightface prints what it loads; stdout is for results.
    with redirect_stdout(sys.stderr):
        try:
            import onnxruntime
            from insightface import model_zoo

            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = options.inter_op_num_threads = num_threads
            options.log_severity_level = 4
            model = model_zoo.get_model(
                str(weights),
                providers=["CPUExecutionProvider"],
                sess_options=options,
                # One session serves all input sizes: one for each would hold the weights several times.
                static_shape_sessions=False,
            )
        except Exception as error:  # onnxruntime's errors share no base class but this
            reason = str(error).strip().splitlines()[0][:160] if str(error).strip() else type(error).__name__
            raise DferError(f"cannot load the detector: {reason}", where=weights, hint=hint) from error
    if getattr(model, "taskname", None) != "detection" or not getattr(model, "use_kps", False):
        raise DferError("not a face detector with landmarks", where=weights, hint=hint)
    return model
