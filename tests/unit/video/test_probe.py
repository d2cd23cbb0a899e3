"""Frame counts, times and sizes by the packets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dfer.video import VideoWriter, open_frames
from tests.unit.video.videos import (
    make_frames,
)


@pytest.mark.parametrize(
    ("name", "count", "fps", "size_hw", "duration"),
    [
        ("WolfgangLanger_Pexels.mp4", 472, 24000 / 1001, (360, 640), 19.686),
        ("single_face.mp4", 72, 30.0, (360, 640), 2.4),
        # An edit list hides three of its 98 frames.
        ("no_face.mp4", 95, 24.0, (540, 960), 4.015),
    ],
)
def test_real_clips_are_probed(
    real_clips: Path, name: str, count: int, fps: float, size_hw: tuple[int, int], duration: float
) -> None:
    source = open_frames(real_clips / name)

    assert source.num_frames == count
    assert source.fps == pytest.approx(fps, abs=1e-6)
    assert source.size_hw == size_hw
    assert source.duration == pytest.approx(duration, abs=0.01)
    assert source.times_s.dtype == np.float64
    assert source.times_s[0] == 0
    assert np.diff(source.times_s) == pytest.approx(1 / fps, abs=1e-4)
    assert source.warnings == []


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_variable_frame_rate_is_kept(suffix: str, tmp_path: Path) -> None:
    times = np.array([0.0, 0.04, 0.08, 0.5, 0.52, 1.9, 2.0])
    with VideoWriter(tmp_path / f"clip{suffix}", fps=25, size_hw=(96, 128)) as writer:
        for frame, time_s in zip(make_frames(len(times)), times + 5, strict=True):
            writer.write(frame, float(time_s))
    source = open_frames(tmp_path / f"clip{suffix}")

    assert source.times_s == pytest.approx(times, abs=2e-3)
    assert source.fps == pytest.approx(3.0, rel=1e-2)
    assert source.duration > 2.0
