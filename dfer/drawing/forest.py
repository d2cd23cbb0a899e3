"""Forest plots: figures of several methods, and their differences, as dots on their intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dfer.drawing.style import LIGHT, Theme, new_figure, text_width

Bar = tuple[float, float, float]  # a figure and its interval, fractions


def draw_forest(
    methods: Mapping[str, Sequence[Bar]],
    differences: Mapping[str, Sequence[Bar]],
    metrics: Sequence[str],
    *,
    title: str,
    subtitle: str = "",
    footer: Sequence[str] = (),
    theme: Theme = LIGHT,
) -> Figure:
    """Draw figures as dots on their intervals: above a line per method, below one per difference, with zero marked.

    Args:
        methods: by name a bar per metric; at least one.
        differences: by name a bar per metric; one that does not reach zero is drawn in the other colour.
        metrics: their names, a column of panels each.
        title: one line.
        subtitle: how to read it.
        footer: what the reader must not miss.
        theme: the colours.
    """
    blocks = [block for block in (methods, differences) if block]
    lines = [len(block) for block in blocks]
    names = max(text_width(name, 8.5) for block in blocks for name in block)
    width, height = 2.9 * len(metrics) + min(3.5, names) + 0.4, 0.3 * sum(lines) + 0.75 * len(blocks)
    with new_figure(width, height, title=title, subtitle=subtitle, footer=footer, theme=theme) as figure:
        panels = figure.subplots(len(blocks), len(metrics), squeeze=False, sharey="row", height_ratios=lines)
        for row, block in enumerate(blocks):
            for column, metric in enumerate(metrics):
                axes = panels[row, column]
                is_difference = block is differences
                _draw_bars(axes, [bars[column] for bars in block.values()], is_difference, theme)
                axes.set_title(f"Δ{metric}, points" if is_difference else f"{metric}, %")
                axes.set_yticks(range(len(block)), list(block))
                axes.set_ylim(len(block) - 0.5, -0.5)
    return figure


def _draw_bars(axes: Axes, bars: Sequence[Bar], is_difference: bool, theme: Theme) -> None:
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", labelcolor=theme.ink)
    if is_difference:
        axes.axvline(0, color=theme.muted, linewidth=1, linestyle=(0, (3, 2)))
    for line, (value, low, high) in enumerate(100 * np.asarray(bars, np.float64)):
        apart = is_difference and (low > 0 or high < 0)
        color = theme.second if apart else theme.accent
        axes.plot([low, high], [line, line], color=color, solid_capstyle="butt")
        axes.plot(value, line, "o", color=color, markersize=6)
    axes.margins(x=0.08)
