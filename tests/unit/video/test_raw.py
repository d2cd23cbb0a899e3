"""Raw frames: their form, as a user gives it, and every pixel of them after the way through a container."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from dfer.errors import DferError, UsageError, VideoError
from dfer.video import open_frames
from dfer.video.raw import PIXEL_FORMATS, RawForm, parse_raw, wrap_frames


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("640x360@25", RawForm(640, 360, Fraction(25), "rgb24")),
        ("640x360@29.97:BGR24", RawForm(640, 360, Fraction(2997, 100), "bgr24")),
        ("64x36@30000/1001:nv12", RawForm(64, 36, Fraction(30000, 1001), "nv12")),
    ],
)
def test_forms(text: str, form: RawForm) -> None:
    assert parse_raw(text) == form


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("640x360", "cannot read"),
        ("640@25", "cannot read"),
        ("640x360@25:yuv999", "unknown pixel format"),
        ("640x360@0", "the rate must be"),
        ("640x360@25/0", "the rate must be"),
        ("0x360@25", "no pixels"),
        ("99999x99999@25", "too large"),
        ("-640x360@25", "cannot read"),
    ],
)
def test_forms_that_are_none(text: str, words: str) -> None:
    with pytest.raises(DferError, match=words) as caught:
        parse_raw(text)
    assert isinstance(caught.value, UsageError | VideoError)


@pytest.mark.parametrize("pixels", PIXEL_FORMATS)
@pytest.mark.parametrize(("width", "height"), [(64, 48), (66, 47)])
def test_every_format_is_read(tmp_path: Path, pixels: str, width: int, height: int) -> None:
    form = parse_raw(f"{width}x{height}@12.5:{pixels}")
    grey = np.full((5, form.num_bytes), 128, np.uint8)
    content = grey.tobytes() + b"half a frame"
    blocks = (content[start : start + 1000] for start in range(0, len(content), 1000))
    assert wrap_frames(blocks, form, tmp_path / "frames") == 5
    source = open_frames(tmp_path / "frames")
    assert (source.num_frames, source.fps, source.size_hw) == (5, 12.5, (height, width))
    assert source.times_s == pytest.approx(np.arange(5) / 12.5)
    assert (source.warnings, source.fps_assumed) == ([], False)
    assert all(np.abs(frame.astype(int) - 128).max() <= 4 for _, frame in source.iter_frames())


@pytest.mark.parametrize(
    ("pixels", "code"), [("rgb24", None), ("bgr24", cv2.COLOR_RGB2BGR), ("rgba", cv2.COLOR_RGB2RGBA)]
)
def test_colours_are_those_that_came(tmp_path: Path, pixels: str, code: int | None) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (3, 48, 64, 3), np.uint8)
    sent = rgb if code is None else np.stack([cv2.cvtColor(frame, code) for frame in rgb])
    wrap_frames([sent.tobytes()], parse_raw(f"64x48@25:{pixels}"), tmp_path / "frames")
    assert np.array_equal([frame for _, frame in open_frames(tmp_path / "frames").iter_frames()], rgb)


def test_less_than_a_frame_says_how_much_one_is(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="9,216 bytes of rgb24"):
        wrap_frames([b"few"], parse_raw("64x48@25"), tmp_path / "frames")


def test_no_more_is_kept_than_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dfer.video.spool.max_spool", lambda: 20_000)
    with pytest.raises(VideoError, match="more than"):
        wrap_frames([bytes(9216)] * 3, parse_raw("64x48@25"), tmp_path / "frames")
