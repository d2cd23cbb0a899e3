"""Reliability diagrams and risk-coverage curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from dfer.drawing.style import LIGHT, Theme, new_figure
from dfer.runtime.formatting import pluralize

_COLUMNS = 3


def draw_reliability(
    sets: Sequence[tuple[str, Sequence[float], Sequence[float], Sequence[int]]],
    *,
    title: str,
    subtitle: str = "",
    theme: Theme = LIGHT,
) -> Figure:
    """Draw accuracy over confidence, a panel per set; the dots' areas are the shares of the clips.

    Args:
        sets: name, and mean confidence, accuracy and number of clips of each bin; at least one.
        title: one line.
        subtitle: how to read it.
        theme: the colours.
    """
    columns = min(_COLUMNS, len(sets))
    rows = -(-len(sets) // columns)
    with new_figure(max(5.0, 3.0 * columns), 3.0 * rows, title=title, subtitle=subtitle, theme=theme) as figure:
        panels = figure.subplots(rows, columns, squeeze=False, sharey=True).flat[:]
        for axes, (name, confidence, accuracy, clips) in zip(panels, sets, strict=False):
            counts = np.asarray(clips)
            used = counts > 0
            axes.plot([0, 1], [0, 1], color=theme.muted, linewidth=1, linestyle=(0, (3, 2)))
            x, y = np.asarray(confidence)[used], np.asarray(accuracy)[used]
            axes.plot(x, y, color=theme.accent, linewidth=1)
            axes.scatter(
                x, y, s=6 + 300 * counts[used] / max(1, counts.sum()), color=theme.accent, alpha=0.75, clip_on=False
            )
            axes.set(title=f"{name}\n{pluralize(int(counts.sum()), 'clip')}", xlim=(0, 1.02), ylim=(0, 1.02))
            axes.set(xlabel="confidence", aspect="equal")
        for axes in panels[len(sets) :]:
            axes.set_visible(False)
        for axes in panels[::columns]:
            axes.set_ylabel("accuracy")
    return figure


def draw_risk_coverage(
    sets: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    *,
    title: str,
    subtitle: str = "",
    theme: Theme = LIGHT,
) -> Figure:
    """Draw the share of wrong answers over the share of clips that is answered, a curve per set.

    Args:
        sets: by name coverage, ascending, and risk.
        title: one line.
        subtitle: how to read it.
        theme: the colours.
    """
    styles: list[Any] = ["-", (0, (5, 1.5)), (0, (1.5, 1.5))]
    with new_figure(7.0, 3.4, title=title, subtitle=subtitle, theme=theme) as figure:
        axes = figure.subplots()
        for number, (name, (coverage, risk)) in enumerate(sets.items()):
            color = (theme.accent, theme.second, theme.ink)[number % 3]
            style = styles[number // 3 % len(styles)]
            axes.plot(100 * np.asarray(coverage), 100 * np.asarray(risk), color=color, linestyle=style, label=name)
        axes.set(xlabel="answered", ylabel="wrong among the answered", xlim=(0, 100.5))
        axes.set_ylim(bottom=0)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter("{x:g} %")
        axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.01), ncols=3)
    return figure
