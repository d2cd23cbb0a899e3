"""Heat maps on images and faces, and the strip of importance."""

from __future__ import annotations

import numpy as np

from dfer.drawing.heat import ImportanceLane, ImportanceStrip, draw_heat, draw_heat_on_face, draw_importance

GREY = np.full((60, 80, 3), 90, np.uint8)


def lane(times: list[float], values: list[float]) -> ImportanceLane:
    importance = np.array(values, np.float32)
    return ImportanceLane("face 0", "happy", np.array(times), importance, np.ones(len(times), np.float32))


def test_no_heat_changes_nothing_and_heat_is_where_it_is() -> None:
    assert np.array_equal(draw_heat(GREY, np.zeros((2, 2))), GREY)
    drawn = draw_heat(GREY, [[1.0, 0.0], [0.0, 0.0]]).astype(int)
    change = np.abs(drawn - GREY).sum(axis=2)
    assert change[5, 5] > 100
    assert change[55, 75] < 10


def test_heat_on_a_face_lies_inside_its_crop_and_fades_at_its_edge() -> None:
    crop_from_frame = np.array([[1.0, 0, -20], [0, 1.0, -10]])  # x 20..52, y 10..42
    drawn = draw_heat_on_face(GREY, np.ones((4, 4)), crop_from_frame, 32).astype(int)
    change = np.abs(drawn - GREY).sum(axis=2)
    assert change[26, 36] > change[11, 36] > 0
    change[10:43, 20:53] = 0
    assert not change.any()
    outside = np.array([[1.0, 0, 500], [0, 1.0, 500]])
    assert np.array_equal(draw_heat_on_face(GREY, np.ones((4, 4)), outside, 32), GREY)


def test_the_strip_moves_its_line_and_unknown_importance_is_drawn_too() -> None:
    strip = ImportanceStrip([lane([0, 1, 2, 9], [0.1, np.nan, -0.1, 0.2])], total=10.0, width=200, lane_height=60)
    assert strip.height == 60
    early, late = strip.at(1.0), strip.at(9.0)
    assert early.shape == late.shape == (60, 200, 3)
    columns = [int(np.flatnonzero((image == 255).all(axis=(0, 2)))[0]) for image in (early, late)]
    assert columns[1] - columns[0] > 120
    unknown = lane([0.0], [float("nan")])
    assert ImportanceStrip([unknown], total=1.0, width=100, lane_height=60).height == 60
    draw_importance([unknown, lane([0, 1], [0.0, 0.0])], total=2.0, title="a")
