"""SCRFD, run by insightface on one CPU thread."""

from __future__ import annotations

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
# small one, at a fifth of the usual 640x640's cost; where nothing is found, the face may be small.
INPUT_SIDES = (320, 640)
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
        bgr = cv2.cvtColor(frame_rgb, cv2.COLOR_RGB2BGR)
        longer = max(frame_rgb.shape[:2])
        for number, side in enumerate(self.input_sides):
            # Enlarging a frame twofold already shows the network all that it holds.
            if number > 0 and longer * 2 <= self.input_sides[number - 1]:
                break
            boxes, landmarks = self._model.detect(bgr, input_size=_input_wh(frame_rgb.shape[:2], side))
            if len(boxes):
                faces = [
                    Face(box[:4].astype(np.float32), points.astype(np.float32), float(box[4]))
                    for box, points in zip(boxes, landmarks, strict=True)
                ]
                return sorted(faces, key=_prominence, reverse=True)
        return []


def _input_wh(size_hw: tuple[int, ...], side: int) -> tuple[int, int]:
    """The smallest input that holds the frame with its longer side at `side`: no time goes into padding."""
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
