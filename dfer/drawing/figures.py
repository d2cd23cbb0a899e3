"""The figures: confusion matrix, training curves, emotion timeline.

Each `draw_` returns a matplotlib figure that belongs to nobody else (pyplot is never touched); each `plot_` writes
one to a file, atomically, as .png, .pdf or .svg.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from dfer.drawing.style import (
    LIGHT,
    MARGIN,
    SMALL_PT,
    TEXT_PT,
    TINY_PT,
    Sheet,
    Theme,
    ink_on,
    require_figure_suffix,
    save_figure,
    text_width,
)
from dfer.drawing.timeline import draw_timeline
from dfer.records import Prediction
from dfer.runtime.formatting import percent, pluralize

__all__ = ["draw_confusion", "draw_curves", "draw_timeline", "plot_confusion", "plot_curves", "plot_timeline"]


def plot_confusion(
    confusion: ArrayLike,
    labels: Sequence[str],
    path: Path,
    *,
    title: str,
    subtitle: str | None = None,
    footer: Sequence[str] = (),
) -> None:
    """Draw a confusion matrix to a file.

    Args:
        confusion: int [C, C], confusion[true][predicted].
        labels: the C class names.
        path: .png, .pdf or .svg.
        title: one line.
        subtitle: such as WAR and UAR.
        footer: what the reader must not miss, such as that the model has seen drawings only.

    Raises:
        UsageError: another suffix.
        DferError: the file cannot be written.
    """
    require_figure_suffix(path)
    save_figure(draw_confusion(confusion, labels, title=title, subtitle=subtitle, footer=footer), path)


def plot_curves(
    metrics: Sequence[Mapping[str, Any]],
    path: Path,
    *,
    title: str,
    subtitle: str | None = None,
    footer: Sequence[str] = (),
) -> None:
    """Draw the course of a training run to a file.

    Args:
        metrics: a record per epoch, as in metrics.jsonl; the validation figures may be missing.
        path: .png, .pdf or .svg.
        title: one line.
        subtitle: instead of a line on the best epoch, learning rate and speed.
        footer: what the reader must not miss.

    Raises:
        UsageError: another suffix.
        DferError: the file cannot be written.
    """
    require_figure_suffix(path)
    save_figure(draw_curves(metrics, title=title, subtitle=subtitle, footer=footer), path)


def plot_timeline(prediction: Prediction, path: Path) -> None:
    """Draw the emotion timeline of a video to a file: probabilities over time and the winning emotion, per face.

    Args:
        prediction: its warnings are printed below.
        path: .png, .pdf or .svg.

    Raises:
        UsageError: another suffix.
        DferError: the file cannot be written.
    """
    require_figure_suffix(path)
    save_figure(draw_timeline(prediction), path)


def draw_confusion(
    confusion: ArrayLike,
    labels: Sequence[str],
    *,
    title: str,
    subtitle: str | None = None,
    footer: Sequence[str] = (),
    theme: Theme = LIGHT,
) -> Figure:
    """A confusion matrix: colours by row share, counts and percent in the cells, recalls at the right.

    Arguments as of `plot_confusion`.

    Raises:
        ValueError: the matrix is not [C, C].
    """
    counts = np.asarray(confusion)
    classes = len(labels)
    if counts.shape != (classes, classes):
        raise ValueError(f"expected a confusion matrix [{classes}, {classes}], got {list(counts.shape)}")
    clips = counts.sum(axis=1)
    shares = counts / np.maximum(clips, 1)[:, None]

    cell_w, cell_h = (0.82, 0.56) if classes <= 8 else (0.7, 0.5)
    widest = max(text_width(label, TEXT_PT) for label in labels)
    left = MARGIN + 0.3 + widest + 0.12
    turned = widest > cell_w - 0.06
    heads = 0.25 + (0.72 * widest + 0.12 if turned else 0.22)
    width = max(5.0, left + classes * cell_w + 1.0 + MARGIN)
    sheet = Sheet(width, heads + classes * cell_h, title=title, subtitle=subtitle, footer=footer, theme=theme)

    axes = sheet.axes(left, heads, classes * cell_w, classes * cell_h)
    axes.grid(visible=False)
    axes.set(xticks=[], yticks=[])
    colormap = theme.colormap()
    axes.imshow(shares, cmap=colormap, vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    for edge in np.arange(classes + 1) - 0.5:
        axes.axhline(edge, color=theme.paper, linewidth=1.5)
        axes.axvline(edge, color=theme.paper, linewidth=1.5)
    for row in range(classes):
        for column in range(classes):
            _write_cell(axes, row, column, int(counts[row, column]), shares[row, column], colormap, theme)

    middle = left + classes * cell_w / 2
    sheet.text(middle, 0, "predicted", size=SMALL_PT, color=theme.muted, align="center")
    sheet.text(
        MARGIN + 0.08,
        heads + classes * cell_h / 2,
        "true",
        size=SMALL_PT,
        color=theme.muted,
        align="center",
        rotation=90,
    )
    recall_at = left + classes * cell_w + 0.15
    sheet.text(recall_at, heads - 0.22, "recall %", color=theme.muted)
    for number, label in enumerate(labels):
        x, y = left + (number + 0.5) * cell_w, heads + (number + 0.5) * cell_h
        _write_column_head(sheet, x, heads, label, turned=turned)
        sheet.text(left - 0.12, y - 0.08, label, align="right")
        recall = shares[number, number] if clips[number] else None
        sheet.text(recall_at, y - 0.15, percent(recall), bold=True)
        sheet.text(recall_at, y + 0.03, pluralize(int(clips[number]), "clip"), size=TINY_PT, color=theme.muted)
    return sheet.figure


def _write_cell(axes: Axes, row: int, column: int, count: int, share: float, colormap: Any, theme: Theme) -> None:
    if not count:
        axes.text(column, row, "0", ha="center", va="center", fontsize=TINY_PT, color=theme.muted, alpha=0.6)
        return
    ink = ink_on(colormap(share)[:3])
    weight = "bold" if row == column else "normal"
    axes.text(column, row - 0.14, f"{count:,}", ha="center", va="center", fontsize=TEXT_PT, color=ink, weight=weight)
    axes.text(
        column, row + 0.24, f"{percent(share, 1)} %", ha="center", va="center", fontsize=TINY_PT, color=ink, alpha=0.85
    )


def _write_column_head(sheet: Sheet, x: float, bottom: float, label: str, *, turned: bool) -> None:
    if turned:
        reach = text_width(label, TEXT_PT) / 2 * math.sqrt(0.5)
        sheet.text(x + reach - 0.06, bottom - reach - 0.1, label, align="center", rotation=45)
    else:
        sheet.text(x, bottom - 0.22, label, align="center")


def draw_curves(
    metrics: Sequence[Mapping[str, Any]],
    *,
    title: str,
    subtitle: str | None = None,
    footer: Sequence[str] = (),
    theme: Theme = LIGHT,
) -> Figure:
    """Two panels over the epochs: the losses; WAR and UAR on the validation clips; the best epoch marked.

    Arguments as of `plot_curves`.
    """
    best = max((record for record in metrics if record.get("val_war") is not None), key=_rank, default=None)
    subtitle = subtitle if subtitle is not None else _course(metrics, best)
    sheet = Sheet(9.0, 3.3, title=title, subtitle=subtitle, footer=footer, theme=theme)
    panels = [sheet.axes(0.75, 0.3, 3.7, 2.5), sheet.axes(5.1, 0.3, 3.6, 2.5)]
    curves: list[list[tuple[str, str, str, float]]] = [
        [("train_loss", "training loss", theme.second, 1), ("val_loss", "validation loss", theme.accent, 1)],
        [("val_war", "WAR", theme.accent, 100), ("val_uar", "UAR", theme.second, 100)],
    ]
    for axes, lines in zip(panels, curves, strict=True):
        drawn = [_draw_curve(axes, metrics, *line) for line in lines]
        axes.set_xlabel("epoch", fontsize=SMALL_PT, color=theme.muted)
        axes.margins(x=0.02)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, min_n_ticks=1))
        if not any(drawn):
            axes.set(xticks=[], yticks=[], xlabel="")
            sheet.fill(axes)
            what = "no validation clips" if metrics else "no epoch finished yet"
            axes.text(0.5, 0.5, what, transform=axes.transAxes, ha="center", color=theme.muted, fontsize=TEXT_PT)
            continue
        if best is not None:
            label = f"best epoch {best['epoch']:.0f}"
            axes.axvline(best["epoch"], color=theme.muted, linewidth=1, linestyle=(0, (3, 2)), label=label)
        _add_legend_above(axes, theme)
    if best is not None:
        panels[1].yaxis.set_major_formatter("{x:g} %")
        panels[1].plot(best["epoch"], 100 * best["val_war"], "o", color=theme.accent, markersize=6, zorder=5)
    return sheet.figure


def _draw_curve(
    axes: Axes, metrics: Sequence[Mapping[str, Any]], key: str, name: str, color: str, factor: float
) -> bool:
    points = [(record["epoch"], factor * record[key]) for record in metrics if record.get(key) is not None]
    if points:
        epochs, values = zip(*points, strict=True)
        marker = "o" if len(points) <= 2 else None
        axes.plot(epochs, values, color=color, linewidth=1.8, marker=marker, markersize=4, label=name)
    return bool(points)


def _add_legend_above(axes: Axes, theme: Theme) -> None:
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(-0.02, 0.99),
        ncols=3,
        frameon=False,
        fontsize=SMALL_PT,
        labelcolor=theme.ink,
        handlelength=1.4,
        columnspacing=1.4,
    )


def _rank(record: Mapping[str, Any]) -> tuple[float, float, float]:
    """As training chooses: WAR, then UAR, then the lower loss."""
    return record["val_war"], record.get("val_uar", 0.0), -record.get("val_loss", 0.0)


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
