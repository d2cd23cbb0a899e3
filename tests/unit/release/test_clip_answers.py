"""Clips with onsets and neutral stretches, made of stills, and the table of what each rule answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dfer.model.checkpoint import load_checkpoint
from dfer.model.priors import choose_answering
from dfer.records.whole_face import RULES
from dfer.release.clip_answers import (
    FRAMES,
    MOMENT,
    NEUTRAL_SHARES,
    SPREAD,
    STILL,
    WINDOWS,
    MadeClip,
    answer_clips,
    comparison_table,
    expression_course,
    make_clip,
    make_clips,
    validation_stills,
)
from dfer.store import Store
from tests.stores import LABELS

NEUTRAL = LABELS.index("neutral")


@pytest.mark.parametrize("share", NEUTRAL_SHARES)
def test_the_expression_lasts_as_long_as_it_should(share: float) -> None:
    rng = np.random.default_rng(0)
    courses = [expression_course(share, 200, rng) for _ in range(60)]
    assert np.mean([(course > 0.5 * course.max()).mean() for course in courses]) == pytest.approx(1 - share, abs=0.02)
    assert all(0.8 <= course.max() <= 1 for course in courses)
    assert all(course.min() == 0 for course in courses) == (share > 0)
    assert {bool(course[0] > 0.4) for course in courses} == ({True, False} if share else {True})
    assert not expression_course(1.0, 200, rng).any()


def test_frames_go_from_one_still_to_the_other() -> None:
    dark, bright = np.full((2, 16, 16, 3), [[[[40]]], [[[200]]]], np.uint8)
    frames = make_clip(dark, bright, np.array([0.0, 0.5, 1.0]), np.random.default_rng(0)).astype(float)
    assert frames.mean(axis=(1, 2, 3)) == pytest.approx(np.array([40, 120, 200]), rel=0.07)


def test_every_expression_has_its_clips_and_neutral_four_times_as_many(split_store: Store, trained: Path) -> None:
    model, info = load_checkpoint(trained)
    stills = validation_stills([split_store.root], info)
    clips = make_clips(stills, NEUTRAL, count=4)
    assert [clip.label for clip in clips].count(NEUTRAL) == 16
    for label in {0, 1, 2} - {NEUTRAL}:
        assert [clip.neutral_share for clip in clips if clip.label == label] == list(NEUTRAL_SHARES)
    again = make_clips(stills, NEUTRAL, count=4)
    assert all(np.array_equal(one.frames, other.frames) for one, other in zip(clips, again, strict=True))
    answers = answer_clips(model, info, choose_answering(info, where=trained), clips[:3])
    assert set(answers) == {*RULES, SPREAD}
    for probabilities in answers.values():
        assert probabilities.shape == (3, 3)
        assert probabilities.sum(axis=1) == pytest.approx(np.ones(3))


def test_the_table_holds_recalls_by_neutral_share() -> None:
    frames = np.zeros((WINDOWS * FRAMES, 4, 4, 3), np.uint8)
    clips = [MadeClip(label, share, frames) for label in (0, 1) for share in NEUTRAL_SHARES]
    clips += [MadeClip(NEUTRAL, share, frames) for share in (STILL, MOMENT, STILL, MOMENT)]
    right = np.eye(3)[[clip.label for clip in clips]]
    lost = right.copy()
    lost[3] = np.eye(3)[NEUTRAL]  # the first expression, 70 % neutral
    lost[8] = np.eye(3)[0]
    lines = comparison_table(clips, {"right": right, "lost": lost}, LABELS).splitlines()
    assert [cell.strip() for cell in lines[0].strip("|").split("|")][1:4] == [
        "neutral", "neutral, a moment", "0 % neutral",
    ]  # fmt: skip
    assert [cell.strip() for cell in lines[2].strip("|").split("|")][1:8] == ["100.0"] * 7
    assert [cell.strip() for cell in lines[3].strip("|").split("|")][1:8] == [
        "50.0", "100.0", "100.0", "100.0", "100.0", "50.0", "83.3",
    ]  # fmt: skip
