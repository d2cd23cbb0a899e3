"""Open media files with PyAV: from the local disk only, in listed formats only, and within the limit on size."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av

from dfer.errors import VideoError
from dfer.runtime.reading import open_regular
from dfer.video.limits import MAX_PIXELS_VARIABLE, max_pixels, require_size, too_large

HINT = "check that the file plays in a video player, or convert it: ffmpeg -i INPUT output.mp4"
# FFmpeg's demuxers of recordings. The others include playlists and scripts, which open further files, devices,
# image sequences by pattern, subtitles, and text as pictures of text.
FORMATS = (
    "mov", "matroska", "avi", "mpegts", "mpeg", "mpegvideo", "flv", "live_flv", "asf", "asf_o", "ogg",  # containers
    "mxf", "gxf", "dv", "rm", "nut", "nsv", "wtv", "ty", "pva", "dhav", "amv", "ivf", "yuv4mpegpipe",
    "h264", "hevc", "vvc", "av1", "obu", "m4v", "h263", "vc1", "vc1test", "mjpeg",  # streams without a container
    "wav", "w64", "mp3", "flac", "aac", "aiff", "au",  # so that they are refused as sound
)  # fmt: skip
_SCRIPTS = {
    rb"#EXTM3U": "an HLS playlist",
    rb"ffconcat version": "an FFmpeg script",
    rb"v=0\s+o=": "a session description (SDP)",
    rb"(<\?xml.*?)?(<!--.*?-->\s*)*<MPD[\s>]": "a DASH manifest",
    rb"(<\?xml.*?)?<(SmoothStreamingMedia|smil|asx|playlist|wpl)[\s>]|<\?wpl": "a playlist",
    rb"\[(playlist|reference)\]": "a playlist",
}
_SCRIPT_SUFFIXES = {
    ".m3u8": "an HLS playlist", ".m3u": "a playlist", ".ffconcat": "an FFmpeg script", ".sdp": "a session description",
    ".mpd": "a DASH manifest", ".ism": "a playlist", ".ismc": "a playlist", ".pls": "a playlist", ".asx": "a playlist",
    ".xspf": "a playlist", ".smil": "a playlist", ".wpl": "a playlist",
}  # fmt: skip
_SNIFFED = 4096
_ATTACHED_PICTURE = 0x0400  # AV_DISPOSITION_ATTACHED_PIC: an album cover, not a video

av.logging.set_level(av.logging.PANIC)


def open_container(path: Path) -> Any:
    """Open a media file with PyAV.

    Raises:
        VideoError: it is a playlist or script, or of no listed format.
        av.FFmpegError: it cannot be read.
    """
    refuse_script(path)
    options = {
        "protocol_whitelist": "file",
        "format_whitelist": ",".join(FORMATS),
        "max_pixels": str(max_pixels()),  # also while FFmpeg decodes frames to find a stream's properties
    }
    try:
        # The absolute path: FFmpeg would take the "a:" of "a:b.mp4" for a protocol.
        return av.open(str(path.absolute()), metadata_errors="replace", options=options)
    except av.FFmpegError as error:
        if "whitelist" in str(error.log):
            raise VideoError(
                "cannot read the video: not a video format that dfer reads", where=path, hint=HINT
            ) from error
        raise


def refuse_script(path: Path) -> None:
    """Refuse what names other files or streams to play, by its content or else its suffix.

    Raises:
        VideoError: it is such a file.
        OSError: it cannot be read.
    """
    with open_regular(path) as file:
        start = file.read(_SNIFFED)
    start = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    found = (kind for form, kind in _SCRIPTS.items() if re.match(form, start, re.IGNORECASE | re.DOTALL))
    kind = next(found, None if b"\0" in start else _SCRIPT_SUFFIXES.get(path.suffix.lower()))
    if kind is not None:
        raise VideoError(
            f"cannot read the video: {kind}, not a recording",
            where=path,
            hint="give the recording itself; files that a playlist names are not opened",
        )


def find_video_stream(container: Any, path: Path) -> Any:
    """Return the video stream of a container.

    Raises:
        VideoError: there is none, no decoder for it, or its frames are larger than the limit.
    """
    stream = container.streams.best("video")
    if stream is None or stream.disposition.value & _ATTACHED_PICTURE:
        kind = "audio only" if container.streams.audio else "not a video"
        raise VideoError(f"no video stream: {kind}", where=path, hint="give a video, a frame folder or an image")
    if stream.codec_context is None:
        raise VideoError("no decoder for this video codec", where=path, hint=HINT)
    require_size(stream.codec_context.width, stream.codec_context.height, path)
    stream.codec_context.options = {"max_pixels": str(max_pixels())}
    return stream


def iter_decoded(container: Any, stream: Any, num_threads: int) -> Iterator[Any]:
    """Yield all decodable frames in display order; damaged packets are skipped, a broken container ends the video.

    The `pts` of each frame is the number of its packet in the stream, counted from 0: unlike timestamps, these
    numbers are always there and always distinct.
    """
    stream.codec_context.thread_count = num_threads
    packets = container.demux(stream)
    number = 0
    while True:
        try:
            packet = next(packets)
        except (StopIteration, av.FFmpegError):
            return
        if packet.size:
            packet.pts = packet.dts = number
            number += 1
        try:
            frames = packet.decode()
        except av.FFmpegError:
            continue
        yield from frames


def decode_first(path: Path) -> Any:
    """Decode the first frame of a video.

    Raises:
        VideoError: no frame can be decoded, or it is larger than the limit.
    """
    with open_container(path) as container:
        stream = find_video_stream(container, path)
        for packet in container.demux(stream):
            try:
                frames = packet.decode()
            except av.FFmpegError as error:
                # The header may promise less than the frames ask for.
                if found := re.search(r"Picture size (\d+x\d+)", str(error.log)):
                    raise too_large(f"{found[1]} pixels", path) from error
                continue
            if frames:
                return frames[0]
    raise no_frame(path)


def no_frame(path: Path) -> VideoError:
    """Return the error for a video of which nothing can be decoded; FFmpeg does not always say why."""
    limit = f"frames above {max_pixels():,} pixels are not decoded (${MAX_PIXELS_VARIABLE})"
    return VideoError("no frame of the video can be decoded", where=path, hint=f"{HINT}; {limit}")


def describe_error(error: BaseException) -> str:
    """Return the useful part of an FFmpeg or decord error; decord prefixes it with source lines and a failed check."""
    text = str(getattr(error, "strerror", None) or error or type(error).__name__).strip()
    line = text.splitlines()[0] if text else type(error).__name__
    line = re.sub(r"^((\[[\d:]+\] )?\S+:\d+: )+(\[.*?\])?(Check failed: .* vs\. \S+\) )?", "", line)
    return line.split(". ")[0].rstrip(".")[:120]
