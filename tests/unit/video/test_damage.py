"""Files that are cut off, joined bytewise, or hold more than can be read: each is said, by either decoder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dfer.video import open_frames
from tests.unit.video.videos import COUNT, FPS, frame_number, noisy_frames, write_times, write_video

Make = Callable[[Path], Path]

FORMATS = {
    "mkv": "libx264", "webm": "libvpx", "ts": "libx264", "m2ts": "mpeg2video", "vob": "mpeg2video", "mpg": "mpeg2video",
    "flv": "flv", "wmv": "wmv2", "avi": "mpeg4", "mp4": "mpeg4", "nut": "mpeg4",
}  # fmt: skip
SAYS_HOW_LONG = ("mkv", "webm", "flv", "wmv")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A video of 40 frames in each format, as bytes."""
    folder = tmp_path_factory.mktemp("whole")
    options = {"mp4": {"movflags": "faststart"}}
    return {
        suffix: write_video(
            folder / f"a.{suffix}",
            noisy_frames(),
            codec=codec,
            options={"g": "10", "b": "4000k"},
            container=options.get(suffix),
        ).read_bytes()
        for suffix, codec in FORMATS.items()
    }


@pytest.fixture(params=["decord", "pyav"])
def _decoder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DFER_DECODER", request.param)


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_whole_file_has_no_warning(suffix: str, whole: dict[str, bytes], tmp_path: Path) -> None:
    source = open_frames(written(tmp_path / f"a.{suffix}", whole[suffix]))
    assert len(list(source.iter_frames())) == source.num_frames == COUNT
    assert source.warnings == []


@pytest.mark.parametrize("share", [0.4, 0.7])
@pytest.mark.parametrize("suffix", SAYS_HOW_LONG)
@pytest.mark.usefixtures("_decoder")
def test_a_cut_file_says_what_share_of_it_could_be_read(
    suffix: str, share: float, whole: dict[str, bytes], tmp_path: Path
) -> None:
    data = whole[suffix]
    source = open_frames(written(tmp_path / f"a.{suffix}", data[: int(share * len(data))]))
    numbers = {index: frame_number(frame) for index, frame in source.iter_frames()}
    assert 5 <= len(numbers) < COUNT
    # A damaged last frame may show an earlier number.
    assert list(numbers.values())[:-2] == pytest.approx(source.times_s[list(numbers)[:-2]] * FPS, abs=0.9)
    percent = round(100 * source.duration * FPS / COUNT)
    assert any(
        text.startswith("truncated: ") and abs(int(text.split()[1]) - percent) <= 6 for text in source.warnings
    ), source.warnings


@pytest.mark.parametrize("lost", [100, 1500, 20_000])
@pytest.mark.parametrize("suffix", SAYS_HOW_LONG)
def test_not_even_the_last_frames_are_lost_in_silence(
    suffix: str, lost: int, whole: dict[str, bytes], tmp_path: Path
) -> None:
    source = open_frames(written(tmp_path / f"a.{suffix}", whole[suffix][:-lost]))
    assert source.num_frames < COUNT or lost < 2000  # of some formats, only the index is lost
    assert source.warnings[0].startswith("truncated: ")
    assert "100 %" not in source.warnings[0]


@pytest.mark.parametrize("suffix", ["ts", "m2ts", "vob", "mpg"])
@pytest.mark.parametrize("share", [0.403, 0.777])
def test_a_cut_stream_without_a_duration_says_that_it_ends_within_a_packet(
    suffix: str, share: float, whole: dict[str, bytes], tmp_path: Path
) -> None:
    data = whole[suffix]
    source = open_frames(written(tmp_path / f"a.{suffix}", data[: int(share * len(data)) | 1]))
    assert 5 <= source.num_frames < COUNT
    assert "the file ends within a packet" in source.warnings[0]


@pytest.mark.parametrize("suffix", ["ts", "m2ts", "vob", "mpg", "mkv", "webm"])
@pytest.mark.usefixtures("_decoder")
def test_joined_recordings_are_read_in_the_order_of_the_stream(
    suffix: str, whole: dict[str, bytes], tmp_path: Path
) -> None:
    times = 2 if suffix in ("mkv", "webm") else 3  # of Matroska files, FFmpeg reads no third
    source = open_frames(written(tmp_path / f"a.{suffix}", times * whole[suffix]))
    numbers = [frame_number(frame) for _, frame in source.iter_frames()]
    assert numbers == pytest.approx(times * list(range(COUNT)), abs=0.9)
    assert np.diff(source.times_s) == pytest.approx(1 / FPS, abs=2e-3)
    assert source.duration == pytest.approx(times * COUNT / FPS, abs=0.01)
    assert source.fps == pytest.approx(FPS, rel=0.01)
    (warning,) = source.warnings
    assert warning.startswith(f"timestamps step back {times - 1} time")
    assert "joined recordings: the parts are put one after another" in warning


@pytest.mark.parametrize("suffix", ["mp4", "flv", "wmv"])
def test_a_second_recording_that_the_format_hides_is_mentioned(
    suffix: str, whole: dict[str, bytes], tmp_path: Path
) -> None:
    source = open_frames(written(tmp_path / f"a.{suffix}", 2 * whole[suffix]))
    assert source.num_frames == COUNT
    (warning,) = source.warnings
    assert "of the file are not part of the video" in warning


STEPS = [33 * n for n in range(20)]
CLOCKS: dict[str, tuple[list[int], str]] = {
    "a stray ahead": ([*STEPS[:10], 20_000, *STEPS[11:]], "far from the neighbours'"),
    "a stray behind": ([*(9000 + step for step in STEPS[:10]), 0, *(9000 + step for step in STEPS[11:])], "far from"),
    "set ahead by years": ([*STEPS[:10], *(2**40 + step for step in STEPS[10:])], "jump by more than a day"),
    "the last one": ([*STEPS[:-1], 2**50], "jump by more than a day"),
    "all far from zero": ([2**40 + step for step in STEPS], ""),
}


@pytest.mark.parametrize("name", CLOCKS)
@pytest.mark.usefixtures("_decoder")
def test_timestamps_that_cannot_be_right_are_repaired_and_end_no_process(name: str, tmp_path: Path) -> None:
    times_ms, note = CLOCKS[name]
    source = open_frames(write_times(tmp_path / "a.mkv", times_ms))
    frames = dict(source.iter_frames())
    assert list(frames) == list(range(len(times_ms)))
    assert [frame_number(frame) for frame in frames.values()] == pytest.approx(list(range(20)), abs=0.9)
    assert source.duration == pytest.approx(20 * 0.033, abs=0.05)
    assert [note in warning for warning in source.warnings] == ([True] if note else [])
