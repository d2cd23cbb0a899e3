"""Answers on a regular grid."""

from __future__ import annotations

import pytest

from dfer.errors import UsageError
from dfer.records import Bin, FaceBin
from dfer.records.bins import check_bin, cut_bins, stride_within
from tests.results import face_with


def seen(bins: list[Bin], face: int = 0) -> list[float]:
    return [round(one.faces[face].visible, 6) for one in bins]


def test_every_bin_of_the_video_is_there_and_begins_on_the_grid() -> None:
    bins = cut_bins([face_with([(0.0, 0.5, "sad"), (4.0, 4.5, "happy")])], bin_s=1.0, end_s=5.2)
    assert [(one.start, one.end) for one in bins] == [(n, n + 1) for n in range(6)]
    assert seen(bins) == [0.5, 0, 0, 0, 0.5, 0]
    assert [one.visible for one in bins] == [0.5, 0, 0, 0, 0.5, 0]
    assert [one.faces[0].label for one in bins] == ["sad", None, None, None, "happy", None]
    assert bins[1].faces == [FaceBin(0, 0.0)]


def test_a_video_without_a_face_has_all_its_bins() -> None:
    assert cut_bins([], bin_s=0.5, end_s=1.2) == [Bin(n / 2, (n + 1) / 2, 0.0, []) for n in range(3)]
    assert len(cut_bins([], bin_s=0.5, end_s=0.0)) == 1


def test_an_answer_is_the_mean_weighted_by_time() -> None:
    (first, second) = cut_bins([face_with([(0.0, 0.75, "sad"), (0.75, 1.5, "happy")])], bin_s=1.0, end_s=1.5)
    assert (first.faces[0].label, second.faces[0].label) == ("sad", "happy")
    assert first.faces[0].probabilities["sad"] == pytest.approx(0.75 * 0.7 + 0.25 * 0.05)
    assert sum(first.faces[0].probabilities.values()) == pytest.approx(1)
    assert first.faces[0].box == (10.0, 10.0, 60.0, 60.0)


def test_faces_share_the_grid_and_time_in_which_any_is_seen_counts_once() -> None:
    faces = [face_with([(0.0, 0.6, "sad"), (1.5, 2.0, "sad")]), face_with([(0.4, 0.8, "happy")], 1)]
    bins = cut_bins(faces, bin_s=1.0, end_s=2.0)
    assert seen(bins) == [0.6, 0.5]
    assert seen(bins, 1) == pytest.approx([0.4, 0])
    assert [one.visible for one in bins] == pytest.approx([0.8, 0.5])


@pytest.mark.parametrize("bin_s", [0.04, 0.1, 1 / 3, 0.7, 1.0, 60.0])
def test_the_bins_hold_all_of_a_faces_time(bin_s: float) -> None:
    face = face_with([(n * 0.64, (n + 1) * 0.64, "sad") for n in range(10)])
    bins = cut_bins([face], bin_s=bin_s, end_s=6.4)
    assert sum(seen(bins)) == pytest.approx(face.visible, abs=1e-4)
    assert max(seen(bins)) <= bin_s + 1e-6
    assert bins[-1].start < 6.4 <= bins[-1].end + 1e-6


@pytest.mark.parametrize(("bin_s", "stride_s"), [(0.1, 0.1), (0.5, 0.5), (1.0, 0.5), (2.0, 2 / 3), (5.0, 0.625)])
def test_segments_fill_a_bin_exactly(bin_s: float, stride_s: float) -> None:
    assert stride_within(bin_s, 2 / 3) == pytest.approx(stride_s)


@pytest.mark.parametrize("seconds", [0.0, -1.0, 0.001, float("nan"), float("inf")])
def test_lengths_that_no_bin_has(seconds: float) -> None:
    with pytest.raises(UsageError, match=r"a bin must be at least 0\.01 seconds"):
        check_bin(seconds)
