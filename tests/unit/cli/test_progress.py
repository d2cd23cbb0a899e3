"""Progress: what a log file and a terminal get to see, by a clock that the tests turn."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise

import pytest
from tqdm import tqdm

from dfer.cli.progress import LOG_LAST_S, MIN_SAMPLES, PERCENT, WINDOW_S, Progress, RateMeter, bar_format


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    out, err = capsys.readouterr()
    assert out == ""
    assert "\r" not in err
    assert "\x1b" not in err
    return err.splitlines()


# ---- the rate


def test_the_rate_is_that_of_the_last_minute() -> None:
    meter = RateMeter()
    for second in range(600):
        meter.add(second, 1)
    for second in range(600, 720):
        meter.add(second, 10)
    assert meter.per_second(719) == pytest.approx(10, rel=0.01)


def test_the_rate_of_slow_work_looks_back_further() -> None:
    meter = RateMeter()
    for hour in range(30):
        meter.add(3600.0 * hour, 1)
    assert meter.per_second(29 * 3600) == pytest.approx(1 / 3600)
    assert WINDOW_S < 3600
    assert MIN_SAMPLES > 2


def test_neither_the_start_nor_what_was_skipped_counts_as_work() -> None:
    meter = RateMeter()
    assert meter.per_second(0) is None
    meter.add(1, 10_000, skipped=True)
    assert meter.per_second(5) is None
    for second in range(30, 41):  # the workers took half a minute to start
        meter.add(second, 2)
    assert meter.per_second(40) == pytest.approx(2)
    assert meter.worked == 22


# ---- in a log file


def test_a_log_gets_a_line_at_growing_intervals_and_one_at_the_end(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    moments = []
    with Progress("preprocess", "clips", clock=clock) as progress:
        for second in range(7200):
            clock.now = 1001.0 + second
            progress.advance(2, 14400, "3 failed" if second > 3000 else "")
            moments += [clock.now - 1000] * len(lines(capsys))
        assert moments[:3] == [10, 20, 30]
        pauses = [later - earlier for earlier, later in pairwise(moments)]
        assert pauses == sorted(pauses)
        assert pauses[-1] == LOG_LAST_S
        assert len(moments) < 50
    assert lines(capsys) == ["preprocess: 14,400 clips in 2 h 00 min, 2.0 clips/s, 3 failed"]


def test_a_log_line_says_how_far_how_fast_how_long_and_how_many_failed(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    with Progress("preprocess", "clips", clock=clock) as progress:
        for _ in range(10):
            clock.now += 1
            progress.advance(4, 11697, "7 failed")
    assert lines(capsys) == [
        "preprocess: 40 of 11,697 clips, 4.0 clips/s, 49 min left, 7 failed",
        "preprocess: 40 of 11,697 clips in 10 s, 4.0 clips/s, 7 failed",
    ]


def test_short_work_leaves_no_line(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("synth", "clips", clock=clock) as progress:
        for done in range(9):
            clock.now += 1
            progress.set(done + 1, 9)
    assert lines(capsys) == []


def test_what_an_earlier_run_had_done_does_not_raise_the_rate(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("synth", "clips", clock=clock) as progress:
        for done in range(501, 512):
            clock.now += 1
            progress.set(done, 600, earlier=500)
    first, last = lines(capsys)
    assert first == "synth: 510 of 600 clips, 1.0 clips/s, 2 min left"
    assert last == "synth: 511 of 600 clips in 11 s, 1.0 clips/s"


def test_parts_that_count_anew_add_up(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("eval", "clips", clock=clock) as progress:
        for _fold in range(2):
            for done in (16, 32, 40):
                clock.now += 5
                progress.set(done, 40)
    assert lines(capsys)[-1] == "eval: 80 clips in 30 s, 2.7 clips/s", "the first 16 count like the others"


def test_percent_has_no_rate(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("a.mp4", PERCENT, clock=clock) as progress:
        for done in range(0, 30, 2):
            clock.now += 1
            progress.set(done, 100, "detect")
    first, last = lines(capsys)
    assert first == "a.mp4: 18 %, 41 s left, detect"
    assert last == "a.mp4: 28 % in 15 s, detect"


def test_an_error_ends_the_display_and_passes_through(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        with Progress("preprocess", "clips", clock=clock) as progress:
            clock.now += 60
            progress.advance(1, 50)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    assert lines(capsys)[-1].startswith("preprocess: 1 of 50 clips in 1 min 00 s")


# ---- on a terminal


PARTS = ["4,679 of 11,697 clips", "6.4 clips/s", "18 min left", "3 failed"]


def drawn(width: int) -> str:
    return str(tqdm.format_meter(0.4, 1.0, 1.0, ncols=width, bar_format=bar_format("preprocess", PARTS, width)))


@pytest.mark.parametrize("width", [24, 40, 60, 80, 120, 300])
def test_a_line_fits_the_terminal(width: int) -> None:
    shown = drawn(width)
    assert len(shown) <= width
    assert "4,679 of 11,697" in shown
    assert ("3 failed" in shown) == (width >= 40)
    assert ("6.4 clips/s" in shown) == (width >= 80)
    assert ("█" in shown) == (width > 40)


PROGRAM = """
import time
from dfer.cli.console import note
from dfer.cli.progress import Progress
with Progress("preprocess", "clips") as progress:
    for n in range(4):
        time.sleep(0.15)
        progress.advance(1, 4, "1 failed")
        note(f"a line of its own, {n}")
note("the end")
"""


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    ours, theirs = pty.openpty()
    yield ours, theirs
    os.close(ours)


@pytest.mark.parametrize("changes", [{"TERM": "xterm"}, {"TERM": "xterm", "NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_a_terminal_gets_a_bar_that_goes_away(terminal: tuple[int, int], changes: dict[str, str]) -> None:
    ours, theirs = terminal
    environment = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stderr=theirs, stdin=theirs, env=environment | {"COLUMNS": "100"} | changes
    )
    os.close(theirs)
    said = b""
    while True:
        try:
            piece = os.read(ours, 4096)
        except OSError:  # how a pseudo-terminal says that the other end is closed
            break
        if not piece:
            break
        said += piece
    assert process.wait(timeout=30) == 0
    text = said.decode()
    if changes["TERM"] == "dumb":
        assert text.splitlines() == [*(f"a line of its own, {n}" for n in range(4)), "the end"]
        return
    assert "2 of 4 clips" in text
    assert "1 failed" in text
    assert "█" in text
    assert "█" not in text.rpartition("\r")[2]  # the bar is gone
    for number in range(4):
        assert re.search(rf"(^|\n|\r)a line of its own, {number}\r?\n", text)
