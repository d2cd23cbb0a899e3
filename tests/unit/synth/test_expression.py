"""Action units over time: each emotion shows its own, and the time-reversed pair shares its frames."""

from __future__ import annotations

import numpy as np
import pytest

from dfer.synth.expression import ACTION_UNITS, perform


@pytest.mark.parametrize("seed", range(5))
def test_fear_and_surprise_are_each_others_time_reverse(seed: int) -> None:
    """Equal chance gives equal frames in reverse order, motion, gaze and blinks included: only order tells."""
    made = [
        perform(emotion, strength=0.8, num_frames=26, rng=np.random.default_rng(seed))
        for emotion in ("fear", "surprise")
    ]
    for name, forward in vars(made[0]).items():
        np.testing.assert_array_equal(forward[::-1], vars(made[1])[name], err_msg=name)


def test_the_two_halves_of_the_pair_look_different() -> None:
    play = perform("fear", strength=1.0, num_frames=40, rng=np.random.default_rng(0))
    unit = {name: play.action_units[:, k] for k, name in enumerate(ACTION_UNITS)}
    early, late = slice(8, 14), slice(26, 32)
    assert unit["AU27"][early].min() > 0.5 > 0.2 > unit["AU27"][late].max()
    assert unit["AU20"][late].min() > 0.5 > 0.2 > unit["AU20"][early].max()
    assert unit["AU4"][late].min() > 0.5 > 0.2 > unit["AU4"][early].max()


@pytest.mark.parametrize(
    ("emotion", "shown", "not_shown"),
    [
        ("happy", ("AU6", "AU12"), ("AU4", "AU15")),
        ("sad", ("AU1", "AU15"), ("AU2", "AU12")),
        ("angry", ("AU4", "AU7"), ("AU1", "AU12")),
        ("disgust", ("AU9", "AU10"), ("AU1", "AU27")),
        ("neutral", (), ("AU1", "AU4", "AU12", "AU15")),
    ],
)
def test_emotions_show_their_action_units(emotion: str, shown: tuple[str, ...], not_shown: tuple[str, ...]) -> None:
    for seed in range(10):
        play = perform(emotion, strength=1.0, num_frames=30, rng=np.random.default_rng(seed))
        peak = dict(zip(ACTION_UNITS, play.action_units.max(axis=0).tolist(), strict=True))
        assert all(peak[name] > 0.4 for name in shown)
        assert all(peak[name] < 0.15 for name in not_shown)
        assert play.action_units.min() >= 0
        assert play.action_units.max() <= 1
