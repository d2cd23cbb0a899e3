"""Training curves and histogram; each `draw_` returns a figure of its own (pyplot is not touched)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dfer.drawing.style import LIGHT, Theme, new_figure
from dfer.runtime.formatting import percent, pluralize

_TINY_PT = 7.5


def draw_curves(
    metrics: Sequence[Mapping[str, Any]],
    *,
    best: Mapping[str, Any] | None,
    title: str,
    subtitle: str | None = None,
    footer: Sequence[str] = (),
    theme: Theme = LIGHT,
) -> Figure:
    """Draw the course of a training run: the losses; WAR and UAR on the validation clips; the best epoch marked.

    Args:
        metrics: a record per epoch, as in metrics.jsonl; the validation figures may be missing.
        best: the record of the best epoch, which is marked; None without validation.
        title: one line.
        subtitle: in place of a line on the best epoch, learning rate and speed.
        footer: what the reader must not miss.
        theme: the colours.
    """
    subtitle = subtitle if subtitle is not None else _course(metrics, best)
    losses = [("train_loss", "training loss", theme.second, 1), ("val_loss", "validation loss", theme.accent, 1)]
    rates = [("val_war", "WAR", theme.accent, 100), ("val_uar", "UAR", theme.second, 100)]
    with new_figure(9.0, 3.1, title=title, subtitle=subtitle, footer=footer, theme=theme) as figure:
        panels = figure.subplots(1, 2)
        for axes, curves in zip(panels, (losses, rates), strict=True):
            drawn = [_draw_curve(axes, metrics, *curve) for curve in curves]
            if not any(drawn):
                _write_in_empty(axes, "no validation clips" if metrics else "no epoch finished yet", theme)
                continue
            if best is not None:
                label = f"best epoch {best['epoch']:.0f}"
                axes.axvline(best["epoch"], color=theme.muted, linewidth=1, linestyle=(0, (3, 2)), label=label)
            axes.set_xlabel("epoch")
            axes.margins(x=0.02)
            axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, min_n_ticks=1))
            axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.01), ncols=3)
        if best is not None:
            panels[1].yaxis.set_major_formatter("{x:g} %")
            panels[1].plot(best["epoch"], 100 * best["val_war"], "o", color=theme.accent, markersize=6, zorder=5)
    return figure


def _draw_curve(
    axes: Axes, metrics: Sequence[Mapping[str, Any]], key: str, name: str, color: str, factor: float
) -> bool:
    points = [(record["epoch"], factor * record[key]) for record in metrics if record.get(key) is not None]
    if points:
        axes.plot(*zip(*points, strict=True), color=color, marker="o" if len(points) <= 2 else None, label=name)
    return bool(points)


def _write_in_empty(axes: Axes, text: str, theme: Theme) -> None:
    axes.set(xticks=[], yticks=[], facecolor=theme.empty())
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=theme.muted)


def _course(metrics: Sequence[Mapping[str, Any]], best: Mapping[str, Any] | None) -> str:
    """A line on how the run went."""
    parts = [pluralize(len(metrics), "epoch")]
    if best is not None:
        parts.append(
            f"best WAR {percent(best['val_war'])}, UAR {percent(best.get('val_uar'))} in epoch {best['epoch']:.0f}"
        )
    rates = [record["lr"] for record in metrics if record.get("lr")]
    if rates:
        parts.append(f"learning rate {max(rates):.2g} to {rates[-1]:.2g}")
    speeds = [record["clips_per_s"] for record in metrics if record.get("clips_per_s")]
    if speeds:
        parts.append(f"{np.median(speeds):.1f} clips/s")
    return " · ".join(parts)


def draw_histogram(
    edges: Sequence[str],
    counts: Sequence[int],
    extra: tuple[str, int] | None = None,
    *,
    title: str,
    subtitle: str,
    theme: Theme = LIGHT,
) -> Figure:
    """Draw bars small enough to stand side by side; each has its number above, so that a rare case is seen too.

    Args:
        edges: of the bins, as text; one more than there are bins.
        counts: of the bins.
        extra: name and count of a bin that stands apart at the right; None for none.
        title: one line.
        subtitle: what is counted, in which unit.
        theme: the colours.
    """
    bins = len(counts)
    places, ticks, names = [n + 0.5 for n in range(bins)], [float(n) for n in range(bins + 1)], list(edges)
    if extra is not None:
        places, ticks = [*places, bins + 1.0], [*ticks, bins + 1.0]
        names, counts = [*names, extra[0]], [*counts, extra[1]]
    with new_figure(4.9, 2.1, title=title, subtitle=subtitle, theme=theme) as figure:
        axes = figure.subplots()
        axes.grid(visible=False)
        bars = axes.bar(places, counts, width=0.86, color=theme.accent)
        numbers = [compact_count(count) if count else "" for count in counts]
        axes.bar_label(bars, numbers, padding=3, fontsize=_TINY_PT, in_layout=False)
        axes.axhline(0, color=theme.muted, linewidth=1, clip_on=False)
        axes.set_xticks(ticks, names)
        axes.set(xlim=(-0.1, max(ticks[-1], places[-1] + 0.43) + 0.1), ylim=(0, 1.12 * max([*counts, 1])), yticks=[])
    return figure


def compact_count(count: int) -> str:
    """Return a count in at most four letters: 999, 1.2k, 39k."""
    if count < 1000:
        return str(count)
    return f"{count / 1000:.1f}k" if count < 9950 else f"{count / 1000:.0f}k"
