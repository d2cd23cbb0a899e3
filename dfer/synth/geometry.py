"""Where everything is: action units to contours on the face, and the face to the frame.

Two steps give the 2.5-D head. Contours of eyes, brows and mouth are drawn flat, in face units (see `identity`), by
formulas over the action units. The flat face is then a height field, `face_depth`: turning it by yaw, pitch and roll
and looking at it from far away moves every point by its depth, so that the nose moves over the cheek as it should.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dfer.synth.expression import ACTION_UNITS
from dfer.synth.identity import Identity

Points = NDArray[np.float32]
Field = NDArray[np.float32]

PUPIL_Y = -0.018
SIDES = (-1.0, 1.0)  # the image's left, the image's right
_SAMPLES = np.linspace(-1, 1, 25)

# How skin follows the muscles: unit, centre x y, spread x y, shift x y (in face units, mirrored for the other side).
_SKIN_PULLS = (
    ("AU1", 0.15, -0.42, 0.20, 0.13, 0.00, -0.06),
    ("AU2", 0.45, -0.42, 0.18, 0.13, 0.00, -0.06),
    ("AU4", 0.15, -0.30, 0.16, 0.10, -0.03, 0.03),
    ("AU6", 0.42, 0.36, 0.20, 0.16, 0.00, -0.05),
    ("AU9", 0.12, 0.40, 0.13, 0.13, 0.01, -0.05),
    ("AU10", 0.22, 0.62, 0.14, 0.12, 0.00, -0.03),
    ("AU12", 0.46, 0.60, 0.20, 0.20, 0.035, -0.06),
    ("AU15", 0.34, 0.95, 0.16, 0.14, 0.00, 0.03),
    ("AU17", 0.06, 1.06, 0.20, 0.12, 0.00, -0.045),
    ("AU20", 0.45, 0.85, 0.20, 0.20, 0.04, 0.00),
    ("AU27", 0.58, 0.70, 0.18, 0.25, -0.035, 0.00),
)
_JAW_DROP = {"AU25": 0.01, "AU26": 0.10, "AU27": 0.20}


@dataclass(frozen=True)
class EyeShape:
    """One eye: lids from the inner to the outer corner, float [N, 2], and the pupil's place."""

    upper: Points
    lower: Points
    crease: Points
    pupil: Points
    side: float


@dataclass(frozen=True)
class MouthShape:
    """The lips' four contours from the image's left to the right corner, float [N, 2] each."""

    upper_outer: Points
    upper_inner: Points
    lower_inner: Points
    lower_outer: Points


def face_outline(person: Identity) -> Points:
    """The face from crown to chin, float32 [N, 2], a closed contour."""
    wide, chin = person.face_width, person.chin_y
    half = [
        (0.0, -1.14),
        (0.42, -1.05),
        (wide * 0.90, -0.68),
        (wide * 0.985, -0.30),
        (wide, 0.08),
        (wide * 0.965, 0.42),
        (person.jaw_width * 1.05 + 0.02, 0.80),
        (person.chin_width * 1.38, chin - 0.125),
        (person.chin_width * 0.60, chin - 0.012),
    ]
    right = np.array(half)
    left = right[:0:-1] * [-1, 1]
    return smooth_contour(np.vstack([right, [(0.0, chin)], left]), closed=True)


def face_depth(person: Identity, x: Field, y: Field) -> Field:
    """How far the face stands out, in face units; the heights that shade it and move it under rotation.

    Args:
        person: whose face.
        x, y: float arrays of one shape, face units.

    Returns:
        float32, the same shape; 0 at about the ears, 1 at the nose's tip.
    """
    side = np.abs(x)
    radius = (x / 0.97) ** 2 + ((y - 0.10) / 1.42) ** 2
    skull = 0.72 * (1 - np.minimum(radius, 1.5))
    brow_ridge = 0.045 * _bump(side, y, 0.27, -0.20, 0.22, 0.075)
    sockets = -0.085 * _bump(side, y, person.eye_x - 0.03, -0.02, 0.19, 0.12)
    eyeballs = 0.045 * _bump(side, y, person.eye_x, 0.0, 0.13, 0.085)
    cheeks = 0.055 * _bump(side, y, 0.46, 0.33, 0.20, 0.18)
    muzzle = 0.075 * _bump(side, y, 0.0, person.mouth_y, 0.30, 0.20)
    groove = -0.030 * _bump(side, y, 0.0, person.mouth_y + 0.165, 0.17, 0.045)
    chin = 0.070 * _bump(side, y, 0.0, person.chin_y - 0.16, 0.17, 0.11)
    philtrum = -0.012 * _bump(side, y, 0.0, person.mouth_y - 0.13, 0.035, 0.06)
    total = skull + brow_ridge + sockets + eyeballs + cheeks + muzzle + groove + chin + philtrum
    return np.asarray(total + _nose_depth(person, side, y), np.float32)


def _nose_depth(person: Identity, side: Field, y: Field) -> Field:
    tip_y, depth, width = person.nose_y, person.nose_depth, person.nose_width
    along = np.clip((y + 0.10) / (tip_y + 0.10), 0, 1)
    below = np.clip((y - tip_y - 0.015) / 0.10, 0, 1)
    height = depth * (0.22 + 0.63 * along) * (1 - below * below * (3 - 2 * below))
    height = height * np.clip((y + 0.32) / 0.2, 0, 1)
    ridge = height * np.exp(-((side / (0.085 + 0.045 * along)) ** 2))
    tip = 0.10 * _bump(side, y, 0.0, tip_y, width * 0.50, 0.070)
    wings = 0.105 * _bump(side, y, width * 0.80, tip_y + 0.025, width * 0.32, 0.060)
    return np.asarray(ridge + tip + wings)


def _bump(x: Field, y: Field, at_x: float, at_y: float, wide: float, high: float) -> Field:
    return np.asarray(np.exp(-(((x - at_x) / wide) ** 2) - ((y - at_y) / high) ** 2))


def skin_pull_basis(person: Identity, x: Field, y: Field) -> Field:
    """How each action unit moves the skin at the places (x, y).

    Returns:
        float32 [K, *x.shape, 2], in face units at full activation, K in the order of `ACTION_UNITS`.
    """
    basis = np.zeros((len(ACTION_UNITS), *x.shape, 2), np.float32)
    for name, at_x, at_y, wide, high, shift_x, shift_y in _SKIN_PULLS:
        pull = basis[ACTION_UNITS.index(name)]
        for side in SIDES:
            weight = _bump(x * side, y, at_x, at_y, wide, high)
            pull[..., 0] += weight * shift_x * side
            pull[..., 1] += weight * shift_y * (0.6 if at_x < wide else 1.0)
    top, bottom = person.mouth_y - 0.10, person.chin_y - 0.10
    part = np.clip((y - top) / (bottom - top), 0, 1)
    jaw = part * part * (3 - 2 * part) * np.exp(-((x / 0.80) ** 4))
    for name, drop in _JAW_DROP.items():
        basis[ACTION_UNITS.index(name), ..., 1] += jaw * drop
    return basis


def eye_shapes(person: Identity, units: dict[str, float], gaze: NDArray[np.float32]) -> list[EyeShape]:
    """Both eyes, the image's left first."""
    u = _SAMPLES
    raised, squeezed = units["AU5"], max(units["AU7"], units["AU6"] * 0.9, units["AU9"] * 0.5)
    above = person.eye_height * (0.60 + 0.30 * raised - 0.14 * squeezed)
    below = person.eye_height * (0.36 + 0.07 * raised - 0.30 * squeezed)
    upper = above * (1 - np.abs(u) ** 2.3) ** 0.75
    # Knitted brows press on the inner half of the lid, raised inner brows lift it.
    inner = np.clip(-u, 0, 1) * (1 - u * u) * person.eye_height
    upper = upper - inner * (0.35 * units["AU4"] - 0.45 * units["AU1"] + 0.25 * units["AU9"])
    outer = np.clip(u, 0, 1) * (1 - u * u) * person.eye_height
    upper = upper - outer * 0.30 * units["AU1"] * (1 - units["AU2"]) * (1 - units["AU5"])
    lower = below * (1 - u * u) ** 0.85
    shut = units["AU43"]
    upper = upper * (1 - shut) - lower * 0.85 * shut
    crease = person.eye_height * (0.86 + 0.12 * raised - 0.10 * shut) * (1 - 0.75 * np.abs(u) ** 2)
    crease = np.maximum(crease, upper + 0.018) - 0.035 * units["AU4"] * np.clip(0.3 - u, 0, 1)
    tilt = person.eye_tilt * u - 0.012 * units["AU1"] * u * (1 - units["AU2"])
    shapes = []
    for side in SIDES:
        x = (person.eye_x + u * person.eye_width) * side
        pupil = (
            person.eye_x * side + gaze[0] * 0.07,
            PUPIL_Y + gaze[1] * 0.05 - 0.01 * raised,
        )
        shapes.append(
            EyeShape(
                upper=_points(x, -upper - tilt),
                lower=_points(x, lower - tilt),
                crease=_points(x, -crease - tilt),
                pupil=np.array(pupil, np.float32),
                side=side,
            )
        )
    return shapes


def brow_lines(person: Identity, units: dict[str, float]) -> list[tuple[Points, Points]]:
    """The upper and lower edge of both eyebrows from the inner to the outer end, the image's left first."""
    t = np.linspace(0, 1, 15)
    arch = person.brow_arch * np.sin(np.pi * t**1.25) - 0.042 * t**2.5
    inner, outer = (1 - t) ** 1.4, np.sin(np.pi * np.clip(t * 0.85 + 0.1, 0, 1)) * t**0.5
    lowered = np.maximum(units["AU4"] * (1 - 0.55 * units["AU1"]), 0)
    y = person.brow_y - arch + 0.014 * (1 - t) ** 2
    y = y - 0.165 * units["AU1"] * inner - 0.150 * units["AU2"] * (0.25 + 0.75 * outer)
    y = y + 0.135 * lowered * (0.35 + 0.65 * (1 - t)) + 0.055 * units["AU9"] * (0.4 + 0.6 * inner)
    y = y + 0.050 * units["AU1"] * t**1.5 * (1 - units["AU2"])
    drawn = 0.060 * units["AU4"] + 0.015 * units["AU9"]
    x = person.eye_x - 0.215 + 2 * person.brow_length * t - drawn * (1 - t)
    thick = person.brow_thickness * np.interp(t, [0, 0.1, 0.35, 0.7, 1], [0.62, 0.95, 1.0, 0.72, 0.12])
    return [(_points(x * side, y - thick * 0.5), _points(x * side, y + thick * 0.5)) for side in SIDES]


def mouth_shape(person: Identity, units: dict[str, float]) -> MouthShape:
    """The lips, closed or open."""
    u = _SAMPLES
    far = np.abs(u)
    smile, frown, stretch = units["AU12"], units["AU15"], units["AU20"]
    round_open, chin_up, tight = units["AU27"], units["AU17"], units["AU23"]
    half = person.mouth_width + 0.115 * smile + 0.12 * stretch + 0.015 * frown
    half = half - 0.100 * round_open - 0.045 * tight - 0.02 * units["AU9"]
    corner = -0.014 - 0.145 * smile + 0.110 * frown + 0.050 * stretch + 0.02 * tight
    middle = 0.015 * smile - 0.040 * chin_up - 0.030 * frown - 0.02 * units["AU10"]
    line = person.mouth_y + middle + (corner - middle) * far**1.7
    lips = (1 - 0.55 * tight) * (1 - 0.30 * stretch) * (1 - 0.22 * smile)
    full = np.sqrt(np.clip(1 - far**2.0, 0, 1))
    bow = full * (1 - 0.17 * np.exp(-((u / 0.16) ** 2))) * (1 - 0.15 * far)
    parted, dropped = units["AU25"], units["AU26"]
    arch = full ** (1.2 - 0.5 * max(stretch, round_open * 0.6))
    up = arch * (0.020 * parted + 0.030 * dropped + 0.085 * round_open + 0.030 * smile * parted)
    sneer = units["AU10"] * (0.060 * np.exp(-(((far - 0.42) / 0.30) ** 2)) + 0.012) * full
    up = up + sneer * (0.35 + 0.65 * parted)
    down = arch * (0.035 * parted + 0.060 * dropped + 0.135 * round_open + 0.030 * stretch * parted)
    down = down * (1 + 0.25 * smile)
    if parted < 0.05:
        up, down = up * parted / 0.05, down * parted / 0.05
    lift = sneer * 0.65 * (1 - parted)
    upper_inner = line - up - lift * 0.2
    lower_inner = np.maximum(line + down, upper_inner)
    upper_outer = upper_inner - person.upper_lip * lips * bow * (1 - 0.15 * round_open) - lift
    pout = 1 + 0.30 * chin_up + 0.15 * frown
    lower_outer = lower_inner + person.lower_lip * lips * pout * full * (1 - 0.12 * far)
    x = u * half
    return MouthShape(*(_points(x, y) for y in (upper_outer, upper_inner, lower_inner, lower_outer)))


def landmark_points(person: Identity, mouth: MouthShape) -> Points:
    """The five points of `dfer.records.Face`, float32 [5, 2], before skin pull and pose."""
    corners = 0.95 * mouth.upper_outer[[0, -1]] + 0.05 * mouth.upper_outer[[-1, 0]]
    middle = [(-person.eye_x, -0.010), (person.eye_x, -0.010), (0.0, person.nose_y - 0.03)]
    return np.vstack([np.array(middle, np.float32), corners])


def rotation(angles: NDArray[np.float32]) -> NDArray[np.float64]:
    """The upper two rows of the head's rotation, float64 [2, 3], from yaw, pitch and roll."""
    yaw, pitch, roll = (float(angle) for angle in angles)
    turn = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    nod = np.array([[1, 0, 0], [0, np.cos(pitch), np.sin(pitch)], [0, -np.sin(pitch), np.cos(pitch)]])
    tilt = np.array([[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]])
    return np.asarray((tilt @ turn @ nod)[:2])


def smooth_contour(points: NDArray[np.float64], *, closed: bool, samples: int = 10) -> Points:
    """A Catmull-Rom curve through the points, float32 [N, 2]."""
    padded = (
        np.vstack([points[-1:], points, points[:2]])
        if closed
        else np.vstack([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    )
    t = np.linspace(0, 1, samples, endpoint=False)[:, None]
    weights = 0.5 * np.hstack([-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, -(t**2) + t**3])
    spans = np.stack([padded[i : len(padded) - 3 + i] for i in range(4)], axis=1)
    curve = np.einsum("sk,nkc->nsc", weights, spans).reshape(-1, 2)
    return (curve if closed else np.vstack([curve, points[-1:]])).astype(np.float32)


def _points(x: NDArray[np.float64], y: NDArray[np.float64]) -> Points:
    return np.stack([x, y], axis=-1).astype(np.float32)
