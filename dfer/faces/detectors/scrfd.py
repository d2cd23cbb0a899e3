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
from dfer.faces.detectors.protocol import Detector
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
MIN_SCORE = 0.5

_STRIDE = 32  # the network halves its input five times


class ScrfdDetector(Detector):
    """Finds faces with five landmarks.

    Args:
        weights: the .onnx file.
        num_threads: threads of onnxruntime; 1 in worker processes.
        input_sides: longer sides of the network's input, tried in this order until a face is found.

    Raises:
        DferError: the file is not an SCRFD model with landmarks.

    Source: Guo et al., "Sample and Computation Redistribution for Efficient Face Detection", ICLR 2022.
    """

    name = "scrfd"
    uses_around = True

    def __init__(self, weights: Path, *, num_threads: int = 1, input_sides: tuple[int, ...] = INPUT_SIDES) -> None:
        self.input_sides = input_sides
        self._model = _load(weights, num_threads)
        self._model.det_thresh = MIN_SCORE

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
            faces = self._run(frame_rgb, side)
            if faces:
                return sorted(faces, key=_prominence, reverse=True)
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
        low, high = FACE_SIDES
        # Keep the scale at the frame's edge, where the cut-out is smaller.
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
        return sorted(moved, key=lambda face: float(np.abs(face.box_xyxy - box_xyxy).sum()))

    def _run(self, image_rgb: NDArray[np.uint8], side: int) -> list[Face]:
        """Return the faces in an image whose longer side is resized to `side` pixels."""
        scale = side / max(image_rgb.shape[:2])
        size_wh = tuple(max(1, round(length * scale)) for length in image_rgb.shape[1::-1])
        # Resize before swapping the channels: far fewer pixels to swap.
        small = cv2.cvtColor(cv2.resize(image_rgb, size_wh), cv2.COLOR_RGB2BGR)
        boxes, landmarks = self._model.detect(small, input_size=_input_wh(image_rgb.shape[:2], side))
        ratio = np.array([length / short for length, short in zip(image_rgb.shape[1::-1], size_wh, strict=True)])
        return [
            Face((box[:4] * np.tile(ratio, 2)).astype(np.float32), (points * ratio).astype(np.float32), float(box[4]))
            for box, points in zip(boxes, landmarks, strict=True)
        ]


def _input_wh(size_hw: tuple[int, ...], side: int) -> tuple[int, int]:
    """Return the smallest network input that holds the image with its longer side at `side`, to save padding."""
    scale = side / max(size_hw)
    height, width = (max(_STRIDE, -(-round(length * scale) // _STRIDE) * _STRIDE) for length in size_hw)
    return width, height


def _prominence(face: Face) -> float:
    x1, y1, x2, y2 = face.box_xyxy
    return face.score * float((x2 - x1) * (y2 - y1))


def _load(weights: Path, num_threads: int) -> Any:
    hint = "use a det_*.onnx file of insightface's SCRFD packs, or its folder"
    # insightface prints to stdout, which is for results.
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
                # One session for all input sizes: a session per size would hold the weights several times.
                static_shape_sessions=False,
            )
        except Exception as error:  # onnxruntime's errors share no narrower base class
            reason = str(error).strip().splitlines()[0][:160] if str(error).strip() else type(error).__name__
            raise DferError(f"cannot load the detector: {reason}", where=weights, hint=hint) from error
    if getattr(model, "taskname", None) != "detection" or not getattr(model, "use_kps", False):
        raise DferError("not a face detector with landmarks", where=weights, hint=hint)
    return model
