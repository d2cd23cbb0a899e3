"""How figures are saved, and whether text on the emotions' colours can be read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from dfer.drawing.confusion import draw_confusion
from dfer.drawing.style import emotion_color, ink_on, save_figure
from dfer.errors import DferError, UsageError
from dfer.labels import EMOTION_COLORS


def simple_figure() -> Figure:
    return draw_confusion([[3, 1], [0, 2]], ["happy", "sad"], title="a title")


@pytest.mark.parametrize(("suffix", "begin"), [(".png", b"\x89PNG"), (".pdf", b"%PDF"), (".svg", b"<?xml")])
def test_suffix_chooses_the_format_and_the_file_is_reproducible(tmp_path: Path, suffix: str, begin: bytes) -> None:
    paths = [tmp_path / f"{name}{suffix}" for name in ("a", "b")]
    for path in paths:
        save_figure(simple_figure(), path)
    assert paths[0].read_bytes().startswith(begin)
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_unknown_suffix_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"unknown figure format '\.gif'"):
        save_figure(simple_figure(), tmp_path / "figure.gif")
    assert list(tmp_path.iterdir()) == []


def test_failed_write_is_one_error_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DferError, match="cannot write"):
        save_figure(simple_figure(), tmp_path / "file" / "figure.png")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_failed_drawing_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "figure.png"
    path.write_bytes(b"old")

    def full_disk(_figure: Any, target: Path, **_: Any) -> None:
        target.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", full_disk)
    with pytest.raises(DferError, match="no space left"):
        save_figure(simple_figure(), path)
    assert path.read_bytes() == b"old"
    assert [found.name for found in tmp_path.iterdir()] == ["figure.png"]


def test_figures_leave_pyplot_alone(tmp_path: Path) -> None:
    import matplotlib.pyplot as plt

    before = plt.get_fignums(), dict(plt.rcParams)
    save_figure(simple_figure(), tmp_path / "a.svg")
    assert (plt.get_fignums(), dict(plt.rcParams)) == before


def test_text_on_every_emotion_color_can_be_read() -> None:
    def luminance(color: str) -> float:
        linear = [
            (c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4) for c in bytes.fromhex(color[1:])
        ]
        return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))

    for label in EMOTION_COLORS:
        bright, dark = sorted([luminance(emotion_color(label)), luminance(ink_on(emotion_color(label)))])[::-1]
        assert (bright + 0.05) / (dark + 0.05) >= 3, label  # WCAG's limit for bold text
