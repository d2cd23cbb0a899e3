"""Action units to contours."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dfer.synth.expression import ACTION_UNITS
from dfer.synth.geometry import brow_lines, eye_lines, mouth_lines
from dfer.synth.identity import draw_person


def _units(**active: float) -> dict[str, float]:
    return {name: active.get(name, 0.0) for name in ACTION_UNITS}


def _largest_gap(upper: NDArray[np.float32], lower: NDArray[np.float32]) -> float:
    return float(np.max(lower[:, 1] - upper[:, 1]))


def test_action_units_move_the_mouth_their_way() -> None:
    shape = draw_person(np.random.default_rng(0)).shape
    rest, smile = mouth_lines(shape, _units()), mouth_lines(shape, _units(AU12=1.0))
    frown, gape = mouth_lines(shape, _units(AU15=1.0)), mouth_lines(shape, _units(AU25=1.0, AU27=1.0))
    corner = rest[0, 0]
    assert smile[0, 0, 1] < corner[1] - 0.05  # y points down
    assert smile[0, 0, 0] < corner[0] - 0.05
    assert frown[0, 0, 1] > corner[1] + 0.03
    assert gape[0, 0, 0] > corner[0]
    assert _largest_gap(gape[1], gape[2]) > 0.15
    assert _largest_gap(rest[1], rest[2]) < 0.01


def test_action_units_open_and_close_the_eyes() -> None:
    shape = draw_person(np.random.default_rng(0)).shape

    def opening(**active: float) -> float:
        upper, lower, _ = eye_lines(shape, _units(**active), side=-1.0)
        return _largest_gap(upper, lower)

    assert opening(AU43=1.0) < 0.2 * opening() < opening(AU7=1.0) < opening() < opening(AU5=1.0)


def test_action_units_raise_and_lower_the_brows() -> None:
    shape = draw_person(np.random.default_rng(0)).shape
    rest, raised, knit = (
        brow_lines(shape, units, side=1.0)[0] for units in (_units(), _units(AU1=1.0, AU2=1.0), _units(AU4=1.0))
    )
    assert (raised[:, 1] < rest[:, 1] - 0.02).all()
    assert (knit[:, 1] > rest[:, 1] + 0.02).all()
    assert knit[0, 0] < rest[0, 0] - 0.03  # together
