"""The annotated video with hidden faces."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from dfer.drawing.hide import HIDE_STYLES, HideStyle
from dfer.faces.detectors import build_detector
from dfer.prediction.predictor import Analysis
from dfer.records import FaceTrack
from dfer.reports import prediction
from dfer.reports.prediction import write_annotated_video
from dfer.video import open_frames
from tests.results import face_with, predicted
from tests.unit.video.videos import write_video

SHOWN, OTHER = (40.0, 60.0, 88.0, 108.0), (220.0, 60.0, 268.0, 108.0)


@pytest.fixture
def analysis(tmp_path: Path) -> Analysis:
    """A video of two faces, stripes, of which one has a prediction and was lost for a while."""
    frame = np.full((160, 320, 3), 120, np.uint8)
    for x1, y1, x2, y2 in (SHOWN, OTHER):
        frame[int(y1) : int(y2), int(x1) : int(x2) : 6] = 255
        frame[int(y1) : int(y2), int(x1) + 3 : int(x2) : 6] = 0
    source = open_frames(write_video(tmp_path / "two.mp4", [frame] * 12, options={"crf": "4"}))
    frames = np.array([0, 1, 2, 3, 8, 9, 10, 11])
    boxes = np.tile(np.float32(SHOWN), (8, 1))
    track = FaceTrack(0, frames, boxes, np.zeros((8, 5, 2), np.float32), np.ones(8, np.bool_), 1.0)
    return Analysis(predicted([face_with([(0.0, 0.4, "happy")])], source=str(source.path)), source, [track])


def contrast(path: Path, box: tuple[float, ...]) -> NDArray[np.float64]:
    """The contrast from column to column inside a box, in each frame."""
    x1, y1, x2, y2 = (round(value) for value in box)
    inside = [frame[y1 + 6 : y2 - 6, x1 + 6 : x2 - 6].astype(float) for _, frame in open_frames(path).iter_frames()]
    return np.array([np.abs(np.diff(pixels, axis=1)).mean() for pixels in inside])


@pytest.mark.parametrize("style", HIDE_STYLES)
def test_all_faces_are_hidden_in_every_frame_also_those_without_a_prediction(
    analysis: Analysis, tmp_path: Path, style: HideStyle, monkeypatch: pytest.MonkeyPatch
) -> None:
    covered = {n: np.array([SHOWN, OTHER]) for n in range(12)}
    monkeypatch.setattr(prediction, "cover_faces", lambda frames, _times: [*frames] and covered)
    done: list[float] = []
    write_annotated_video(analysis, tmp_path / "plain.mp4")
    write_annotated_video(analysis, tmp_path / "hidden.mp4", done.append, hide=style)
    for box in (SHOWN, OTHER):
        assert contrast(tmp_path / "plain.mp4", box).min() > 30
        hidden = contrast(tmp_path / "hidden.mp4", box)
        assert len(hidden) == 12
        assert hidden.max() < 8
    assert done == sorted(done)
    assert done[-1] == pytest.approx(1)
    plain, hidden = (
        np.stack([frame for _, frame in open_frames(tmp_path / name).iter_frames()]).astype(int)
        for name in ("plain.mp4", "hidden.mp4")
    )
    assert np.abs(plain - hidden)[:, :30].max() < 12  # above both faces


def test_a_predicted_face_is_hidden_though_the_search_misses_it(
    analysis: Analysis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prediction, "cover_faces", lambda _frames, _times: {})
    write_annotated_video(analysis, tmp_path / "hidden.mp4", hide="blur")
    assert contrast(tmp_path / "hidden.mp4", SHOWN)[[0, 3, 8, 11]].max() < 8


@pytest.mark.parametrize("style", HIDE_STYLES)
def test_no_detector_finds_the_face_of_a_real_clip_again(real_clips: Path, tmp_path: Path, style: HideStyle) -> None:
    source = open_frames(real_clips / "single_face.mp4")
    write_annotated_video(Analysis(predicted([]), source, []), tmp_path / "hidden.mp4", hide=style)
    detectors = [build_detector(name) for name in ("centerface", "haar")]
    hidden = [frame for _, frame in open_frames(tmp_path / "hidden.mp4").iter_frames(range(0, 72, 9))]
    assert [len(detector.detect(frame)) for detector in detectors for frame in hidden] == [0] * 2 * len(hidden)


def test_nothing_is_drawn_of_a_face_while_it_is_gone(analysis: Analysis, tmp_path: Path) -> None:
    write_annotated_video(analysis, tmp_path / "shown.mp4")
    given, drawn = (
        np.stack([frame for _, frame in open_frames(path).iter_frames()]).astype(int)
        for path in (analysis.source.path, tmp_path / "shown.mp4")
    )
    around = np.abs(given - drawn)[:, 20:112, 30:200].max(axis=(1, 2, 3))
    assert around[[0, 1, 2, 3, 8, 9, 10, 11]].min() > 90
    assert around[4:8].max() < 40  # what the codec changes
