"""Lines on stderr: one each, whatever a name in them holds."""

from __future__ import annotations

import logging

import pytest

from dfer.cli import console


@pytest.mark.parametrize("name", ["a\nerror: b", "a\r\x1b[2Jb", "a\u2028b\x85c"])
def test_a_name_cannot_begin_a_line_of_its_own(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    console.configure_logging(debug=False)
    console.note(f"report: {name}")
    console.print_error(f"cannot read ({name})", hint=f"see {name}")
    logging.getLogger("dfer").warning("%s: damaged", name)
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["report", "error", "hint", "warning"]
    assert not any(letter in line for line in lines for letter in "\r\x1b\x85\u2028")
