"""Opening files: playlists and scripts are refused, whatever they are called, and frames above the limit too."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from dfer.errors import VideoError
from dfer.video import open_frames
from tests.unit.video.videos import make_frames, write_video

SCRIPTS = {
    "hls": b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nclip.mp4\n#EXTINF:1,\na.m3u8\n",
    "hls after a byte order mark": b"\xef\xbb\xbf\n#EXTM3U\n#EXTINF:1,\nclip.mp4\n",
    "ffconcat": b"ffconcat version 1.0\nfile 'clip.mp4'\n",
    "sdp": b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
    "dash": b'<?xml version="1.0"?>\n<!-- made by hand -->\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period/></MPD>',
    "smooth streaming": b'<?xml version="1.0"?>\n<SmoothStreamingMedia MajorVersion="2"/>',
    "pls": b"[playlist]\nFile1=clip.mp4\n",
}


@pytest.mark.parametrize("name", ["a.mp4", "a.m3u8", "a.ts", "a.jpg", "a"])
@pytest.mark.parametrize("kind", SCRIPTS)
def test_what_names_other_files_is_refused_by_its_content(kind: str, name: str, tmp_path: Path) -> None:
    write_video(tmp_path / "clip.mp4", make_frames(3))
    (tmp_path / name).write_bytes(SCRIPTS[kind])
    with pytest.raises(VideoError, match=r"cannot read the video: an? .*, not a recording"):
        open_frames(tmp_path / name)


@pytest.mark.parametrize("name", ["a.m3u", "a.M3U8", "a.pls", "a.ffconcat", "a.sdp", "a.mpd", "a.xspf", "a.asx"])
def test_a_script_without_its_mark_is_refused_by_its_suffix(name: str, tmp_path: Path) -> None:
    write_video(tmp_path / "clip.mp4", make_frames(3))
    (tmp_path / name).write_bytes(b"file clip.mp4\n")
    with pytest.raises(VideoError, match="not a recording"):
        open_frames(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.srt", b"1\n00:00:01,000 --> 00:00:02,000\nhello\n"),
        ("a.ppm%03d", b"hello" * 1000),
        ("a.lrc", b"[00:01.00]hello\n"),
        ("a.imf", b"<?xml version='1.0'?><AssetMap/>"),
    ],
)
def test_other_formats_are_no_recordings(name: str, data: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(VideoError, match="cannot read the video"):
        open_frames(tmp_path / name)


@pytest.mark.parametrize("side", [11_000, 20_000, 65_500])
def test_a_video_above_the_limit_is_refused_before_memory_is_taken(side: int, tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.avi", make_frames(3), codec="mjpeg", pix_fmt="yuvj420p")
    header = b"\xff\xc0\x00\x11\x08"
    small, large = (header + struct.pack(">HH", *size) for size in ((96, 128), (side, side)))
    path.write_bytes(path.read_bytes().replace(small, large))
    with pytest.raises(VideoError, match=f"too large: a frame of {side}x{side} pixels|no frame of the video") as caught:
        open_frames(path)
    assert "DFER_MAX_PIXELS" in str(caught.value.hint)


@pytest.mark.parametrize("codec", ["mpeg4", "libx264", "ffv1"])
def test_the_limit_holds_for_each_codec(codec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(tmp_path / "a.mkv", make_frames(3), codec=codec)
    assert open_frames(path).num_frames == 3
    monkeypatch.setenv("DFER_MAX_PIXELS", "10000")
    with pytest.raises(VideoError, match="too large: a frame of 128x96 pixels, the limit is 10,000 pixels"):
        open_frames(path)
