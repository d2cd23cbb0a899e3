"""Figures of classes: precision over recall, and points of the plane coloured by class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from dfer.drawing.style import LIGHT, Theme, emotion_color, new_figure
from dfer.runtime.formatting import percent

Curve = tuple[str, NDArray[np.float64], NDArray[np.float64], float]


def draw_precision_recall(curves: Sequence[Curve], *, title: str, subtitle: str = "", theme: Theme = LIGHT) -> Figure:
    """Draw the precision of each class over its recall.

    Args:
        curves: the class, recall, precision, and average precision of each; at least one.
        title: one line.
        subtitle: how to read it.
        theme: the colours.
    """
    styles = ("-", (0, (5, 1.5)), (0, (1.5, 1.5)))
    with new_figure(7.0, 4.0, title=title, subtitle=subtitle, theme=theme) as figure:
        axes = figure.subplots()
        for number, (label, recall, precision, average) in enumerate(curves):
            name = f"{label}, AP {percent(average, 1)}"
            style = styles[number // 7 % len(styles)]
            axes.step(recall, precision, where="post", color=emotion_color(label), linestyle=style, label=name)
        axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1.01), ylim=(0, 1.02))
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    return figure


def draw_points(
    points: NDArray[np.float64],
    classes: Sequence[str],
    labels: Sequence[str],
    *,
    title: str,
    subtitle: str = "",
    theme: Theme = LIGHT,
) -> Figure:
    """Draw points, such as the features of clips, coloured by class; the axes have no unit.

    Args:
        points: float64 [N, 2].
        classes: of each point.
        labels: the classes in the order of the legend.
        title: one line.
        subtitle: what the points are.
        theme: the colours.
    """
    named = np.asarray(classes)
    with new_figure(7.0, 5.0, title=title, subtitle=subtitle, theme=theme) as figure:
        axes = figure.subplots()
        for label in labels:
            of_class = points[named == label]
            if len(of_class):
                axes.scatter(
                    of_class[:, 0],
                    of_class[:, 1],
                    s=14,
                    color=emotion_color(label),
                    alpha=0.8,
                    linewidths=0,
                    label=label,
                )
        axes.set(xticks=[], yticks=[])
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    return figure
