"""A manifest, counted."""

from __future__ import annotations

from dfer.reports.store_tables import class_table, failure_table, fold_table, rate_bars, status_bars
from tests.stores import LABELS, row_of


def test_reasons_that_differ_in_a_number_are_one_but_signals_are_not() -> None:
    reasons = ["took more than 900 s", "crashed (exit code -11)", "crashed (exit code -9)", "a face in 1 of 9 frames"]
    rows = [row_of("a", "no_face", detail=f"no face in {n} frames") for n in (5, 66)]
    rows += [row_of(f"b{n}", "unreadable", detail=reason) for n, reason in enumerate(reasons)]
    said = {cells[2]: cells[1] for cells in failure_table(rows)[1:]}
    assert said == {"no face in N frames": "2", **dict.fromkeys(reasons, "1")}


def test_status_bars_are_shares_of_all() -> None:
    bars = status_bars([row_of("a"), row_of("b"), row_of("c"), row_of("d", "too_short")])
    assert [(bar.name, bar.text, bar.share) for bar in bars] == [
        ("ok", "3 · 75.00 %", 0.75),
        ("too short", "1 · 25.00 %", 0.25),
    ]


def test_frame_rates_are_told_where_they_differ() -> None:
    assert rate_bars([row_of("a"), row_of("b")]) == []
    rows = [row_of(f"c{n}", fps=10.0 + n) for n in range(12)] + [row_of("d", fps=29.97), row_of("e", fps=29.97)]
    bars = rate_bars(rows)
    assert [bars[0].name, bars[0].text] == ["29.97 frames/s", "2 · 14.29 %"]
    assert [bars[-1].name, bars[-1].text] == ["5 other rates", "5 · 35.71 %"]


def test_a_class_without_clips_and_a_fold_with_val() -> None:
    rows = [row_of("a", folds={1: "val"}), row_of("b", "no_face", label=1, folds={1: "train"})]
    assert class_table(rows, LABELS)[3] == ["neutral", "0", "0", "0", "–", "0", "–", "–"]
    assert [cells[1] for cells in fold_table(rows, LABELS)[1:]] == ["train", "val"]


def test_there_is_an_end_to_reasons() -> None:
    rows = [row_of(f"c{n}", "unreadable", detail="x" * (n + 1)) for n in range(50)]
    table = failure_table(rows)
    assert len(table) == 22
    assert table[-1][:3] == ["others", "30", "30 other reasons"]
