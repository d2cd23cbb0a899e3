"""Faces of a stream keep their numbers, with nothing but the past."""

from __future__ import annotations

import numpy as np

from dfer.faces.tracking.follow import FaceFollower
from tests.scenes import Person, Scene


def followed(people: list[list[Person]], times: list[float]) -> list[list[int]]:
    scene = Scene(people)
    follower = FaceFollower(scene.oracle)
    source = scene.source(np.arange(len(people)) / 25, len(people) / 25)
    frames = (frame for _, frame in source.iter_frames())
    return [[one.number for one in follower.follow(frame, time_s)] for frame, time_s in zip(frames, times, strict=True)]


def test_two_people_keep_their_numbers_while_they_move() -> None:
    people: list[list[Person]] = [[(0, 40 + n, 40), (1, 120 - n, 80)] for n in range(20)]
    assert followed(people, [n / 25 for n in range(20)]) == [[0, 1]] * 20


def test_a_face_that_was_hidden_for_a_moment_is_the_same_and_after_long_is_another() -> None:
    here: list[Person] = [(0, 80, 60)]
    people: list[list[Person]] = [here, here, [], here, *([[]] * 12), here]
    numbers = followed(people, [0.25 * n for n in range(len(people))])
    assert numbers == [[0], [0], [], [0], *([[]] * 12), [1]]


def test_memory_does_not_grow() -> None:
    scene = Scene([[(0, 80, 60)]] * 300)
    follower = FaceFollower(scene.oracle)
    for index, frame in scene.source(np.arange(300) / 25, 12.0).iter_frames():
        assert [one.number for one in follower.follow(frame, index / 25)] == [0]
    ((tracklet, _),) = follower._numbered
    assert len(tracklet.faces) == len(tracklet.frames) <= 32
    assert follower._builder.tracklets == []
