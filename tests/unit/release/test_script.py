"""Tests of the wrapper of the release commands."""

from __future__ import annotations

import pytest

from dfer.errors import DferError
from dfer.release.script import run_script


def test_an_expected_error_is_a_line_and_a_hint() -> None:
    def fail() -> None:
        raise DferError("no such store", where="data/x", hint="make it")

    with pytest.raises(SystemExit, match=r"^error: no such store \(data/x\)\nhint: make it$"):
        run_script(fail)


def test_other_errors_keep_their_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        run_script(lambda: print(1 / 0))
