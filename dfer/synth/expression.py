"""What the face does: emotions as action-unit curves with onset, apex and offset, and the head's motion.

Surprise and fear share their frames. A fear clip is a startle that turns into fear (wide eyes and an open round
mouth first, drawn-together brows and a stretched mouth after); a surprise clip is a fright that resolves into open
surprise, and is made by playing such a performance backwards, head motion and blinks included. So any set of frames
is exactly as likely under the one as under the other: only the order over time tells them apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Numbering of the Facial Action Coding System (Ekman & Friesen, 1978).
ACTION_UNITS = (
    "AU1",  # inner brow raiser
    "AU2",  # outer brow raiser
    "AU4",  # brow lowerer
    "AU5",  # upper lid raiser
    "AU6",  # cheek raiser
    "AU7",  # lid tightener
    "AU9",  # nose wrinkler
    "AU10",  # upper lip raiser
    "AU12",  # lip corner puller
    "AU15",  # lip corner depressor
    "AU17",  # chin raiser
    "AU20",  # lip stretcher
    "AU23",  # lip tightener
    "AU25",  # lips part
    "AU26",  # jaw drop
    "AU27",  # mouth stretch
    "AU43",  # eyes closed
)
TIME_REVERSED_PAIR = ("fear", "surprise")

_Recipe = dict[str, tuple[float, float]]
# Each emotion's variants: the range of each action unit at full strength.
_EMOTIONS: dict[str, tuple[_Recipe, ...]] = {
    "happy": (
        {"AU6": (0.7, 1), "AU12": (0.85, 1), "AU25": (0.7, 1), "AU7": (0, 0.2)},
        {"AU6": (0.8, 1), "AU12": (0.9, 1), "AU25": (0.8, 1), "AU26": (0.4, 0.7)},
        {"AU6": (0.5, 0.9), "AU12": (0.85, 1)},
    ),
    "sad": (
        {"AU1": (0.8, 1), "AU4": (0.3, 0.5), "AU15": (0.8, 1), "AU17": (0.4, 0.8), "AU43": (0.35, 0.5)},
        {"AU1": (0.9, 1), "AU4": (0.4, 0.6), "AU15": (0.8, 1), "AU43": (0.4, 0.55), "AU17": (0.2, 0.4)},
    ),
    "neutral": ({},),
    "angry": (
        {"AU4": (0.85, 1), "AU5": (0.2, 0.5), "AU7": (0.5, 0.8), "AU23": (0.8, 1), "AU17": (0.1, 0.4)},
        {"AU4": (0.85, 1), "AU5": (0.3, 0.6), "AU7": (0.4, 0.7), "AU10": (0.3, 0.5), "AU25": (0.9, 1),
         "AU26": (0.6, 0.9), "AU20": (0.1, 0.3)},
    ),
    "disgust": (
        {"AU9": (0.85, 1), "AU10": (0.8, 1), "AU4": (0.4, 0.6), "AU7": (0.6, 0.9), "AU6": (0.3, 0.5),
         "AU15": (0.3, 0.5), "AU17": (0.3, 0.6)},
        {"AU9": (0.85, 1), "AU10": (0.8, 1), "AU4": (0.4, 0.6), "AU7": (0.6, 0.9), "AU25": (0.4, 0.6),
         "AU6": (0.3, 0.5)},
    ),
}  # fmt: skip
_STARTLE: _Recipe = {
    "AU1": (0.9, 1), "AU2": (0.9, 1), "AU5": (0.7, 1), "AU25": (0.8, 1), "AU27": (0.75, 1),
}  # fmt: skip
_FRIGHT: _Recipe = {
    "AU1": (0.8, 1), "AU4": (0.85, 1), "AU5": (0.7, 1), "AU20": (0.9, 1), "AU25": (0.6, 0.9), "AU26": (0.1, 0.25),
}  # fmt: skip
_MAX_IDLE = 0.08


@dataclass(frozen=True)
class Performance:
    """A face over time.

    Attributes:
        action_units: float32 [T, K] in 0..1, columns in the order of `ACTION_UNITS`.
        gaze: float32 [T, 2], x and y of the pupils in parts of their free way, -1..1.
        angles: float32 [T, 3], yaw, pitch and roll in radians; positive yaw turns to the image's right, positive
            pitch looks down, positive roll turns clockwise.
        shift: float32 [T, 2], x and y of the head in face units.
        scale: float32 [T], relative size of the head.
    """

    action_units: NDArray[np.float32]
    gaze: NDArray[np.float32]
    angles: NDArray[np.float32]
    shift: NDArray[np.float32]
    scale: NDArray[np.float32]

    def reversed(self) -> Performance:
        """The same performance played backwards."""
        return Performance(*(np.ascontiguousarray(curve[::-1]) for curve in vars(self).values()))


def perform(emotion: str, *, strength: float, num_frames: int, rng: np.random.Generator) -> Performance:
    """Random curves of one clip.

    Args:
        emotion: a name of `dfer.labels.DFEW_LABELS`.
        strength: 0..1, scales the apex of the expression.
        num_frames: T, at least 2.
        rng: fear and surprise made from equal generators are each other's exact time-reverse.

    Returns:
        The performance of T frames.
    """
    in_pair = emotion in TIME_REVERSED_PAIR
    units = (
        _pair_curves(rng, strength=strength, num_frames=num_frames)
        if in_pair
        else _single_curves(emotion, rng, strength=strength, num_frames=num_frames)
    )
    idle = _drift(rng, num_frames, len(ACTION_UNITS), cycles=2.0) * 0.5 + 0.5
    calm = rng.uniform(0, _MAX_IDLE, len(ACTION_UNITS)) * (rng.random(len(ACTION_UNITS)) < 0.5)
    units = np.maximum(units, idle * calm)
    units[:, _unit("AU43")] = np.maximum(units[:, _unit("AU43")], _blinks(rng, num_frames))
    droop = strength if emotion == "sad" else 0.0
    gaze = rng.normal(0, 0.15, 2) + 0.15 * _drift(rng, num_frames, 2, cycles=1.5)
    gaze[:, 1] += 0.3 * droop
    made = Performance(
        action_units=np.clip(units, 0, 1).astype(np.float32),
        gaze=gaze.astype(np.float32),
        angles=_head_angles(rng, num_frames, droop=droop),
        shift=(0.07 * _drift(rng, num_frames, 2, cycles=1.2)).astype(np.float32),
        scale=(1 + 0.03 * _drift(rng, num_frames, 1, cycles=1.0)[:, 0]).astype(np.float32),
    )
    return made.reversed() if emotion == TIME_REVERSED_PAIR[1] else made


def _single_curves(emotion: str, rng: np.random.Generator, *, strength: float, num_frames: int) -> NDArray[np.float64]:
    variants = _EMOTIONS[emotion]
    apex = _sample(variants[int(rng.integers(len(variants)))], rng)
    start = rng.uniform(-0.15, 0.15)  # below 0: the clip was cut into the onset, as many of DFEW's are
    peak = start + rng.uniform(0.12, 0.30)
    fall = rng.uniform(0.68, 1.05)
    time = np.linspace(0, 1, num_frames)
    envelope = _rise(time, start, peak) * (1 - _rise(time, fall, fall + rng.uniform(0.12, 0.25)))
    envelope = envelope * (1 + 0.06 * _drift(rng, num_frames, 1, cycles=3.0)[:, 0])
    return np.outer(envelope * strength, apex)


def _pair_curves(rng: np.random.Generator, *, strength: float, num_frames: int) -> NDArray[np.float64]:
    first, second = _sample(_STARTLE, rng), _sample(_FRIGHT, rng)
    time = np.linspace(0, 1, num_frames)
    start, turn, fall = rng.uniform(-0.08, 0.08), rng.uniform(0.38, 0.50), rng.uniform(0.82, 0.96)
    turned = turn + rng.uniform(0.08, 0.18)
    rise = _rise(time, start, start + rng.uniform(0.08, 0.16))
    change = _rise(time, turn, turned)
    end = 1 - _rise(time, fall, fall + rng.uniform(0.10, 0.18))
    return np.outer(rise * (1 - change), first * strength) + np.outer(change * end, second * strength)


def _sample(recipe: _Recipe, rng: np.random.Generator) -> NDArray[np.float64]:
    apex = np.zeros(len(ACTION_UNITS))
    for name, (low, high) in recipe.items():
        apex[_unit(name)] = rng.uniform(low, high)
    return apex


def _blinks(rng: np.random.Generator, num_frames: int) -> NDArray[np.float64]:
    """Zero, one or two blinks of about six frames."""
    frames = np.arange(num_frames)
    closed = np.zeros(num_frames)
    for _ in range(int(rng.choice([0, 1, 2], p=[0.45, 0.45, 0.10]))):
        middle, width = rng.uniform(0, num_frames - 1), rng.uniform(1.2, 1.8)
        closed = np.maximum(closed, np.exp(-(((frames - middle) / width) ** 4)))
    return closed


def _head_angles(rng: np.random.Generator, num_frames: int, *, droop: float) -> NDArray[np.float32]:
    rest = np.clip(rng.normal(0, [0.14, 0.05, 0.045]), -0.3, 0.3)
    rest[1] += 0.10 * droop
    sway = _drift(rng, num_frames, 3, cycles=1.5) * rng.uniform(0.2, 1.0, 3) * [0.13, 0.07, 0.05]
    limits = np.array([0.35, 0.20, 0.13])
    return np.clip(rest + sway, -limits, limits).astype(np.float32)


def _drift(rng: np.random.Generator, num_frames: int, columns: int, *, cycles: float) -> NDArray[np.float64]:
    """Smooth random motion in about -1..1: two slow sine waves a column."""
    time = np.linspace(0, 1, num_frames)[:, None, None]
    waves = np.sin(2 * np.pi * (rng.uniform(0.3, 1.0, (columns, 2)) * cycles * time + rng.random((columns, 2))))
    return np.asarray(waves.mean(axis=-1))


def _rise(time: NDArray[np.float64], start: float, end: float) -> NDArray[np.float64]:
    """0 before `start`, 1 after `end`, smooth between."""
    part = np.clip((time - start) / (end - start), 0, 1)
    return part * part * (3 - 2 * part)


def _unit(name: str) -> int:
    return ACTION_UNITS.index(name)
