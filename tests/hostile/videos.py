"""250 hostile videos: damaged and false ones of `tests.mutations`; recordings, playlists and pictures with traps."""

from __future__ import annotations

import os
import shutil
import struct
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from dfer.video import open_frames
from tests.hostile.cases import Case
from tests.hostile.material import Material
from tests.mutations import Frames, encode, mutate

Maker = Callable[[Path], object]
_COUNT = 250
_PLAYLIST = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{target}\n"
_PLAYLISTS = {
    "self.m3u8": _PLAYLIST.format(target="self.m3u8"),
    "endless.m3u8": _PLAYLIST.format(target="file:/dev/zero"),
    "local.m3u8": _PLAYLIST.format(target="/etc/passwd") + "#EXT-X-ENDLIST\n",
    "web.m3u8": _PLAYLIST.format(target="http://127.0.0.1:9/a.ts"),
    "a.ffconcat": "ffconcat version 1.0\nfile a.ffconcat\n",
    "posing.mp4": "ffconcat version 1.0\nfile '/etc/passwd'\n",
    "a.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=video 9 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
    "a.mpd": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="dynamic"></MPD>',
    "a.edl": "# mpv EDL v0\na.edl\n",
    "a.avs": 'AviSource("a.avs")\n',
}


def hostile_videos(material: Material, folder: Path) -> Iterator[Case]:
    """Yield the cases; each video has a folder of its own."""
    frames = [frame for _, frame in open_frames(material.video).iter_frames(range(10))]
    traps = list(_traps(frames, material))
    yield from trapped_videos(material, folder)
    made = folder / "made"
    made.mkdir()
    mutations = mutate(made, frames, seed=0)
    kept = np.unique(np.linspace(0, len(mutations) - 1, _COUNT - len(traps)).round().astype(int))
    for number, place in enumerate(kept):
        mutation = mutations[place]
        yield _case(folder / f"video{number:03}", mutation.path.name, lambda path, m=mutation: os.link(m.path, path))


def trapped_videos(material: Material, folder: Path) -> Iterator[Case]:
    """Yield the cases that are no mutations."""
    frames = [frame for _, frame in open_frames(material.video).iter_frames(range(10))]
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(material.checkpoint, folder / "good.safetensors")
    for number, (name, make) in enumerate(_traps(frames, material)):
        yield _case(folder / f"trap{number:03}", name, make)


def _case(place: Path, name: str, make: Maker) -> Case:
    shared = ["--detector", "haar", "--json", "out.json"]
    checkpoint = "../good.safetensors"
    arguments = ["predict", name, "--checkpoint", checkpoint, *shared]
    return Case("videos", name, arguments, place, lambda folder: make(folder / name), earlier={"out.json": b"{}\n"})


def _traps(frames: Frames, material: Material) -> Iterator[tuple[str, Maker]]:
    for suffix, codec in (
        ("mts", "libx264"),
        ("mpg", "mpeg2video"),
        ("mkv", "libx264"),
        ("flv", "flv"),
        ("avi", "mpeg4"),
    ):
        yield f"joined.{suffix}", lambda path, c=codec: path.write_bytes(encode(path, frames, codec=c).read_bytes() * 2)
    for name, text in _PLAYLISTS.items():
        yield name, lambda path, t=text: path.write_text(t)
    for name, step in {"one-a-second": 1000, "six-a-minute": 10_000, "one-an-hour": 3_600_000, "years": 10**10}.items():
        times = [step * n for n in range(len(frames))]
        yield f"{name}.mkv", lambda path, t=times: encode(path, frames, times=t)
    for name, stray in {"stray": 10**12, "far": 2**40}.items():
        times = [40 * n for n in range(len(frames) - 1)]
        yield f"{name}.mkv", lambda path, t=[*times, stray]: encode(path, frames, times=t)
    pictures = [Image.fromarray(frame) for frame in frames[:4]]
    for suffix in ("gif", "webp", "png"):
        yield f"animated.{suffix}", lambda path: pictures[0].save(path, save_all=True, append_images=pictures[1:])
    for side in (20_000, 32_000, 2**31 - 1):
        yield f"png-{side}.png", lambda path, s=side: path.write_bytes(_png(s))
    jpeg = cv2.imencode(".jpg", frames[0])[1].tobytes()
    at = jpeg.index(b"\xff\xc0") + 5
    yield "huge.jpg", lambda path: path.write_bytes(jpeg[:at] + b"\xff\xdc\xff\xdc" + jpeg[at + 4 :])
    yield "cut.jpg", lambda path: path.write_bytes(jpeg[: len(jpeg) // 2])
    places: dict[str, Maker] = {
        "pipe.mp4": os.mkfifo,
        "device.mp4": lambda path: path.symlink_to("/dev/zero"),
        "empty-folder": Path.mkdir,
        "loop.mp4": lambda path: path.symlink_to(path),
        "sparse.mp4": lambda path: (path.touch(), os.truncate(path, 10**12)),
        "frames": lambda path: _folder(path, jpeg),
    }
    yield from places.items()
    for suffix in ("avi", "webm", "gif", "png", "ts"):
        yield f"really-an-mp4.{suffix}", lambda path: shutil.copy(material.video, path)


@cache
def _png(side: int) -> bytes:
    """Return a PNG whose header promises a picture of this side."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes(50_000_000), 1)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def _folder(path: Path, jpeg: bytes) -> None:
    path.mkdir()
    for number, data in enumerate((jpeg, b"", b"text", jpeg[:100], _png(30_000), jpeg)):
        (path / f"{number}.jpg").write_bytes(data)
    os.mkfifo(path / "6.jpg")
