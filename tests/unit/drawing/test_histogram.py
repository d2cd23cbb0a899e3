"""Histograms: bins that lose nothing, and bars that say their numbers."""

from __future__ import annotations

from itertools import pairwise

import pytest

from dfer.drawing.histogram import Histogram, compact, draw_histogram, length_histogram, share_histogram
from dfer.drawing.style import png_bytes


def test_shares_are_counted_by_tenths_and_the_whole_apart() -> None:
    histogram = share_histogram([0.0, 0.3, 0.2999, 0.9999, 1.0, 1.0])
    assert histogram.counts == [1, 0, 1, 1, 0, 0, 0, 0, 0, 1]
    assert histogram.extra == ("all", 2)


@pytest.mark.parametrize("lengths", [[1], [16] * 50, list(range(1, 500)), [*range(10, 60), 5000] * 4, [3] * 200 + [99]])
def test_lengths_fall_into_few_round_bins_and_none_is_lost(lengths: list[int]) -> None:
    histogram = length_histogram(lengths)
    edges = [int(edge) for edge in histogram.edges]
    steps = {later - earlier for earlier, later in pairwise(edges)}
    assert len(steps) == 1
    assert 1 <= len(histogram.counts) <= 10
    assert sum(histogram.counts) + (histogram.extra[1] if histogram.extra else 0) == len(lengths)
    assert edges[0] <= min(lengths) < edges[0] + steps.pop()
    for place, count in enumerate(histogram.counts):
        assert count == sum(edges[place] <= length < edges[place + 1] for length in lengths)


@pytest.mark.parametrize(("count", "said"), [(7, "7"), (999, "999"), (1234, "1.2k"), (9949, "9.9k"), (11697, "12k")])
def test_counts_above_bars_are_short(count: int, said: str) -> None:
    assert compact(count) == said


def test_a_histogram_says_every_count() -> None:
    figure = draw_histogram(Histogram(["0", "5", "10"], [3, 0], ("more", 1)), title="Length", subtitle="crops")
    assert [text.get_text() for text in figure.axes[0].texts] == ["3", "1"]
    assert [text.get_text() for text in figure.axes[0].get_xticklabels()] == ["0", "5", "10", "more"]
    assert b"Software" not in png_bytes(figure)
