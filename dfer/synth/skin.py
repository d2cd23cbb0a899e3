"""The part of a face that does not move: lit skin, ears, beard, and the maps of the lines that expressions fold."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from dfer.synth.canvas import Canvas, Floats, Image, Points, as_bytes, blend, to_image
from dfer.synth.geometry import SIDES, face_depth, face_outline, smooth_contour
from dfer.synth.identity import Identity
from dfer.synth.scene import Light

# A fold darkens its bottom and lightens the bulge beside it.
_LINE_DEPTH = 0.50
_BULGE = 0.16
# Beards sparser than this show the skin between the hairs.
STUBBLE_BELOW = 0.5


@dataclass(frozen=True)
class Skin:
    """The painted skin of one person in one light.

    Attributes:
        rgb: uint8 [h, w, 3]; `alpha` uint8 [h, w], where there is a face or an ear.
        light: float32 [h, w], brightness of white skin, to light lips and eyes alike.
    """

    rgb: Image
    alpha: Image
    light: Floats


def paint_skin(person: Identity, light: Light, canvas: Canvas) -> Skin:
    """Skin, ears and beard under a light, on the whole canvas."""
    rng = np.random.default_rng(person.texture_seed)
    soft = canvas.scaled(0.5)
    x, y = soft.grid()
    shade, gloss = _lighting(person, light, x, y, soft)
    tone = _complexion(person, x, y)
    lit = np.clip(tone * shade + gloss[..., None] * np.array(light.key) * 0.55, 0, 1)
    rgb = _enlarged(lit.astype(np.float32), canvas) * (1 + _pores(person, canvas, rng))[..., None]
    if person.beard or person.mustache:
        rgb = _with_beard(person, rgb, canvas, rng)
    image = to_image(rgb)
    _paint_nostrils(person, image, canvas)
    outline = face_outline(person)
    alpha = canvas.mask(outline, blur=0.006)
    _paint_ears(person, image, alpha, canvas)
    return Skin(image, cv2.max(alpha, _ear_mask(person, canvas)), _enlarged(shade.mean(axis=-1), canvas))


def _lighting(person: Identity, light: Light, x: Floats, y: Floats, soft: Canvas) -> tuple[Floats, Floats]:
    """Diffuse light float32 [h, w, 3] and gloss float32 [h, w]."""
    depth = face_depth(person, x, y)
    step = 1 / soft.unit
    slope_y, slope_x = np.gradient(cv2.GaussianBlur(depth, (0, 0), 0.012 * soft.unit), step)
    length = np.sqrt(slope_x**2 + slope_y**2 + 1)
    towards = np.array(light.direction)
    facing = (-slope_x * towards[0] - slope_y * towards[1] + towards[2]) / length
    # Light scatters in skin: it wraps around, and red goes furthest.
    wrapped = np.clip((facing[..., None] + 0.35) / 1.35, 0, 1) ** np.array([1.0, 1.08, 1.13])
    hollow = depth - cv2.GaussianBlur(depth, (0, 0), 0.13 * soft.unit)
    occluded = np.clip(1 + 2.4 * np.minimum(hollow, 0) + 0.8 * np.maximum(hollow, 0), 0.5, 1.12)
    sky = 0.82 + 0.18 * (0.5 - 0.5 * slope_y / length)
    shade = (
        np.array(light.fill) * (occluded * sky)[..., None]
        + np.array(light.key) * wrapped * 1.12 * np.sqrt(occluded)[..., None]
    )
    half = towards + np.array([0, 0, 1])
    half = half / np.linalg.norm(half)
    mirrored = np.clip((-slope_x * half[0] - slope_y * half[1] + half[2]) / length, 0, 1)
    oily = 0.10 + 0.16 * np.exp(-((x / 0.22) ** 2)) * (y < 0.6)
    gloss = oily * mirrored**26 * 0.55
    return shade.astype(np.float32), gloss.astype(np.float32)


def _complexion(person: Identity, x: Floats, y: Floats) -> Floats:
    """Skin colour before light, float32 [h, w, 3]."""
    side = np.abs(x)
    base = np.array(person.skin)
    tone = np.broadcast_to(base, (*x.shape, 3)).astype(np.float32).copy()

    def spot(at_x: float, at_y: float, wide: float, high: float) -> Floats:
        return np.asarray(np.exp(-(((side - at_x) / wide) ** 2) - ((y - at_y) / high) ** 2))[..., None]

    flush = np.array([0.03, -0.11, -0.08]) * base
    tone += flush * (0.75 * spot(0.43, 0.36, 0.20, 0.17) + 0.8 * spot(0, person.nose_y, 0.13, 0.10))
    aged = np.clip((person.age - 18) / 50, 0, 1)
    tone *= 1 - (0.06 + 0.10 * aged) * spot(person.eye_x, 0.14, 0.17, 0.06)
    tone *= 1 - 0.16 * spot(person.eye_x - 0.05, -0.045, 0.20, 0.075)
    tone *= 1 - 0.10 * spot(0.85, 0.1, 0.12, 0.6)
    return tone


def _pores(person: Identity, canvas: Canvas, rng: np.random.Generator) -> Floats:
    shape = (canvas.height, canvas.width)
    blotches = cv2.resize(rng.standard_normal((14, 12), np.float32), shape[::-1], interpolation=cv2.INTER_CUBIC)
    fine = cv2.GaussianBlur(rng.standard_normal(shape, np.float32), (0, 0), 0.9)
    aged = np.clip((person.age - 25) / 45, 0, 1)
    texture = 0.012 * blotches + (0.018 + 0.022 * aged) * fine
    if person.freckles:
        _, y = canvas.grid()
        dots = cv2.GaussianBlur((rng.random(shape) < 0.012).astype(np.float32), (0, 0), 0.011 * canvas.unit)
        dots = np.clip(dots / max(float(dots.max()), 1e-6) * 1.6, 0, 1)
        texture = texture - 0.26 * person.freckles * dots * np.exp(-(((y - 0.30) / 0.30) ** 2))
    return np.asarray(texture, np.float32)


def _with_beard(person: Identity, rgb: Floats, canvas: Canvas, rng: np.random.Generator) -> Floats:
    """Hair on the jaw and the upper lip; little of it is stubble, which only darkens."""
    wide, chin, mouth = person.face_width, person.chin_y, person.mouth_y
    # From the sideburn along the cheek to the chin below the lip, then around outside the jaw.
    cheek = [(wide + 0.04, 0.16), (wide * 0.93, 0.30), (wide * 0.82, 0.58), (0.47, mouth - 0.03), (0.35, mouth + 0.04),
             (0.24, mouth + 0.17), (0.09, mouth + 0.165)]  # fmt: skip
    around = [(0.0, chin + 0.3), (0.7, chin + 0.2), (wide + 0.3, 0.5)]
    right = np.array([*around[1:], *cheek])
    ring = np.vstack([right, right[::-1] * [-1, 1], around[:1]]).astype(np.float32)
    lip = [(-0.28, mouth - 0.015), (-0.20, mouth - 0.105), (-0.04, mouth - 0.155), (0.04, mouth - 0.155),
           (0.20, mouth - 0.105), (0.28, mouth - 0.015), (0.18, mouth - 0.045), (0.0, mouth - 0.05),
           (-0.18, mouth - 0.045)]  # fmt: skip
    jaw = canvas.mask(ring, blur=0.03).astype(np.float32) / 255 * person.beard
    above = canvas.mask(smooth_contour(np.array(lip), closed=True), blur=0.014).astype(np.float32) / 255
    amount = np.maximum(jaw, above * person.mustache)
    noise = rng.standard_normal(amount.shape, np.float32)
    strands = cv2.GaussianBlur(noise, (0, 0), sigmaX=0.7, sigmaY=2.2) * 2.0
    stubble = max(person.beard, person.mustache) < STUBBLE_BELOW
    cover = np.clip(amount * (1.0 if stubble else 1.1 + 0.35 * strands), 0, 1)[..., None]
    lit = rgb.mean(axis=-1, keepdims=True) / np.mean(person.skin)
    hair = np.array(person.brow, np.float32) * np.clip(lit * (1.05 + 0.35 * strands[..., None]), 0.2, 1.6)
    return np.asarray(rgb + (hair - rgb) * cover * 0.9, np.float32)


def _paint_nostrils(person: Identity, image: Image, canvas: Canvas) -> None:
    y, wide = person.nose_y + 0.082, person.nose_width
    mask = np.zeros(image.shape[:2], np.uint8)
    wings = []
    for side in SIDES:
        hole = np.array(
            [(0.030, y + 0.004), (wide * 0.42, y - 0.020), (wide * 0.70, y - 0.006), (wide * 0.45, y + 0.016)]
        )
        canvas.fill(mask, smooth_contour(hole * [side, 1], closed=True), 255)
        wing = np.array(
            [(wide * 0.98, y - 0.10), (wide * 1.10, y - 0.045), (wide * 1.00, y + 0.004), (wide * 0.80, y + 0.012)]
        )
        wings.append(smooth_contour(wing * [side, 1], closed=False))
    dark = as_bytes(np.array(person.skin) * [0.30, 0.20, 0.18])
    blend(image, dark, canvas.blurred(mask, 0.014), opacity=0.85)
    blend(image, dark, canvas.line_mask(wings, 0.018, blur=0.014), opacity=0.50)
    under = np.array(
        [(-wide * 0.8, y + 0.02), (wide * 0.8, y + 0.02), (wide * 0.4, y + 0.07), (-wide * 0.4, y + 0.07)], np.float32
    )
    blend(image, dark, canvas.mask(under, blur=0.03), opacity=0.22)


def _ear(person: Identity, side: float) -> Points:
    wide = person.face_width
    contour = [
        (wide - 0.06, -0.06),
        (wide + 0.05, -0.14),
        (wide + 0.115, -0.06),
        (wide + 0.09, 0.12),
        (wide + 0.03, 0.31),
        (wide - 0.05, 0.30),
    ]
    return smooth_contour(np.array(contour) * [side, 1], closed=True)


def _ear_mask(person: Identity, canvas: Canvas) -> Image:
    mask = np.zeros((canvas.height, canvas.width), np.uint8)
    for side in SIDES:
        canvas.fill(mask, _ear(person, side), 255)
    return mask


def _paint_ears(person: Identity, image: Image, face: Image, canvas: Canvas) -> None:
    tone = np.array(person.skin)
    ears = cv2.subtract(_ear_mask(person, canvas), face)
    inner = [
        smooth_contour(
            np.array(
                [
                    (person.face_width + 0.035, -0.06),
                    (person.face_width + 0.065, 0.02),
                    (person.face_width + 0.03, 0.14),
                    (person.face_width + 0.012, 0.22),
                ]
            )
            * [side, 1],
            closed=False,
        )
        for side in SIDES
    ]
    blend(image, cv2.multiply(image, (0.96, 0.86, 0.84, 0)), ears)
    fold = cv2.min(canvas.line_mask(inner, 0.035, blur=0.012), ears)
    blend(image, as_bytes(tone * [0.42, 0.30, 0.27]), fold, opacity=0.55)
    edge = cv2.min(canvas.blurred(face, 0.03), ears)
    blend(image, as_bytes(tone * [0.35, 0.24, 0.21]), edge, opacity=0.55)


def _enlarged(image: Floats, canvas: Canvas) -> Floats:
    made: Floats = cv2.resize(image, (canvas.width, canvas.height), interpolation=cv2.INTER_LINEAR)
    return made


def wrinkle_maps(person: Identity, canvas: Canvas) -> dict[str, Floats]:
    """What each group of folds does to the skin's brightness at full depth.

    Returns:
        name -> float32 [h, w], negative where the fold lies, positive beside it.
    """
    nose, mouth, eye, wide = person.nose_y, person.mouth_y, person.eye_x, person.nose_width
    forehead = [
        [(-0.42, y + 0.03), (-0.2, y), (0.0, y + 0.012), (0.2, y - 0.002), (0.42, y + 0.03)]
        for y in (-0.62, -0.54, -0.46)
    ]
    return {
        "forehead": _folds(canvas, forehead, 0.012, mirror=False),
        "frown": _folds(
            canvas, [[(0.055, -0.36), (0.045, -0.26), (0.062, -0.17)], [(0.105, -0.34), (0.098, -0.27)]], 0.016
        ),
        "nose": _folds(
            canvas,
            [[(0.02, -0.07), (0.065, -0.045), (0.095, 0.0)], [(0.03, 0.02), (0.075, 0.05), (0.10, 0.10)]],
            0.012,
        ),
        "nasolabial": _folds(
            canvas,
            [
                [
                    (wide + 0.035, nose - 0.03),
                    (wide + 0.11, nose + 0.09),
                    (wide + 0.185, mouth - 0.10),
                    (wide + 0.215, mouth + 0.04),
                ]
            ],
            0.020,
        ),
        "crow": _folds(
            canvas,
            [
                [(eye + 0.225, -0.02), (eye + 0.32, -0.07)],
                [(eye + 0.235, 0.03), (eye + 0.335, 0.03)],
                [(eye + 0.225, 0.07), (eye + 0.31, 0.12)],
            ],
            0.010,
        ),
        "bag": _folds(canvas, [[(eye - 0.16, 0.11), (eye, 0.165), (eye + 0.16, 0.12)]], 0.014),
        "marionette": _folds(canvas, [[(0.335, mouth + 0.06), (0.345, mouth + 0.14), (0.32, mouth + 0.22)]], 0.016),
        "chin": _folds(
            canvas, [[(-0.13, mouth + 0.215), (0.0, mouth + 0.185), (0.13, mouth + 0.215)]], 0.02, mirror=False
        ),
        "cheek": _cheek_light(canvas),
    }


def wrinkle_depths(person: Identity, units: dict[str, float]) -> dict[str, float]:
    """How deep each group of folds lies, 0..1, from age and action units."""
    aged = float(np.clip((person.age - 28) / 40, 0, 1))
    raised = 0.5 * (units["AU1"] + units["AU2"])
    smile = units["AU12"]
    return {
        "forehead": 0.20 * aged + (0.22 + 0.5 * aged) * raised,
        "frown": 0.15 * aged + 0.75 * units["AU4"],
        "nose": 0.80 * units["AU9"],
        "nasolabial": 0.12 + 0.30 * aged + 0.62 * max(units["AU9"], units["AU10"], smile) + 0.10 * units["AU20"],
        "crow": 0.20 * aged + (0.25 + 0.35 * aged) * units["AU6"],
        "bag": 0.10 + 0.28 * aged + 0.42 * max(units["AU6"], units["AU7"], units["AU9"]),
        "marionette": 0.22 * aged + 0.65 * units["AU15"],
        "chin": 0.12 + 0.7 * units["AU17"],
        "cheek": 0.8 * max(units["AU6"], smile * 0.7),
    }


def _folds(canvas: Canvas, lines: list[list[tuple[float, float]]], width: float, *, mirror: bool = True) -> Floats:
    curves = [np.array(line) for line in lines]
    if mirror:
        curves += [curve * [-1, 1] for curve in curves]
    smooth = [smooth_contour(curve, closed=False) for curve in curves]
    core = canvas.line_mask(smooth, width, blur=width * 0.55).astype(np.float32) / 255
    wide = canvas.line_mask(smooth, width * 2.6, blur=width * 2.2).astype(np.float32) / 255
    bulge = canvas.line_mask([line + np.array([0, -0.055], np.float32) for line in smooth], width * 2, blur=width * 2.2)
    return np.asarray(-_LINE_DEPTH * core - 0.16 * wide + _BULGE * bulge.astype(np.float32) / 255, np.float32)


def _cheek_light(canvas: Canvas) -> Floats:
    x, y = canvas.grid()
    side = np.abs(x)
    apple = np.exp(-(((side - 0.42) / 0.16) ** 2) - ((y - 0.36) / 0.11) ** 2)
    below = np.exp(-(((side - 0.50) / 0.14) ** 2) - ((y - 0.60) / 0.09) ** 2)
    return np.asarray(0.16 * apple - 0.10 * below, np.float32)
