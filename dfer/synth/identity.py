"""The random parameters of one drawn person.

Lengths are in face units: the origin lies between the eyes, x points to the image's right, y down, z towards the
camera; the pupils are about 0.72 apart and the chin about 1.25 below them. Colours are RGB in 0..1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dfer.synth.canvas import Floats

# Mean, what a feminine face adds to it, and spread. Widths are halves, places are distances from the origin.
_SHAPE = {
    "face_width": (0.79, 0.0, 0.025),  # at the cheekbones
    "jaw_width": (0.60, -0.05, 0.03),
    "chin_width": (0.27, -0.05, 0.03),
    "chin_y": (1.25, -0.04, 0.035),
    "eye_x": (0.36, 0.0, 0.012),
    "eye_width": (0.178, 0.008, 0.009),
    "eye_height": (0.128, 0.014, 0.011),
    "eye_tilt": (0.012, 0.008, 0.012),  # rise of the outer corner
    "lashes": (0.25, 0.5, 0.1),
    "brow_y": (-0.245, -0.02, 0.018),
    "brow_thickness": (0.070, -0.020, 0.010),
    "brow_arch": (0.030, 0.018, 0.012),
    "nose_y": (0.475, -0.015, 0.025),  # of its tip
    "nose_width": (0.155, -0.015, 0.016),
    "nose_depth": (0.30, -0.02, 0.03),
    "mouth_y": (0.810, 0.0, 0.018),
    "mouth_width": (0.290, 0.0, 0.018),
    "upper_lip": (0.058, 0.014, 0.012),  # thickness, as `lower_lip`
    "lower_lip": (0.088, 0.014, 0.014),
    "hairline_y": (-0.70, 0.0, 0.03),
    "part_x": (0.0, 0.0, 0.20),
}
# From very light to deep, as skin photographs in soft daylight.
_SKIN = np.array([(0.965, 0.835, 0.765), (0.870, 0.670, 0.530), (0.660, 0.450, 0.320), (0.420, 0.275, 0.200)])
# Black, brown, auburn, blond, grey.
_HAIR = np.array([(0.10, 0.08, 0.08), (0.28, 0.18, 0.12), (0.43, 0.21, 0.11), (0.60, 0.47, 0.31), (0.50, 0.49, 0.48)])
_IRIS = np.array([(0.24, 0.13, 0.07), (0.36, 0.21, 0.10), (0.32, 0.45, 0.33), (0.30, 0.46, 0.62), (0.45, 0.53, 0.58)])
_DARK = 1.6  # tone of the skin from which on hair and eyes are dark
HAIR_STYLES = (("long", "bob", "fringe", "curly"), ("crop", "curly"))  # feminine, masculine


@dataclass(frozen=True)
class Person:
    """Everything about a face that does not move.

    Attributes:
        shape: the lengths of `_SHAPE`, by name.
        skin, lips, hair, brow, iris: colours, float32 [3].
        hair_style: one of `HAIR_STYLES`.
        texture_seed: fixes pores and strands.
    """

    shape: dict[str, float]
    skin: Floats
    lips: Floats
    hair: Floats
    brow: Floats
    iris: Floats
    hair_style: str
    texture_seed: int


def draw_person(rng: np.random.Generator) -> Person:
    """Draw a random person."""
    feminine = rng.random() < 0.5
    tone = rng.uniform(0, len(_SKIN) - 1)
    skin = np.array([np.interp(tone, np.arange(len(_SKIN)), channel) for channel in _SKIN.T])
    hair_odds = [0.7, 0.2, 0, 0, 0.1] if tone > _DARK else [0.2, 0.3, 0.15, 0.25, 0.1]
    hair = _tinted(_HAIR[rng.choice(len(_HAIR), p=hair_odds)], rng)
    noise = rng.standard_normal(len(_SHAPE)).clip(-2, 2)
    return Person(
        shape={name: m + f * feminine + s * z for (name, (m, f, s)), z in zip(_SHAPE.items(), noise, strict=True)},
        skin=_tinted(skin, rng),
        lips=_tinted(skin * ((0.91, 0.66, 0.68) if feminine else (0.90, 0.70, 0.71)), rng),
        hair=hair,
        brow=hair * np.float32(0.55) + np.float32(0.03),
        iris=_tinted(_IRIS[rng.integers(2 if tone > _DARK else len(_IRIS))], rng),
        hair_style=str(rng.choice(HAIR_STYLES[0 if feminine else 1])),
        texture_seed=int(rng.integers(2**31)),
    )


def _tinted(color: np.ndarray, rng: np.random.Generator) -> Floats:
    return np.asarray(color * (1 + 0.015 * rng.standard_normal(3).clip(-2, 2)), np.float32)
