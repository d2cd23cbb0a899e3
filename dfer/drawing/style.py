"""How figures look: colours and sizes, the heading and footer that all of them share, and saving them."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from dfer.drawing.text import load_font, shorten_text, wrap_text
from dfer.errors import UsageError
from dfer.labels import EMOTION_COLORS
from dfer.runtime.files import atomic_path

DPI = 150
TITLE_PT, TEXT_PT, SMALL_PT, TINY_PT = 13.0, 9.5, 8.5, 7.5
NOTICE_PT = 8.0
MARGIN = 0.25  # inches around everything
# The formats we draw, without the date and program that some note: the same figure gives the same file.
_METADATA = {".png": {"Software": None}, ".pdf": {"CreationDate": None}, ".svg": {"Date": None}}
_ASCENT = 0.93  # of the font's size, from the top of a line to its baseline
_MEASURE = 10  # text is measured at ten times its size: fonts come in whole pixels


@dataclass(frozen=True)
class Theme:
    """The colours of a figure.

    Attributes:
        paper: background.
        ink: text.
        muted: secondary text.
        rule: grid lines and frames.
        notice: what a reader must not miss.
        accent: the curve that matters.
        second: the other curve.
        ramp: from 0 to 1 in a matrix.
    """

    paper: str
    ink: str
    muted: str
    rule: str
    notice: str
    accent: str
    second: str
    ramp: tuple[str, ...]

    def colormap(self) -> LinearSegmentedColormap:
        """`ramp` as a matplotlib colour map."""
        return LinearSegmentedColormap.from_list("dfer", list(self.ramp))


LIGHT = Theme(
    paper="#FFFFFF",
    ink="#1B1F24",
    muted="#5F6873",
    rule="#E1E5EA",
    notice="#9A4F00",
    accent="#0072B2",
    second="#D55E00",
    ramp=("#F4F7FA", "#CFE1F1", "#84B8DD", "#2F7FBC", "#0B4A86"),
)
DARK = Theme(
    paper="#16191E",
    ink="#E8EAED",
    muted="#9BA5B1",
    rule="#2D333C",
    notice="#F2B04C",
    accent="#56B4E9",
    second="#F0884B",
    ramp=("#1D2229", "#20384F", "#2B659A", "#5BA4DE", "#C4E2F9"),
)


def emotion_color(label: str) -> str:
    """The emotion's colour in every plot, table and video; grey for a class that is no emotion we know."""
    return EMOTION_COLORS.get(label, "#7F7F7F")


def ink_on(color: str | tuple[float, ...]) -> str:
    """Black or white, whichever reads better on this colour."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(color)]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    # WCAG's contrast would change sides at 0.18; on saturated colours in between, white reads better all the same.
    return "#000000" if luminance > 0.28 else "#FFFFFF"


def text_width(text: str, size_pt: float, *, bold: bool = False) -> float:
    """Inches that a line of text takes."""
    return load_font(round(_MEASURE * size_pt), bold=bold).getlength(text) / (72 * _MEASURE)


class Sheet:
    """A figure laid out in inches: a heading, the body that the caller fills, and a footer of notices.

    Args:
        width: of the figure, inches.
        body: height of the body, inches; lengths given to `axes` and `text` count from its top left corner.
        title: shortened if it is too long for one line.
        subtitle: wrapped.
        footer: a paragraph each, wrapped; for what the reader must not miss.
        theme: the colours.
    """

    def __init__(
        self,
        width: float,
        body: float,
        *,
        title: str,
        subtitle: str | None = None,
        footer: Sequence[str] = (),
        theme: Theme = LIGHT,
    ) -> None:
        inner = width - 2 * MARGIN
        below_title = _wrap(subtitle or "", SMALL_PT, inner)
        notices = [line for paragraph in footer for line in _wrap(paragraph, NOTICE_PT, inner)]
        heading = _lines(1, TITLE_PT) + _lines(len(below_title), SMALL_PT) + 0.12
        closing = _lines(len(notices), NOTICE_PT) + (0.12 if notices else 0.0)
        self.theme = theme
        self.width, self.height = width, 2 * MARGIN + heading + body + closing
        self.figure = Figure(figsize=(self.width, self.height), dpi=DPI, facecolor=theme.paper)
        FigureCanvasAgg(self.figure)
        self._body_top = 0.0
        fitting = shorten_text(" ".join(title.split()), load_font(round(_MEASURE * TITLE_PT), bold=True), 720 * inner)
        self.text(MARGIN, MARGIN, fitting, size=TITLE_PT, bold=True)
        self._paragraph(MARGIN + _lines(1, TITLE_PT), below_title, SMALL_PT, theme.muted)
        self._paragraph(MARGIN + heading + body + 0.12, notices, NOTICE_PT, theme.notice)
        self._body_top = MARGIN + heading

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        """Axes in the body, styled: faint grid lines behind, no frame.

        Args:
            left, top, width, height: inches; `left` counts from the figure's edge, `top` from the body's.
        """
        bottom = self.height - self._body_top - top - height
        place = (left / self.width, bottom / self.height, width / self.width, height / self.height)
        axes = self.figure.add_axes(place)
        axes.set_facecolor("none")
        axes.set_axisbelow(True)
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0, labelsize=SMALL_PT, colors=self.theme.muted, pad=4)
        axes.grid(color=self.theme.rule, linewidth=0.8)
        return axes

    def fill(self, axes: Axes) -> None:
        """Give axes a faint background, where there is little or nothing on them."""
        axes.set_facecolor((*to_rgb(self.theme.rule), 0.4))

    def swatch(self, left: float, top: float, size: float, color: str) -> None:
        """A small square of one colour; lengths in inches, as in `axes`."""
        bottom = 1 - (self._body_top + top + size) / self.height
        square = Rectangle(
            (left / self.width, bottom),
            size / self.width,
            size / self.height,
            color=color,
            linewidth=0,
            transform=self.figure.transFigure,
        )
        self.figure.add_artist(square)

    def text(
        self,
        left: float,
        top: float,
        text: str,
        *,
        size: float = TEXT_PT,
        bold: bool = False,
        color: str | None = None,
        align: str = "left",
        rotation: float = 0.0,
    ) -> None:
        """A line of text whose top edge is at `top`; its middle, if it is turned.

        Args:
            left, top: inches, as in `axes`.
            align: "left", "center" or "right".
        """
        y = top if rotation else top + _ASCENT * size / 72
        self.figure.text(
            left / self.width,
            1 - (self._body_top + y) / self.height,
            text,
            fontsize=size,
            fontweight="bold" if bold else "normal",
            color=color or self.theme.ink,
            ha=align,
            va="center" if rotation else "baseline",
            rotation=rotation,
            parse_math=False,
        )

    def _paragraph(self, top: float, lines: Sequence[str], size: float, color: str) -> None:
        for number, line in enumerate(lines):
            self.text(MARGIN, top + number * _lines(1, size), line, size=size, color=color)


def require_figure_suffix(path: Path) -> None:
    """Refuse a path that names no format we draw; call it before the work that leads to the figure.

    Raises:
        UsageError: the suffix is not .png, .pdf or .svg.
    """
    if path.suffix.lower() not in _METADATA:
        raise UsageError(
            f"unknown figure format {path.suffix!r}", where=path, hint=f"name it {path.stem}.png, .pdf or .svg"
        )


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure atomically in the format that the suffix names.

    Raises:
        UsageError: the suffix is not .png, .pdf or .svg.
        DferError: it cannot be written.
    """
    require_figure_suffix(path)
    suffix = path.suffix.lower()
    fixed_ids = matplotlib.rc_context({"svg.hashsalt": "dfer"})
    with atomic_path(path) as temporary, _without_glyph_warnings(), fixed_ids:
        figure.savefig(temporary, format=suffix[1:], dpi=DPI, metadata=_METADATA[suffix])


def png_bytes(figure: Figure) -> bytes:
    """A figure as a PNG file's content."""
    buffer = io.BytesIO()
    with _without_glyph_warnings():
        figure.savefig(buffer, format="png", dpi=DPI, metadata=_METADATA[".png"])
    return buffer.getvalue()


@contextmanager
def _without_glyph_warnings() -> Iterator[None]:
    """File names may hold letters that the font lacks; a box in the title is all that comes of it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        yield


def _wrap(text: str, size_pt: float, inches: float) -> list[str]:
    return wrap_text(text, load_font(round(_MEASURE * size_pt)), 72 * _MEASURE * inches)


def _lines(count: int, size_pt: float) -> float:
    """Inches that lines of text take."""
    return count * 1.4 * size_pt / 72
