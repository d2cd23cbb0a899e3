"""Decoding: two decoders, one answer; real timestamps; rotation; bad input. And writing."""

from __future__ import annotations

import logging
import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

import dfer.video.source as video
from dfer.errors import DferError, UsageError, VideoError
from dfer.video import FrameSource, VideoWriter, open_frames
from dfer.video.decoders import _timeline

FPS = 30
COUNT = 40


def make_frames(count: int = COUNT, height: int = 96, width: int = 128) -> list[NDArray[np.uint8]]:
    """Frames that differ from each other and from their own rotations; the top left corner tells the number."""
    y, x = np.mgrid[:height, :width]
    base = np.stack([x * 255 / width, y * 255 / height, np.full_like(x, 60)], axis=2)
    frames = []
    for n in range(count):
        frame = base.copy()
        frame[: height // 4, : width // 4] = n * 6
        frames.append(frame.astype(np.uint8))
    return frames


def write_video(
    path: Path,
    frames: list[NDArray[np.uint8]],
    *,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    options: dict[str, str] | None = None,
    container: dict[str, str] | None = None,
) -> Path:
    with av.open(str(path), "w", options=container or {}) as output:
        stream = output.add_stream(codec, rate=FPS)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pix_fmt
        stream.options = options or {}
        for frame in frames:
            output.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        output.mux(stream.encode(None))
    return path


def write_audio(path: Path) -> Path:
    with av.open(str(path), "w") as output:
        stream = output.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def rotate_mp4(path: Path, clockwise: int) -> Path:
    """Overwrite the display matrix in the track's header."""
    data = bytearray(path.read_bytes())
    header = data.index(b"tkhd") + 4
    matrix = header + 4 + (32 if data[header] == 1 else 20) + 16
    a, b, c, d = {90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}[clockwise]
    one = 1 << 16
    struct.pack_into(">9i", data, matrix, a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


def read_all(source: FrameSource) -> tuple[list[int], NDArray[np.int16]]:
    pairs = list(source.iter_frames())
    return [index for index, _ in pairs], np.stack([frame for _, frame in pairs]).astype(np.int16)


def frame_number(frame: NDArray[np.integer]) -> float:
    height, width = frame.shape[:2]
    return float(frame[2 : height // 4 - 2, 2 : width // 4 - 2].mean()) / 6


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


@pytest.mark.parametrize("name", ["single_face.mp4", "no_face.mp4"])
def test_decoders_agree_on_real_clips(real_clips: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DFER_DECODER", "decord")
    indices, frames = read_all(open_frames(real_clips / name))
    monkeypatch.setenv("DFER_DECODER", "pyav")
    other_indices, others = read_all(open_frames(real_clips / name))

    assert indices == other_indices == list(range(len(frames)))
    assert np.abs(frames - others).max() <= 2


def _plain(folder: Path) -> Path:
    return write_video(folder / "clip.mp4", make_frames())


def _key_frames(folder: Path) -> Path:
    return write_video(folder / "clip.mp4", make_frames(), options={"g": "8", "bf": "2"})


def _rotated(clockwise: int) -> Callable[[Path], Path]:
    return lambda folder: rotate_mp4(_plain(folder), clockwise)


CRAFTED: dict[str, Callable[[Path], Path]] = {
    "mp4": _plain,
    "mp4 with many key frames": _key_frames,
    "mkv": lambda folder: write_video(folder / "clip.mkv", make_frames()),
    "webm": lambda folder: write_video(folder / "clip.webm", make_frames(), codec="libvpx"),
    "avi, MPEG-4 with B-frames": lambda folder: write_video(
        folder / "clip.avi", make_frames(), codec="mpeg4", options={"bf": "2", "qmax": "2"}
    ),
    "avi, H.264": lambda folder: write_video(folder / "clip.avi", make_frames()),
    "motion JPEG, full range": lambda folder: write_video(
        folder / "clip.avi", make_frames(), codec="mjpeg", pix_fmt="yuvj420p"
    ),
    "odd size": lambda folder: write_video(folder / "clip.mp4", make_frames(height=97, width=131), pix_fmt="yuv444p"),
    "one frame": lambda folder: write_video(folder / "clip.mp4", make_frames(1)),
    "colon in the name": lambda folder: write_video(folder / "a:b.mp4", make_frames()),
    "rotated 90": _rotated(90),
    "rotated 180": _rotated(180),
    "rotated 270": _rotated(270),
}


@pytest.mark.parametrize("make", CRAFTED.values(), ids=CRAFTED.keys())
def test_decoders_agree(
    make: Callable[[Path], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    path = make(tmp_path)
    monkeypatch.setenv("DFER_DECODER", "decord")
    source = open_frames(path)
    indices, frames = read_all(source)
    every_third = dict(source.iter_frames(range(0, source.num_frames, 3)))
    monkeypatch.setenv("DFER_DECODER", "pyav")
    other_indices, others = read_all(open_frames(path))

    assert indices == other_indices == list(range(source.num_frames))
    assert frames.shape[1:3] == source.size_hw
    assert np.abs(frames - others).max() <= 2
    assert list(every_third) == list(range(0, source.num_frames, 3))
    assert all(np.array_equal(frame, frames[index]) for index, frame in every_third.items())
    assert np.all(np.diff(source.times_s) > 0)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["mp4", "mp4 with many key frames", "mkv", "avi, MPEG-4 with B-frames", "avi, H.264"])
def test_frames_come_in_display_order(name: str, tmp_path: Path) -> None:
    source = open_frames(CRAFTED[name](tmp_path))

    assert source.num_frames == COUNT
    assert source.fps == FPS
    numbers = [frame_number(frame) for _, frame in source.iter_frames()]
    assert numbers == pytest.approx(list(range(COUNT)), abs=0.4)


@pytest.mark.parametrize("decoder", ["decord", "pyav"])
@pytest.mark.parametrize("clockwise", [90, 180, 270])
def test_rotation_is_applied(clockwise: int, decoder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DFER_DECODER", decoder)
    upright = read_all(open_frames(_plain(tmp_path)))[1]
    source = open_frames(rotate_mp4(tmp_path / "clip.mp4", clockwise))
    turned = read_all(source)[1]

    assert source.size_hw == ((128, 96) if clockwise != 180 else (96, 128))
    assert np.abs(turned - np.rot90(upright, -clockwise // 90, axes=(1, 2))).max() <= 2


def test_frames_can_be_asked_for(tmp_path: Path) -> None:
    source = open_frames(_plain(tmp_path))

    assert [index for index, _ in source.iter_frames([7, 3, 7, 30])] == [3, 7, 30]
    assert list(source.iter_frames([])) == []
    with pytest.raises(IndexError):
        list(source.iter_frames([COUNT]))
    with pytest.raises(IndexError):
        list(source.iter_frames([-1]))


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


@pytest.mark.parametrize(
    ("shown", "times", "usable"),
    [
        ([0, 30, 10, 20], [0.0, 1.0, 2.0, 3.0], True),
        ([-20, 0, 10], [0.0, 2.0, 3.0], True),
        ([5, 5, 25, 25, 25], [0.0, 1.0, 2.0, 2.5, 3.0], False),
        ([None, 10, 20], [0.0, 0.5, 1.0], False),
        ([7], [0.0], True),
    ],
    ids=["reordered", "negative", "shared", "missing", "one frame"],
)
def test_timeline(shown: list[int | None], times: list[float], usable: bool) -> None:
    pts, times_s = _timeline(shown, time_base=0.1, nominal_fps=2.0)

    assert times_s == pytest.approx(times)
    assert (pts is not None) == usable


class TestDamaged:
    """A damaged video is usable as far as it goes, and says so."""

    @staticmethod
    def noisy_frames() -> list[NDArray[np.uint8]]:
        """Frames that all take up their share of the file."""
        noise = np.random.default_rng(0).integers(0, 60, (COUNT, 96, 128, 3), np.uint8)
        frames = [np.maximum(frame, more) for frame, more in zip(make_frames(), noise, strict=True)]
        for n, frame in enumerate(frames):
            frame[:24, :32] = n * 6
        return frames

    def test_truncated_mp4(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        path = write_video(tmp_path / "clip.mp4", self.noisy_frames(), container={"movflags": "faststart"})
        path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])

        source = open_frames(path)
        numbers = {index: frame_number(frame) for index, frame in source.iter_frames()}

        assert 10 <= len(numbers) <= source.num_frames < COUNT
        assert list(numbers.values()) == pytest.approx(source.times_s[list(numbers)] * FPS, abs=0.4)
        assert "truncated" in source.warnings[0]
        assert str(path) in caplog.text

    def test_truncated_mkv(self, tmp_path: Path) -> None:
        path = write_video(tmp_path / "clip.mkv", self.noisy_frames(), options={"g": "10"})
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

        source = open_frames(path)
        numbers = {index: frame_number(frame) for index, frame in source.iter_frames()}

        assert 10 <= len(numbers) <= source.num_frames < COUNT
        assert list(numbers.values()) == pytest.approx(source.times_s[list(numbers)] * FPS, abs=0.4)

    def test_mp4_without_index(self, tmp_path: Path) -> None:
        path = write_video(tmp_path / "clip.mp4", make_frames())
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

        with pytest.raises(VideoError, match=r"clip\.mp4"):
            open_frames(path)

    @pytest.mark.parametrize("seed", range(6))
    def test_flipped_bytes(self, seed: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        path = write_video(
            tmp_path / "clip.mp4", make_frames(), container={"movflags": "faststart"}, options={"crf": "10", "g": "10"}
        )
        data = np.frombuffer(path.read_bytes(), np.uint8).copy()
        rng = np.random.default_rng(seed)
        body = bytes(data).index(b"mdat") + 2000
        data[rng.integers(body, len(data), 200)] = rng.integers(0, 256, 200)
        path.write_bytes(data.tobytes())

        source = open_frames(path)
        indices = [index for index, _ in source.iter_frames()]

        assert indices == sorted(set(indices))
        assert len(indices) >= 1
        assert (len(indices) == source.num_frames) != bool(source.warnings)
        assert capfd.readouterr() == ("", "")


def _write(name: str, data: bytes) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / name).write_bytes(data)
        return folder / name

    return make


def _folder(*names: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / "clip").mkdir()
        for name in names:
            (folder / "clip" / name).write_bytes(b"x")
        return folder / "clip"

    return make


def _tiny_image(folder: Path) -> Path:
    cv2.imwrite(str(folder / "a.png"), np.zeros((1, 1, 3), np.uint8))
    return folder / "a.png"


def _no_samples(folder: Path) -> Path:
    """An MP4 of which the frames were cut off to the last byte."""
    path = write_video(folder / "clip.mp4", make_frames(), container={"movflags": "faststart"})
    path.write_bytes(path.read_bytes()[: path.read_bytes().index(b"mdat") + 4])
    return path


BAD_INPUTS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "missing": (lambda folder: folder / "gone.mp4", "no such file"),
    "empty": (_write("a.mp4", b""), "empty"),
    "text as mp4": (_write("a.mp4", b"hello\n" * 100), "cannot read"),
    "text": (_write("notes.txt", b"hello\n" * 100), "not a video"),
    "playlist": (_write("a.m3u8", b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n"), "cannot read|no frame"),
    "zeros": (_write("a.avi", bytes(5000)), "cannot read"),
    "audio only": (lambda folder: write_audio(folder / "a.wav"), "audio only"),
    "zero frames": (_no_samples, "no frame|cannot read"),
    "empty folder": (_folder(), "no images"),
    "folder without images": (_folder("a.txt", "._0001.jpg", "Thumbs.db"), "no images"),
    "folder of broken images": (_folder("0001.jpg"), "cannot be read"),
    "broken image": (_write("a.jpg", b"\xff\xd8\xff\xe0 no"), "cannot be read"),
    "1x1 image": (_tiny_image, "too small"),
    "2x2 video": (
        lambda folder: write_video(folder / "a.mp4", make_frames(3, 2, 2), codec="mpeg4"),
        "too small",
    ),
}


@pytest.mark.parametrize(("make", "message"), BAD_INPUTS.values(), ids=BAD_INPUTS.keys())
def test_bad_input_is_one_clear_error(
    make: Callable[[Path], Path], message: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = make(tmp_path)
    capfd.readouterr()

    with pytest.raises(VideoError, match=message) as caught:
        open_frames(path)

    assert caught.value.where == str(path)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


class TestImages:
    def test_folder_is_read_in_natural_order(self, tmp_path: Path) -> None:
        frames = make_frames(12)
        for n, frame in enumerate(frames):
            cv2.imwrite(str(tmp_path / f"frame{n}.png"), frame[..., ::-1])
        (tmp_path / "._frame3.png").write_bytes(b"x")
        (tmp_path / "notes.txt").write_text("x")
        source = open_frames(tmp_path)

        assert (source.num_frames, source.fps, source.size_hw) == (12, 25.0, (96, 128))
        assert source.duration == pytest.approx(12 / 25)
        assert source.times_s[-1] == pytest.approx(11 / 25)
        assert np.array_equal(read_all(source)[1], np.stack(frames))
        assert [index for index, _ in source.iter_frames([10, 2])] == [2, 10]

    def test_broken_frame_is_left_out(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        for n, frame in enumerate(make_frames(4)):
            cv2.imwrite(str(tmp_path / f"{n:05d}.jpg"), frame)
        (tmp_path / "00001.jpg").write_bytes(b"x")
        source = open_frames(tmp_path)

        assert read_all(source)[0] == [0, 2, 3]
        assert source.warnings == ["only 3 of 4 frames could be decoded"]
        assert "only 3 of 4" in caplog.text

    def test_frames_take_the_first_ones_size(self, tmp_path: Path) -> None:
        cv2.imwrite(str(tmp_path / "1.png"), make_frames(1)[0])
        cv2.imwrite(str(tmp_path / "2.png"), make_frames(1, 60, 60)[0])

        assert read_all(open_frames(tmp_path))[1].shape == (2, 96, 128, 3)

    def test_image_is_a_video_of_one_frame(self, tmp_path: Path) -> None:
        frame = make_frames(1)[0]
        cv2.imwrite(str(tmp_path / "a.PNG"), frame[..., ::-1])
        source = open_frames(tmp_path / "a.PNG")

        assert (source.num_frames, source.duration) == (1, 0.04)
        assert np.array_equal(read_all(source)[1][0], frame)


class TestChoiceOfDecoder:
    def test_pyav_takes_over_where_decord_fails(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        # decord cannot read MPEG transport streams from their first frame.
        path = write_video(tmp_path / "clip.ts", make_frames())
        source = open_frames(path)

        for _ in range(2):  # it is tried, and told, once
            numbers = [frame_number(frame) for _, frame in source.iter_frames()]
            assert numbers == pytest.approx(list(range(COUNT)), abs=0.4)

        assert source.warnings == []
        (record,) = caplog.records
        assert record.levelno == logging.WARNING
        assert str(path) in record.getMessage()
        assert "decord" in record.getMessage()
        assert "\n" not in record.getMessage()

    def test_decord_s_error_is_told_without_its_source_lines(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        path = _plain(tmp_path)
        damaged = bytearray(path.read_bytes())
        middle = len(damaged) // 2
        damaged[middle : middle + 100] = bytes(100)
        path.write_bytes(damaged)
        read_all(open_frames(path))

        (told,) = [record.getMessage() for record in caplog.records if "PyAV" in record.getMessage()]
        assert ": decord cannot decode frame " in told
        assert ".cc" not in told
        assert "Check failed" not in told

    def test_pyav_takes_over_half_way(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = _plain(tmp_path)
        expected = read_all(open_frames(path))[1]
        real = video.decode_decord

        def failing(*args: object) -> object:
            decode = real(*args)  # type: ignore[arg-type]

            def broken(wanted: NDArray[np.int64]) -> object:
                for index, frame in decode(wanted):
                    if index >= 12:
                        raise VideoError("decord cannot decode frame 12", where=path)
                    yield index, frame

            return broken

        monkeypatch.setattr(video, "decode_decord", failing)
        indices, frames = read_all(open_frames(path))

        assert indices == list(range(COUNT))
        assert np.array_equal(frames, expected)

    @pytest.mark.parametrize("reason", ["not installed", "video too long for it"])
    def test_decord_is_not_asked(self, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = _plain(tmp_path)
        if reason == "not installed":
            monkeypatch.setattr(video, "decord_available", lambda: False)
        else:
            # decord reads ahead without bound: memory has to stay flat.
            monkeypatch.setattr(video, "DECORD_MAX_BYTES", COUNT * 96 * 128 * 3 - 1)

        def refuse(*_: object) -> None:
            raise AssertionError("decord was asked")

        monkeypatch.setattr(video, "decode_decord", refuse)
        assert len(read_all(open_frames(path))[0]) == COUNT

    def test_unknown_decoder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DFER_DECODER", "opencv")
        with pytest.raises(UsageError, match="DFER_DECODER"):
            open_frames(_plain(tmp_path))

    def test_forced_decord_fails_aloud(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DFER_DECODER", "decord")
        source = open_frames(write_video(tmp_path / "clip.ts", make_frames()))
        with pytest.raises(VideoError, match="decord"):
            read_all(source)


class TestWriter:
    def test_round_trip(self, tmp_path: Path) -> None:
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

    def test_odd_size_is_padded(self, tmp_path: Path) -> None:
        with VideoWriter(tmp_path / "out.mp4", fps=25, size_hw=(97, 131)) as writer:
            writer.write(make_frames(1, 97, 131)[0])
        assert open_frames(tmp_path / "out.mp4").size_hw == (98, 132)

    def test_mpeg4_where_x264_is_missing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(av, "codecs_available", {"mpeg4"})
        with VideoWriter(tmp_path / "out.mp4", fps=30, size_hw=(96, 128)) as writer:
            for n, frame in enumerate(make_frames(5)):
                writer.write(frame, n * float(Fraction(1, 30)))
        source = open_frames(tmp_path / "out.mp4")

        assert source.num_frames == 5
        assert source.times_s == pytest.approx(np.arange(5) / 30, abs=1e-4)

    def test_times_stay_in_order(self, tmp_path: Path) -> None:
        with VideoWriter(tmp_path / "out.mp4", fps=25, size_hw=(96, 128)) as writer:
            for frame, time_s in zip(make_frames(4), [0.0, 0.2, 0.2, 0.1], strict=True):
                writer.write(frame, time_s)
        assert np.all(np.diff(open_frames(tmp_path / "out.mp4").times_s) > 0)

    def test_failure_leaves_nothing(self, tmp_path: Path) -> None:
        (tmp_path / "out.mp4").write_text("old")
        writer = VideoWriter(tmp_path / "out.mp4", fps=25, size_hw=(96, 128)).__enter__()
        writer.write(make_frames(1)[0])
        writer.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)

        assert (tmp_path / "out.mp4").read_text() == "old"
        assert len(list(tmp_path.iterdir())) == 1

    @pytest.mark.parametrize("name", ["out.xyz", "out"])
    def test_unknown_container(self, name: str, tmp_path: Path) -> None:
        with pytest.raises(VideoError, match="cannot write a video"):
            VideoWriter(tmp_path / name, fps=25, size_hw=(96, 128)).__enter__()
        assert list(tmp_path.iterdir()) == []

    def test_no_frame(self, tmp_path: Path) -> None:
        with (
            pytest.raises(DferError, match="no frame"),
            VideoWriter(tmp_path / "out.mp4", fps=25, size_hw=(96, 128)),
        ):
            pass
        assert list(tmp_path.iterdir()) == []

    def test_wrong_shape(self, tmp_path: Path) -> None:
        with (
            pytest.raises(ValueError, match="expected a frame of shape"),
            VideoWriter(tmp_path / "out.mp4", fps=25, size_hw=(96, 128)) as writer,
        ):
            writer.write(make_frames(1, 60, 60)[0])
        assert list(tmp_path.iterdir()) == []

    def test_unwritable_folder(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("x")
        with pytest.raises(DferError, match="cannot write"):
            VideoWriter(tmp_path / "file" / "out.mp4", fps=25, size_hw=(96, 128)).__enter__()
