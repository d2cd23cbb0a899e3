"""One answer of a face's windows: what counts how much, and what may not go wrong."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from dfer.records.whole_face import CHOSEN, RULES, answer_for_face, certainties, intensities

LABELS = ["happy", "neutral", "fear"]
NEUTRAL_WINDOW, HAPPY_WINDOW = [0.05, 0.90, 0.05], [0.90, 0.05, 0.05]


def windows(*rows: list[float]) -> NDArray[np.float64]:
    return np.array(rows, np.float64)


def label_of(rule: str, probabilities: NDArray[np.float64], seconds: list[float]) -> str:
    answer = answer_for_face(probabilities, np.array(seconds), LABELS, rule=rule)
    return LABELS[int(answer.argmax())]


@pytest.mark.parametrize("rule", RULES)
def test_an_answer_is_a_distribution_and_of_one_window_the_window_itself(rule: str) -> None:
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(3), 20)
    answer = answer_for_face(probabilities, rng.uniform(0.1, 2, 20), LABELS, rule=rule)
    assert answer.sum() == pytest.approx(1)
    assert (answer >= 0).all()
    assert answer_for_face(windows([0.2, 0.7, 0.1]), np.array([0.64]), LABELS, rule=rule) == pytest.approx(
        np.array([0.2, 0.7, 0.1])
    )


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("sure", [0.5, 0.9, 1.0])
def test_a_neutral_face_stays_neutral(rule: str, sure: float) -> None:
    rng = np.random.default_rng(1)
    others = rng.dirichlet(np.ones(2), 30) * (1 - sure)
    probabilities = np.stack([others[:, 0], np.full(30, sure), others[:, 1]], axis=1)
    assert label_of(rule, probabilities, [0.64] * 30) == "neutral"


def test_a_short_expression_wins_where_the_mean_over_time_hides_it() -> None:
    probabilities = windows(*[NEUTRAL_WINDOW] * 7, *[HAPPY_WINDOW] * 3)
    assert label_of("mean over time", probabilities, [0.64] * 10) == "neutral"
    assert label_of(CHOSEN, probabilities, [0.64] * 10) == "happy"


@pytest.mark.parametrize("rule", RULES)
def test_the_length_of_a_window_counts_and_not_how_it_is_cut(rule: str) -> None:
    whole = answer_for_face(windows(NEUTRAL_WINDOW, HAPPY_WINDOW), np.array([3.0, 1.0]), LABELS, rule=rule)
    cut = answer_for_face(
        windows(NEUTRAL_WINDOW, NEUTRAL_WINDOW, HAPPY_WINDOW, HAPPY_WINDOW),
        np.array([1.0, 2.0, 0.5, 0.5]),
        LABELS,
        rule=rule,
    )
    assert whole == pytest.approx(cut)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("seconds", [0.0, 0.64])
def test_windows_that_weigh_nothing_count_alike(rule: str, seconds: float) -> None:
    sure_of_neutral = windows([0.0, 1.0, 0.0], [0.0, 1.0, 0.0])
    answer = answer_for_face(sure_of_neutral, np.full(2, seconds), LABELS, rule=rule)
    assert answer.tolist() == [0, 1, 0]


def test_the_mean_is_weighted_by_time() -> None:
    answer = answer_for_face(windows([1, 0, 0], [0, 0, 1]), np.array([3.0, 1.0]), LABELS, rule="mean over time")
    assert answer.tolist() == [0.75, 0, 0.25]


def test_intensity_and_certainty_by_hand() -> None:
    probabilities = windows([0.5, 0.5, 0.0], [0.0, 1.0, 0.0], [1 / 3, 1 / 3, 1 / 3])
    assert intensities(probabilities, LABELS).tolist() == pytest.approx([0.5, 0.0, 2 / 3])
    assert intensities(probabilities, ["happy", "sad", "fear"]).tolist() == [1, 1, 1]
    assert certainties(probabilities).tolist() == pytest.approx([1 - np.log(2) / np.log(3), 1.0, 0.0])


def test_the_most_expressive_half_takes_part_of_a_window() -> None:
    probabilities = windows([0.2, 0.8, 0.0], [0.6, 0.4, 0.0], [0.0, 0.1, 0.9])
    answer = answer_for_face(probabilities, np.array([2.0, 1.0, 1.0]), LABELS, rule="most expressive half")
    assert answer == pytest.approx(np.array([0.3, 0.25, 0.45]))
    quarter = answer_for_face(probabilities, np.array([1.0, 1.0, 1.0]), LABELS, rule="most expressive quarter")
    assert quarter == pytest.approx(probabilities[2])
