"""Who is seen: the random parameters of one drawn person.

Lengths are in face units: the origin lies between the eyes, x points to the image's right, y down, z towards the
camera; the pupils are about 0.72 apart and the chin about 1.25 below them. Colours are RGB in 0..1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Color = tuple[float, float, float]

# From very light to deep: anchors along the range of human skin, as they photograph in soft daylight.
_SKIN_TONES = np.array(
    [
        (0.965, 0.835, 0.765),
        (0.925, 0.755, 0.650),
        (0.870, 0.670, 0.530),
        (0.770, 0.560, 0.415),
        (0.660, 0.450, 0.320),
        (0.535, 0.350, 0.245),
        (0.420, 0.275, 0.200),
    ]
)
_HAIR_COLORS: dict[str, Color] = {
    "black": (0.095, 0.080, 0.078),
    "dark brown": (0.190, 0.125, 0.090),
    "brown": (0.330, 0.215, 0.140),
    "auburn": (0.430, 0.205, 0.110),
    "dark blond": (0.480, 0.370, 0.245),
    "blond": (0.660, 0.530, 0.360),
    "grey": (0.460, 0.450, 0.435),
    "white": (0.690, 0.680, 0.660),
}
_IRIS_COLORS: tuple[Color, ...] = (
    (0.24, 0.13, 0.07),
    (0.36, 0.21, 0.10),
    (0.42, 0.36, 0.17),
    (0.32, 0.45, 0.33),
    (0.30, 0.46, 0.62),
    (0.45, 0.53, 0.58),
)
SHORT_HAIR = ("crop", "quiff", "buzz", "curly", "receding")
LONG_HAIR = ("long", "bob", "fringe", "bun", "curly", "long_part")


@dataclass(frozen=True)
class Identity:
    """One person: everything about a face that does not move.

    Attributes:
        face_width: half the width at the cheekbones; `jaw_width` and `chin_width` likewise, further down.
        chin_y: how far the chin lies below the eyes.
        eye_x, eye_width, eye_height, eye_tilt: half distance, half width, opening, rise of the outer corner.
        brow_y, brow_thickness, brow_arch, brow_length: of the eyebrows.
        nose_y, nose_width, nose_depth: tip below the eyes, half width at the nostrils, protrusion.
        mouth_y, mouth_width, upper_lip, lower_lip: height, half width, and the lips' thickness.
        age: years; deepens the static lines and greys the hair.
        hair_style: one of `SHORT_HAIR` and `LONG_HAIR`.
        beard: 0 none, up to 1 a full beard; `mustache` likewise.
        glasses: "" for none, else the frame's shape.
        texture_seed: fixes freckles, strands and pores.
    """

    face_width: float
    jaw_width: float
    chin_width: float
    chin_y: float
    eye_x: float
    eye_width: float
    eye_height: float
    eye_tilt: float
    brow_y: float
    brow_thickness: float
    brow_arch: float
    brow_length: float
    nose_y: float
    nose_width: float
    nose_depth: float
    mouth_y: float
    mouth_width: float
    upper_lip: float
    lower_lip: float
    hairline_y: float
    hair_volume: float
    part_x: float
    age: float
    lashes: float
    freckles: float
    skin: Color
    lips: Color
    hair: Color
    brow: Color
    iris: Color
    hair_style: str
    beard: float
    mustache: float
    glasses: str
    glasses_color: Color
    texture_seed: int


def draw_identity(rng: np.random.Generator) -> Identity:
    """A random person."""
    feminine = rng.random() < 0.5
    age = float(np.clip(18 + 55 * rng.beta(1.3, 2.0), 18, 72))
    tone = rng.uniform(0, len(_SKIN_TONES) - 1)
    skin = _tint(_along(_SKIN_TONES, tone), rng, 0.025)
    hair = _hair_color(rng, tone=tone, age=age)
    beard, mustache = (0.0, 0.0) if feminine else _beard(rng)
    style = str(rng.choice(LONG_HAIR if feminine else SHORT_HAIR))
    if style == "receding" and age < 35:
        style = "crop"

    def about(middle: float, spread: float) -> float:
        return float(np.clip(rng.normal(middle, spread), middle - 2 * spread, middle + 2 * spread))

    soft = 1.0 if feminine else 0.0
    redness = np.array([0.02, -0.10, -0.07]) * (1.2 if feminine else 0.75)
    lips = np.clip(np.array(skin) * np.array([0.90, 0.74, 0.74]) + redness * 0.7, 0.1, 1)
    return Identity(
        face_width=about(0.79, 0.025),
        jaw_width=about(0.60 - 0.05 * soft, 0.03),
        chin_width=about(0.27 - 0.05 * soft, 0.03),
        chin_y=about(1.25 - 0.04 * soft, 0.035),
        eye_x=about(0.36, 0.012),
        eye_width=about(0.178 + 0.008 * soft, 0.009),
        eye_height=about(0.128 + 0.014 * soft, 0.011),
        eye_tilt=about(0.012 + 0.008 * soft, 0.012),
        brow_y=about(-0.245 - 0.02 * soft, 0.018),
        brow_thickness=about(0.070 - 0.020 * soft, 0.010),
        brow_arch=about(0.030 + 0.018 * soft, 0.012),
        brow_length=about(0.235, 0.012),
        nose_y=about(0.475 - 0.015 * soft, 0.025),
        nose_width=about(0.155 - 0.015 * soft, 0.016),
        nose_depth=about(0.30 - 0.02 * soft, 0.03),
        mouth_y=about(0.810, 0.018),
        mouth_width=about(0.290, 0.018),
        upper_lip=about(0.058 + 0.014 * soft, 0.012),
        lower_lip=about(0.088 + 0.014 * soft, 0.014),
        hairline_y=about(-0.70 - (0.1 if style == "receding" else 0), 0.03),
        hair_volume=about(0.15, 0.03),
        part_x=float(rng.choice([-1.0, 1.0])) * about(0.26, 0.08),
        age=age,
        lashes=about(0.75, 0.1) if feminine else about(0.25, 0.1),
        freckles=float(rng.uniform(0.3, 1.0)) if tone < 2 and rng.random() < 0.3 else 0.0,
        skin=skin,
        lips=_color(lips),
        hair=hair,
        brow=_color(np.array(hair) * 0.55 + 0.03) if max(hair) < 0.7 else _color(np.array(hair) * 0.62),
        iris=_iris(rng, tone),
        hair_style=style,
        beard=beard,
        mustache=mustache,
        glasses=str(rng.choice(["round", "square"])) if rng.random() < 0.16 else "",
        glasses_color=_color(rng.choice([[0.08, 0.08, 0.09], [0.30, 0.17, 0.10], [0.45, 0.42, 0.40]])),
        texture_seed=int(rng.integers(2**31)),
    )


def _hair_color(rng: np.random.Generator, *, tone: float, age: float) -> Color:
    if rng.random() < (age - 42) / 40:
        name = "white" if age > 60 and rng.random() < 0.4 else "grey"
    elif tone > 3.2:
        name = str(rng.choice(["black", "dark brown"], p=[0.75, 0.25]))
    else:
        names = ["black", "dark brown", "brown", "auburn", "dark blond", "blond"]
        name = str(rng.choice(names, p=[0.16, 0.24, 0.22, 0.10, 0.14, 0.14]))
    return _tint(np.array(_HAIR_COLORS[name]), rng, 0.03)


def _beard(rng: np.random.Generator) -> tuple[float, float]:
    kind = rng.choice(["shaven", "stubble", "beard", "mustache"], p=[0.52, 0.22, 0.18, 0.08])
    if kind == "stubble":
        amount = float(rng.uniform(0.15, 0.30))
        return amount, amount
    if kind == "beard":
        full = float(rng.uniform(0.75, 1.0))
        return full, full
    return (0.0, 0.9) if kind == "mustache" else (0.0, 0.0)


def _iris(rng: np.random.Generator, tone: float) -> Color:
    light_eyes = tone < 2.5 and rng.random() < 0.55
    index = int(rng.integers(2, len(_IRIS_COLORS)) if light_eyes else rng.integers(0, 2))
    return _tint(np.array(_IRIS_COLORS[index]), rng, 0.06)


def _along(anchors: np.ndarray, position: float) -> np.ndarray:
    return np.array([np.interp(position, np.arange(len(anchors)), channel) for channel in anchors.T])


def _tint(color: np.ndarray, rng: np.random.Generator, spread: float) -> Color:
    return _color(color * (1 + rng.normal(0, spread, 3).clip(-2 * spread, 2 * spread)))


def _color(values: np.ndarray) -> Color:
    red, green, blue = np.clip(values, 0.02, 0.98)
    return float(red), float(green), float(blue)
