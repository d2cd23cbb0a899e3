"""Confusion matrix, training curves and histogram; each `draw_` returns a figure of its own (pyplot is not touched)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
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
        axes = figure.subplots()
        axes.grid(visible=False)
        colormap = theme.colormap()
        axes.pcolormesh(shares, cmap=colormap, vmin=0, vmax=1, edgecolors=theme.paper, linewidth=1.1)
        axes.invert_yaxis()
        _name_classes(axes, labels, turned=turned, theme=theme)
        for (row, column), count in np.ndenumerate(counts):
            share = shares[row, column]
            _write_cell(axes, row, column, int(count), share, ink_on(colormap(share)[:3]), theme)
        for row, (share, number) in enumerate(zip(shares.diagonal(), clips, strict=True)):
            _write_recall(axes, row, share if number else None, int(number), theme)
    return figure


def _name_classes(axes: Axes, labels: Sequence[str], *, turned: bool, theme: Theme) -> None:
    middles = np.arange(len(labels)) + 0.5
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    turn: dict[str, Any] = {"rotation": 45, "ha": "left", "rotation_mode": "anchor"} if turned else {}
    axes.set_xticks(middles, labels, **turn)
    axes.set_yticks(middles, labels)
    axes.tick_params(labelsize=_TEXT_PT, labelcolor=theme.ink, pad=6)
    axes.set_xlabel("predicted", labelpad=12)
    axes.set_ylabel("true")
    above: dict[str, Any] = {"xytext": (9, 8), "textcoords": "offset points", "va": "baseline"}
    axes.annotate("recall %", (1, 1), xycoords="axes fraction", color=theme.muted, **above)


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
