"""The emotion timeline of a video, drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dfer.drawing.style import LIGHT, NOT_SURE, Theme, emotion_color, ink_on, new_figure, rgb_of, text_width
from dfer.runtime.formatting import clock

if TYPE_CHECKING:  # slow to import
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

_WIDTH, _PLOT_WIDTH = 10.0, 9.0  # inches, of the figure and of its panels
_STRIP_GAP = 0.05  # inches, between the probabilities and the strip of winning emotions below them
_TEXT_PT = 8.5
_TIME_STEPS_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400)


@dataclass(frozen=True)
class _Heights:
    """The heights of a face's row, inches: the probabilities, the strip of winning emotions, the heading and space.

    Also the side of the face's picture, its distance from the panel, where the tick labels are, and how far it stands
    above it, beside the heading.
    """

    panel: float
    strip: float = 0.24
    heading: float = 0.5
    picture: float = 0.9
    beside: float = 0.52
    raised: float = 0.0


# Up to how many faces; twenty fit a page.
_HEIGHTS = {1: _Heights(2.2, picture=1.1), 3: _Heights(1.4), 8: _Heights(1.0)}
_DENSE = _Heights(0.3, strip=0.16, heading=0.26, picture=0.5, beside=0.08, raised=0.19)


@dataclass(frozen=True)
class FaceLane:
    """A face's row in the timeline.

    Attributes:
        name: its heading.
        summary: what follows the heading.
        edges: float64 [N + 1], seconds, ascending: step n lasts from edges[n] to edges[n + 1].
        probabilities: float64 [C, N]; a column of zeros where the face is not seen.
        runs: (start, end, label) of each stretch that one emotion wins, seconds.
        unsure: (start, end) of each stretch whose answer should not be trusted.
        picture: of the face, uint8 [S, S, 3], RGB; None to leave it out.
    """

    name: str
    summary: str
    edges: NDArray[np.float64]
    probabilities: NDArray[np.float64]
    runs: Sequence[tuple[float, float, str]]
    unsure: Sequence[tuple[float, float]] = ()
    picture: NDArray[np.uint8] | None = None


def draw_timeline(
    lanes: Sequence[FaceLane],
    labels: Sequence[str],
    *,
    total: float,
    title: str,
    subtitle: str = "",
    footer: Sequence[str] = (),
    theme: Theme = LIGHT,
) -> Figure:
    """Draw each face's probabilities over time, stacked in the emotions' colours, above a strip of the winning emotion.

    Args:
        lanes: the faces; none is drawn as a note that no face was found.
        labels: the C class names.
        total: length of the video, seconds.
        title: one line.
        subtitle: wrapped.
        footer: what the reader must not miss.
        theme: the colours.
    """
    row = next((heights for count, heights in _HEIGHTS.items() if len(lanes) <= count), _DENSE)
    pictured = any(lane.picture is not None for lane in lanes)
    inches_per_s = (_PLOT_WIDTH - pictured * (row.picture + row.beside)) / (total or 1.0)
    columns = max(1, int(_PLOT_WIDTH / (0.45 + max(text_width(label, _TEXT_PT) for label in labels))))
    legend_rows = -(-len(labels) // columns) if lanes else 0
    height = max(1, len(lanes)) * (row.panel + row.strip + row.heading) + 0.2 * legend_rows + 0.35
    with new_figure(_WIDTH, height, title=title, subtitle=subtitle, footer=footer, theme=theme) as figure:
        body = figure.add_subfigure(figure.add_gridspec()[0])  # beside which there is room for the legend
        panels = body.subplots(max(1, len(lanes)), sharex=True, squeeze=False)[:, 0]
        for axes, lane in zip(panels, lanes, strict=False):
            _draw_probabilities(axes, lane, labels, row, theme)
            _draw_winners(axes, lane, inches_per_s, row, theme)
            _write_caption(axes, lane, theme)
            if lane.picture is not None:
                place_picture(axes, lane.picture, row.picture, left=row.beside, up=row.raised)
        if lanes:
            _add_legend(body, labels, columns, theme if any(lane.unsure for lane in lanes) else None)
        else:
            write_no_face(panels[0], theme, "video")
        mark_time(panels[-1], total)
    return figure


def _draw_probabilities(axes: Axes, lane: FaceLane, labels: Sequence[str], row: _Heights, theme: Theme) -> None:
    values = np.concatenate([lane.probabilities, lane.probabilities[:, -1:]], axis=1)  # a step ends at the next edge
    axes.stackplot(lane.edges, values, colors=[emotion_color(label) for label in labels], step="post", zorder=1)
    axes.set_yticks([0, 0.5, 1], ["0", "50", "100 %"] if row != _DENSE else [])
    axes.set(facecolor=theme.empty(), axisbelow=False)
    axes.grid(color=theme.paper, alpha=0.35)


def _draw_winners(axes: Axes, lane: FaceLane, inches_per_s: float, row: _Heights, theme: Theme) -> None:
    """Add the strip below zero, over the grid lines; unsure time is hatched up to the top."""
    gap, bottom = -_STRIP_GAP / row.panel, -(_STRIP_GAP + row.strip) / row.panel
    axes.axhspan(bottom, 0, color=theme.paper, zorder=3)
    axes.axhspan(bottom, gap, color=theme.empty(), zorder=3)
    runs = [*((start, end, label, emotion_color(label)) for start, end, label in lane.runs)]
    runs += [(start, end, NOT_SURE, theme.rule) for start, end in lane.unsure]
    spans = [(start, end - start) for start, end, _, _ in runs]
    axes.broken_barh(spans, (bottom, gap - bottom), facecolors=[color for *_, color in runs], zorder=4)
    hatched = [(start, end - start) for start, end in lane.unsure]
    for low, high in ((0.0, 1.0), (bottom, gap)):
        axes.broken_barh(hatched, (low, high - low), zorder=4, **unsure_hatching(theme))
    for (start, length), (_, _, label, color) in zip(spans, runs, strict=True):
        if text_width(label, _TEXT_PT) + 0.1 < inches_per_s * length:
            middle = (start + length / 2, (bottom + gap) / 2)
            plain = {"facecolor": color, "edgecolor": "none", "pad": 1.0} if label == NOT_SURE else None
            axes.text(
                *middle, label, ha="center", va="center", fontsize=_TEXT_PT, color=ink_on(color), zorder=5,
                in_layout=False, bbox=plain,
            )  # fmt: skip
    axes.set_ylim(bottom, 1)


def unsure_hatching(theme: Theme) -> dict[str, Any]:
    """Return the look of time whose answer should not be trusted: what is below shows through, faintly."""
    return {"facecolor": (*rgb_of(theme.paper), 0.6), "edgecolor": theme.muted, "hatch": "////", "linewidth": 0.0}


def place_picture(
    axes: Axes, picture: NDArray[np.uint8], side: float, *, left: float, up: float = 0.0, upright: bool = False
) -> None:
    """Draw a picture of a face at the left of axes; the layout makes room for it.

    Args:
        axes: whose upper left corner the picture stands beside.
        picture: uint8 [S, S, 3], RGB.
        side: of the picture on paper, inches.
        left: its distance from the corner, inches.
        up: how far its edge is above the corner, inches.
        upright: whether that edge is its lower one, so that it stands above the corner; else its upper one.
    """
    from matplotlib.offsetbox import AnnotationBbox, OffsetImage

    image = OffsetImage(picture, zoom=72 * side / picture.shape[0], interpolation="antialiased", resample=True)
    box = AnnotationBbox(
        image, (0, 1), (-72 * left, 72 * up), xycoords="axes fraction", boxcoords="offset points", frameon=False,
        box_alignment=(1, 0 if upright else 1), pad=0,
    )  # fmt: skip
    axes.add_artist(box)


def _write_caption(axes: Axes, lane: FaceLane, theme: Theme) -> None:
    name = axes.set_title(lane.name)
    after: dict[str, Any] = {"xycoords": name, "xytext": (9, 0), "textcoords": "offset points", "va": "bottom"}
    axes.annotate(lane.summary, (1, 0), color=theme.muted, in_layout=False, **after)


def _add_legend(body: SubFigure, labels: Sequence[str], columns: int, unsure: Theme | None) -> None:
    """Name the emotions' colours and, if a theme is given, the hatching."""
    from matplotlib.patches import Patch

    squares = [Patch(color=emotion_color(label), label=label) for label in labels]
    if unsure:
        squares.append(Patch(label=NOT_SURE, **unsure_hatching(unsure)))
    # matplotlib fills a legend column by column; row by row is the order of the labels.
    in_rows = [square for column in range(columns) for square in squares[column::columns]]
    body.legend(handles=in_rows, loc="outside upper left", ncols=columns, handlelength=0.9, handleheight=0.9)


def mark_time(axes: Axes, total: float) -> None:
    """Set the limits and ticks of an axis of time, of a video of `total` seconds; 0 for an image."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator, MultipleLocator

    axes.set_xlim(0, total or 1.0)
    if not total:
        axes.set_xticks([])
        return
    step = next((step for step in _TIME_STEPS_S if total / step <= 12), None)
    axes.xaxis.set_major_locator(MultipleLocator(step) if step else MaxNLocator(10))
    decimals = 1 if step and step < 1 else 0
    axes.xaxis.set_major_formatter(FuncFormatter(lambda time, _: clock(time, total=total, decimals=decimals)))


def write_no_face(axes: Axes, theme: Theme, medium: str) -> None:
    """Say on empty axes that no face was found in a "video" or an "image"."""
    axes.set(yticks=[], facecolor=theme.empty())
    middle: dict[str, Any] = {"transform": axes.transAxes, "ha": "center", "va": "center"}
    axes.text(0.5, 0.55, f"no face was found in this {medium}", fontsize=12.5, **middle)
    axes.text(0.5, 0.42, "so there is no emotion to show", color=theme.muted, **middle)
