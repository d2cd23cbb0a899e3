"""Servers on this machine that give videos away, well and badly."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

SECRET = base64.b64encode(b"anna:pass word").decode()


class _Handler(BaseHTTPRequestHandler):
    """Gives the files of a folder; some names ask for something else."""

    folder: Path
    log: list[str]

    def do_GET(self) -> None:
        name = self.path.lstrip("/").partition("?")[0]
        self.log.append(f"{self.path} {self.headers.get('Authorization', '')}".strip())
        if name.startswith("to/"):  # a redirect to whatever follows
            self.send_response(302)
            self.send_header("Location", name.removeprefix("to/"))
            self.end_headers()
            return
        if name.startswith("secret/") and self.headers.get("Authorization") != f"Basic {SECRET}":
            self.send_error(401)
            return
        path = self.folder / Path(name).name
        if not path.is_file():
            self.send_error(404)
            return
        content = path.read_bytes()
        self.send_response(200)
        if not name.startswith("chunked/"):
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if name.startswith("half/") else content)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def serving(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Serve the files of a folder in the block; yields the server's address and the requests that came."""
    log: list[str] = []
    handler = type("Handler", (_Handler,), {"folder": folder, "log": log})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", log
        finally:
            server.shutdown()
            thread.join()
