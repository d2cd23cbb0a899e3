"""Reads what the pages of videos hold."""

from __future__ import annotations

import base64
import gzip
import html
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any


class _Elements(HTMLParser):
    """Collects the start tags of a page, and the text of its scripts."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self._in_script = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append((dict(attrs), ""))
            self._in_script = True

    def handle_endtag(self, tag: str) -> None:
        self._in_script = self._in_script and tag != "script"

    def handle_data(self, data: str) -> None:
        if self._in_script:
            attributes, text = self.scripts[-1]
            self.scripts[-1] = attributes, text + data


class ReadPage:
    """A page as a browser takes it apart."""

    def __init__(self, text: str) -> None:
        elements = _Elements()
        elements.feed(text)
        self.text, self.tags, self.scripts = text, elements.tags, elements.scripts

    @classmethod
    def at(cls, path: Path) -> ReadPage:
        return cls(path.read_text(encoding="utf-8"))

    def script(self, name: str) -> str:
        (text,) = (text for attributes, text in self.scripts if attributes.get("id") == name)
        return text

    @property
    def data(self) -> dict[str, Any]:
        """The values that the script draws."""
        value: dict[str, Any] = json.loads(self.script("data"))
        return value

    def download(self, number: int) -> tuple[str, str]:
        """The name and content of a file that the page holds."""
        (name,) = (a["data-name"] for a, _ in self.scripts if a.get("id") == f"file-{number}")
        return str(name), gzip.decompress(base64.b64decode(self.script(f"file-{number}"))).decode()

    def policy(self) -> str:
        found = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', self.text)
        assert found is not None
        return html.unescape(found[1])
