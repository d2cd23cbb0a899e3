"""The pages of the documentation, and the code blocks in them."""

from __future__ import annotations

import re
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[3]
PAGES = sorted([*CHECKOUT.glob("*.md"), *(CHECKOUT / "docs").rglob("*.md")])
BLOCK = re.compile(r"^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)


def page_name(page: Path) -> str:
    """The name of a page in the tests' ids."""
    return page.relative_to(CHECKOUT).as_posix()


def code_blocks(page: Path, language: str) -> list[str]:
    """The code blocks of one language; "" for those without one."""
    blocks = BLOCK.finditer(page.read_text(encoding="utf-8"))
    return [block["text"] for block in blocks if block["language"] == language]


def prose(page: Path) -> str:
    """A page without its code blocks."""
    return BLOCK.sub("", page.read_text(encoding="utf-8"))
