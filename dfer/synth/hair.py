"""Hair and glasses: painted once, laid over the skin."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from dfer.synth.canvas import Canvas, Floats, Image, Points, to_image
from dfer.synth.geometry import SIDES, face_outline, smooth_contour
from dfer.synth.identity import Identity
from dfer.synth.scene import Light

_Half = list[tuple[float, float]]
_FINE = 8192  # entries of the table that holds a cross-section of the strands


def paint_hair(person: Identity, light: Light, canvas: Canvas) -> tuple[Image, Image]:
    """The hair in front of and above the face.

    Returns:
        rgb uint8 [h, w, 3] and opacity uint8 [h, w].
    """
    rng = np.random.default_rng([person.texture_seed, 2])
    mask = _hair_mask(person, canvas, rng)
    strands = _curls(canvas, rng) if person.hair_style == "curly" else _strands(person, canvas, rng)
    soft = canvas.scaled(0.5)
    x, y = soft.grid()
    towards = light.direction
    slope_x, slope_y = 1.25 * x, 0.95 * (y + 0.15)
    length = np.sqrt(slope_x**2 + slope_y**2 + 1)
    diffuse = np.clip(((slope_x * towards[0] + slope_y * towards[1] + towards[2]) / length + 0.45) / 1.45, 0.05, 1)
    ring = diffuse * np.exp(-(((np.hypot(x - 0.5 * towards[0], y * 0.9 + 0.10) - 0.92) / 0.11) ** 2))
    diffuse, ring = (cv2.resize(each.astype(np.float32), (canvas.width, canvas.height)) for each in (diffuse, ring))
    volume = np.clip(canvas.blurred(mask, 0.07) * np.float32(1.5 / 255) - 0.35, 0.25, 1)
    tone = (0.62 + 0.42 * strands + 0.38 * volume).astype(np.float32)
    sheen = ring * np.clip(strands * 1.8 - 0.3, 0, 1)
    base, key, fill = (np.array(color, np.float32) for color in (person.hair, light.key, light.fill))
    lit = tone[..., None] * (base * fill * 0.85) + (tone * diffuse)[..., None] * (base * key * 1.15)
    rgb = to_image(lit + sheen[..., None] * ((0.05 + 0.22 * base) * key))
    if person.hair_style == "buzz":
        mask = cv2.convertScaleAbs(mask, alpha=0.72)
    return rgb, mask


def _hair_mask(person: Identity, canvas: Canvas, rng: np.random.Generator) -> Image:
    outer, inner = _CUTS[person.hair_style](person)
    # From the lower end on the right over the crown to the left, and back along the hairline.
    over = smooth_contour(_mirrored(outer), closed=False)
    back = smooth_contour(_mirrored(inner), closed=False)[::-1]
    contour = np.vstack([over, back]).astype(np.float32)
    rough = {"curly": 0.030, "buzz": 0.004, "bun": 0.006, "crop": 0.016}.get(person.hair_style, 0.010)
    if person.hair_style == "curly":
        bumps = contour[::2] + rng.normal(0, rough, contour[::2].shape)
        contour = smooth_contour(bumps, closed=True, samples=5)
    else:
        contour = contour + rng.normal(0, rough, contour.shape).astype(np.float32)
    mask = canvas.mask(contour, blur=0.008)
    if person.hair_style == "buzz":  # a shadow on the skull, which does not stand out from it
        mask = cv2.min(mask, canvas.mask(face_outline(person)))
    if person.hair_style == "bun":
        turn = np.linspace(0, 2 * np.pi, 40)
        knot = np.stack([0.30 * np.cos(turn), -1.36 + 0.24 * np.sin(turn)], axis=-1).astype(np.float32)
        mask = cv2.max(mask, canvas.mask(knot, blur=0.01))
    return mask


def _mirrored(half: _Half) -> NDArray[np.float64]:
    """A contour given from the right end to the middle, or with a parting off it, completed to the left."""
    right = np.array(half)
    left = right[::-1] * [-1, 1]
    return np.vstack([right, left[1:] if right[-1, 0] == 0 else left])


def _crown(person: Identity, *, volume: float) -> _Half:
    wide = person.face_width
    return [
        (wide + volume * 0.45, -0.02),
        (wide + volume * 0.60, -0.36),
        (wide * 0.93 + volume * 0.35, -0.76),
        (0.47 + volume * 0.2, -1.08 - volume * 0.55),
        (0.0, -1.17 - volume * 0.9),
    ]


def _crop(person: Identity) -> tuple[_Half, _Half]:
    wide, line = person.face_width, person.hairline_y
    ends: _Half = [(wide * 0.985, 0.10)]
    hairline: _Half = [
        (wide * 0.955, 0.10),
        (wide * 0.93, -0.18),
        (wide * 0.80, -0.42),
        (0.50, line + 0.04),
        (0.26, line - 0.01),
        (0.0, line + 0.015),
    ]
    return ends + _crown(person, volume=person.hair_volume * 0.7), hairline


def _buzz(person: Identity) -> tuple[_Half, _Half]:
    _, inner = _crop(person)
    return [(x * 0.985, y * 0.97 if y < 0 else y) for x, y in _crown(person, volume=0.02)], inner[1:]


def _receding(person: Identity) -> tuple[_Half, _Half]:
    wide, line = person.face_width, person.hairline_y
    outer, _ = _crop(person)
    return outer, [
        (wide * 0.955, 0.10),
        (wide * 0.93, -0.2),
        (wide * 0.86, -0.48),
        (0.52, line - 0.20),
        (0.30, line - 0.22),
        (0.0, line - 0.02),
    ]


def _quiff(person: Identity) -> tuple[_Half, _Half]:
    outer, inner = _crop(person)
    raised = [(x, y - 0.10 * float(np.exp(-((x / 0.5) ** 2)))) for x, y in outer]
    return raised, [*inner[:-1], (0.0, inner[-1][1] - 0.05)]


def _curly(person: Identity) -> tuple[_Half, _Half]:
    wide, line = person.face_width, person.hairline_y
    big = 0.16 + person.hair_volume * 0.9
    low = 0.55 if person.lashes > 0.5 else 0.08
    outer: _Half = [(wide + 0.05, low), (wide + big * 0.9, low - 0.12), *_crown(person, volume=big * 1.2)[1:]]
    return outer, [
        (wide * 0.98, low),
        (wide * 0.955, -0.15),
        (wide * 0.80, -0.42),
        (0.50, line + 0.05),
        (0.25, line),
        (0.0, line + 0.02),
    ]


def _long(person: Identity) -> tuple[_Half, _Half]:
    wide, line, volume = person.face_width, person.hairline_y, person.hair_volume
    ends: _Half = [
        (wide + 0.02, 1.75),
        (wide + volume * 0.9 + 0.06, 1.60),
        (wide + volume * 0.95 + 0.04, 1.05),
        (wide + volume * 0.85, 0.45),
    ]
    hairline: _Half = [
        (wide * 0.80, 1.75),
        (wide * 0.84, 1.15),
        (wide * 0.96, 0.60),
        (wide * 0.97, 0.10),
        (wide * 0.90, -0.25),
        (0.60, -0.52),
        (0.32, line - 0.01),
        (0.0, line - 0.06),
    ]
    return ends + _crown(person, volume=volume), hairline


def _long_part(person: Identity) -> tuple[_Half, _Half]:
    outer, inner = _long(person)
    return outer, [
        *inner[:4],
        (0.80 * person.face_width + 0.08, -0.22),
        (0.60, -0.46),
        (0.30, -0.68),
        (0.0, person.hairline_y - 0.16),
    ]


def _bob(person: Identity) -> tuple[_Half, _Half]:
    wide, line, volume = person.face_width, person.hairline_y, person.hair_volume
    ends: _Half = [
        (wide * 0.86, 1.02),
        (wide + volume * 0.6, 1.00),
        (wide + volume * 1.05, 0.70),
        (wide + volume * 0.95, 0.30),
    ]
    hairline: _Half = [
        (wide * 0.84, 1.00),
        (wide * 0.93, 0.66),
        (wide * 0.97, 0.20),
        (wide * 0.93, -0.20),
        (0.62, -0.50),
        (0.34, line + 0.02),
        (0.0, line - 0.03),
    ]
    return ends + _crown(person, volume=volume), hairline


def _fringe(person: Identity) -> tuple[_Half, _Half]:
    outer, inner = _long(person)
    return outer, [*inner[:4], (person.face_width * 0.90, -0.20), (0.55, -0.40), (0.28, -0.43), (0.0, -0.425)]


def _bun(person: Identity) -> tuple[_Half, _Half]:
    wide, line = person.face_width, person.hairline_y
    outer = [(wide * 0.985, 0.02), *_crown(person, volume=0.05)]
    return outer, [
        (wide * 0.955, 0.02),
        (wide * 0.92, -0.22),
        (wide * 0.80, -0.46),
        (0.52, line + 0.01),
        (0.27, line - 0.04),
        (0.0, line - 0.05),
    ]


_CUTS = {
    "crop": _crop,
    "quiff": _quiff,
    "buzz": _buzz,
    "curly": _curly,
    "receding": _receding,
    "long": _long,
    "long_part": _long_part,
    "bob": _bob,
    "fringe": _fringe,
    "bun": _bun,
}


def _strands(person: Identity, canvas: Canvas, rng: np.random.Generator) -> Floats:
    """Fine lines that fan out from the parting, float32 [h, w] in about 0..1."""
    x, y = canvas.grid()
    root_y = 0.6 if person.hair_style in ("bun", "quiff") else -1.25
    fan = np.arctan2(x - person.part_x * 0.6, np.abs(y - root_y) + 0.35)
    reach = np.hypot(x - person.part_x * 0.6, y - root_y)
    wave = 0.018 * np.sin(reach * 7 + rng.uniform(0, 6))
    place = (fan + wave + np.pi) / (2 * np.pi)
    fine = np.arange(_FINE, dtype=np.float32) / _FINE
    profile = np.zeros(_FINE, np.float32)
    for count, weight in ((90, 0.30), (260, 0.40), (620, 0.30)):
        profile += weight * np.interp(fine * count, np.arange(count + 2), rng.random(count + 2)).astype(np.float32)
    profile = np.clip((profile - 0.5) * 1.9 + 0.5, 0, 1)
    return np.asarray(profile[np.clip(place * _FINE, 0, _FINE - 1).astype(np.int32)])


def _curls(canvas: Canvas, rng: np.random.Generator) -> Floats:
    """Round locks: bands of two noises of different grain, float32 [h, w] in 0..1."""
    shape = (canvas.height, canvas.width)
    total = np.zeros(shape, np.float32)
    for size, weight in ((0.040, 0.55), (0.018, 0.45)):
        noise = cv2.GaussianBlur(rng.standard_normal(shape, np.float32), (0, 0), size * canvas.unit)
        total += weight * (0.5 + 0.5 * np.cos(noise * (2.4 / float(noise.std()))))
    return total


def paint_glasses(person: Identity, canvas: Canvas) -> tuple[Image, Image] | None:
    """Frames and a trace of reflection.

    Returns:
        rgb uint8 [h, w, 3] and opacity uint8 [h, w], or None without glasses.
    """
    if not person.glasses:
        return None
    turn = np.linspace(0, 2 * np.pi, 49)
    power = 1.0 if person.glasses == "round" else 0.55
    ring_x = np.sign(np.cos(turn)) * np.abs(np.cos(turn)) ** power
    ring_y = np.sign(np.sin(turn)) * np.abs(np.sin(turn)) ** power
    high = 0.235 if person.glasses == "round" else 0.185
    frames: list[Points] = []
    for side in SIDES:
        rim = np.stack([side * (person.eye_x + 0.015) + 0.265 * ring_x, 0.035 + high * ring_y], axis=-1)
        temple = np.array([(0.28 + person.eye_x, 0.0), (person.face_width + 0.02, -0.03)]) * [side, 1]
        frames += [rim.astype(np.float32), temple.astype(np.float32)]
    frames.append(smooth_contour(np.array([(-0.11, 0.02), (0.0, -0.03), (0.11, 0.02)]), closed=False))
    opacity = canvas.line_mask(frames, 0.026)
    rgb = np.broadcast_to(np.array(person.glasses_color) * 255, (*opacity.shape, 3)).astype(np.uint8).copy()
    glare = np.zeros_like(opacity)
    for side in SIDES:
        x = side * (person.eye_x + 0.015)
        band = np.array([(x - 0.12, 0.16), (x + 0.02, -0.10), (x + 0.07, -0.10), (x - 0.07, 0.16)], np.float32)
        canvas.fill(glare, band, 26)
    rgb[opacity < 40] = 235
    return rgb, cv2.max(opacity, canvas.blurred(glare, 0.01))
