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
from dfer.faces.detectors.network import INPUT_SIDES, NetworkDetector
from dfer.faces.detectors.weights import verify_detector_weights
from dfer.records import Face

MIN_SCORE = 0.5


class ScrfdDetector(NetworkDetector):
    """Finds faces with five landmarks.

    Args:
        weights: the .onnx file.
        num_threads: threads of onnxruntime; 1 in worker processes.
        input_sides: see `NetworkDetector`.

    Raises:
        DferError: the file is not an SCRFD model with landmarks, or not the published one of its name.

    Source: Guo et al., "Sample and Computation Redistribution for Efficient Face Detection", ICLR 2022.
    """

    name = "scrfd"

    def __init__(self, weights: Path, *, num_threads: int = 1, input_sides: tuple[int, ...] = INPUT_SIDES) -> None:
        super().__init__(input_sides)
        verify_detector_weights(weights)
        self._model = _load(weights, num_threads)
        self._model.det_thresh = MIN_SCORE

    def run(self, image_rgb: NDArray[np.uint8], input_wh: tuple[int, int]) -> list[Face]:
        """Run the network once; see `NetworkDetector.run`."""
        boxes, landmarks = self._model.detect(cv2.cvtColor(image_rgb, cv2.COLOR_RGB2BGR), input_size=input_wh)
        return [Face(box[:4], points, float(box[4])) for box, points in zip(boxes, landmarks, strict=True)]


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
