"""No detection: for frames that are aligned face crops already."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dfer.faces.align import template_points
from dfer.faces.detectors.protocol import Detector
from dfer.records import Face


class AlignedFrames(Detector):
    """Returns each frame as one face whose landmarks lie on the alignment template."""

    name = "none"
    aligned_input = True

    def detect(self, frame_rgb: NDArray[np.uint8], around: NDArray[np.float64] | None = None) -> list[Face]:  # noqa: ARG002
        """Return the whole frame, uint8 [H, W, 3], as a face of score 1."""
        size_wh = np.array(frame_rgb.shape[1::-1])
        side = int(size_wh.max())
        # A frame that is not square is the middle of the square crop; see `dfer.faces.align.resize_crop`.
        landmarks = template_points(side) - (side - size_wh) // 2
        return [Face(np.array([0, 0, *size_wh], np.float32), landmarks.astype(np.float32), 1.0)]
