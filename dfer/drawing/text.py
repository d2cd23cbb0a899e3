"""Text layout for images and figures, in the DejaVu Sans that comes with matplotlib."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from PIL import ImageFont

Font = ImageFont.FreeTypeFont


@lru_cache(maxsize=64)
def load_font(size_px: int, *, bold: bool = False) -> Font:
    """Return the font at a size in pixels."""
    import matplotlib  # slow to import

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name
    return ImageFont.truetype(str(path), size_px, layout_engine=ImageFont.Layout.BASIC)


def line_height(font: Font) -> int:
    """Return the distance from one line to the next, pixels."""
    return round(1.25 * font.size)


def wrap_text(text: str, font: Font, width_px: float, max_lines: int | None = None) -> list[str]:
    """Break text into lines, at spaces where there are any.

    Args:
        text: any; white space counts as spaces.
        font: measures the text.
        width_px: no line is wider, unless a single letter is.
        max_lines: the last line ends with an ellipsis if there would be more.
    """
    lines: list[str] = []
    line = ""
    for word in text.split():
        joined = f"{line} {word}" if line else word
        if font.getlength(joined) <= width_px:
            line = joined
            continue
        if line:
            lines.append(line)
        line = word
        while len(line) > 1 and font.getlength(line) > width_px:
            taken = _letters_that_fit(line, font, width_px)
            lines.append(line[:taken])
            line = line[taken:]
    if line:
        lines.append(line)
    if max_lines is not None and len(lines) > max_lines:
        lines = [*lines[: max_lines - 1], shorten_text(f"{lines[max_lines - 1]} …", font, width_px)]
    return lines


def shorten_text(text: str, font: Font, width_px: float) -> str:
    """Return the text, or as much of its beginning as fits with an ellipsis."""
    if font.getlength(text) <= width_px:
        return text
    return text[: _letters_that_fit(text, font, width_px - font.getlength("…"))].rstrip(" …") + "…"


def _letters_that_fit(text: str, font: Font, width_px: float) -> int:
    count = len(text)
    while count > 1 and font.getlength(text[:count]) > width_px:
        count -= 1
    return count
