"""One clip, from its source to packed crops, where faces are few and far between."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from dfer.preprocessing.clip import Settings, process_clip
from dfer.records import ClipRecord
from dfer.store import clip_path, read_clip
from dfer.store.manifest import ManifestRow
from tests.scenes import Scene


def processed(
    scene: Scene, folder: Path, monkeypatch: pytest.MonkeyPatch, times: np.ndarray | None = None
) -> ManifestRow:
    """Process a scene: a folder of images, or with times, a video."""
    source = folder / "clip"
    source.mkdir()
    for index, frame in scene.frames():
        cv2.imwrite(str(source / f"{index:03d}.png"), frame[..., ::-1])
    if times is not None:
        video = scene.source(times, float(times[-1]) + 0.04)
        monkeypatch.setattr("dfer.preprocessing.clip.open_frames", lambda *_, **__: video)
    clip = ClipRecord("clip", 0, "happy", source, {1: "train"})
    return process_clip(clip, folder, folder / "store", Settings(size=32), scene.oracle)


@pytest.mark.parametrize("count", [8, 16])
def test_a_face_in_one_of_the_frames_sampled_from_a_clip_counts(
    count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = Scene([[(0, 80, 60)] if n == 5 else [] for n in range(count)])
    row = processed(scene, tmp_path, monkeypatch)
    assert (row.status, row.num_frames, row.source_frames, row.detected) == ("ok", 1, count, 1.0)
    assert len(read_clip(clip_path(tmp_path / "store", "clip"))) == 1


def test_every_picture_of_an_album_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene([[(n, 40 + 3 * n, 60)] for n in range(24)], [40 + 97 * n % 190 for n in range(24)])
    row = processed(scene, tmp_path, monkeypatch)
    assert (row.status, row.num_frames) == ("ok", 24)


def test_every_frame_of_a_folder_of_video_counts_but_no_false_face(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = Scene([[(1, 20, 20)] if n == 20 else [] for n in range(40)])
    row = processed(scene, tmp_path, monkeypatch)
    assert (row.status, row.source_frames, row.detail) == ("no_face", 40, "no face in 40 frames")


@pytest.mark.parametrize("fps", [1, 0.5, 0.2, 0.1])
def test_every_frame_of_a_slow_video_counts(fps: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = processed(Scene([[(0, 80, 60)]] * 10), tmp_path, monkeypatch, np.arange(10) / fps)
    assert (row.status, row.num_frames, row.detected) == ("ok", 10, 1.0)


@pytest.mark.parametrize("pause_s", [40, 60])
def test_a_pause_loses_no_frame(pause_s: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    times = np.arange(60) / 30
    times[30:] += pause_s
    row = processed(Scene([[(0, 80, 60)]] * 60), tmp_path, monkeypatch, times)
    assert (row.status, row.num_frames) == ("ok", 60)
