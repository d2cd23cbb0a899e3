"""Cells that a spreadsheet would run."""

from __future__ import annotations

import pytest

from dfer.runtime.cells import quote_cell, unquote_cell

RUN = ["=1+1", "+1", "-cmd|' /C calc'!A0", "@SUM(1)", "\t=1", "\r=1", "'=1", "''@x"]
PLAIN = ["", "happy", "a=b", "'happy'", "1-2", "0.5", "été", "'"]


@pytest.mark.parametrize("text", RUN)
def test_a_cell_that_would_be_run_is_quoted(text: str) -> None:
    assert quote_cell(text) == f"'{text}"


@pytest.mark.parametrize("text", PLAIN)
def test_other_cells_stay_as_they_are(text: str) -> None:
    assert quote_cell(text) == text


@pytest.mark.parametrize("text", [*RUN, *PLAIN])
def test_reading_gives_what_was_written(text: str) -> None:
    assert unquote_cell(quote_cell(text)) == text
