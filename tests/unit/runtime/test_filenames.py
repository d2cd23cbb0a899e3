"""The order of frames and the leftovers among files, whatever the names look like."""

from __future__ import annotations

from pathlib import Path

import pytest

from dfer.runtime.filenames import composed, is_visible, sort_frames


@pytest.mark.parametrize(
    "ordered",
    [
        pytest.param(["frame2", "frame10", "frame100"], id="counters"),
        pytest.param(["0.0", "0.133333", "0.9", "1.0", "10.5"], id="times in seconds"),
        pytest.param(["3.3e-05", "0.033", "0.5"], id="a time as Python writes it"),
        pytest.param(["t_0.04_x", "t_0.5_x", "t_2.25_x"], id="times inside names"),
        pytest.param(["1.2", "1.9", "1.10"], id="counters with a point"),
        pytest.param(["img.001.000", "img.001.010", "img.002.000"], id="two counters of fixed length"),
        pytest.param(["007", "07", "7"], id="the same number"),
        pytest.param(["a2", "a10", "b1"], id="text first"),
        pytest.param(["\u2460", "\u2461", "1", "2"], id="circled digits"),
        pytest.param(["\u0661", "1"], id="arabic digits"),
        pytest.param(["a\u00bdb", "1"], id="a fraction"),
        pytest.param(["1", "9" * 240], id="a very long number"),
    ],
)
def test_frames_come_in_natural_order(ordered: list[str]) -> None:
    paths = [Path(f"{name}.png") for name in ordered]
    assert sort_frames(reversed(paths)) == sort_frames(paths) == paths


def test_names_in_both_forms_of_unicode_are_the_same() -> None:
    assert composed("cafe\u0301") == "caf\u00e9" == composed("caf\u00e9")
    assert composed("\udcff.mp4") == "\udcff.mp4"  # bytes that are not UTF-8 stay as they are


@pytest.mark.parametrize(
    "name", ["@eaDir", ".DS_Store", "._1.jpg", "__MACOSX", "Thumbs.db", "THUMBS.DB", ".AppleDouble"]
)
def test_leftovers_are_not_visible(name: str) -> None:
    assert not is_visible(name)


@pytest.mark.parametrize("name", ["_0.png", "happy", "@home", "thumbs", "crops"])
def test_other_names_are(name: str) -> None:
    assert is_visible(name)
