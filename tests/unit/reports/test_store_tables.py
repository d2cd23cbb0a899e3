"""A manifest, counted."""

from __future__ import annotations

from itertools import pairwise

import pytest

from dfer.reports.store_tables import (
    class_table,
    clip_frame,
    failure_table,
    fold_table,
    length_bins,
    rate_bars,
    share_bins,
    status_bars,
)
from tests.stores import LABELS, row_of


def test_reasons_that_differ_in_a_number_are_one_but_signals_are_not() -> None:
    reasons = ["took more than 900 s", "crashed (exit code -11)", "crashed (exit code -9)", "a face in 1 of 9 frames"]
    rows = [row_of("a", "no_face", detail=f"no face in {n} frames") for n in (5, 66)]
    rows += [row_of(f"b{n}", "unreadable", detail=reason) for n, reason in enumerate(reasons)]
    shown = {cells[2]: cells[1] for cells in failure_table(clip_frame(rows))[1:]}
    assert shown == {"no face in N frames": "2", **dict.fromkeys(reasons, "1")}


def test_status_bars_are_shares_of_all() -> None:
    bars = status_bars(clip_frame([row_of("a"), row_of("b"), row_of("c"), row_of("d", "too_short")]))
    assert bars == [
        ("ok", "3 · 75.00 %", 0.75),
        ("too short", "1 · 25.00 %", 0.25),
    ]


def test_frame_rates_are_shown_where_they_differ() -> None:
    assert rate_bars(clip_frame([row_of("a"), row_of("b")])) == []
    rows = [row_of(f"c{n}", fps=10.0 + n) for n in range(12)] + [row_of("d", fps=29.97), row_of("e", fps=29.97)]
    bars = rate_bars(clip_frame(rows))
    assert list(bars[0][:2]) == ["29.97 frames/s", "2 · 14.29 %"]
    assert list(bars[-1][:2]) == ["5 other rates", "5 · 35.71 %"]


def test_clips_without_a_label_are_in_no_table() -> None:
    labelled = [row_of("a", folds={1: "train"}), row_of("b", label=1, folds={1: "test"})]
    clips = clip_frame([*labelled, row_of("c", folds={1: "soft"})])
    assert class_table(clips, LABELS) == class_table(clip_frame(labelled), LABELS)
    assert fold_table(clips, LABELS) == fold_table(clip_frame(labelled), LABELS)
    assert not clip_frame([])["soft"].any()


def test_a_class_without_clips_and_a_fold_with_val() -> None:
    rows = [row_of("a", folds={1: "val"}), row_of("b", "no_face", label=1, folds={1: "train"})]
    assert class_table(clip_frame(rows), LABELS)[3] == ["neutral", "0", "0", "0", "–", "0", "–", "–"]
    assert [cells[1] for cells in fold_table(clip_frame(rows), LABELS)[1:]] == ["train", "val"]


def test_there_is_an_end_to_reasons() -> None:
    rows = [row_of(f"c{n}", "unreadable", detail="x" * (n + 1)) for n in range(50)]
    table = failure_table(clip_frame(rows))
    assert len(table) == 22
    assert table[-1][:3] == ["others", "30", "30 other reasons"]


def test_shares_are_counted_by_tenths_and_the_whole_apart() -> None:
    _, counts, extra = share_bins([0.0, 0.3, 0.2999, 0.9999, 1.0, 1.0])
    assert counts == [1, 0, 1, 1, 0, 0, 0, 0, 0, 1]
    assert extra == ("all", 2)


@pytest.mark.parametrize("lengths", [[1], [16] * 50, list(range(1, 500)), [*range(10, 60), 5000] * 4, [3] * 200 + [99]])
def test_lengths_fall_into_few_round_bins_and_none_is_lost(lengths: list[int]) -> None:
    names, counts, extra = length_bins(lengths)
    edges = [int(edge) for edge in names]
    steps = {later - earlier for earlier, later in pairwise(edges)}
    assert len(steps) == 1
    assert 1 <= len(counts) <= 10
    assert sum(counts) + (extra[1] if extra else 0) == len(lengths)
    assert edges[0] <= min(lengths) < edges[0] + steps.pop()
    for place, count in enumerate(counts):
        assert count == sum(edges[place] <= length < edges[place + 1] for length in lengths)
