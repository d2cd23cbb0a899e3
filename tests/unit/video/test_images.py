"""Animated images: all frames with their times; and images that are too large."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from dfer.errors import UsageError, VideoError
from dfer.video import open_frames
from tests.unit.video.videos import make_frames, read_all

LASTS_MS = [40, 80, 0, 200, 40]


def animate(path: Path, **options: object) -> Path:
    first, *others = [Image.fromarray(frame) for frame in make_frames(len(LASTS_MS))]
    form = "PNG" if path.suffix == ".mp4" else None
    first.save(path, form, save_all=True, append_images=others, duration=LASTS_MS, **options)
    return path


@pytest.mark.parametrize("name", ["a.webp", "a.png", "a.gif", "A.PNG", "really-png.mp4"])
def test_an_animation_is_all_its_frames_with_their_times(name: str, tmp_path: Path) -> None:
    options = {"lossless": True} if name.endswith("webp") else {}
    source = open_frames(animate(tmp_path / name, **options))
    assert source.times_s == pytest.approx([0, 0.04, 0.12, 0.22, 0.42])
    assert source.duration == pytest.approx(0.46)
    assert source.fps == pytest.approx(5 / 0.46)
    indices, frames = read_all(source)
    assert indices == list(range(5))
    assert np.abs(frames - np.stack(make_frames(5))).max() <= (40 if "gif" in name else 0)
    assert [index for index, _ in source.iter_frames([3, 1])] == [1, 3]
    assert not source.fps_assumed


def test_a_still_before_the_animation_is_not_part_of_it(tmp_path: Path) -> None:
    source = open_frames(animate(tmp_path / "a.png", default_image=True))
    assert source.num_frames == len(LASTS_MS) - 1


def test_a_cut_animation_says_what_share_could_be_read(tmp_path: Path) -> None:
    path = animate(tmp_path / "a.gif")
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 3 // 5])
    source = open_frames(path)
    assert 1 <= source.num_frames < 5
    assert "truncated or damaged: contains" in source.warnings[0]


def test_the_rate_of_a_folder_is_assumed_unless_it_is_given(tmp_path: Path) -> None:
    for number, frame in enumerate(make_frames(4)):
        cv2.imwrite(str(tmp_path / f"{number}.png"), frame)
    assumed, given = open_frames(tmp_path), open_frames(tmp_path, fps=5)
    assert (assumed.fps, assumed.fps_assumed) == (25, True)
    assert (given.fps, given.fps_assumed, given.duration) == (5, False, 0.8)
    assert given.times_s == pytest.approx([0, 0.2, 0.4, 0.6])
    assert not open_frames(tmp_path / "0.png").fps_assumed


# ---- size limits


def huge_png(path: Path) -> Path:
    """A PNG of 32000 x 32000 black pixels in a few hundred kilobytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 32_000, 32_000, 8, 0, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    return path


def huge_of(path: Path) -> Path:
    """An image whose header asks for more than the limit."""
    if path.suffix == ".pgm":
        path.write_bytes(b"P5 60000 60000 255\n" + bytes(100))
    elif path.suffix == ".bmp":
        path.write_bytes(
            b"BM" + struct.pack("<IHHIIiiHHIIiiII", 154, 0, 0, 54, 40, 30000, 30000, 1, 24, 0, 0, 0, 0, 0, 0)
        )
    elif path.suffix in (".tif", ".webp", ".jpg", ".gif"):
        Image.new("L", (12_000, 30) if path.suffix == ".webp" else (30_000, 20)).save(path)
    else:
        huge_png(path)
    return path


@pytest.mark.parametrize("name", ["a.png", "a.pgm", "a.bmp", "a.tif", "a.webp", "a.jpg", "a.gif", "png.mp4"])
def test_an_image_above_the_limit_is_refused_by_its_header(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if Path(name).suffix in (".tif", ".webp", ".jpg", ".gif"):
        monkeypatch.setenv("DFER_MAX_PIXELS", "300_000")
    with pytest.raises(VideoError, match=r"too large: a frame of \d+x\d+ pixels, the limit is") as caught:
        open_frames(huge_of(tmp_path / name))
    assert "DFER_MAX_PIXELS" in str(caught.value.hint)


def test_a_folder_leaves_out_what_is_too_large(tmp_path: Path) -> None:
    huge_png(tmp_path / "0.png")
    with pytest.raises(VideoError, match="too large"):
        open_frames(tmp_path)
    cv2.imwrite(str(tmp_path / "1.png"), make_frames(1)[0])
    source = open_frames(tmp_path)
    assert read_all(source)[0] == [1]
    assert source.warnings == ["only 1 of 2 frames could be decoded"]


@pytest.mark.parametrize("text", ["many", "-5", "0", "1e6", "99999999999999"])
def test_a_limit_that_is_none(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DFER_MAX_PIXELS", text)
    with pytest.raises(UsageError, match="DFER_MAX_PIXELS is"):
        open_frames(huge_png(tmp_path / "a.png"))
