"""Histograms small enough to stand side by side: every bar says its number, so that a rare case is seen too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from dfer.drawing.style import LIGHT, MARGIN, SMALL_PT, TINY_PT, Sheet, Theme

_WIDTH, _HEIGHT = 4.9, 1.9  # inches, of the whole and of the bars
_STEPS = [round(factor * 10**power) for power in range(6) for factor in (1, 2, 5)]


@dataclass(frozen=True)
class Histogram:
    """Numbers of things in bins.

    Attributes:
        edges: of the bins, as text; one more than there are bins.
        counts: of the bins.
        extra: name and count of a bin that stands apart at the right; None for none.
    """

    edges: Sequence[str]
    counts: Sequence[int]
    extra: tuple[str, int] | None = None


def share_histogram(shares: Sequence[float]) -> Histogram:
    """Shares (0..1) in tenths, in percent; those that are wholly 1 stand apart."""
    values = np.asarray(shares, np.float64)
    whole = values >= 1
    # To four decimals, as the manifest holds them: 0.3 is no 0.2999.
    tenths = np.clip(np.round(10 * values[~whole], 3).astype(int), 0, 9)
    counts = np.bincount(tenths, minlength=10)
    return Histogram([str(10 * n) for n in range(11)], counts.tolist(), ("all", int(whole.sum())))


def length_histogram(lengths: Sequence[int], max_bins: int = 10) -> Histogram:
    """Whole numbers in bins of a round width; the longest hundredth may stand apart, so that the others are seen."""
    values = np.asarray(lengths, np.int64)
    lowest, most = int(values.min()), int(np.quantile(values, 0.99, method="higher"))
    step = next(step for step in _STEPS if most // step - lowest // step < max_bins)
    first, end = lowest // step * step, (most // step + 1) * step
    edges = np.arange(first, end + 1, step)
    counts, _ = np.histogram(values[values < end], edges)
    longer = int((values >= end).sum())
    return Histogram([f"{edge}" for edge in edges], counts.tolist(), ("more", longer) if longer else None)


def draw_histogram(histogram: Histogram, *, title: str, subtitle: str, theme: Theme = LIGHT) -> Figure:
    """Bars with their numbers above.

    Args:
        histogram: what to draw.
        title: one line.
        subtitle: what is counted, in which unit.
        theme: the colours.
    """
    sheet = Sheet(_WIDTH, _HEIGHT + 0.4, title=title, subtitle=subtitle, theme=theme)
    axes = sheet.axes(MARGIN, 0.15, _WIDTH - 2 * MARGIN, _HEIGHT)
    axes.grid(visible=False)
    bins = len(histogram.counts)
    places = [n + 0.5 for n in range(bins)]
    ticks, names, counts = [float(n) for n in range(bins + 1)], list(histogram.edges), list(histogram.counts)
    if histogram.extra is not None:
        places, ticks = [*places, bins + 1.0], [*ticks, bins + 1.0]
        names, counts = [*names, histogram.extra[0]], [*counts, histogram.extra[1]]
    axes.bar(places, counts, width=0.86, color=theme.accent, linewidth=0)
    for place, count in zip(places, counts, strict=True):
        if count:
            axes.annotate(
                compact(count),
                (place, count),
                (0, 3),
                textcoords="offset points",
                ha="center",
                fontsize=TINY_PT,
                color=theme.ink,
            )
    axes.axhline(0, color=theme.muted, linewidth=1, clip_on=False)
    axes.set_xticks(ticks, names, fontsize=SMALL_PT)
    axes.set(xlim=(-0.1, max(ticks[-1], places[-1] + 0.43) + 0.1), ylim=(0, 1.12 * max([*counts, 1])), yticks=[])
    return sheet.figure


def compact(count: int) -> str:
    """A count in at most four letters: 999, 1.2k, 39k."""
    if count < 1000:
        return str(count)
    return f"{count / 1000:.1f}k" if count < 9950 else f"{count / 1000:.0f}k"
