"""Answers while a stream runs: whose, about when, and from what."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from torch import Tensor

from dfer.faces.align import alignment_settings
from dfer.labels import DFEW_LABELS
from dfer.prediction.live import LiveAnswer, LiveRecogniser
from dfer.prediction.predictor import Predictor
from dfer.prediction.recognition import Engine
from dfer.video.live import LiveFrame
from tests.checkpoints import write_checkpoint
from tests.scenes import Person, Scene


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    of_clips = {"alignment": alignment_settings(32), "crop_size": 32, "clip_s": 0.5}
    return write_checkpoint(path, labels=list(DFEW_LABELS), data={}, **of_clips)


def answers(
    checkpoint: Path, people: list[list[Person]], *, faces: str = "main", mirror: bool = False
) -> list[LiveAnswer]:
    """Those of a stream at 25 frames a second whose reader is never slow."""
    scene = Scene(people)
    predictor = Predictor(checkpoint, detector="none", device="cpu", faces=faces, mirror=mirror, stride=0.2)
    predictor.detector = scene.oracle
    found = []
    with LiveRecogniser(predictor) as recogniser:
        for index, frame in scene.source(np.arange(len(people)) / 25, len(people) / 25).iter_frames():
            recogniser.look(LiveFrame(frame, index / 25, time.monotonic()))
            found.append(recogniser.answer(wait=True))
    return [answer for answer in found if answer is not None]


@pytest.mark.parametrize("mirror", [False, True])
def test_answers_follow_each_other_without_a_gap(checkpoint: Path, mirror: bool) -> None:
    found = answers(checkpoint, [[(0, 80, 60)]] * 50, mirror=mirror)
    assert [answer.end for answer in found] == pytest.approx([0.2 * n for n in range(10)])
    assert [answer.start for answer in found[1:]] == [answer.end for answer in found[:-1]]
    for answer in found[1:]:
        (face,) = answer.faces
        (segment,) = face.segments
        assert (segment.start, segment.end) == (answer.start, answer.end)
        assert sum(segment.probabilities.values()) == pytest.approx(1)
        assert segment.quality is not None
        assert segment.quality.detected == 1
        assert segment.box == pytest.approx((65, 45, 95, 75), abs=1)


def test_a_face_is_answered_about_from_when_it_comes_until_it_is_gone(checkpoint: Path) -> None:
    people: list[list[Person]] = [[(0, 80, 60)] if 20 <= n < 60 else [] for n in range(100)]
    found = answers(checkpoint, people)
    with_faces = [answer for answer in found if answer.faces]
    assert with_faces[0].faces[0].segments[0].start == pytest.approx(0.8)
    assert 2.3 <= with_faces[-1].end <= 2.9
    assert not found[0].faces
    assert not found[-1].faces


def test_all_faces_or_the_main_one(checkpoint: Path) -> None:
    people: list[list[Person]] = [[(0, 40, 60), (1, 120, 60)]] * 30
    assert [sorted(face.id for face in answer.faces) for answer in answers(checkpoint, people, faces="all")][-1] == [
        0,
        1,
    ]
    numbers = {face.id for answer in answers(checkpoint, people) for face in answer.faces}
    assert len(numbers) == 1


def test_a_slow_backbone_sees_fewer_looks_and_the_newest_always(checkpoint: Path) -> None:
    scene = Scene([[(0, 80, 60)]] * 30)
    predictor = Predictor(checkpoint, detector="none", device="cpu", window=1.0)
    predictor.detector = scene.oracle
    with LiveRecogniser(predictor) as recogniser:
        for index, frame in scene.source(np.arange(30) / 25, 1.2).iter_frames():
            recogniser._waiting = None  # the model has not answered yet
            recogniser._asked_s = index / 25
            recogniser.look(LiveFrame(frame, index / 25, 0.0))
        looks = list(recogniser._seen[0])
        recogniser._look_s = 0.06
        chosen = recogniser._affordable({0: looks})[0]
    assert len(chosen) == 4
    assert chosen[-1] is looks[-1]
    assert chosen[0] is looks[0]


class Counting:
    """An engine that notes how many frames it is asked about."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.frames = engine, 0
        self.sees_frames_alone, self.encode = engine.sees_frames_alone, engine.encode
        self.forward_features = engine.forward_features

    def frame_maps(self, clips: Tensor) -> Tensor:
        self.frames += len(clips)
        return self.engine.frame_maps(clips)


def test_the_prepared_model_answers_and_sees_each_look_once(checkpoint: Path) -> None:
    scene = Scene([[(0, 80, 60)]] * 15)
    predictor = Predictor(
        checkpoint, detector="none", device="cpu", stride=0.2, window=1.0, mirror=True, runtime="float32"
    )
    predictor.detector, predictor.engine = scene.oracle, (engine := Counting(predictor.engine))
    with LiveRecogniser(predictor) as recogniser:
        ends = []
        for index, frame in scene.source(np.arange(15) / 25, 0.6).iter_frames():
            recogniser.look(LiveFrame(frame, index / 25, 0.0))
            ends += [answer.end for answer in [recogniser.answer(wait=True)] if answer]
        looks = [look for look in recogniser._seen[0] if look.time_s <= ends[-1]]
    assert len(ends) > 1
    assert engine.frames == 2 * len(looks), "and their mirror images"
    assert all(look.maps is not None for look in looks)
