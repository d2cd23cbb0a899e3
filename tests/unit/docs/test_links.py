"""Every relative link in the documentation leads to a file, and to a heading where it names one."""

from __future__ import annotations

import pkgutil
import re
from pathlib import Path

import pytest

from tests.unit.docs.pages import CHECKOUT, PAGES, page_name, prose

LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_relative_links_lead_somewhere(page: Path) -> None:
    broken = []
    for link in LINK.findall(prose(page)):
        if link.startswith(("https://", "http://", "mailto:")):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.is_file() or (anchor and anchor not in _anchors(target)):
            broken.append(link)
    assert not broken


@pytest.mark.parametrize("page", [page for page in PAGES if page.parent != CHECKOUT], ids=page_name)
def test_every_page_is_in_the_navigation(page: Path) -> None:
    name = page.relative_to(CHECKOUT / "docs").as_posix()
    assert f": {name}\n" in (CHECKOUT / "mkdocs.yml").read_text(encoding="utf-8")


def _anchors(page: Path) -> set[str]:
    """The anchors that Markdown gives the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"\s+", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower()) for heading in headings}


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "CHANGELOG.md"], ids=page_name)
def test_source_files_and_modules_exist(page: Path) -> None:
    text = prose(page)
    files = re.findall(r"`((?:dfer|docs|recipes|tests)/[a-z0-9_/.]+)`", text)
    missing = [file for file in files if not (CHECKOUT / file).exists()]
    missing += [name for name in re.findall(r"`(dfer(?:\.\w+)+)`", text) if not _is_importable(name)]
    assert not missing


def _is_importable(name: str) -> bool:
    """Whether a dotted name is a module, or an attribute of one."""
    try:
        pkgutil.resolve_name(name)
    except (ImportError, AttributeError):
        return False
    return True
