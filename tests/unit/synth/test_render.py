"""Drawn frames: they agree with their ground truth, and detectors find the faces."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from dfer.labels import DFEW_LABELS
from dfer.synth.expression import perform
from dfer.synth.identity import draw_person
from dfer.synth.plan import clip_rng, person_rng
from dfer.synth.render import Puppet, Shot
from dfer.synth.scene import draw_scene


@pytest.fixture(scope="module")
def shots() -> list[Shot]:
    """Three frames each of 28 people, four of every emotion."""
    made = []
    for number in range(1, 29):
        rng = clip_rng(11, number)
        person, scene = draw_person(person_rng(11, number)), draw_scene(rng)
        emotion = DFEW_LABELS[number % len(DFEW_LABELS)]
        play = perform(emotion, strength=0.9, num_frames=24, rng=rng)
        puppet = Puppet(person, scene)
        made += [puppet.draw(play, t, rng) for t in (1, 10, 17)]
    return made


def test_landmarks_lie_inside_frame_and_box_in_order(shots: list[Shot]) -> None:
    for shot in shots:
        height, width = shot.frame.shape[:2]
        points, (x1, y1, x2, y2) = shot.landmarks, shot.box_xyxy
        assert ((points >= 0) & (points < (width, height))).all()
        assert ((points > (x1, y1)) & (points < (x2, y2))).all()
        left_eye, right_eye, nose, left_corner, right_corner = points
        assert left_eye[0] < nose[0] < right_eye[0]
        assert left_corner[0] < right_corner[0]
        assert max(left_eye[1], right_eye[1]) < nose[1] < min(left_corner[1], right_corner[1])


def test_face_fills_about_half_of_the_frame(shots: list[Shot]) -> None:
    # The box leaves the upper forehead out, so it is a little less than the face.
    shares = np.array([(shot.box_xyxy[3] - shot.box_xyxy[1]) / shot.frame.shape[0] for shot in shots])
    assert shares.min() > 0.38
    assert shares.max() < 0.80


def test_the_warp_puts_features_where_the_landmarks_say() -> None:
    """Pupils are the darkest spots around the eye points of a turned head, on skin and white around them."""
    person = replace(
        draw_person(np.random.default_rng(5)), skin=np.array([0.9, 0.75, 0.65], np.float32), hair_style="crop"
    )
    scene = replace(draw_scene(np.random.default_rng(5)), noise=0)
    puppet = Puppet(person, scene)
    rng = np.random.default_rng(0)
    play = perform("neutral", strength=0.0, num_frames=20, rng=rng)
    still = replace(play, action_units=np.zeros_like(play.action_units), gaze=np.zeros_like(play.gaze))
    for yaw in (-0.3, 0.0, 0.3):
        pose = np.tile(np.array([yaw, 0.1, 0.1, 0, 0, 1], np.float32), (20, 1))
        shot = puppet.draw(replace(still, pose=pose), 0, rng)
        grey = cv2.cvtColor(shot.frame, cv2.COLOR_RGB2GRAY)
        reach = round(0.09 * scene.unit)
        for eye in shot.landmarks[:2]:
            x, y = np.round(eye).astype(int)
            around = cv2.GaussianBlur(grey, (0, 0), 1.2)[y - reach : y + reach + 1, x - reach : x + reach + 1]
            dark_y, dark_x = np.unravel_index(int(np.argmin(around)), around.shape)
            assert np.hypot(dark_x - reach, dark_y - reach) < 0.06 * scene.unit


def test_haar_cascade_finds_the_faces(shots: list[Shot]) -> None:
    cascade = cv2.CascadeClassifier(str(Path(cv2.data.haarcascades) / "haarcascade_frontalface_default.xml"))

    def found(shot: Shot) -> bool:
        centre = (shot.box_xyxy[:2] + shot.box_xyxy[2:]) / 2
        boxes = cascade.detectMultiScale(cv2.cvtColor(shot.frame, cv2.COLOR_RGB2GRAY), 1.1, 5)
        return any(x < centre[0] < x + w and y < centre[1] < y + h for x, y, w, h in boxes)

    assert np.mean([found(shot) for shot in shots]) >= 0.95


def test_scrfd_finds_the_faces_and_agrees_with_the_landmarks(shots: list[Shot], scrfd_weights: Path) -> None:
    from insightface.model_zoo import get_model

    weights = next(scrfd_weights.glob("*.onnx")) if scrfd_weights.is_dir() else scrfd_weights
    detector = get_model(str(weights), providers=["CPUExecutionProvider"])
    detector.prepare(0, input_size=(256, 256))
    errors: list[NDArray[np.float32]] = []
    for shot in shots:
        boxes, landmarks = detector.detect(np.ascontiguousarray(shot.frame[..., ::-1]), input_size=(256, 256))
        if len(boxes):
            eyes_apart = np.linalg.norm(shot.landmarks[1] - shot.landmarks[0])
            best = landmarks[int(np.argmax(boxes[:, 4]))]
            errors.append(np.linalg.norm(best - shot.landmarks, axis=1).mean() / eyes_apart)
    assert len(errors) / len(shots) >= 0.95
    assert np.median(errors) < 0.12
