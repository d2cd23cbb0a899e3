"""Dots with their mean and standard deviation: how figures of repeated runs are spread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dfer.drawing.style import LIGHT, Theme, new_figure, text_width


def draw_spread(
    groups: Mapping[str, Sequence[Sequence[float]]],
    metrics: Sequence[str],
    *,
    reference: str | None = None,
    title: str,
    subtitle: str = "",
    footer: Sequence[str] = (),
    theme: Theme = LIGHT,
) -> Figure:
    """Draw a line per group: its values as faint dots, their mean, and a bar of one standard deviation to each side.

    Args:
        groups: by name the values of each metric, fractions; a group may have none yet. At least one.
        metrics: their names, a panel each.
        reference: the group whose mean is drawn through all lines.
        title: one line.
        subtitle: how to read it.
        footer: what the reader must not miss.
        theme: the colours.
    """
    names = max(text_width(name, 8.5) for name in groups)
    width, height = 2.9 * len(metrics) + min(3.5, names) + 0.4, 0.3 * len(groups) + 0.75
    with new_figure(width, height, title=title, subtitle=subtitle, footer=footer, theme=theme) as figure:
        panels = figure.subplots(1, len(metrics), squeeze=False, sharey="row")[0]
        for number, (axes, metric) in enumerate(zip(panels, metrics, strict=True)):
            values = {name: 100 * np.asarray(of[number], np.float64) for name, of in groups.items()}
            _draw_groups(axes, values, reference, theme)
            axes.set_title(f"{metric}, %")
            axes.set_yticks(range(len(groups)), list(groups))
            axes.set_ylim(len(groups) - 0.5, -0.5)
    return figure


def _draw_groups(axes: Axes, groups: Mapping[str, np.ndarray], reference: str | None, theme: Theme) -> None:
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", labelcolor=theme.ink)
    if reference is not None and len(groups[reference]):
        axes.axvline(groups[reference].mean(), color=theme.muted, linewidth=1, linestyle=(0, (3, 2)))
    for line, values in enumerate(groups.values()):
        if not len(values):
            continue
        mean = values.mean()
        axes.plot(
            values, np.full(len(values), line), "o", color=theme.accent, alpha=0.3, markersize=4, markeredgewidth=0
        )
        if len(values) > 1:
            deviation = values.std(ddof=1)
            axes.plot([mean - deviation, mean + deviation], [line, line], color=theme.accent, solid_capstyle="butt")
        axes.plot(mean, line, "o", color=theme.accent, markersize=6)
    axes.margins(x=0.08)
