"""Eyes, brows and mouth: the parts of the painted head that are drawn anew for every frame."""

from __future__ import annotations

import cv2
import numpy as np

from dfer.synth.canvas import Canvas, Image, Points, as_bytes, blend, to_image
from dfer.synth.geometry import PUPIL_Y, EyeShape, MouthShape, brow_lines
from dfer.synth.identity import Identity

_SCLERA = np.array([0.93, 0.90, 0.875])
_IRIS_RADIUS, _PUPIL_RADIUS, _GLINT_RADIUS = 0.088, 0.036, 0.021
_TEETH = np.array([0.92, 0.89, 0.84])
_TONGUE = np.array([0.59, 0.26, 0.26])
_THROAT = np.array([0.22, 0.07, 0.08])


def paint_eyeball(person: Identity, window: Canvas, *, side: float, brightness: float, light_x: float) -> Image:
    """White and iris looking straight ahead.

    Args:
        person: whose eye.
        window: around the eye.
        side: -1 the image's left eye, 1 the right.
        brightness: of the light on it, 1 for full.
        light_x: negative with the light on the image's left; the glint lies there.

    Returns:
        uint8 [h, w, 3], larger than the opening between the lids, so that the eye can turn.
    """
    x, y = window.grid()
    x, y = x - person.eye_x * side, y - PUPIL_Y
    radius, angle = np.hypot(x, y), np.arctan2(y, x)

    def disc(distance: np.ndarray, size: float) -> np.ndarray:
        return np.asarray(np.clip((size - distance) * window.unit * 0.75 + 0.5, 0, 1))[..., None]

    ball = _SCLERA * (1 - 0.28 * np.clip(np.abs(x) / 0.2, 0, 1)[..., None] ** 2.5)
    spokes = 0.10 * np.cos(angle * 17 + np.sin(angle * 5) * 2)
    rim = np.clip((radius / _IRIS_RADIUS - 0.72) / 0.28, 0, 1) ** 2
    tone = (0.75 + 0.85 * np.clip(y / _IRIS_RADIUS + 0.2, -0.3, 1) + spokes) * (1 - 0.65 * rim)
    iris = np.array(person.iris) * np.clip(tone, 0.1, 2)[..., None]
    ball += (iris - ball) * disc(radius, _IRIS_RADIUS)
    ball += (0.02 - ball) * disc(radius, _PUPIL_RADIUS)
    ball *= np.clip(brightness, 0.35, 1.1)
    glint = disc(np.hypot(x - 0.030 * np.sign(light_x), y + 0.034), _GLINT_RADIUS)
    return to_image(ball + (0.97 - ball) * glint)


def draw_eye(image: Image, window: Canvas, person: Identity, eye: EyeShape, ball: Image) -> None:
    """Draw one eye in place.

    Args:
        image: uint8 [h, w, 3], the part of the head that `window` shows.
        window: around the eye.
        person, eye: whose, and the lids.
        ball: made by `paint_eyeball`.
    """
    skin = np.array(person.skin)
    crease = window.line_mask([eye.crease], 0.018, blur=0.010)
    blend(image, as_bytes(skin * [0.42, 0.27, 0.23]), crease, opacity=0.62)
    opening = window.mask(np.vstack([eye.upper, eye.lower[::-1]]))
    turned_x, turned_y = np.round((eye.pupil - (person.eye_x * eye.side, PUPIL_Y)) * window.unit)
    ball = np.roll(ball, (int(turned_y), int(turned_x)), axis=(0, 1))
    # Lids and lashes shade the ball along its edge, the upper lid most.
    inside = window.blurred(opening, 0.022)
    shade = cv2.min(inside, np.roll(inside, round(0.020 * window.unit), axis=0))
    blend(image, _shaded(ball, shade, darkest=0.30), opening)
    lash = np.zeros_like(opening)
    window.stroke(lash, [eye.lower], 70, 0.014)
    window.stroke(lash, [eye.upper], 255, 0.022 + 0.012 * person.lashes)
    if person.lashes > 0.5:
        corner = eye.upper[-1]
        wing = np.stack([corner, corner + np.array([0.030 * eye.side, -0.022], np.float32)])
        window.stroke(lash, [wing], 220, 0.018)
    blend(image, as_bytes(skin * 0.10 + 0.02), window.blurred(lash, 0.006), opacity=0.88)


def draw_brows(
    image: Image, window: Canvas, person: Identity, units: dict[str, float], *, bare: Image, brightness: float
) -> None:
    """Draw both eyebrows in place, hair by hair.

    Args:
        image: uint8 [h, w, 3], the part of the head that `window` shows.
        window: around both brows.
        person, units: whose, and the action units.
        bare: uint8 [h, w], 255 where no hair hangs over the forehead.
        brightness: of the light there.
    """
    mask = np.zeros((window.height, window.width), np.uint8)
    hairs = []
    for upper, lower in brow_lines(person, units):
        window.fill(mask, np.vstack([upper, lower[::-1]]), 150)
        last = len(upper) - 1
        lean = np.linspace(0.010, 0.025, last)[:, None] * [np.sign(lower[-1, 0]), 0.0]
        hairs.append(np.stack([lower[:last], upper[1:] + lean], axis=1)[:-1])
    mask = window.blurred(mask, 0.010)
    window.stroke(mask, np.concatenate(hairs), 235, 0.010)
    mask = cv2.min(window.blurred(mask, 0.005), bare)
    blend(image, as_bytes(np.array(person.brow) * np.clip(brightness, 0.4, 1.1)), mask, opacity=0.92)


def draw_mouth(
    image: Image,
    window: Canvas,
    person: Identity,
    mouth: MouthShape,
    units: dict[str, float],
    *,
    brightness: float,
) -> None:
    """Draw lips, teeth and tongue in place.

    Args:
        image: uint8 [h, w, 3], the part of the head that `window` shows.
        window: around the mouth.
        person, mouth, units: whose, the lips' contours, and the action units.
        brightness: of the light there.
    """
    lips = np.array(person.lips) * brightness
    under = mouth.lower_outer[6:-6] + np.array([0, 0.035], np.float32)
    blend(image, (0, 0, 0), window.line_mask([under], 0.05, blur=0.028), opacity=0.20)
    paint = np.empty_like(image)
    paint[...] = as_bytes(lips * 0.96)
    window.fill(paint, _between(mouth.upper_outer, mouth.lower_inner), as_bytes(lips * 0.80))
    shine = mouth.lower_inner * 0.45 + mouth.lower_outer * 0.55
    window.stroke(paint, [shine[8:-8]], as_bytes(lips * 1.06 + 0.06), 0.028)
    outside = window.mask(_between(mouth.upper_outer, mouth.lower_outer), blur=0.010)
    blend(image, window.blurred(paint, 0.020), outside, opacity=0.94)
    if float(np.max(mouth.lower_inner[:, 1] - mouth.upper_inner[:, 1])) > 0.012:
        _draw_opening(image, window, mouth, units, brightness=min(brightness, 1.0))
    line = window.line_mask([mouth.upper_inner], 0.016, blur=0.006)
    corners = window.line_mask([mouth.upper_inner[:2], mouth.upper_inner[-2:]], 0.028, blur=0.012)
    dark = cv2.max(line, cv2.convertScaleAbs(corners, alpha=0.65))
    blend(image, as_bytes(lips * [0.34, 0.22, 0.22]), dark, opacity=0.85)


def _draw_opening(
    image: Image, window: Canvas, mouth: MouthShape, units: dict[str, float], *, brightness: float
) -> None:
    upper, lower = mouth.upper_inner[:, 1], mouth.lower_inner[:, 1]
    gap = float(np.max(lower - upper))
    inside = np.empty_like(image)
    inside[...] = as_bytes(_THROAT * brightness)
    if units["AU26"] + units["AU27"] > 0.3:
        tongue = _at_height(mouth.lower_inner, np.maximum(upper, lower - 0.38 * gap))
        window.fill(inside, _between(tongue, mouth.lower_inner), as_bytes(_TONGUE * brightness))
        inside = window.blurred(inside, 0.018)
    # The edge of the teeth follows the lip in a smile and stays straight in a round mouth.
    shown = min(0.085, 0.9 * gap) * (1 - 0.35 * units["AU27"])
    edge = np.clip(upper + shown + units["AU27"] * (upper.min() - upper), upper, lower)
    teeth = _at_height(mouth.upper_inner, edge)
    window.fill(inside, _between(mouth.upper_inner, teeth), as_bytes(_TEETH * brightness))
    if max(units["AU20"], units["AU10"]) > 0.3:
        shown = 0.05 * units["AU20"] + 0.03 * units["AU10"]
        teeth = _at_height(mouth.lower_inner, np.maximum(edge + 0.008, lower - shown))
        window.fill(inside, _between(teeth, mouth.lower_inner), as_bytes(_TEETH * 0.88 * brightness))
    opening = window.mask(_between(mouth.upper_inner, mouth.lower_inner))
    blend(image, _shaded(inside, window.blurred(opening, 0.030), darkest=0.40), opening)


def _between(upper: Points, lower: Points) -> Points:
    return np.vstack([upper, lower[::-1]])


def _at_height(line: Points, y: np.ndarray) -> Points:
    return np.stack([line[:, 0], y], axis=-1).astype(np.float32)


def _shaded(image: Image, light: Image, *, darkest: float) -> Image:
    """The image under a light map, uint8 [h, w], whose 0 still leaves `darkest` of it."""
    gain = cv2.convertScaleAbs(light, alpha=1 - darkest, beta=darkest * 255)
    made: Image = cv2.multiply(image, cv2.merge([gain, gain, gain]), scale=1 / 255)
    return made
