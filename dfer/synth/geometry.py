"""Action units to contours on the face, and the relief that light shades and that moves when the head turns.

Two steps give the 2.5-D head. Contours of eyes, brows and mouth are drawn flat, in face units (see `identity`), by
formulas over the action units. The flat face is then a height field, `face_depth`: turning it by yaw, pitch and roll
and looking at it from far away moves every point by its depth, so that the nose moves over the cheek as it should.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from dfer.synth.canvas import Floats, mirrored, smooth

Shape = Mapping[str, float]  # of a person, by the names of `identity`
Units = Mapping[str, float]  # action units, 0..1

SIDES = (-1.0, 1.0)  # the image's left, the image's right
_ALONG = np.linspace(-1, 1, 21)


def face_outline(shape: Shape) -> Floats:
    """Return the face from crown to chin, float32 [N, 2], a closed contour."""
    wide, jaw, chin, chin_y = (shape[name] for name in ("face_width", "jaw_width", "chin_width", "chin_y"))
    half = [
        (chin * 0.60, chin_y - 0.012),
        (chin * 1.38, chin_y - 0.125),
        (jaw * 1.05 + 0.02, 0.80),
        (wide * 0.965, 0.42),
        (wide, 0.08),
        (wide * 0.985, -0.30),
        (wide * 0.90, -0.68),
        (0.42, -1.05),
    ]
    return smooth(mirrored(half), closed=True)


def face_depth(shape: Shape, x: Floats, y: Floats) -> Floats:
    """Compute how far the face stands out: the relief that light shades and that moves under rotation.

    Args:
        shape: the face's lengths.
        x, y: float arrays of equal shape, face units.

    Returns:
        float32, the same shape, in face units; 0 at about the ears, 1 at the tip of the nose.
    """
    eye, mouth, tip, wide = shape["eye_x"], shape["mouth_y"], shape["nose_y"], shape["nose_width"]
    depth = 0.72 * (1 - np.minimum((x / 0.97) ** 2 + ((y - 0.10) / 1.42) ** 2, 1.5))
    for at_x, at_y, spread_x, spread_y, height in (
        (0.27, -0.20, 0.22, 0.075, 0.045),  # brow ridge
        (eye - 0.03, -0.02, 0.19, 0.12, -0.085),  # socket
        (eye, 0.0, 0.13, 0.085, 0.045),  # eyeball
        (0.46, 0.33, 0.20, 0.18, 0.055),  # cheek
        (0.0, mouth, 0.30, 0.20, 0.075),  # around the mouth
        (0.0, mouth + 0.165, 0.17, 0.045, -0.030),  # below the lip
        (0.0, shape["chin_y"] - 0.16, 0.17, 0.11, 0.070),  # chin
        (0.0, tip, wide * 0.50, 0.070, 0.10),  # tip of the nose
        (wide * 0.80, tip + 0.025, wide * 0.32, 0.060, 0.105),  # wing of the nose
    ):
        depth = depth + height * bump(x, y, at_x, at_y, spread_x, spread_y)
    down = np.clip((y + 0.10) / (tip + 0.10), 0, 1)  # the ridge of the nose rises towards the tip and ends below it
    ridge = shape["nose_depth"] * (0.22 + 0.63 * down) * np.clip((y + 0.32) / 0.2, 0, 1)
    ridge = ridge * (1 - _smoothstep((y - tip - 0.015) / 0.10))
    return np.asarray(depth + ridge * np.exp(-((x / (0.085 + 0.045 * down)) ** 2)), np.float32)


def jaw_weight(shape: Shape, x: Floats, y: Floats) -> Floats:
    """Compute how far the skin at the places (x, y) follows the jaw, 0..1."""
    top, bottom = shape["mouth_y"] - 0.10, shape["chin_y"] - 0.10
    weight = _smoothstep((y - top) / (bottom - top)) * _smoothstep((1.95 - y) / 0.70) * np.exp(-((x / 0.80) ** 4))
    return np.asarray(weight, np.float32)


def eye_lines(shape: Shape, units: Units, side: float) -> Floats:
    """Return upper lid, lower lid and crease of the eye on one of `SIDES`, float32 [3, N, 2], from the nose."""
    u, high = _ALONG, shape["eye_height"]
    raised, shut, knit, inner_raised = (units[name] for name in ("AU5", "AU43", "AU4", "AU1"))
    squeezed = max(units["AU7"], units["AU6"] * 0.9, units["AU9"] * 0.5)
    sagging = inner_raised * (1 - units["AU2"])
    upper = high * (0.60 + 0.30 * raised - 0.14 * squeezed) * (1 - np.abs(u) ** 2.3) ** 0.75
    # Knitted brows press on the inner half of the lid, raised inner brows lift it and let the outer half sag.
    upper -= high * np.clip(-u, 0, 1) * (1 - u * u) * (0.35 * knit - 0.45 * inner_raised + 0.25 * units["AU9"])
    upper -= high * np.clip(u, 0, 1) * (1 - u * u) * 0.30 * sagging * (1 - raised)
    lower = high * (0.36 + 0.07 * raised - 0.30 * squeezed) * (1 - u * u) ** 0.85
    upper = upper * (1 - shut) - lower * 0.85 * shut
    crease = high * (0.86 + 0.12 * raised - 0.10 * shut) * (1 - 0.75 * u * u)
    crease = np.maximum(crease, upper + 0.018) - 0.035 * knit * np.clip(0.3 - u, 0, 1)
    tilt = shape["eye_tilt"] * u - 0.012 * sagging * u
    x = (shape["eye_x"] + u * shape["eye_width"]) * side
    return np.stack([_curve(x, -upper - tilt), _curve(x, lower - tilt), _curve(x, -crease - tilt)])


def brow_lines(shape: Shape, units: Units, side: float) -> Floats:
    """Return upper and lower edge of the eyebrow on one of `SIDES`, float32 [2, N, 2], from the nose."""
    t = np.linspace(0, 1, 15)
    raised, outer_raised, knit, wrinkled = (units[name] for name in ("AU1", "AU2", "AU4", "AU9"))
    inner, outer = (1 - t) ** 1.4, np.sin(np.pi * (t * 0.85 + 0.1)) * t**0.5
    y = shape["brow_y"] - shape["brow_arch"] * np.sin(np.pi * t**1.25) + 0.042 * t**2.5 + 0.014 * (1 - t) ** 2
    y += 0.050 * raised * (1 - outer_raised) * t**1.5 - 0.165 * raised * inner
    y -= 0.150 * outer_raised * (0.25 + 0.75 * outer)
    y += 0.135 * knit * (1 - 0.55 * raised) * (1 - 0.65 * t) + 0.055 * wrinkled * (0.4 + 0.6 * inner)
    x = shape["eye_x"] - 0.215 + 0.470 * t - (0.060 * knit + 0.015 * wrinkled) * (1 - t)
    thick = shape["brow_thickness"] * np.interp(t, [0, 0.1, 0.35, 0.7, 1], [0.62, 0.95, 1.0, 0.72, 0.12])
    return np.stack([_curve(x * side, y - thick / 2), _curve(x * side, y + thick / 2)])


def mouth_lines(shape: Shape, units: Units) -> Floats:
    """Return the lips' four contours, float32 [4, N, 2], from the image's left to the right corner.

    They are the upper lip's outer and inner edge, and the lower lip's inner and outer edge.
    """
    u, far = _ALONG, np.abs(_ALONG)
    smile, frown, stretch, tight = (units[name] for name in ("AU12", "AU15", "AU20", "AU23"))
    sneer, chin_up, parted, dropped, gaping = (units[name] for name in ("AU10", "AU17", "AU25", "AU26", "AU27"))
    half = shape["mouth_width"] + 0.115 * smile + 0.12 * stretch + 0.015 * frown - 0.100 * gaping - 0.045 * tight
    corner = -0.014 - 0.145 * smile + 0.110 * frown + 0.050 * stretch + 0.02 * tight
    middle = 0.015 * smile - 0.040 * chin_up - 0.030 * frown - 0.02 * sneer
    line = shape["mouth_y"] + middle + (corner - middle) * far**1.7
    full = np.sqrt(1 - far**2)
    arch = full ** (1.2 - 0.5 * max(stretch, gaping * 0.6))
    sneering = sneer * (0.060 * np.exp(-(((far - 0.42) / 0.30) ** 2)) + 0.012) * full
    lift = 0.65 * sneering * (1 - parted)
    up = arch * (0.020 * parted + 0.030 * dropped + 0.085 * gaping + 0.030 * smile * parted)
    up = up + sneering * (0.35 + 0.65 * parted)
    down = arch * (0.035 * parted + 0.060 * dropped + 0.135 * gaping + 0.030 * stretch * parted) * (1 + 0.25 * smile)
    opened = min(parted / 0.05, 1)
    upper_inner = line - up * opened - lift * 0.2
    lower_inner = np.maximum(line + down * opened, upper_inner)
    lips = (1 - 0.55 * tight) * (1 - 0.30 * stretch) * (1 - 0.22 * smile) * full
    bow = (1 - 0.17 * np.exp(-((u / 0.16) ** 2))) * (1 - 0.15 * far) * (1 - 0.15 * gaping)
    pout = (1 + 0.30 * chin_up + 0.15 * frown) * (1 - 0.12 * far)
    upper_outer = upper_inner - shape["upper_lip"] * lips * bow - lift
    lower_outer = lower_inner + shape["lower_lip"] * lips * pout
    return np.stack([_curve(u * half, y) for y in (upper_outer, upper_inner, lower_inner, lower_outer)])


def bump(x: Floats, y: Floats, at_x: float, at_y: float, wide: float, high: float) -> Floats:
    """Compute a Gaussian hill of height 1, on both sides of the face."""
    return np.asarray(np.exp(-(((np.abs(x) - at_x) / wide) ** 2) - ((y - at_y) / high) ** 2))


def _smoothstep(x: Floats) -> Floats:
    part = np.clip(x, 0, 1)
    return np.asarray(part * part * (3 - 2 * part))


def _curve(x: NDArray[np.float64], y: NDArray[np.float64]) -> Floats:
    return np.stack([x, y], axis=-1).astype(np.float32)
