"""The script that takes the picture of a report's page and measures how fast it opens, on small videos."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from dfer.synth.dataset import make_recording

pytestmark = pytest.mark.browser


def test_the_picture_shows_the_page(
    browser: Any, script: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = script["take_picture"].__globals__

    def draw(path: Path) -> None:
        make_recording(path, ["happy"], fold=1, num_clips=49, seed=1)

    monkeypatch.setitem(names, "draw_call", draw)
    monkeypatch.setitem(names, "NAMES", "0=Ada")
    monkeypatch.setitem(names, "MOMENT_S", 0.5)
    script["take_picture"](browser, tmp_path, tmp_path / "report.png")
    with Image.open(tmp_path / "report.png") as image:
        assert image.size == (1440, 724)
        colors = image.convert("RGB").getcolors(256)
    assert colors is not None, "at most 256 colours"
    assert len(colors) > 100


def test_the_speed_is_that_of_a_page_that_answers(
    browser: Any, script: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(script["measure"].__globals__, "RUNS", 1)
    table = script["measure"](browser, tmp_path, 30.0, 2)
    assert table.startswith("0.5 minutes, 2 faces, ")
    seconds = {name: float(value) for name, value in re.findall(r"^\| ([^|]+?) +\| +([\d.]+) s", table, re.MULTILINE)}
    assert list(seconds) == [
        "first paint",
        "load event",
        "a click on the plot is answered and painted",
        "then, pointing at the plot takes",
        "zooming in takes",
    ]
    assert seconds["load event"] <= seconds["a click on the plot is answered and painted"]
