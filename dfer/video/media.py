"""The make of a video file, and whether browsers play it as it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Suffix -> the codecs that Chrome, Edge, Firefox and Safari of the last years all play, or all but one of them. The
# suffix counts, because it is all that tells a browser the type of a file on the disk. Source: MDN, "Media container
# formats", "Web video codec guide" and "Web audio codec guide".
_MP4 = frozenset({"h264", "av1", "vp9"}), frozenset({"aac", "mp3", "opus", "flac"})
_WEBM = frozenset({"vp8", "vp9", "av1"}), frozenset({"opus", "vorbis"})
_PLAYED = {".mp4": ("mov", _MP4), ".m4v": ("mov", _MP4), ".webm": ("matroska", _WEBM)}
_PIXELS = frozenset({"yuv420p", "yuvj420p"})  # 8 bits: the only ones that all browsers decode for H.264


@dataclass(frozen=True)
class Media:
    """The make of a video file.

    Attributes:
        container: FFmpeg's name, such as "mov,mp4,m4a,3gp,3g2,mj2".
        codec: of the video, such as "h264".
        pixels: their format, such as "yuv420p"; "" if it is not known.
        sound: the codec of each sound track.
        start_s: when the first frame is shown, by the container's clock.
        opening_s: the container's first moment, which may be one of sound; players count from it.
    """

    container: str
    codec: str
    pixels: str
    sound: tuple[str, ...]
    start_s: float
    opening_s: float

    @property
    def offset_s(self) -> float:
        """The time at which a player that counts from the container's first moment shows the first frame, seconds."""
        return max(0.0, self.start_s - self.opening_s)

    @property
    def can_be_repacked(self) -> bool:
        """True if browsers play the pictures once they are in an MP4 file."""
        return self.codec == "h264" and self.pixels in _PIXELS

    def is_played(self, path: Path) -> bool:
        """Return whether browsers play the file as it is.

        Args:
            path: the file.
        """
        container, (codecs, sounds) = _PLAYED.get(path.suffix.lower(), ("", (frozenset[str](), frozenset[str]())))
        return (
            container == self.container.split(",")[0]
            and self.codec in codecs
            and self.pixels in _PIXELS
            and sounds.issuperset(self.sound)
        )


def describe_media(container: Any, stream: Any) -> Media:
    """Return the make of an open container; `start_s` is that of its header.

    Args:
        container: of PyAV.
        stream: its video.
    """
    opening = 0.0 if container.start_time is None else container.start_time / 1_000_000
    start = opening if stream.start_time is None else float(stream.start_time * stream.time_base)
    sounds = [sound.codec_context for sound in container.streams.audio]
    return Media(
        container=str(container.format.name),
        codec=str(stream.codec_context.codec.canonical_name),
        pixels=str(stream.codec_context.pix_fmt or ""),
        sound=tuple("unknown" if sound is None else str(sound.codec.canonical_name) for sound in sounds),
        start_s=start,
        opening_s=opening,
    )
