"""The notice beside a raw data set."""

from __future__ import annotations

from pathlib import Path

import pytest

from dfer.datasets.notice import MAX_NOTICE, NOTICE_FILE, read_notice
from dfer.errors import DataError


def test_no_file_is_no_notice(tmp_path: Path) -> None:
    assert read_notice(tmp_path) == ""


@pytest.mark.parametrize("given", [".", "labels.csv"])
def test_a_notice_is_one_line_beside_the_folder_or_the_table(tmp_path: Path, given: str) -> None:
    (tmp_path / "labels.csv").write_text("path,label\n")
    (tmp_path / NOTICE_FILE).write_text("drawings only:\n not for  real faces\n", encoding="utf-8")
    assert read_notice(tmp_path / given) == "drawings only: not for real faces"


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"long " * MAX_NOTICE])
def test_what_is_no_notice_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / NOTICE_FILE).write_bytes(content)
    with pytest.raises(DataError, match="notice") as raised:
        read_notice(tmp_path)
    assert NOTICE_FILE in str(raised.value)
