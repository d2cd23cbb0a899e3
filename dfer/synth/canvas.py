"""Drawing with anti-aliased contours in face units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]
Points = NDArray[np.float32]

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
        """The canvas that covers a rectangle given in face units."""
        return cls(unit, left, top, round((right - left) * unit), round((bottom - top) * unit))

    def scaled(self, factor: float) -> Canvas:
        """The same window at another resolution."""
        return Canvas(self.unit * factor, self.left, self.top, round(self.width * factor), round(self.height * factor))

    def pixels(self, points: Points) -> Points:
        """Face units to pixels, float32 [..., 2]; pixel centres lie at whole numbers."""
        return np.asarray((points - (self.left, self.top)) * self.unit - 0.5, np.float32)

    def grid(self) -> tuple[Floats, Floats]:
        """x and y of every pixel centre in face units, float32 [height, width] each."""
        x = (np.arange(self.width, dtype=np.float32) + 0.5) / self.unit + self.left
        y = (np.arange(self.height, dtype=np.float32) + 0.5) / self.unit + self.top
        columns, rows = np.meshgrid(x, y)
        return columns, rows

    def window(self, left: float, top: float, right: float, bottom: float) -> tuple[Canvas, tuple[slice, slice]]:
        """A part of the canvas and where it lies in it; edges snap to whole pixels."""
        x1, x2 = (int(np.clip(round((x - self.left) * self.unit), 0, self.width)) for x in (left, right))
        y1, y2 = (int(np.clip(round((y - self.top) * self.unit), 0, self.height)) for y in (top, bottom))
        part = Canvas(self.unit, self.left + x1 / self.unit, self.top + y1 / self.unit, x2 - x1, y2 - y1)
        return part, (slice(y1, y2), slice(x1, x2))

    def fill(self, image: Image, points: Points, color: int | Sequence[int]) -> None:
        """Fill a closed contour in place, with smooth edges."""
        cv2.fillPoly(image, [self._fixed(points)], color, cv2.LINE_AA, _SUBPIXEL_BITS)

    def stroke(self, image: Image, lines: Sequence[Points] | Points, color: int | Sequence[int], width: float) -> None:
        """Draw open lines in place, a list of them or float32 [lines, points, 2].

        `width` is in face units; a line is at least a pixel wide.
        """
        fixed = list(self._fixed(lines)) if isinstance(lines, np.ndarray) else [self._fixed(x) for x in lines]
        thickness = max(1, round(width * self.unit))
        cv2.polylines(image, fixed, False, color, thickness, cv2.LINE_AA, _SUBPIXEL_BITS)

    def mask(self, points: Points, *, blur: float = 0.0) -> Image:
        """uint8 [height, width], 255 inside a closed contour; `blur` in face units."""
        made = np.zeros((self.height, self.width), np.uint8)
        self.fill(made, points, 255)
        return self.blurred(made, blur)

    def line_mask(self, lines: Sequence[Points] | Points, width: float, *, blur: float = 0.0) -> Image:
        """uint8 [height, width], 255 on the lines; `width` and `blur` in face units."""
        made = np.zeros((self.height, self.width), np.uint8)
        self.stroke(made, lines, 255, width)
        return self.blurred(made, blur)

    def blurred(self, image: Image, blur: float) -> Image:
        """The image after a Gaussian blur whose sigma is given in face units."""
        return blurred(image, blur * self.unit)

    def _fixed(self, points: Points) -> NDArray[np.int32]:
        return np.asarray(np.round(self.pixels(points) * 2**_SUBPIXEL_BITS), np.int32)


def blurred(image: Image, sigma: float) -> Image:
    """A Gaussian blur; a wide one works on a smaller copy, which looks the same and costs a fraction.

    Args:
        image: uint8 [h, w] or [h, w, c].
        sigma: pixels.
    """
    if sigma < 0.3:
        return image
    made: Image
    shrink = int(sigma / 1.8)
    if shrink < 2:
        made = cv2.GaussianBlur(image, (0, 0), sigma)
        return made
    height, width = image.shape[:2]
    small = cv2.resize(image, (-(-width // shrink), -(-height // shrink)), interpolation=cv2.INTER_AREA)
    made = cv2.resize(cv2.GaussianBlur(small, (0, 0), sigma / shrink), (width, height), interpolation=cv2.INTER_LINEAR)
    return made


def blend(image: Image, paint: Image | Sequence[float], mask: Image, *, opacity: float = 1.0) -> None:
    """Lay `paint` over `image` in place where `mask` is set.

    Args:
        image: uint8 [h, w, 3], rows may be strided.
        paint: uint8 [h, w, 3], or one colour of three numbers in 0..255.
        mask: uint8 [h, w].
        opacity: 0..1, scales the mask.
    """
    weight = mask if opacity == 1 else cv2.convertScaleAbs(mask, alpha=opacity)
    cover = cv2.merge([weight, weight, weight])
    kept = cv2.multiply(image, cv2.bitwise_not(cover), scale=1 / 255)
    added = cv2.multiply(cover, paint if isinstance(paint, np.ndarray) else (*paint, 0), scale=1 / 255)
    cv2.add(kept, added, dst=image)


def as_bytes(color: Sequence[float] | NDArray[np.floating]) -> tuple[int, int, int]:
    """RGB in 0..1 to whole numbers in 0..255."""
    red, green, blue = (round(min(max(float(channel), 0.0), 1.0) * 255) for channel in color)
    return red, green, blue


def to_image(values: NDArray[np.floating]) -> Image:
    """float [h, w, 3] in 0..1 to uint8."""
    return np.asarray(np.clip(values * 255, 0, 255), np.uint8)
