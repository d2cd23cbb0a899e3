"""The generated data set: layout, folds, determinism, the time-reversed pair, and faces that detectors find."""

from __future__ import annotations

import csv
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from dfer.datasets.notice import read_notice
from dfer.errors import DferError, UsageError
from dfer.labels import DFEW_LABELS
from dfer.synth.dataset import FRAMES_PER_SECOND, generate_dataset
from dfer.synth.expression import ACTION_UNITS, perform
from dfer.synth.geometry import eye_shapes, mouth_shape
from dfer.synth.identity import draw_identity
from dfer.synth.plan import DFEW_CLIPS, NUM_FOLDS, clip_rng, count_per_emotion, person_rng, plan_clips
from dfer.synth.render import Puppet, Shot
from dfer.synth.scene import draw_scene

SMALL = 7


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven clips, one of each emotion."""
    out = tmp_path_factory.mktemp("synth") / "raw"
    generate_dataset(out, num_clips=SMALL, seed=3)
    return out


@pytest.fixture(scope="module")
def shots() -> list[Shot]:
    """Three frames each of 28 people, four of every emotion."""
    made = []
    for number in range(1, 29):
        rng = clip_rng(11, number)
        person, scene = draw_identity(person_rng(11, number)), draw_scene(rng)
        emotion = DFEW_LABELS[number % len(DFEW_LABELS)]
        play = perform(emotion, strength=0.9, num_frames=24, rng=rng)
        puppet = Puppet(person, scene)
        made += [puppet.draw(play, t, rng) for t in (1, 10, 17)]
    return made


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# --- which clips there are ------------------------------------------------------------------------------------


def test_counts_have_dfews_imbalance() -> None:
    assert count_per_emotion(sum(DFEW_CLIPS.values())) == DFEW_CLIPS
    for emotion, count in count_per_emotion(1000).items():
        assert abs(count - 1000 * DFEW_CLIPS[emotion] / 11697) < 1


@pytest.mark.parametrize("num_clips", [7, 8, 40, 199, 200, 333, 600])
def test_counts_add_up_and_leave_no_emotion_out(num_clips: int) -> None:
    counts = count_per_emotion(num_clips)
    assert sum(counts.values()) == num_clips
    assert min(counts.values()) >= (NUM_FOLDS if num_clips >= 200 else 1)


def test_every_fold_tests_every_emotion_in_turn() -> None:
    plans = plan_clips(200, seed=1)
    per_fold = {fold: Counter(p.emotion for p in plans if p.fold == fold) for fold in range(1, 6)}
    for emotion in DFEW_LABELS:
        of_emotion = [counts[emotion] for counts in per_fold.values()]
        assert min(of_emotion) >= 1
        assert max(of_emotion) - min(of_emotion) <= 1


def test_nobody_plays_in_two_folds() -> None:
    plans = plan_clips(300, seed=2)
    folds_of: dict[int, set[int]] = {}
    for plan in plans:
        folds_of.setdefault(plan.person, set()).add(plan.fold)
    assert all(len(folds) == 1 for folds in folds_of.values())
    assert len(folds_of) == pytest.approx(100, abs=5)
    # People play several emotions, so that a face does not tell the label.
    several = [len({p.emotion for p in plans if p.person == person}) > 1 for person in folds_of]
    assert np.mean(several) > 0.8


def test_lengths_vary_as_dfews_do() -> None:
    lengths = np.array([plan.num_frames for plan in plan_clips(600, seed=0)])
    assert lengths.max() <= 48
    assert 23 < lengths.mean() < 29
    assert 0 < (lengths < 16).mean() < 0.10


# --- the files ------------------------------------------------------------------------------------------------


def test_layout_is_dfews(dataset: Path) -> None:
    videos = dataset / "Clip" / "original"
    assert sorted(path.name for path in videos.iterdir()) == [f"{n}.mp4" for n in range(1, SMALL + 1)]
    tested = []
    for fold in range(1, 6):
        lists = [
            _rows(dataset / "EmoLabel_DataSplit" / f"{split}(single-labeled)" / f"set_{fold}.csv")
            for split in ("train", "test")
        ]
        names = [[row["video_name"] for row in rows] for rows in lists]
        assert sorted(names[0] + names[1], key=int) == [str(n) for n in range(1, SMALL + 1)]
        tested += names[1]
        assert all(row.keys() == {"video_name", "label"} for rows in lists for row in rows)
        assert all(1 <= int(row["label"]) <= 7 for rows in lists for row in rows)
    assert sorted(tested, key=int) == [str(n) for n in range(1, SMALL + 1)]


def test_ground_truth_agrees_with_lists_and_videos(dataset: Path) -> None:
    labels = {
        row["video_name"]: int(row["label"])
        for fold in range(1, 6)
        for row in _rows(dataset / "EmoLabel_DataSplit" / "test(single-labeled)" / f"set_{fold}.csv")
    }
    for row in _rows(dataset / "ground_truth" / "clips.csv"):
        name, num_frames = row["video_name"], int(row["num_frames"])
        assert DFEW_LABELS[labels[name] - 1] == row["emotion"]
        with av.open(str(dataset / "Clip" / "original" / f"{name}.mp4")) as container:
            stream = container.streams.video[0]
            assert stream.average_rate == FRAMES_PER_SECOND
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
        assert len(frames) == num_frames
        truth = np.load(dataset / "ground_truth" / f"{name}.npz")
        assert truth["landmarks"].shape == (num_frames, 5, 2)
        assert truth["landmarks"].dtype == np.float32
        assert truth["box_xyxy"].shape == (num_frames, 4)
        assert truth["action_units"].shape == (num_frames, len(truth["action_unit_names"]))
        assert tuple(truth["action_unit_names"]) == ACTION_UNITS
        assert truth["pose"].shape == (num_frames, len(truth["pose_names"]))


def test_readme_says_what_it_is(dataset: Path) -> None:
    text = (dataset / "README.txt").read_text()
    assert "drawings only" in text
    assert f"--clips {SMALL} --seed 3" in text
    assert "drawings" in read_notice(dataset)
    assert read_notice(dataset.parent) == ""


def test_same_seed_gives_same_bytes_on_any_number_of_workers(dataset: Path, tmp_path: Path) -> None:
    generate_dataset(tmp_path / "again", num_clips=SMALL, seed=3, workers=2)
    assert _files(tmp_path / "again") == _files(dataset)


def test_another_seed_gives_other_clips() -> None:
    assert [p.emotion for p in plan_clips(40, seed=0)] != [p.emotion for p in plan_clips(40, seed=1)]
    assert draw_identity(person_rng(0, 1)) != draw_identity(person_rng(1, 1))


def test_interrupted_run_is_completed_without_redrawing(dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "raw"

    def stop_after_three(done: int, total: int) -> None:
        assert total == SMALL
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate_dataset(out, num_clips=SMALL, seed=3, on_clip=stop_after_three)
    kept = {path: path.stat().st_mtime_ns for path in (out / "Clip" / "original").iterdir()}
    assert len(kept) == 3
    calls: list[tuple[int, int]] = []
    generate_dataset(out, num_clips=SMALL, seed=3, on_clip=lambda *progress: calls.append(progress))
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert all(path.stat().st_mtime_ns == time for path, time in kept.items())
    assert _files(out) == _files(dataset)


def test_other_settings_are_refused(dataset: Path) -> None:
    before = _files(dataset)
    with pytest.raises(UsageError, match="other settings") as error:
        generate_dataset(dataset, num_clips=SMALL, seed=4)
    assert error.value.hint is not None
    assert json.loads(before["synth.json"])["seed"] == 3
    assert _files(dataset) == before


def test_foreign_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"mine")
    with pytest.raises(UsageError, match="not empty"):
        generate_dataset(tmp_path, num_clips=SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ["holiday.jpg"]


@pytest.mark.parametrize(
    "settings", [{"num_clips": 6}, {"seed": -1}, {"workers": 0}], ids=["too few", "negative seed", "no workers"]
)
def test_bad_arguments_are_refused(settings: dict[str, int], tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        generate_dataset(tmp_path / "raw", **settings)
    assert not (tmp_path / "raw").exists()


def test_unwritable_folder_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DferError, match="file"):
        generate_dataset(tmp_path / "file" / "raw", num_clips=SMALL)


# --- expressions ----------------------------------------------------------------------------------------------


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


def _units(**active: float) -> dict[str, float]:
    return {name: active.get(name, 0.0) for name in ACTION_UNITS}


def test_action_units_move_the_contours_their_way() -> None:
    person = draw_identity(np.random.default_rng(0))
    rest, smile = mouth_shape(person, _units()), mouth_shape(person, _units(AU12=1.0))
    frown, gape = mouth_shape(person, _units(AU15=1.0)), mouth_shape(person, _units(AU25=1.0, AU27=1.0))
    corner = rest.upper_outer[0]
    assert smile.upper_outer[0, 1] < corner[1] - 0.05  # y points down
    assert smile.upper_outer[0, 0] < corner[0] - 0.05
    assert frown.upper_outer[0, 1] > corner[1] + 0.03
    assert gape.upper_outer[0, 0] > corner[0]
    assert np.max(gape.lower_inner[:, 1] - gape.upper_inner[:, 1]) > 0.15
    assert np.max(rest.lower_inner[:, 1] - rest.upper_inner[:, 1]) < 0.01

    def opening(**active: float) -> float:
        eye = eye_shapes(person, _units(**active), np.zeros(2, np.float32))[0]
        return float(np.max(eye.lower[:, 1] - eye.upper[:, 1]))

    assert opening(AU43=1.0) < 0.2 * opening() < opening(AU7=1.0) < opening() < opening(AU5=1.0)


# --- the ground truth and the detectors -----------------------------------------------------------------------


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
    person = replace(draw_identity(np.random.default_rng(5)), glasses="", skin=(0.9, 0.75, 0.65), hair_style="crop")
    scene = replace(draw_scene(np.random.default_rng(5)), noise=0.0, blur=0.0)
    puppet = Puppet(person, scene)
    rng = np.random.default_rng(0)
    play = perform("neutral", strength=0.0, num_frames=20, rng=rng)
    still = replace(play, action_units=np.zeros_like(play.action_units), gaze=np.zeros_like(play.gaze))
    for yaw in (-0.3, 0.0, 0.3):
        angles = np.tile(np.array([yaw, 0.1, 0.1], np.float32), (20, 1))
        shot = puppet.draw(replace(still, angles=angles), 0, rng)
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
