"""The report of `dfer demo`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from dfer.errors import DferError
from dfer.reports.demo import DRAWINGS_ONLY, contact_sheet, write_demo_report
from dfer.runtime.formatting import percent
from tests.results import (
    NOTICE,
    evaluated,
    even_windows,
    face_with,
    grey_frame,
    history,
    open_png,
    predicted,
)


def write_demo(out: Path, **changes: Any) -> Path:
    arguments: dict[str, Any] = {
        "evaluation": evaluated(folds=1),
        "prediction": predicted([face_with(even_windows(31))]),
        "contact_sheet": contact_sheet([grey_frame(64, 64)] * 4, ["happy", "", "sad", ""], 2),
        "metrics": history(5),
        "machine": "two <fast> cores",
        "timings": {"synth": 61.0, "train": 300.0},
        "notes": ["a note & more", NOTICE],
    }
    return write_demo_report(out, **(arguments | changes))


@pytest.fixture(scope="module")
def demo_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_demo(tmp_path_factory.mktemp("demo") / "report").parent


def test_demo_page_needs_nothing_else(demo_folder: Path) -> None:
    page = (demo_folder / "index.html").read_text(encoding="utf-8")
    sources = re.findall(r'(?:src|srcset|href)="([^"]*)"', page)
    assert len(sources) == 7
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert "http:" not in page
    assert "https:" not in page
    assert "url(" not in page
    assert "prefers-color-scheme: dark" in page


def test_demo_page_says_what_matters(demo_folder: Path) -> None:
    war = evaluated(folds=1).mean_war
    page = (demo_folder / "index.html").read_text(encoding="utf-8")
    readme = (demo_folder / "README.md").read_text(encoding="utf-8")
    for text in (page, readme):
        assert DRAWINGS_ONLY in text
        assert text.count(NOTICE) == 1
        assert f"{percent(war)} %" in text
        assert "5 min 00 s" in text
    assert "two &lt;fast&gt; cores" in page
    assert "a note &amp; more" in page


def test_demo_readme_shows_figures_that_are_there(demo_folder: Path) -> None:
    shown = re.findall(r"!\[[^]]*\]\(([^)]*)\)", (demo_folder / "README.md").read_text(encoding="utf-8"))
    assert shown == ["faces.png", "confusion.png", "training.png", "timeline.png"]
    for name in shown:
        assert open_png(demo_folder / name).std() > 1


def test_demo_page_without_faces_sheet_or_metrics(tmp_path: Path) -> None:
    page = write_demo(tmp_path, prediction=predicted([]), contact_sheet=None, metrics=[], timings={})
    assert "no face was found" in page.read_text(encoding="utf-8")
    assert not (tmp_path / "faces.png").exists()


def test_demo_page_links_the_video_beside_it(tmp_path: Path) -> None:
    (tmp_path / "prediction.mp4").write_bytes(b"video")
    assert 'href="prediction.mp4"' in write_demo(tmp_path).read_text(encoding="utf-8")


def test_demo_page_into_a_file_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "report").write_text("in the way")
    with pytest.raises(DferError, match="cannot write"):
        write_demo(tmp_path / "report")
