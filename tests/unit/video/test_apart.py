"""Decoding in a process of its own: the same frames, and whatever ends or stops the process costs one video."""

from __future__ import annotations

import ctypes
import logging
import os
import resource
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from dfer.errors import VideoError
from dfer.runtime.shared import SharedMemory
from dfer.video import VideoWriter, apart, open_frames
from dfer.video.apart import DecodingProcess
from dfer.video.decoders import Frame
from dfer.video.source import FrameSource


def write_video(path: Path, *, num_frames: int = 60, size_hw: tuple[int, int] = (48, 64)) -> Path:
    rng = np.random.default_rng(0)
    with VideoWriter(path, fps=25, size_hw=size_hw) as writer:
        for _ in range(num_frames):
            writer.write(rng.integers(0, 256, (*size_hw, 3), dtype=np.uint8))
    return path


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("video") / "a.mp4")


@pytest.fixture(scope="module")
def decoder() -> Iterator[DecodingProcess]:
    with DecodingProcess() as process:
        yield process


def same_frames(found: FrameSource, expected: FrameSource, wanted: list[int] | None = None) -> None:
    one, two = list(found.iter_frames(wanted)), list(expected.iter_frames(wanted))
    assert [index for index, _ in one] == [index for index, _ in two]
    assert all(np.array_equal(first, second) for (_, first), (_, second) in zip(one, two, strict=True))


def same_facts(found: FrameSource, expected: FrameSource) -> None:
    for name in ("path", "fps", "duration", "size_hw", "warnings", "fps_assumed"):
        assert getattr(found, name) == getattr(expected, name)
    assert np.array_equal(found.times_s, expected.times_s)


@pytest.mark.parametrize("wanted", [None, [0], [59], [3, 4, 40], list(range(33))], ids=str)
def test_a_video_is_the_same(decoder: DecodingProcess, video: Path, wanted: list[int] | None) -> None:
    found, expected = decoder.open(video), open_frames(video)
    same_facts(found, expected)
    same_frames(found, expected, wanted)


def test_folders_and_stills_are_the_same(decoder: DecodingProcess, tmp_path: Path) -> None:
    for number, side in enumerate((64, 64, 40), start=1):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((side, side, 3), 40 * number, np.uint8))
    for path, fps in ((tmp_path, 10.0), (tmp_path, None), (tmp_path / "3.png", None)):
        found, expected = decoder.open(path, fps=fps), open_frames(path, fps=fps)
        same_facts(found, expected)
        same_frames(found, expected)


def test_frames_stay_as_they_are_while_others_are_decoded(decoder: DecodingProcess, video: Path) -> None:
    kept = [frame for _, frame in decoder.open(video).iter_frames()]
    assert all(np.array_equal(one, two) for one, (_, two) in zip(kept, open_frames(video).iter_frames(), strict=True))


def test_a_relative_path_starts_from_the_folder_of_now(
    decoder: DecodingProcess, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(video.parent)
    same_facts(decoder.open(Path(video.name)), open_frames(Path(video.name)))
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    same_facts(decoder.open(video), open_frames(video))


def test_a_pass_may_end_early(decoder: DecodingProcess, video: Path) -> None:
    source = decoder.open(video)
    for _ in source.iter_frames():
        break
    same_frames(source, open_frames(video))


def test_a_pass_that_another_one_has_ended_says_so(decoder: DecodingProcess, video: Path) -> None:
    source = decoder.open(video)
    first = source.iter_frames()
    next(first)
    next(source.iter_frames())
    with pytest.raises(RuntimeError, match="another video was opened"):
        next(first)


def test_errors_and_messages_are_those_of_this_process(
    decoder: DecodingProcess, video: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "bad.mp4").write_bytes(b"no video" * 100)
    for path in (tmp_path / "bad.mp4", tmp_path / "missing.mp4"):
        with pytest.raises(VideoError) as expected:
            open_frames(path)
        with pytest.raises(VideoError) as found:
            decoder.open(path)
        assert str(found.value) == str(expected.value)
        assert found.value.hint == expected.value.hint
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(write_video(tmp_path / "whole.mkv").read_bytes()[:40_000])
    with caplog.at_level(logging.WARNING, "dfer"):
        assert decoder.open(cut).warnings
    assert "truncated" in caplog.text


def test_without_shared_memory_frames_come_through_the_pipe(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SharedMemory, "create", classmethod(lambda _cls: None))
    with DecodingProcess() as process:
        same_frames(process.open(video), open_frames(video))


def test_without_room_for_it_too(video: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with DecodingProcess() as process:
            same_frames(process.open(video), open_frames(video))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


# ---- what goes wrong in the process, by the name of the video


def open_or_fail(path: Path, *, fps: float | None) -> FrameSource:
    """`open_frames` in place of a decoder with faults."""
    what = path.name.partition(".")[0]
    if what == "segfault":
        ctypes.string_at(0)
    elif what == "abort":
        os.abort()
    elif what == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    elif what == "hang":
        time.sleep(60)
    elif what == "memory":
        np.ones(3 * 10**9, np.uint8)
    elif what == "fault":
        raise KeyError("a bug")
    source = open_frames(path, fps=fps)
    return replace(source, decode=decode_until_it_crashes) if what == "later" else source


def decode_until_it_crashes(wanted: NDArray[np.int64]) -> Iterator[tuple[int, Frame]]:
    for index in wanted[:40].tolist():
        yield index, np.full((48, 64, 3), index, np.uint8)
    os.kill(os.getpid(), signal.SIGSEGV)


def start_with_faults(*arguments: object) -> None:
    apart.open_frames = open_or_fail  # type: ignore[assignment]
    _start(*arguments)


_start = apart._start
FAULTS = {
    "segfault": "the decoder crashed (SIGSEGV)",
    "abort": "the decoder crashed (SIGABRT)",
    "killed": "the decoder crashed (SIGKILL)",
    "hang": "took more than 2 s",
    "memory": "out of memory",
    "fault": "KeyError: 'a bug'",
}


@pytest.fixture(scope="module")
def faulty() -> Iterator[DecodingProcess]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(apart, "_start", start_with_faults)
        with DecodingProcess(timeout_s=2) as process:
            yield process


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_costs_one_video(faulty: DecodingProcess, video: Path, tmp_path: Path, fault: str) -> None:
    path = tmp_path / f"{fault}.mp4"
    path.write_bytes(video.read_bytes()[:2000])  # a long one has more time
    with pytest.raises(VideoError) as error:
        faulty.open(path)
    assert str(error.value) == f"cannot decode the video: {FAULTS[fault]} ({path})"
    same_frames(faulty.open(video), open_frames(video))


def test_a_crash_half_way_costs_one_video(faulty: DecodingProcess, video: Path, tmp_path: Path) -> None:
    path = tmp_path / "later.mp4"
    path.write_bytes(video.read_bytes())
    seen: list[int] = []
    with pytest.raises(VideoError, match=r"the decoder crashed \(SIGSEGV\) \(.*later\.mp4\)"):
        seen.extend(int(frame.max()) for _, frame in faulty.open(path).iter_frames())
    assert seen == list(range(32))  # those of the last batch that was finished
    same_frames(faulty.open(video), open_frames(video))
