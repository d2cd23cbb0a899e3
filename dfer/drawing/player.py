"""The page of one video: a player beside a timeline, or why there is no answer, as one HTML file that loads nothing."""

from __future__ import annotations

import base64
import gzip
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dfer.drawing.pages import page_template, template_text


@dataclass(frozen=True)
class Download:
    """A file that the page holds.

    Attributes:
        title: on its button.
        name: of the file.
        type: its media type.
        content: text; held compressed.
    """

    title: str
    name: str
    type: str
    content: str

    @property
    def packed(self) -> str:
        """The content, compressed, as base64."""
        packed = gzip.compress(self.content.encode(errors="backslashreplace"), mtime=0)
        return base64.b64encode(packed).decode()


@dataclass(frozen=True)
class PlayerPage:
    """The page of a video, or of an image.

    Attributes:
        key: of what it was made from; another key, another page.
        title: heading.
        lead: what the page is about.
        notes: what the reader must not miss.
        still: whether it is about an image.
        media: address of the video or image, relative to the page; "" for none.
        no_media: why there is none, or what to do if it cannot be shown.
        index: address of the index page.
        summary: the values that the index page reads, as JSON has them.
        data: the values that the script draws, as JSON has them; see `player_logic.js`.
        files: downloads.
        closing: small print at the end.
    """

    key: str
    title: str
    lead: str
    notes: Sequence[str]
    still: bool
    media: str
    no_media: str
    index: str
    summary: Mapping[str, Any]
    data: Mapping[str, Any]
    files: Sequence[Download]
    closing: str = ""


@dataclass(frozen=True)
class FailedPage:
    """The page of an input that has no answer.

    Attributes:
        title: heading.
        source: the input as it was named.
        error: why there is no answer.
        hint: advice on what to do, or "".
        index: address of the index page.
        summary: the values that the index page reads, as JSON has them.
        closing: small print at the end.
    """

    title: str
    source: str
    error: str
    hint: str
    index: str
    summary: Mapping[str, Any]
    closing: str = ""


def failed_page(page: FailedPage) -> str:
    """Return the page of an input without an answer as HTML."""
    return page_template("failed.html.j2").render(page=page)


def player_page(page: PlayerPage) -> str:
    """Return the page as HTML."""
    script = template_text("player_logic.js") + template_text("player.js")
    return page_template("player.html.j2").render(page=page, script=script, script_hash=script_hash(script))


def script_hash(script: str) -> str:
    """Return the hash by which a page's Content-Security-Policy allows its own script, and no other."""
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"
