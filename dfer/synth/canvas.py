"""Anti-aliased drawing in face units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]
Color = float | Sequence[float]  # a value per channel, 0..255

_Pixels = TypeVar("_Pixels", Image, Floats)
_SUBPIXEL_BITS = 4


@dataclass(frozen=True)
class Canvas:
    """A window of the face plane, in pixels.

    Attributes:
        unit: pixels per face unit.
        left, top: the window's corner in face units.
        width, height: pixels.
    """

    unit: float
    left: float
    top: float
    width: int
    height: int

    @classmethod
    def spanning(cls, unit: float, left: float, top: float, right: float, bottom: float) -> Canvas:
        """Return the canvas that covers a rectangle given in face units."""
        return cls(unit, left, top, round((right - left) * unit), round((bottom - top) * unit))

    def window(self, left: float, top: float, right: float, bottom: float) -> tuple[Canvas, tuple[slice, slice]]:
        """Return a part of the canvas and its place in it; edges snap to whole pixels."""
        x1, x2 = (round((x - self.left) * self.unit) for x in (left, right))
        y1, y2 = (round((y - self.top) * self.unit) for y in (top, bottom))
        part = Canvas(self.unit, self.left + x1 / self.unit, self.top + y1 / self.unit, x2 - x1, y2 - y1)
        return part, (slice(y1, y2), slice(x1, x2))

    def pixels(self, points: Floats) -> Floats:
        """Convert face units to pixels, float32 [..., 2]; pixel centres lie at whole numbers."""
        return np.asarray((points - (self.left, self.top)) * self.unit - 0.5, np.float32)

    def grid(self) -> tuple[Floats, Floats]:
        """Return x and y of every pixel centre in face units, float32 [height, width] each."""
        y, x = (np.mgrid[: self.height, : self.width].astype(np.float32) + np.float32(0.5)) / np.float32(self.unit)
        return x + np.float32(self.left), y + np.float32(self.top)

    def fill(self, image: Image, points: Floats, color: Color) -> None:
        """Fill a closed contour in place."""
        cv2.fillPoly(image, [self._fixed(points)], color, cv2.LINE_AA, _SUBPIXEL_BITS)

    def stroke(self, image: Image, lines: Sequence[Floats] | Floats, color: Color, width: float) -> None:
        """Draw open lines, float32 [lines, N, 2], in place; `width` is in face units and at least one pixel."""
        fixed, thickness = list(self._fixed(np.asarray(lines))), max(1, round(width * self.unit))
        cv2.polylines(image, fixed, False, color, thickness, cv2.LINE_AA, _SUBPIXEL_BITS)

    def disc(self, image: Image, x: float, y: float, radius: float, color: Color) -> None:
        """Fill a circle, given in face units, in place."""
        center = self._fixed(np.array([x, y], np.float32)).tolist()
        size = round(radius * self.unit * 2**_SUBPIXEL_BITS)
        cv2.circle(image, center, size, color, -1, cv2.LINE_AA, _SUBPIXEL_BITS)

    def mask(self, *contours: Floats, blur: float = 0.006) -> Image:
        """Return uint8 [height, width], 255 inside closed contours; `blur` is the edge's sigma in face units."""
        made: Image = np.zeros((self.height, self.width), np.uint8)
        for points in contours:
            self.fill(made, points, 255)
        return self.blurred(made, blur)

    def blurred(self, image: _Pixels, blur: float) -> _Pixels:
        """Blur with a Gaussian whose sigma is given in face units."""
        made: _Pixels = cv2.GaussianBlur(image, (0, 0), blur * self.unit)
        return made

    def _fixed(self, points: Floats) -> NDArray[np.int32]:
        return np.asarray(np.round(self.pixels(points) * 2**_SUBPIXEL_BITS), np.int32)


def blend(image: Image, paint: NDArray[np.number], mask: Image) -> None:
    """Lay paint, [h, w, c] or one colour [c] in 0..255, over an image, uint8 [h, w, c], by a mask, uint8 [h, w]."""
    weight = mask.astype(np.float32) / 255
    cv2.blendLinear(np.broadcast_to(paint, image.shape).astype(np.uint8), image, weight, 1 - weight, dst=image)


def smooth(points: NDArray[np.floating], *, closed: bool = False, samples: int = 8) -> Floats:
    """Return the Catmull-Rom curve through the points, float32 [N, 2]."""
    before, after = (points[-1:], points[:2]) if closed else (2 * points[:1] - points[1:2], points[-1:])
    padded = np.vstack([before, points, after])
    t = np.linspace(0, 1, samples, endpoint=False)[:, None]
    weights = 0.5 * np.hstack([-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, -(t**2) + t**3])
    spans = np.stack([padded[i : len(padded) - 3 + i] for i in range(4)], axis=1)
    curve = np.einsum("sk,nkc->nsc", weights, spans).reshape(-1, 2)
    return (curve if closed else np.vstack([curve, points[-1:]])).astype(np.float32)


def mirrored(half: Sequence[tuple[float, float]]) -> Floats:
    """Complete a line from its right end to the middle with the way on to the left, float32 [N, 2]."""
    right = np.array(half, np.float32)
    return np.vstack([right, right[::-1] * (-1, 1)]).astype(np.float32)
