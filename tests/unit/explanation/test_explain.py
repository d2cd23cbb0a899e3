"""Explanations of videos, and the files made of them: several faces, gaps, stills, no face."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dfer.cli.app import run
from dfer.errors import UsageError, VideoError
from dfer.explanation.explain import Explainer, Explanation, _FaceWork
from dfer.faces.align import alignment_settings
from dfer.labels import DFEW_LABELS
from dfer.prediction.predictor import Predictor
from dfer.reports.explanation import (
    draw_explanation,
    draw_moments,
    explanation_arrays,
    explanation_dict,
    explanation_table,
    write_arrays,
    write_explained_video,
)
from dfer.video import VideoWriter, open_frames
from tests.checkpoints import write_checkpoint
from tests.scenes import Person, Scene

FACE: list[Person] = [(0, 80, 60)]
TWO: list[Person] = [(0, 50, 60), (1, 120, 60)]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    of_clips = {"alignment": alignment_settings(32), "crop_size": 32, "clip_s": 0.5}
    return write_checkpoint(path, labels=list(DFEW_LABELS), data={}, **of_clips)


def explain(checkpoint: Path, scene: Scene, times: Any, *, faces: str = "main", **options: Any) -> Explanation:
    predictor = Predictor(checkpoint, detector="none", device="cpu", faces=faces)
    predictor.detector = scene.oracle
    duration = float(times[-1]) + 0.04
    return Explainer(predictor, **options)(scene.source(np.asarray(times), duration))


@pytest.mark.parametrize("method", ["gradient", "attention"])
def test_every_frame_of_a_face_has_a_map_and_an_importance(checkpoint: Path, method: Any) -> None:
    found = explain(checkpoint, Scene([FACE] * 30), np.arange(30) / 25, method=method)
    ((face, track),) = found.faces
    assert face.label == found.analysis.prediction.faces[0].label
    assert face.maps.shape == (30, 2, 2)
    assert np.isfinite(face.maps).all()
    assert np.isfinite(face.importance).all()
    assert np.array_equal(face.frames, track.frames)
    assert [moment.place for moment in face.moments] == sorted({moment.place for moment in face.moments})
    assert len(face.moments) == 8
    assert 0 <= face.heat.min() <= face.heat.max() <= 1


def test_a_gap_has_no_frames_and_every_face_its_own(checkpoint: Path) -> None:
    scene = Scene([TWO] * 20 + [[]] * 30 + [TWO] * 20)
    found = explain(checkpoint, scene, np.arange(70) / 25, faces="all")
    assert len(found.faces) == len(found.analysis.prediction.faces) >= 2
    for face, _ in found.faces:
        assert not set(face.frames.tolist()) & set(range(22, 48))
        assert np.isfinite(face.importance).all()
    draw_explanation(found)
    assert draw_moments(found).shape[2] == 3


def test_one_face_by_its_number_and_one_class_by_its_name(checkpoint: Path) -> None:
    scene = Scene([TWO] * 20)
    found = explain(checkpoint, scene, np.arange(20) / 25, faces="all", face=1, label="fear")
    ((face, _),) = found.faces
    assert (face.id, face.label) == (1, "fear")
    values = explanation_dict(found)
    assert values["faces"][0]["probability"] == pytest.approx(found.analysis.prediction.faces[1].probabilities["fear"])
    with pytest.raises(UsageError, match="no face 7"):
        explain(checkpoint, scene, np.arange(20) / 25, faces="all", face=7)
    with pytest.raises(UsageError, match="no class 'hapy'") as caught:
        explain(checkpoint, scene, np.arange(20) / 25, label="hapy")
    assert caught.value.hint == "did you mean happy?"


def test_no_face_is_an_error(checkpoint: Path) -> None:
    with pytest.raises(VideoError, match="no face found in 9 frames"):
        explain(checkpoint, Scene([[]] * 9), np.arange(9) / 25)


def test_long_videos_have_longer_pieces_and_windows_that_overlap_are_occluded_once(checkpoint: Path) -> None:
    scene = Scene([FACE] * 3000)
    predictor = Predictor(checkpoint, detector="none", device="cpu")
    predictor.detector = scene.oracle
    analysis = explain(checkpoint, Scene([FACE] * 30), np.arange(30) / 25).analysis
    from dfer.faces.tracking.clock import Clock

    times = np.arange(3000) / 25
    track = analysis.tracks[0]
    long = type(track)(
        0, np.arange(3000), np.repeat(track.boxes_xyxy[:1], 3000, 0), np.repeat(track.landmarks[:1], 3000, 0),
        np.ones(3000, bool), 1.0,
    )  # fmt: skip
    work = _FaceWork(predictor, analysis.prediction.faces[0], long, Clock(times), 0)
    assert work.pieces == 2
    used = 0
    for window in work.windows:
        if work.needs_time(window):
            used += 1
            work.add_importance(window, np.arange(len(window)), [range(len(window))], np.array([0.5]))
    assert used <= len(work.windows)
    assert (work._seen > 0).all()


def test_the_files(checkpoint: Path, tmp_path: Path) -> None:
    times = np.arange(20) / 25
    found = explain(checkpoint, Scene([FACE] * 20), times, sanity=True)
    write_arrays(found, tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as arrays:
        assert set(arrays) == set(explanation_arrays(found))
        assert arrays["face0_maps"].dtype == np.float32
        assert str(arrays["labels"][0]) == found.faces[0][0].label
    done: list[float] = []
    write_explained_video(found, tmp_path / "a.mp4", 32, done.append)
    written = open_frames(tmp_path / "a.mp4")
    assert written.num_frames == 20
    assert written.size_hw[0] > found.analysis.source.size_hw[0]
    assert done[-1] == 1
    values = explanation_dict(found)
    assert values["schema"] == "dfer.explanation/1"
    assert values["sanity"]["steps"][0]["part"] == "head"
    from rich.console import Console

    console = Console(width=200, record=True)
    console.print(explanation_table(found))
    assert "sanity check" in console.export_text()


# ---- the command


@pytest.fixture
def still(tmp_path: Path) -> Path:
    path = tmp_path / "face.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (48, 48, 3), np.uint8)).save(path)
    return path


def command(source: Path, checkpoint: Path, out: Path, *more: str) -> int:
    return run(
        ["explain", str(source), "--checkpoint", str(checkpoint), "--detector", "none", "--out", str(out), *more]
    )


def test_an_image_has_no_time(still: Path, checkpoint: Path, tmp_path: Path) -> None:
    assert command(still, checkpoint, tmp_path / "out") == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "contact_sheet.png", "explanation.json", "explanation.npz",
    ]  # fmt: skip


def test_a_video_gets_all_files(checkpoint: Path, tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "clip.mp4", fps=25, size_hw=(48, 48)) as writer:
        for number in range(12):
            writer.write(np.full((48, 48, 3), 20 * number, np.uint8))
    assert command(tmp_path / "clip.mp4", checkpoint, tmp_path / "out", "--method", "attention") == 0
    assert len(list((tmp_path / "out").iterdir())) == 5


def test_outputs_over_inputs_and_bad_values_are_usage_errors(
    still: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    still.rename(folder / "face.png")
    assert command(folder, checkpoint, folder / "out") == 2
    assert command(folder, checkpoint, tmp_path / "out", "--face", "two") == 2
    assert command(folder, checkpoint, tmp_path / "out", "--class", "joy") == 2
    assert command(tmp_path / "none.mp4", checkpoint, tmp_path / "out") == 1
    assert not (tmp_path / "out").exists()
    assert not (folder / "out").exists()


def test_ctrl_c_leaves_nothing(still: Path, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("dfer.reports.explanation.write_arrays", interrupt)
    assert command(still, checkpoint, tmp_path / "out") == 130
    assert not (tmp_path / "out").exists()
