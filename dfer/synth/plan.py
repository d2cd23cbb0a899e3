"""The list of clips: emotions with DFEW's imbalance, people, and folds that share nobody."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dfer.labels import DFEW_LABELS

# DFEW's single-labelled clips of each emotion, over its five test folds (Jiang et al., 2020).
DFEW_CLIPS = dict(zip(DFEW_LABELS, (2445, 1894, 2669, 2173, 1469, 145, 902), strict=True))
NUM_FOLDS = 5
CLIPS_PER_PERSON = 3
_ENOUGH_TO_TEST_ALL = 200  # from here on every fold tests every emotion


@dataclass(frozen=True)
class ClipPlan:
    """One clip to be made.

    Attributes:
        number: the clip's name, 1-based.
        emotion: a name of `DFEW_LABELS`.
        person: number of the identity, 1-based, unique over the folds.
        fold: the one fold, 1-based, whose test list holds the clip.
        strength: 0..1, of the expression; 0 for neutral.
        num_frames: the clip's length.
    """

    number: int
    emotion: str
    person: int
    fold: int
    strength: float
    num_frames: int


def count_per_emotion(num_clips: int) -> dict[str, int]:
    """Return clips per emotion in DFEW's proportions, by largest remainder.

    Rare emotions get at least one clip, and from 200 clips on one for each fold.
    """
    total = sum(DFEW_CLIPS.values())
    quotas = {emotion: num_clips * DFEW_CLIPS[emotion] / total for emotion in DFEW_LABELS}
    counts = {emotion: int(quota) for emotion, quota in quotas.items()}
    by_remainder = sorted(DFEW_LABELS, key=lambda emotion: counts[emotion] - quotas[emotion])
    for emotion in by_remainder[: num_clips - sum(counts.values())]:
        counts[emotion] += 1
    least = NUM_FOLDS if num_clips >= _ENOUGH_TO_TEST_ALL else 1
    for emotion in DFEW_LABELS:
        while counts[emotion] < least:
            counts[max(counts, key=lambda name: counts[name])] -= 1
            counts[emotion] += 1
    return counts


def plan_clips(num_clips: int, seed: int) -> list[ClipPlan]:
    """Return all clips, at least one of each emotion, in the order of their numbers; the seed fixes everything."""
    rng = np.random.default_rng([seed, 0])
    emotions = [name for name, count in count_per_emotion(num_clips).items() for _ in range(count)]
    # Dealt like cards, class after class, so that folds differ by at most one clip of an emotion.
    folds = (np.arange(num_clips) + int(rng.integers(NUM_FOLDS))) % NUM_FOLDS + 1
    people = _cast(folds, rng)
    order = rng.permutation(num_clips).tolist()
    strengths = rng.uniform(0.55, 1.0, num_clips).round(3).tolist()
    short, usual = rng.integers(9, 16, num_clips), 16 + (33 * rng.beta(1.3, 2.9, num_clips)).astype(int)
    lengths = np.where(rng.random(num_clips) < 0.04, short, usual).tolist()
    made = []
    for number, i in enumerate(order, start=1):
        strength = 0.0 if emotions[i] == "neutral" else strengths[i]
        made.append(ClipPlan(number, emotions[i], int(people[i]), int(folds[i]), strength, lengths[i]))
    return made


def clip_rng(seed: int, number: int) -> np.random.Generator:
    """Return the clip's own source of chance: no clip depends on which others were made, or where."""
    return np.random.default_rng([seed, number])


def person_rng(seed: int, person: int) -> np.random.Generator:
    """Return the person's own source of chance; clip numbers start at 1, so the streams differ."""
    return np.random.default_rng([seed, 0, person])


def _cast(folds: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the number of the person in each clip; each plays in one fold only, about three clips."""
    people = np.zeros(len(folds), int)
    for fold in range(1, NUM_FOLDS + 1):
        clips = np.flatnonzero(folds == fold)
        troupe = max(1, round(len(clips) / CLIPS_PER_PERSON))
        people[rng.permutation(clips)] = people.max() + 1 + np.arange(len(clips)) % troupe
    return people
