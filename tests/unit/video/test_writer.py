"""Written videos."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from dfer.errors import DferError, VideoError
from dfer.video import VideoWriter, open_frames
from tests.unit.video.videos import (
    make_frames,
    read_all,
)


def test_round_trip(tmp_path: Path) -> None:
    frames = make_frames(10)
    path = tmp_path / "new" / "out.mp4"
    with VideoWriter(path, fps=24000 / 1001, size_hw=(96, 128), crf=5) as writer:
        for frame in frames:
            writer.write(frame)
    source = open_frames(path)

    assert source.fps == pytest.approx(24000 / 1001, rel=1e-3)
    assert np.abs(read_all(source)[1] - np.stack(frames)).mean() < 3
    with av.open(str(path)) as container:
        assert container.streams.video[0].codec_context.name == "h264"
        assert container.streams.video[0].codec_context.pix_fmt == "yuv420p"


def test_odd_size_is_padded(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "out.mp4", fps=25, size_hw=(97, 131)) as writer:
        writer.write(make_frames(1, 97, 131)[0])
    assert open_frames(tmp_path / "out.mp4").size_hw == (98, 132)


def test_mpeg4_where_x264_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(av, "codecs_available", {"mpeg4"})
    with VideoWriter(tmp_path / "out.mp4", fps=30, size_hw=(96, 128)) as writer:
        for n, frame in enumerate(make_frames(5)):
            writer.write(frame, n * float(Fraction(1, 30)))
    source = open_frames(tmp_path / "out.mp4")

    assert source.num_frames == 5
    assert source.times_s == pytest.approx(np.arange(5) / 30, abs=1e-4)


def test_times_stay_in_order(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "out.mp4", fps=25, size_hw=(96, 128)) as writer:
        for frame, time_s in zip(make_frames(4), [0.0, 0.2, 0.2, 0.1], strict=True):
            writer.write(frame, time_s)
    assert np.all(np.diff(open_frames(tmp_path / "out.mp4").times_s) > 0)


def test_failure_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "out.mp4").write_text("old")
    writer = VideoWriter(tmp_path / "out.mp4", fps=25, size_hw=(96, 128)).__enter__()
    writer.write(make_frames(1)[0])
    writer.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)

    assert (tmp_path / "out.mp4").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("name", ["out.xyz", "out"])
def test_unknown_container(name: str, tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="cannot write a video"):
        VideoWriter(tmp_path / name, fps=25, size_hw=(96, 128)).__enter__()
    assert list(tmp_path.iterdir()) == []


def test_no_frame(tmp_path: Path) -> None:
    with (
        pytest.raises(DferError, match="no frame"),
        VideoWriter(tmp_path / "out.mp4", fps=25, size_hw=(96, 128)),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_wrong_shape(tmp_path: Path) -> None:
    with (
        pytest.raises(ValueError, match="expected a frame of shape"),
        VideoWriter(tmp_path / "out.mp4", fps=25, size_hw=(96, 128)) as writer,
    ):
        writer.write(make_frames(1, 60, 60)[0])
    assert list(tmp_path.iterdir()) == []


def test_unwritable_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(DferError, match="cannot write"):
        VideoWriter(tmp_path / "file" / "out.mp4", fps=25, size_hw=(96, 128)).__enter__()
