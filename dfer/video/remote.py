"""Recordings behind a URL, fetched into a local file: downloads, and streams that are recorded.

Only a URL that the user typed leads here, only over the protocols that are listed, and what came is read as any local
file: a playlist or script in it is refused, or reaches no further than the network.
"""

from __future__ import annotations

import base64
import http.client
import ssl
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib import request
from urllib.error import HTTPError, URLError
from urllib.parse import SplitResult, unquote, urlsplit

import av

from dfer.errors import UsageError, VideoError, os_reason
from dfer.runtime.formatting import percent
from dfer.version import __version__
from dfer.video.containers import FORMATS, describe_error, find_video_stream
from dfer.video.limits import max_pixels
from dfer.video.spool import Meter, save

DOWNLOADED, STREAMED = ("http", "https"), ("rtsp", "rtsps", "rtmp", "rtmps")
TIMEOUT_S = 30.0  # without a byte
_SCHEME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789+.-")
_BLOCK_BYTES = 1 << 18
_LEAD_S = 1  # by which decoding is said to come before showing
# What FFmpeg may open on behalf of a stream: no file, no pipe, no other process.
_PROTOCOLS = ("rtsp", "rtmp", "rtmps", "http", "https", "tcp", "tls", "udp", "rtp", "crypto", "httpproxy")
_STREAM_FORMATS = ("rtsp", "sdp", "rtp", "hls", "flv", "live_flv", "mpegts", "mov", "webvtt", *FORMATS)

Progress = Callable[[int, int | None], None]


def url_scheme(text: str) -> str | None:
    """Return the scheme of a URL in lower case, or None for a path; a drive's letter is no scheme."""
    scheme, separator, _ = text.partition("://")
    scheme = scheme.lower()
    return scheme if separator and len(scheme) > 1 and set(scheme) <= _SCHEME_CHARACTERS else None


def check_url(url: str) -> None:
    """Refuse a URL that cannot be fetched.

    Raises:
        UsageError: its protocol is not on the list, or it names no host.
    """
    known = (*DOWNLOADED, *STREAMED)
    if (scheme := url_scheme(url)) not in known:
        hint = "give the path of a local file by itself" if scheme == "file" else f"accepted: {', '.join(known)}"
        raise UsageError(f"the protocol {scheme} is not read", where=public_url(url), hint=hint)
    if not _split(url).hostname:
        raise UsageError("the URL names no host", where=public_url(url))


def public_url(url: str) -> str:
    """Return a URL without the user's name, password, query and fragment, which may be secret."""
    _, separator, rest = url.partition("://")
    place = rest.partition("?")[0].partition("#")[0]
    host, slash, path = place.partition("/")
    return f"{url_scheme(url) or ''}{separator}{host.rpartition('@')[2]}{slash}{path}"


def url_name(url: str) -> str:
    """Return the name of what a URL leads to: that of its file, or else its host."""
    parts = _split(url)
    return Path(unquote(parts.path)).name or parts.hostname or "stream"


def is_endless(url: str) -> bool:
    """Return whether a URL is that of a stream, which may have no end."""
    return url_scheme(url) in STREAMED


def fetch(url: str, path: Path, *, seconds: float | None = None, on_progress: Progress | None = None) -> None:
    """Fetch what a URL leads to into a file.

    Args:
        url: of `check_url`.
        path: the file.
        seconds: of a stream, how long to record it; None for until it ends.
        on_progress: called with the bytes so far, and those in all where they are known.

    Raises:
        VideoError: it cannot be reached, does not answer, ends early, or is too large.
        DferError: the file cannot be written.
    """
    if is_endless(url):
        record(url, path, seconds=seconds, on_progress=on_progress)
        return
    _download(url, path, on_progress)
    with path.open("rb") as file:
        is_playlist = file.read(16).lstrip(b"\xef\xbb\xbf").startswith(b"#EXTM3U")
    if is_playlist:
        record(url, path, seconds=seconds, on_progress=on_progress)


def _download(url: str, path: Path, on_progress: Progress | None) -> None:
    where = public_url(url)
    try:
        with closing(_opener().open(_request(url), timeout=TIMEOUT_S)) as response:
            length = response.headers.get("Content-Length", "")
            total = int(length) if length.isdecimal() else None
            done = save(_blocks(response), path, where=where, total=total, on_progress=on_progress)
    except HTTPError as error:
        hint = "check the address, and that it asks for no sign-in" if error.code < 500 else "try again later"
        raise VideoError(f"cannot download: {error.code} {error.reason}", where=where, hint=hint) from error
    except (http.client.HTTPException, ValueError) as error:
        raise VideoError(f"cannot download: {type(error).__name__}: {error}", where=where) from error
    except OSError as error:  # URLError is one
        raise VideoError(f"cannot download: {_reason(error)}", where=where, hint="check the address") from error
    if total is not None and done < total:
        share = percent(done / total, 0)
        raise VideoError(f"the download ended early: {share} % came", where=where, hint="run the command again")


def _reason(error: OSError) -> str:
    reason = error.reason if isinstance(error, URLError) else error
    if isinstance(reason, TimeoutError):
        return f"no answer within {TIMEOUT_S:.0f} s"
    if isinstance(reason, ssl.SSLCertVerificationError):
        return f"the certificate is not trusted: {reason.verify_message}"
    return os_reason(reason) if isinstance(reason, OSError) else str(reason)


def _blocks(response: Any) -> Iterator[bytes]:
    while block := response.read(_BLOCK_BYTES):
        yield block


class _Redirects(request.HTTPRedirectHandler):
    """Follows redirects to HTTP alone."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        """Return the next request, or refuse it."""
        if url_scheme(newurl) not in DOWNLOADED:
            raise URLError(f"it redirects to {public_url(newurl)!r:.200}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> request.OpenerDirector:
    """Return an opener that knows HTTP and nothing else, and the proxy of the environment."""
    opener = request.OpenerDirector()
    for handler in (
        request.ProxyHandler(),
        request.HTTPHandler(),
        request.HTTPSHandler(),
        request.HTTPDefaultErrorHandler(),
        request.HTTPErrorProcessor(),
        _Redirects(),
        request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener


def _request(url: str) -> request.Request:
    parts = _split(url)
    _, _, host = parts.netloc.rpartition("@")
    made = request.Request(
        parts._replace(netloc=host, fragment="").geturl(), headers={"User-Agent": f"dfer/{__version__}"}
    )
    if parts.username is not None:
        secret = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        # Not sent on to where a redirect leads.
        made.add_unredirected_header("Authorization", f"Basic {base64.b64encode(secret.encode()).decode()}")
    return made


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port  # which is checked when it is asked for
    except ValueError as error:
        raise UsageError(f"cannot read the URL: {error}", where=public_url(url)) from error
    return parts


def open_stream(url: str) -> Any:
    """Open a stream with PyAV: an allow-listed protocol, and no playlist that reaches a local file.

    Raises:
        av.FFmpegError: it cannot be reached, or does not answer.
    """
    options = {
        "protocol_whitelist": ",".join(_PROTOCOLS),
        "format_whitelist": ",".join(_STREAM_FORMATS),
        "max_pixels": str(max_pixels()),
    }
    if url_scheme(url) in ("rtsp", "rtsps"):
        options["rtsp_transport"] = "tcp"  # passes firewalls, and loses no packets
    return av.open(url, metadata_errors="replace", options=options, timeout=(TIMEOUT_S, TIMEOUT_S))


def record(url: str, path: Path, *, seconds: float | None, on_progress: Progress | None = None) -> None:
    """Record the video of a stream as it comes, without decoding it.

    Args:
        url: the stream.
        path: the file to write, as Matroska.
        seconds: how long; None for until the stream ends.
        on_progress: called with the bytes so far.

    Raises:
        VideoError: it cannot be reached, does not answer, or holds no video; or it is too large.
        DferError: the file cannot be written.
    """
    where = public_url(url)
    meter = Meter(where, on_progress)
    try:
        with open_stream(url) as source, av.open(str(path), "w", format="matroska") as target:
            stream = find_video_stream(source, Path(where))
            copy = target.add_stream_from_template(stream)
            first: int | None = None
            for packet in source.demux(stream):
                if not packet.size or (first is None and not packet.is_keyframe):
                    continue
                if first is None:  # the first packet of RTP may have no timestamp
                    packet.pts = first = packet.pts or 0
                    decoded = first - round(_LEAD_S / packet.time_base)
                if packet.pts is None:
                    continue
                if seconds is not None and float((packet.pts - first) * packet.time_base) >= seconds:
                    break
                meter.add(packet.size)
                # RTP does not say when B-frames are decoded; the container wants it to grow, and does not keep it.
                decoded = packet.dts if packet.dts is not None and packet.dts > decoded else decoded + 1
                packet.dts = min(decoded, packet.pts)
                packet.stream = copy
                target.mux(packet)
    except (av.FFmpegError, ValueError) as error:
        raise VideoError(f"cannot read the stream: {describe_error(error)}", where=where) from error
    if first is None:
        raise VideoError("the stream has no frame", where=where)
