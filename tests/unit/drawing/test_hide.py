"""Faces made unrecognisable: all of the face, little of it left, and nothing else touched."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from dfer.drawing.hide import CELLS, MARGIN, HideStyle, hide_faces

STYLES = get_args(HideStyle)


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("side", [24, 60, 160])
def test_the_face_is_changed_and_its_surroundings_are_not(style: HideStyle, side: int) -> None:
    frame = noise(300, 400)
    hidden = hide_faces(frame, [(100, 60, 100 + side, 60 + side)], style)
    changed = (hidden != frame).any(-1)
    margin = round(MARGIN * side)
    assert changed[60 : 60 + side, 100 : 100 + side].mean() > 0.99
    changed[60 - margin : 60 + side + margin, 100 - margin : 100 + side + margin] = False
    assert not changed.any()
    assert (frame == noise(300, 400)).all()


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("side", [40, 320])
def test_what_is_left_of_a_face_does_not_grow_with_its_size(style: HideStyle, side: int) -> None:
    """A step a pixel wide is gone, and the image is that of a few numbers."""
    frame = np.zeros((600, 600, 3), np.uint8)
    frame[:, ::2] = 255
    hidden = hide_faces(frame, [(100, 100, 100 + side, 100 + side)], style)
    inside = hidden[100 : 100 + side, 100 : 100 + side].astype(float)
    assert np.ptp(inside) < 20
    face = noise(600, 600)
    face = hide_faces(face, [(100, 100, 100 + side, 100 + side)], style)[100 : 100 + side, 100 : 100 + side, 0]
    values = np.linalg.svd(face.astype(float), compute_uv=False)
    rank = int((values > 0.01 * values[0]).sum())
    assert rank <= round(CELLS * (1 + 2 * MARGIN))


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize(
    "box", [(-40, -30, 20, 25), (380, 280, 460, 380), (-500, -500, -400, -400), (10, 10, 10, 10), (3, 3, 4, 5)], ids=str
)
def test_boxes_may_reach_out_of_the_frame_or_be_tiny(style: HideStyle, box: tuple[int, ...]) -> None:
    frame = noise(300, 400)
    hidden = hide_faces(frame, [box], style)
    assert hidden.shape == frame.shape
    x1, y1, x2, y2 = np.clip(box, 0, (400, 300, 400, 300))
    if x2 > x1 and y2 > y1:
        assert (hidden != frame)[y1:y2, x1:x2].any(-1).all()


def test_two_boxes_of_one_face_leave_no_seam() -> None:
    frame = noise(300, 400)
    once = hide_faces(frame, [(100, 60, 180, 160)], "pixelate")
    twice = hide_faces(frame, [(104, 64, 176, 156), (100, 60, 180, 160)], "pixelate")
    assert (once == twice).all()


def test_two_faces_are_hidden_apart() -> None:
    frame = noise(300, 400)
    both = hide_faces(frame, [(20, 20, 80, 80), (300, 200, 360, 260)], "blur")
    changed = (both != frame).any(-1)
    assert changed[20:80, 20:80].mean() > 0.99
    assert changed[200:260, 300:360].mean() > 0.99
    assert not changed[100:180, 120:280].any()
