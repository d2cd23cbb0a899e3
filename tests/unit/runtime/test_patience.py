"""Time limits of decoding, and disks that do not answer."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from dfer.runtime.patience import call_with_timeout, time_allowed_s


def test_long_videos_are_given_more_time(tmp_path: Path) -> None:
    short, long = tmp_path / "short.mp4", tmp_path / "long.mp4"
    short.write_bytes(b"")
    with long.open("wb") as file:
        file.truncate(10 * 2**20)
    assert time_allowed_s(short, 7) == 7
    assert time_allowed_s(long, 7) == 7 + 2000
    with long.open("wb") as file:
        file.truncate(2**40)
    assert time_allowed_s(long, 7) == 7 + 12 * 3600
    assert time_allowed_s(tmp_path / "gone.mp4", 7) == 7


def test_a_disk_that_does_not_answer() -> None:
    with pytest.raises(TimeoutError, match="does not answer"):
        call_with_timeout(0.05, lambda: time.sleep(5))
    assert call_with_timeout(5, lambda: 3) == 3
