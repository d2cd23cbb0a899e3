"""Confusion matrices, and the difference of two; each `draw_` returns a figure of its own (pyplot is not touched)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LinearSegmentedColormap
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from dfer.drawing.style import LIGHT, Theme, ink_on, new_figure, text_width
from dfer.runtime.formatting import percent, pluralize

_TEXT_PT, _TINY_PT = 9.5, 7.5


def draw_confusion(
    confusion: ArrayLike,
    labels: Sequence[str],
    *,
    title: str,
    subtitle: str = "",
    footer: Sequence[str] = (),
    theme: Theme = LIGHT,
) -> Figure:
    """Draw a confusion matrix: colours by row share, counts and percent in the cells, recalls at the right.

    Args:
        confusion: int [C, C], confusion[true][predicted].
        labels: the C class names.
        title: one line.
        subtitle: such as WAR and UAR.
        footer: what the reader must not miss, such as that the model has seen drawings only.
        theme: the colours.

    Raises:
        ValueError: the matrix is not [C, C].
    """
    counts = np.asarray(confusion)
    classes = len(labels)
    if counts.shape != (classes, classes):
        raise ValueError(f"expected a confusion matrix [{classes}, {classes}], got {list(counts.shape)}")
    clips = counts.sum(axis=1)
    shares = counts / np.maximum(clips, 1)[:, None]
    widest = max(text_width(label, _TEXT_PT) for label in labels)
    cell_w, cell_h = (0.82, 0.56) if classes <= 8 else (0.7, 0.5)
    turned = widest > cell_w - 0.06
    width, height = max(5.0, classes * cell_w + widest + 1.9), classes * cell_h + 0.5 + (0.7 * widest if turned else 0)
    with new_figure(width, height, title=title, subtitle=subtitle, footer=footer, theme=theme) as figure:
        colormap = theme.colormap()
        axes = _draw_cells(figure, shares, labels, colormap, limits=(0, 1), turned=turned, theme=theme)
        above: dict[str, Any] = {"xytext": (9, 8), "textcoords": "offset points", "va": "baseline"}
        axes.annotate("recall %", (1, 1), xycoords="axes fraction", color=theme.muted, **above)
        for (row, column), count in np.ndenumerate(counts):
            share = shares[row, column]
            _write_cell(axes, row, column, int(count), share, ink_on(colormap(share)[:3]), theme)
        for row, (share, number) in enumerate(zip(shares.diagonal(), clips, strict=True)):
            _write_recall(axes, row, share if number else None, int(number), theme)
    return figure


def _draw_cells(
    figure: Figure,
    values: ArrayLike,
    labels: Sequence[str],
    colormap: Colormap,
    *,
    limits: tuple[float, float],
    turned: bool,
    theme: Theme,
) -> Axes:
    """Return axes with a coloured cell per pair of classes, and their names."""
    axes = figure.subplots()
    axes.grid(visible=False)
    low, high = limits
    axes.pcolormesh(values, cmap=colormap, vmin=low, vmax=high, edgecolors=theme.paper, linewidth=1.1)
    axes.invert_yaxis()
    middles = np.arange(len(labels)) + 0.5
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    turn: dict[str, Any] = {"rotation": 45, "ha": "left", "rotation_mode": "anchor"} if turned else {}
    axes.set_xticks(middles, labels, **turn)
    axes.set_yticks(middles, labels)
    axes.tick_params(labelsize=_TEXT_PT, labelcolor=theme.ink, pad=6)
    axes.set_xlabel("predicted", labelpad=12)
    axes.set_ylabel("true")
    return axes


def _write_cell(axes: Axes, row: int, column: int, count: int, share: float, ink: str, theme: Theme) -> None:
    middle: dict[str, Any] = {"ha": "center", "va": "center", "in_layout": False}
    x, y = column + 0.5, row + 0.5
    if not count:
        axes.text(x, y, "0", fontsize=_TINY_PT, color=theme.muted, alpha=0.6, **middle)
        return
    axes.text(x, y - 0.14, f"{count:,}", color=ink, weight="bold" if row == column else "normal", **middle)
    axes.text(x, y + 0.24, f"{percent(share, 1)} %", fontsize=_TINY_PT, color=ink, alpha=0.85, **middle)


def _write_recall(axes: Axes, row: int, recall: float | None, clips: int, theme: Theme) -> None:
    right: dict[str, Any] = {"xycoords": axes.get_yaxis_transform(), "textcoords": "offset points"}
    axes.annotate(percent(recall), (1, row + 0.5), (9, 1), weight="bold", **right)
    axes.annotate(pluralize(clips, "clip"), (1, row + 0.5), (9, -9), fontsize=_TINY_PT, color=theme.muted, **right)


def draw_confusion_difference(
    first: ArrayLike,
    second: ArrayLike,
    labels: Sequence[str],
    *,
    title: str,
    subtitle: str = "",
    footer: Sequence[str] = (),
    theme: Theme = LIGHT,
) -> Figure:
    """Draw how the answers for each class moved from one method to another, in points of its clips.

    Args:
        first: float [C, C], shares of each true class's clips, [true][predicted]; NaN for a class without clips.
        second: float [C, C], likewise.
        labels: the C class names.
        title: one line.
        subtitle: how to read it.
        footer: what the reader must not miss.
        theme: the colours.
    """
    change = 100 * (np.asarray(second, np.float64) - np.asarray(first, np.float64))
    classes = len(labels)
    widest = max(text_width(label, _TEXT_PT) for label in labels)
    turned = widest > 0.66
    largest = max(1.0, float(np.nanmax(np.abs(change), initial=0.0)))
    colormap = LinearSegmentedColormap.from_list("change", [theme.second, theme.ramp[0], theme.accent])
    width, height = max(5.0, 0.72 * classes + widest + 1.2), 0.5 * classes + 0.5 + (0.7 * widest if turned else 0)
    with new_figure(width, height, title=title, subtitle=subtitle, footer=footer, theme=theme) as figure:
        limits = (-largest, largest)
        axes = _draw_cells(figure, change, labels, colormap, limits=limits, turned=turned, theme=theme)
        for (row, column), points in np.ndenumerate(change):
            _write_change(axes, row, column, points, ink_on(colormap(0.5 + points / largest / 2)[:3]), theme)
    return figure


def _write_change(axes: Axes, row: int, column: int, points: float, ink: str, theme: Theme) -> None:
    text = "" if np.isnan(points) else f"{points:+.1f}" if abs(points) >= 0.05 else "0"
    style: dict[str, Any] = {"weight": "bold" if row == column else "normal"} if text != "0" else {"alpha": 0.6}
    color = theme.muted if text == "0" else ink
    axes.text(column + 0.5, row + 0.5, text, color=color, ha="center", va="center", in_layout=False, **style)
