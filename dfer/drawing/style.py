"""The look of all figures: the style file, the light and dark colours, the heading and footer, and saving."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dfer.drawing.text import load_font, shorten_text, wrap_text
from dfer.errors import UsageError
from dfer.labels import EMOTION_COLORS
from dfer.runtime.files import atomic_path
from dfer.runtime.streams import is_stream

if TYPE_CHECKING:  # slow to import: commands that draw no figure, but use the colours, do without
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.figure import Figure

NOT_SURE = "not sure"  # in place of an emotion that should not be trusted, everywhere
UNSURE_COLOR = "#7F7F7F"
_MARGIN, _GAP = 0.25, 0.14  # inches around the figure; between its body and the heading or footer
_TITLE_PT, _SUBTITLE_PT, _NOTICE_PT = 13.0, 8.5, 8.0
# The formats we write, without the date and program that matplotlib adds: the same figure gives the same file.
_METADATA = {".png": {"Software": None}, ".pdf": {"CreationDate": None}, ".svg": {"Date": None}}
FIGURE_SUFFIXES = tuple(_METADATA)
_MEASURE = 10  # text is measured at ten times its size, because fonts come in whole pixels


@dataclass(frozen=True)
class Theme:
    """The colours of a figure.

    Attributes:
        paper: background.
        ink: text.
        muted: secondary text.
        rule: grid lines, and the background where nothing is drawn.
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
        """Return `ramp` as a matplotlib colour map."""
        from matplotlib.colors import LinearSegmentedColormap

        return LinearSegmentedColormap.from_list("dfer", list(self.ramp))

    def empty(self) -> tuple[float, ...]:
        """Return the faint background of axes on which there is little or nothing."""
        return (*rgb_of(self.rule), 0.4)

    def settings(self) -> dict[str, Any]:
        """Return the colours as matplotlib's settings."""
        return {
            "figure.facecolor": self.paper,
            "text.color": self.ink,
            "axes.labelcolor": self.muted,
            "xtick.color": self.muted,
            "ytick.color": self.muted,
            "grid.color": self.rule,
        }


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
    """Return the emotion's colour in every plot, table and video; grey for any other class."""
    return EMOTION_COLORS.get(label, UNSURE_COLOR)


def rgb_of(color: str | tuple[float, ...]) -> tuple[float, float, float]:
    """Return a colour, #RRGGBB or its parts from 0 to 1, as red, green and blue from 0 to 1."""
    if isinstance(color, str):
        return (int(color[1:3], 16) / 255, int(color[3:5], 16) / 255, int(color[5:7], 16) / 255)
    return (color[0], color[1], color[2])


def ink_on(color: str | tuple[float, ...]) -> str:
    """Return black or white, whichever reads better on this colour."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb_of(color)]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    # WCAG's contrast would change sides at 0.18, but on saturated colours in between white reads better.
    return "#000000" if luminance > 0.28 else "#FFFFFF"


def text_width(text: str, size_pt: float) -> float:
    """Return the width of a line of text, inches."""
    return load_font(round(_MEASURE * size_pt)).getlength(text) / (72 * _MEASURE)


@contextmanager
def new_figure(
    width: float,
    height: float,
    *,
    title: str,
    subtitle: str = "",
    footer: Sequence[str] = (),
    theme: Theme = LIGHT,
) -> Iterator[Figure]:
    """Give a figure with a heading and a footer; what is added to it is laid out when the block ends.

    Args:
        width: of the figure, inches.
        height: of the body, inches; the figure is as much higher as its heading and footer need.
        title: shortened to one line.
        subtitle: wrapped.
        footer: a paragraph each, wrapped; for what the reader must not miss.
        theme: the colours.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    inner = width - 2 * _MARGIN
    fitting = shorten_text(" ".join(title.split()), load_font(round(_MEASURE * _TITLE_PT), bold=True), 720 * inner)
    subtitles = _wrap(subtitle, _SUBTITLE_PT, inner)
    notices = [line for paragraph in footer for line in _wrap(paragraph, _NOTICE_PT, inner)]
    below_title = _MARGIN + _lines(1, _TITLE_PT)
    top = below_title + _lines(len(subtitles), _SUBTITLE_PT) + _GAP
    bottom = _MARGIN + (_lines(len(notices), _NOTICE_PT) + _GAP if notices else 0.0)
    total = top + height + bottom
    with _style(theme.settings()):
        figure = Figure(figsize=(width, total))
        FigureCanvasAgg(figure)
        left = _MARGIN / width
        figure.text(left, 1 - _MARGIN / total, fitting, size=_TITLE_PT, weight="bold", va="top")
        figure.text(left, 1 - below_title / total, "\n".join(subtitles), size=_SUBTITLE_PT, color=theme.muted, va="top")
        figure.text(left, _MARGIN / total, "\n".join(notices), size=_NOTICE_PT, color=theme.notice, va="bottom")
        yield figure
        # Once and by hand: as the figure's own engine it would draw twice whenever the figure is saved.
        ConstrainedLayoutEngine(rect=(left, bottom / total, inner / width, height / total)).execute(figure)


def save_figure(figure: Figure, path: Path, *, to_stream: bool = False) -> None:
    """Write a figure atomically in the format that the suffix names; with `to_stream`, a pipe without one gets a PNG.

    Raises:
        UsageError: the suffix is not .png, .pdf or .svg.
        DferError: it cannot be written.
    """
    suffix = path.suffix.lower()
    if suffix not in FIGURE_SUFFIXES:
        if not (to_stream and is_stream(path)):
            hint = f"name it {path.stem}.png, .pdf or .svg"
            raise UsageError(f"unknown figure format {path.suffix!r}", where=path, hint=hint)
        suffix = FIGURE_SUFFIXES[0]
    with atomic_path(path, suffix=suffix, to_stream=to_stream) as temporary:
        _write(figure, temporary, suffix)


def png_bytes(figure: Figure) -> bytes:
    """Return a figure as the content of a PNG file."""
    buffer = io.BytesIO()
    _write(figure, buffer, ".png")
    return buffer.getvalue()


def _write(figure: Figure, target: Path | io.BytesIO, suffix: str) -> None:
    with warnings.catch_warnings(), _style({}):
        # File names may hold letters that the font lacks; they become boxes in the title.
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        figure.savefig(target, format=suffix[1:], metadata=_METADATA[suffix])


@contextmanager
def _style(colors: dict[str, Any]) -> Iterator[None]:
    from matplotlib import rc_context

    with rc_context({**_style_file(), **colors}):
        yield


@cache
def _style_file() -> dict[str, Any]:
    from matplotlib import rc_params_from_file

    return dict(rc_params_from_file(Path(__file__).with_name("dfer.mplstyle"), use_default_template=False))


def _wrap(text: str, size_pt: float, inches: float) -> list[str]:
    return wrap_text(text, load_font(round(_MEASURE * size_pt)), 72 * _MEASURE * inches)


def _lines(count: int, size_pt: float) -> float:
    """Return the height of lines of text, inches."""
    return count * 1.4 * size_pt / 72
