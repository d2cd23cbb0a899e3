"""A small RTSP server on this machine, which plays one video once, over the connection of its client."""

from __future__ import annotations

import io
import socketserver
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import av
from av.bitstream import BitStreamFilterContext

_RTCP = range(200, 205)  # packet types that FFmpeg writes between those of the video
_SDP = (
    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=test\r\nt=0 0\r\n"
    "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:video\r\n"
)


class _Packets(io.RawIOBase):
    """Collects what FFmpeg writes, a packet at a time."""

    def __init__(self) -> None:
        self.all: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, packet: Any) -> int:
        self.all.append(bytes(packet))
        return len(packet)


def rtp_packets(video: Path) -> list[bytes]:
    """The packets in which an H.264 video travels."""
    sink = _Packets()
    options = {"packetsize": "1200"}
    with av.open(str(video)) as source, av.open(sink, "w", format="rtp", container_options=options) as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        plain = BitStreamFilterContext("h264_mp4toannexb", source.streams.video[0], stream)
        for packet in source.demux(video=0):
            for part in plain.filter(packet) if packet.dts is not None else []:
                part.stream = stream
                target.mux(part)
    return [packet for packet in sink.all if packet[1] not in _RTCP]


class _Handler(socketserver.StreamRequestHandler):
    packets: list[bytes]
    pause_s: float

    def handle(self) -> None:
        while request := self._request():
            method, number = request
            extra, body = "", ""
            if method == "DESCRIBE":
                extra, body = "Content-Type: application/sdp\r\n", _SDP
            elif method == "SETUP":
                extra = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n"
            elif method == "OPTIONS":
                extra = "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n"
            head = f"RTSP/1.0 200 OK\r\nCSeq: {number}\r\nSession: 1\r\n{extra}Content-Length: {len(body)}\r\n\r\n"
            self.wfile.write(head.encode() + body.encode())
            if method == "PLAY":
                for packet in self.packets:
                    self.wfile.write(b"$\0" + len(packet).to_bytes(2, "big") + packet)
                    time.sleep(self.pause_s)
                return

    def _request(self) -> tuple[str, str] | None:
        first = self.rfile.readline().decode()
        headers = {}
        while line := self.rfile.readline().decode().strip():
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        return (first.split()[0], headers.get("cseq", "0")) if first.strip() else None


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, *_: Any) -> None:
        """Say nothing of clients that have gone."""


@contextmanager
def playing(video: Path, *, pause_s: float = 0.0) -> Iterator[str]:
    """Play a video in the block to each client, with a pause after each packet; yields the stream's URL."""
    handler = type("Handler", (_Handler,), {"packets": rtp_packets(video), "pause_s": pause_s})
    with _Server(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield f"rtsp://127.0.0.1:{server.server_address[1]}/stream"
        finally:
            server.shutdown()
            thread.join()
