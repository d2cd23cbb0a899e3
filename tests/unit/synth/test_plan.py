"""The list of clips: DFEW's imbalance, folds that share nobody, lengths."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from dfer.labels import DFEW_LABELS
from dfer.synth.identity import draw_person
from dfer.synth.plan import DFEW_CLIPS, NUM_FOLDS, count_per_emotion, person_rng, plan_clips


def test_counts_have_dfews_imbalance() -> None:
    assert count_per_emotion(sum(DFEW_CLIPS.values())) == DFEW_CLIPS
    for emotion, count in count_per_emotion(1000).items():
        assert abs(count - 1000 * DFEW_CLIPS[emotion] / 11697) < 1


@pytest.mark.parametrize("num_clips", [7, 8, 40, 199, 200, 333, 600])
def test_counts_add_up_and_leave_no_emotion_out(num_clips: int) -> None:
    counts = count_per_emotion(num_clips)
    assert sum(counts.values()) == num_clips
    assert min(counts.values()) >= (NUM_FOLDS if num_clips >= 200 else 1)


def test_every_fold_tests_every_emotion_in_turn() -> None:
    plans = plan_clips(200, seed=1)
    per_fold = {fold: Counter(p.emotion for p in plans if p.fold == fold) for fold in range(1, 6)}
    for emotion in DFEW_LABELS:
        of_emotion = [counts[emotion] for counts in per_fold.values()]
        assert min(of_emotion) >= 1
        assert max(of_emotion) - min(of_emotion) <= 1


def test_nobody_plays_in_two_folds() -> None:
    plans = plan_clips(300, seed=2)
    folds_of: dict[int, set[int]] = {}
    for plan in plans:
        folds_of.setdefault(plan.person, set()).add(plan.fold)
    assert all(len(folds) == 1 for folds in folds_of.values())
    assert len(folds_of) == pytest.approx(100, abs=5)
    # People play several emotions, so that a face does not tell the label.
    several = [len({p.emotion for p in plans if p.person == person}) > 1 for person in folds_of]
    assert np.mean(several) > 0.8


def test_lengths_vary_as_dfews_do() -> None:
    lengths = np.array([plan.num_frames for plan in plan_clips(600, seed=0)])
    assert lengths.max() <= 48
    assert 23 < lengths.mean() < 29
    assert 0 < (lengths < 16).mean() < 0.10


def test_another_seed_gives_other_clips_and_people() -> None:
    assert [p.emotion for p in plan_clips(40, seed=0)] != [p.emotion for p in plan_clips(40, seed=1)]
    assert draw_person(person_rng(0, 1)).shape != draw_person(person_rng(1, 1)).shape
