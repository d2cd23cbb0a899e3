"""Text broken into lines."""

from __future__ import annotations

from dfer.drawing.text import load_font, shorten_text, wrap_text


def test_wrapped_text_loses_nothing_and_fits() -> None:
    font = load_font(12)
    text = "trained on drawings only " + "x" * 80 + " the end"
    lines = wrap_text(text, font, 120)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert all(font.getlength(line) <= 120 for line in lines)
    cut = wrap_text(text, font, 120, max_lines=2)
    assert len(cut) == 2
    assert cut[1].endswith("…")
    assert font.getlength(shorten_text("x" * 80, font, 50)) <= 50
