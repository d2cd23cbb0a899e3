"""Emotions as action-unit curves with onset, apex and offset, and the motion of the head.

Surprise and fear share their frames. A fear clip is a startle that turns into fear (wide eyes and an open round
mouth first, drawn-together brows and a stretched mouth after); a surprise clip is a fright that resolves into open
surprise, and is made by playing such a performance backwards, head motion and blinks included. So any set of frames
is equally likely in both: only the order over time tells them apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

# Facial Action Coding System (Ekman & Friesen, 1978): 1 inner and 2 outer brow raiser, 4 brow lowerer, 5 upper lid
# raiser, 6 cheek raiser, 7 lid tightener, 9 nose wrinkler, 10 upper lip raiser, 12 lip corner puller, 15 lip corner
# depressor, 17 chin raiser, 20 lip stretcher, 23 lip tightener, 25 lips part, 26 jaw drop, 27 mouth stretch,
# 43 eyes closed.
ACTION_UNITS = tuple(f"AU{n}" for n in (1, 2, 4, 5, 6, 7, 9, 10, 12, 15, 17, 20, 23, 25, 26, 27, 43))
# Positive yaw turns to the image's right, pitch looks down, roll turns clockwise, all in radians, as the components of
# one rotation vector; shifts are in face units.
POSE = ("yaw", "pitch", "roll", "shift_x", "shift_y", "scale")
TIME_REVERSED_PAIR = ("fear", "surprise")

_Curve = NDArray[np.float64]
_Recipe = dict[str, tuple[float, float]]
# Each emotion's variants: the range of each action unit at full strength.
_EMOTIONS: dict[str, tuple[_Recipe, ...]] = {
    "happy": (
        {"AU6": (0.7, 1), "AU12": (0.85, 1), "AU25": (0.7, 1), "AU26": (0, 0.7)},
        {"AU6": (0.5, 0.9), "AU12": (0.85, 1)},
    ),
    "sad": ({"AU1": (0.8, 1), "AU4": (0.3, 0.6), "AU15": (0.8, 1), "AU17": (0.2, 0.8), "AU43": (0.35, 0.55)},),
    "neutral": ({},),
    "angry": (
        {"AU4": (0.85, 1), "AU5": (0.2, 0.5), "AU7": (0.5, 0.8), "AU23": (0.8, 1), "AU17": (0.1, 0.4)},
        {"AU4": (0.85, 1), "AU7": (0.4, 0.7), "AU10": (0.3, 0.5), "AU25": (0.9, 1), "AU26": (0.6, 0.9)},
    ),
    "disgust": ({"AU4": (0.4, 0.6), "AU7": (0.6, 0.9), "AU9": (0.85, 1), "AU10": (0.8, 1), "AU17": (0, 0.6)},),
}
_STARTLE: _Recipe = {"AU1": (0.9, 1), "AU2": (0.9, 1), "AU5": (0.7, 1), "AU25": (0.8, 1), "AU27": (0.75, 1)}
_FRIGHT: _Recipe = {"AU1": (0.8, 1), "AU4": (0.85, 1), "AU5": (0.7, 1), "AU20": (0.9, 1), "AU25": (0.6, 0.9)}
_POSE_REST = (0.14, 0.05, 0.045, 0, 0, 0)  # standard deviation of its mean in a clip, clipped at twice that
_POSE_SWAY = (0.08, 0.04, 0.03, 0.07, 0.07, 0.03)


@dataclass(frozen=True)
class Performance:
    """A face over time.

    Attributes:
        action_units: float32 [T, K] in 0..1, columns in the order of `ACTION_UNITS`.
        gaze: float32 [T, 2], x and y of the pupils within their range, -1..1.
        pose: float32 [T, 6], columns in the order of `POSE`.
    """

    action_units: NDArray[np.float32]
    gaze: NDArray[np.float32]
    pose: NDArray[np.float32]


def perform(emotion: str, *, strength: float, num_frames: int, rng: np.random.Generator) -> Performance:
    """Draw the random curves of one clip.

    Args:
        emotion: a name of `dfer.labels.DFEW_LABELS`.
        strength: 0..1, scales the apex of the expression.
        num_frames: T, at least 2.
        rng: fear and surprise made from equal generators are each other's exact time-reverse.

    Returns:
        The performance of T frames.
    """
    curves = _pair_curves if emotion in TIME_REVERSED_PAIR else partial(_single_curves, _EMOTIONS[emotion])
    units = curves(np.linspace(0, 1, num_frames), rng) * strength
    idle = rng.uniform(0, 0.08, len(ACTION_UNITS)) * (0.5 + 0.5 * _drift(rng, num_frames, len(ACTION_UNITS)))
    units = np.maximum(units, idle).clip(0, 1)
    eyes = units[:, ACTION_UNITS.index("AU43")]
    np.maximum(eyes, _blinks(rng, num_frames), out=eyes)
    gaze = rng.normal(0, 0.15, 2) + 0.15 * _drift(rng, num_frames, 2)
    pose = rng.standard_normal(len(POSE)).clip(-2, 2) * _POSE_REST + _drift(rng, num_frames, len(POSE)) * _POSE_SWAY
    pose[:, POSE.index("scale")] += 1
    if emotion == "sad":  # downcast
        gaze[:, 1] += 0.3 * strength
        pose[:, POSE.index("pitch")] += 0.10 * strength
    step = -1 if emotion == TIME_REVERSED_PAIR[1] else 1
    return Performance(*(curve[::step].astype(np.float32) for curve in (units, gaze, pose)))


def _single_curves(variants: tuple[_Recipe, ...], time: _Curve, rng: np.random.Generator) -> _Curve:
    """Return the action units [T, K] of one apex, at full strength."""
    apex = _sample(variants[int(rng.integers(len(variants)))], rng)
    start = rng.uniform(-0.15, 0.15)  # below 0: the clip was cut into the onset, as many of DFEW's are
    shown = _rise(time, start, rng.uniform(0.12, 0.30)) * (1 - _rise(time, rng.uniform(0.68, 1.05), 0.18))
    return np.outer(shown, apex)


def _pair_curves(time: _Curve, rng: np.random.Generator) -> _Curve:
    """Return the action units [T, K] of a startle that turns into fear, at full strength."""
    shown = _rise(time, rng.uniform(-0.08, 0.08), 0.12) * (1 - _rise(time, rng.uniform(0.82, 0.96), 0.14))
    change = _rise(time, rng.uniform(0.38, 0.50), rng.uniform(0.08, 0.18))
    return np.outer(shown * (1 - change), _sample(_STARTLE, rng)) + np.outer(shown * change, _sample(_FRIGHT, rng))


def _sample(recipe: _Recipe, rng: np.random.Generator) -> _Curve:
    return np.array([rng.uniform(*recipe.get(name, (0, 0))) for name in ACTION_UNITS])


def _blinks(rng: np.random.Generator, num_frames: int) -> _Curve:
    """Return how closed the eyes are, [T]: no, one or two blinks of about six frames."""
    middle = rng.uniform(0, num_frames - 1, int(rng.choice(3, p=[0.45, 0.45, 0.10])))
    closed = np.exp(-(((np.arange(num_frames)[:, None] - middle) / 1.5) ** 4))
    return np.asarray(closed.max(axis=1, initial=0.0))


def _drift(rng: np.random.Generator, num_frames: int, columns: int) -> _Curve:
    """Return smooth random motion in -1..1, [T, columns]: two slow sine waves a column."""
    time = np.linspace(0, 1, num_frames)[:, None, None]
    waves = rng.uniform(0.4, 1.6, (columns, 2)) * time + rng.random((columns, 2))
    return np.asarray(np.sin(2 * np.pi * waves).mean(axis=-1))


def _rise(time: _Curve, start: float, duration: float) -> _Curve:
    """Return 0 before `start`, 1 from `duration` later on, smooth between."""
    part = np.clip((time - start) / duration, 0, 1)
    return part * part * (3 - 2 * part)
