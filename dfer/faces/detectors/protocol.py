"""The one interface of all face detectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dfer.records import Face


class Detector(Protocol):
    """Finds the faces in a frame. Subclass it for the defaults.

    Attributes:
        name: the detector's key in `DETECTORS`, recorded with the crops.
        uses_around: whether `detect` looks more closely, or faster, when it is given `around`.
        aligned_input: whether the frames are aligned face crops already, which callers resize and do not align again.
    """

    name: str
    uses_around: bool = False
    aligned_input: bool = False

    def detect(self, frame_rgb: NDArray[np.uint8], around: NDArray[np.float64] | None = None) -> list[Face]:
        """Return the faces in a frame.

        Args:
            frame_rgb: uint8 [H, W, 3].
            around: box [4] (x1, y1, x2, y2), pixels, in which a face was seen before; only its surroundings are
                searched. Detectors without `uses_around` ignore it.

        Returns:
            The most prominent face (score x area) first; with `around`, the nearest one first.
        """
        ...


def prominence(face: Face) -> float:
    """Return a face's score times the area of its box in square pixels, by which detectors order what they find."""
    x1, y1, x2, y2 = face.box_xyxy
    return face.score * float((x2 - x1) * (y2 - y1))
