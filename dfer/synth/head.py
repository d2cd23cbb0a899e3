"""The still part of the flat picture: skin, hair, neck and clothes, painted and lit once per clip."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from dfer.synth.canvas import Canvas, Floats, Image, blend, mirrored, smooth
from dfer.synth.geometry import SIDES, Shape, bump, face_depth, face_outline
from dfer.synth.identity import Person
from dfer.synth.scene import Scene

# How far the hair falls at the sides, how far it stands out, how far the hairline sinks, how rough the edge is.
_CUTS = {
    "crop": (0.12, 0.10, 0.00, 0.010),
    "curly": (-0.10, 0.26, 0.02, 0.030),
    "long": (1.70, 0.15, -0.05, 0.006),
    "bob": (1.00, 0.17, -0.02, 0.006),
    "fringe": (1.45, 0.15, 0.20, 0.006),
}
_FINE = 8192  # entries of the table that holds a cross-section of the strands


def paint_head(person: Person, scene: Scene, canvas: Canvas) -> tuple[Image, Floats]:
    """Paint head and shoulders, with a bare face.

    Returns:
        Premultiplied RGBA, uint8 [h, w, 4], and the light on white skin, float32 [h, w, 3].
    """
    rng = np.random.default_rng(person.texture_seed)
    image: Image = np.zeros((canvas.height, canvas.width, 4), np.uint8)
    behind, hair = _hair_masks(person, canvas, rng)
    blend(image, rgba(person.hair * 0.5), behind)
    _paint_body(image, person, scene, canvas)
    _paint_skin(image, person, canvas)
    shadow = cv2.subtract(np.roll(canvas.blurred(hair, 0.04), round(0.05 * canvas.unit), axis=0), hair)
    blend(image, rgba(person.skin * 0.35), cv2.min(shadow // 2, image[..., 3]))
    blend(image, _hair_paint(person, scene, canvas, hair, rng), hair)
    shade = _light(person.shape, scene, canvas)
    grain = 1 + 0.02 * rng.standard_normal((*hair.shape, 1), np.float32)
    image[..., :3] = np.clip(image[..., :3] * (shade * grain), 0, image[..., 3:])
    return image, shade


def rgba(color: Floats | NDArray[np.floating]) -> Floats:
    """Convert RGB in 0..1 to opaque RGBA in 0..255, float32 [4]."""
    return np.array([*np.minimum(color, 1) * 255, 255], np.float32)


def _light(shape: Shape, scene: Scene, canvas: Canvas) -> Floats:
    """Shade the relief of the face and redden it as blood does, float32 [h, w, 3]."""
    soft = Canvas(canvas.unit / 2, canvas.left, canvas.top, canvas.width // 2, canvas.height // 2)
    x, y = soft.grid()
    depth = face_depth(shape, x, y)
    slope_y, slope_x = np.gradient(soft.blurred(depth, 0.012), 1 / soft.unit)
    facing = np.stack([-slope_x, -slope_y, np.ones_like(x)], axis=-1) / np.sqrt(slope_x**2 + slope_y**2 + 1)[..., None]
    # Light scatters in skin: it wraps around, and red goes farthest.
    wrapped = np.clip((np.einsum("hwc,c", facing, scene.light) + 0.35) / 1.35, 0, 1)
    wrapped = wrapped[..., None] ** np.array([1.0, 1.08, 1.13])
    hollow = depth - soft.blurred(depth, 0.13)
    open_sky = np.clip(1 + 2.4 * np.minimum(hollow, 0) + 0.8 * np.maximum(hollow, 0), 0.5, 1.12)[..., None]
    shade = scene.fill * open_sky * (0.91 - 0.09 * facing[..., 1:2]) + 1.12 * scene.key * wrapped * np.sqrt(open_sky)
    for at_x, at_y, wide, high, tint in (
        (0.43, 0.36, 0.20, 0.17, (0.02, -0.08, -0.06)),  # cheeks
        (0.0, shape["nose_y"], 0.13, 0.10, (0.02, -0.09, -0.06)),
        (shape["eye_x"], 0.14, 0.17, 0.06, (-0.08, -0.08, -0.08)),  # below the eyes
        (shape["eye_x"] - 0.05, -0.045, 0.20, 0.075, (-0.16, -0.16, -0.16)),  # lids
    ):
        shade *= 1 + bump(x, y, at_x, at_y, wide, high)[..., None] * tint
    half = scene.light + np.array([0, 0, 1])
    shade += 0.12 * np.clip(np.einsum("hwc,c", facing, half / np.linalg.norm(half)), 0, 1)[..., None] ** 26 * scene.key
    made: Floats = cv2.resize(shade.astype(np.float32), (canvas.width, canvas.height))
    return made


def _paint_skin(image: Image, person: Person, canvas: Canvas) -> None:
    """Paint ears, face and nostrils in place."""
    shape, skin, wide = person.shape, person.skin, person.shape["face_width"]
    ear = np.array([(-0.06, -0.06), (0.05, -0.14), (0.115, -0.06), (0.09, 0.12), (0.03, 0.31), (-0.05, 0.30)])
    ears = [smooth((ear + np.array([wide, 0])) * (side, 1), closed=True) for side in SIDES]
    blend(image, rgba(skin * (0.92, 0.82, 0.80)), canvas.mask(*ears))
    blend(image, rgba(skin), canvas.mask(face_outline(shape)))
    nose, y = shape["nose_width"], shape["nose_y"] + 0.082
    hole = np.array([(0.030, y + 0.004), (nose * 0.42, y - 0.020), (nose * 0.70, y - 0.006), (nose * 0.45, y + 0.016)])
    wing = np.array([(nose * 0.98, y - 0.10), (nose * 1.10, y - 0.045), (nose, y + 0.004), (nose * 0.8, y + 0.012)])
    dark = np.zeros(image.shape[:2], np.uint8)
    canvas.stroke(dark, [smooth(wing * (side, 1)) for side in SIDES], 120, 0.018)
    for side in SIDES:
        canvas.fill(dark, smooth(hole * (side, 1), closed=True), 220)
    blend(image, rgba(skin * (0.30, 0.20, 0.18)), canvas.blurred(dark, 0.013))


def _paint_body(image: Image, person: Person, scene: Scene, canvas: Canvas) -> None:
    """Paint neck, shoulders and clothes in place."""
    neck, shoulder = person.shape["jaw_width"] * 0.74, 1.42 + (person.shape["jaw_width"] - 0.58) * 2
    throat = [(neck, 0.7), (neck * 1.02, 1.50), (neck * 1.8, 1.80), (neck * 1.8, 2.10)]
    slope = [(neck * 1.06, 1.50), (neck * 1.5, 1.68), (shoulder * 0.75, 1.86), (shoulder, 2.15), (shoulder * 1.1, 3.2)]
    neckline = smooth(mirrored([slope[0], (neck * 0.70, 1.68), (neck * 0.15, 1.82)]))
    x, y = canvas.grid()
    rounded = 1 - 0.35 * np.clip(np.abs(x) / neck, 0, 1.3) ** 2
    shadow = 1 - 0.42 * np.clip((person.shape["chin_y"] + 0.38 - y) / 0.45, 0, 1)
    blend(image, _shaded(person.skin, rounded * shadow), canvas.mask(mirrored(throat)))
    right = smooth(np.array(slope))
    body = np.vstack([neckline[::-1], right, right[::-1] * (-1, 1)])
    folds = 1 - 0.3 * np.clip(np.abs(x) / shoulder, 0, 1) ** 2 - 0.06 * np.cos(x * 9) * np.clip(y - 1.7, 0, 1)
    blend(image, _shaded(scene.clothes, folds), canvas.mask(body))
    canvas.stroke(image, [neckline], rgba(scene.clothes * 0.6).tolist(), 0.04)


def _shaded(color: Floats, shade: Floats) -> Image:
    """Multiply a colour by a map, to RGBA uint8 [h, w, 4]."""
    made = np.full((*shade.shape, 4), 255, np.uint8)
    made[..., :3] = np.clip(shade[..., None] * (color * 255), 0, 255)
    return made


def _hair_masks(person: Person, canvas: Canvas, rng: np.random.Generator) -> tuple[Image, Image]:
    """Return the hair behind the neck and the hair around the face, uint8 [h, w] each."""
    wide = person.shape["face_width"]
    fall, out, sunk, rough = _CUTS[person.hair_style]
    line = person.shape["hairline_y"] + sunk
    crown = [
        (wide * 0.985 + out * 0.2, 0.10),
        (wide + out * 0.60, -0.36),
        (wide * 0.93 + out * 0.35, -0.76),
        (0.47 + out * 0.2, -1.08 - out * 0.55),
        (0.12, -1.17 - out * 0.9),
    ]
    hairline = [(wide * 0.95, 0.10), (wide * 0.88, -0.30), (wide * 0.70, (line - 0.38) / 2), (0.38, line + 0.01)]
    edge = smooth(mirrored(crown))[::2]
    edge = smooth(edge + rng.normal(0, rough, edge.shape), samples=4)
    cap = np.vstack([edge, smooth(mirrored([*hairline, (0.12, line)]))[::-1]])
    right = [(wide + out * 0.6, -0.4), (wide + out, fall - 0.12), (wide + out * 0.6, fall)]
    inner = [(wide * (1 - 0.12 * fall), fall), (wide * (1 - 0.07 * fall), fall * 0.66), (wide * 0.96, fall * 0.2)]
    lock = np.array([*right, *inner, (wide * 0.85, -0.35)])
    locks = [smooth(lock * (side, 1), closed=True) for side in SIDES]
    return canvas.mask(mirrored(right)), canvas.mask(cap, *locks)


def _hair_paint(person: Person, scene: Scene, canvas: Canvas, mask: Image, rng: np.random.Generator) -> Image:
    """Paint strands that fan out from the parting, or curls, with a sheen, RGBA uint8 [h, w, 4]."""
    x, y = canvas.grid()
    if person.hair_style == "curly":
        noise = canvas.blurred(rng.standard_normal(x.shape, np.float32), 0.025)
        strands = 0.5 + 0.5 * np.cos(noise * (2.4 / float(noise.std())))
    else:
        fan = np.arctan2(x - person.shape["part_x"], np.abs(y + 1.25) + 0.35) / (2 * np.pi) + 0.5
        rows = [rng.random((1, count), np.float32) * weight for count, weight in ((90, 0.6), (260, 0.8), (620, 0.6))]
        profile = sum(cv2.resize(row, (_FINE, 1))[0] for row in rows) - 0.5
        strands = np.clip(profile, 0, 1)[np.clip(fan * _FINE, 0, _FINE - 1).astype(np.int32)]
    ring = np.exp(-(((np.hypot(x - 0.5 * scene.light[0], y * 0.9 + 0.10) - 0.92) / 0.11) ** 2))
    volume = np.clip(canvas.blurred(mask, 0.07) * np.float32(1.5 / 255) - 0.35, 0.25, 1)
    tone = 0.62 + 0.42 * strands + 0.30 * volume
    sheen = ring * np.clip(strands * 1.8 - 0.3, 0, 1) * 0.15
    return _shaded(person.hair, tone + sheen * (1 + 0.1 / float(person.hair.mean())))
