"""Column widths: words and figures stay whole as long as there is room."""

from __future__ import annotations

import pytest

from dfer.drawing.columns import fit_columns, wrap_cell

HEADING = ["method", "pretraining", "WAR"]
ROWS = [["AVF-MAE++ (H)", "several audio-visual sets", "66.88\n[65.1, 68.2]"], ["S2D", "–", "76.03"]]


def words(text: str) -> list[str]:
    return text.replace("-", "- ").split()


def test_columns_take_what_they_need_where_there_is_room() -> None:
    assert fit_columns(HEADING, ROWS, 100, rigid=[2]) == ([13, 25, 12], 2)


@pytest.mark.parametrize("width", [54, 50, 44, 40, 33, 31])
def test_no_word_and_no_figure_is_broken(width: int) -> None:
    widths, gap = fit_columns(HEADING, ROWS, width, rigid=[2])
    assert sum(widths) + 2 * gap <= width
    assert widths[2] == 12
    for row in [HEADING, *ROWS]:
        for text, room in zip(row, widths, strict=True):
            lines = wrap_cell(text, room).split("\n")
            assert max(map(len, lines)) <= room
            assert words(" ".join(lines)) == words(text)


def test_gaps_shrink_before_a_word_is_broken() -> None:
    assert [fit_columns(HEADING, ROWS, width, rigid=[2])[1] for width in (34, 33, 32)] == [2, 2, 1]


@pytest.mark.parametrize("width", [30, 20, 11])
def test_where_nothing_else_helps_the_widest_columns_are_narrowed(width: int) -> None:
    widths, gap = fit_columns(HEADING, ROWS, width, rigid=[2])
    assert gap == 1
    assert sum(widths) + 2 <= width
    assert min(widths) >= 3


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("several audio-visual sets", 12, ["several", "audio-visual", "sets"]),
        ("several audio-visual sets", 14, ["several audio-", "visual sets"]),
        ("compact_weight=0.1,attention=local", 20, ["compact_weight=0.1,", "attention=local"]),
        ("a\nb c", 9, ["a", "b c"]),
        ("", 3, [""]),
        ("unbreakable", 4, ["unbreakable"]),
        ("表情 認識", 4, ["表情", "認識"]),
    ],
)
def test_cells_are_wrapped_between_words(text: str, width: int, lines: list[str]) -> None:
    assert wrap_cell(text, width).split("\n") == lines
