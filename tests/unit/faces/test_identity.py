"""Tracklets of several shots become people."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dfer.faces.tracking import appearance
from dfer.faces.tracking.appearance import describe_appearance, similarity
from dfer.faces.tracking.identity import join_tracklets
from dfer.faces.tracking.tracklets import Tracklet
from tests.scenes import make_face

COLOURS = 24 * 24


def looks(*angles: float) -> list[NDArray[np.float32]]:
    """Descriptors of shape at an angle in a plane, of one colour: their similarity is the cosine of the difference."""
    found = []
    for angle in angles:
        values = np.zeros(appearance._SHAPE_DIM + COLOURS, np.float32)
        values[0], values[1] = np.cos(np.radians(angle)), np.sin(np.radians(angle))
        values[appearance._SHAPE_DIM] = 1
        found.append(values)
    return found


def tracklet(first: int, *angles: float) -> Tracklet:
    frames = [first, first + 4, first + 8]
    return Tracklet(
        frames, [n / 25 for n in frames], frames, [0] * 3, [make_face(50, 50)] * 3, [1.0] * 3, looks(*angles)
    )


def people(*tracklets: Tracklet) -> list[list[int]]:
    return sorted(person.frames[::3] for person in join_tracklets(list(tracklets)))


def test_a_later_shot_shows_that_two_people_are_one() -> None:
    first, second, between = tracklet(0, 0.0), tracklet(20, 60.0), tracklet(40, 30.0)
    assert people(first, second) == [[0], [20]]
    assert people(first, second, between) == [[0, 20, 40]]


def test_people_seen_together_are_never_joined_by_a_third() -> None:
    assert people(tracklet(0, 0.0), tracklet(2, 60.0), tracklet(40, 30.0)) == [[0], [2], [40]]


def test_who_is_like_two_people_that_are_seen_together_is_neither() -> None:
    one, other = tracklet(0, 0.0), tracklet(2, 4.0)
    assert people(one, other, tracklet(40, 2.0)) == [[0], [2], [40]]


def test_colours_do_not_depend_on_the_light() -> None:
    rng = np.random.default_rng(0)
    skin = np.clip(np.array([200, 150, 120]) + rng.normal(0, 8, (64, 64, 1)), 0, 255)
    patch, dark, other = skin.astype(np.uint8), (0.5 * skin).astype(np.uint8), skin[..., ::-1].astype(np.uint8)
    described = [describe_appearance(one) for one in (patch, dark, other)]
    assert similarity(described[:1], described[1:2]) > 0.8
    assert similarity(described[:1], described[2:]) == 0.0
