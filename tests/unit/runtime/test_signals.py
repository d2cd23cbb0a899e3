"""Signals that ask to stop end the work as an exception does; those that are ignored stay ignored."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dfer.runtime import signals
from dfer.runtime.signals import STOPPING, last_signal, raise_on_stop, stop_handler


@pytest.fixture(autouse=True)
def same_handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in STOPPING}
    yield
    assert {number: signal.getsignal(number) for number in STOPPING} == before


@pytest.mark.parametrize("number", STOPPING)
def test_each_signal_is_raised_and_remembered(number: signal.Signals) -> None:
    with raise_on_stop():
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
        assert last_signal() == number


def test_a_signal_that_comes_twice_at_once_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, bool]] = []
    monkeypatch.setattr(signals._LastSignal, "time_s", float("-inf"))
    with stop_handler(lambda number, again: seen.append((number, again))):
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        assert seen == [(signal.SIGTERM, False)]
        monkeypatch.setattr(signals._LastSignal, "time_s", float("-inf"))  # as if a second had passed
        signal.raise_signal(signal.SIGINT)
    assert seen == [(signal.SIGTERM, False), (signal.SIGINT, True)]


class _Stopped:
    """An object whose finaliser is where a signal arrives: Python drops what is raised there."""

    def __init__(self, number: signal.Signals) -> None:
        self.number = number

    def __del__(self) -> None:
        signal.raise_signal(self.number)


@pytest.mark.parametrize("number", STOPPING)
@pytest.mark.parametrize("times", [1, 3])
def test_a_signal_that_is_dropped_in_a_finaliser_is_raised_again(number: signal.Signals, times: int) -> None:
    hook = sys.unraisablehook
    with raise_on_stop():
        # In a finaliser again: each time it must come once more, and never count as a second request.
        for _ in range(times - 1):
            dropped = _Stopped(number)
            del dropped
            signals._LastSignal.time_s = float("-inf")
        dropped = _Stopped(number)
        del dropped
        with pytest.raises(KeyboardInterrupt):
            time.sleep(5)
        assert last_signal() == number
        time.sleep(0.1)  # of several that were dropped at once, none is left over
    assert sys.unraisablehook is hook


def test_other_errors_in_finalisers_are_reported_as_ever(capfd: pytest.CaptureFixture[str]) -> None:
    seen: list[object] = []
    former, sys.unraisablehook = sys.unraisablehook, lambda unraisable: seen.append(unraisable.exc_type)
    try:
        with raise_on_stop():
            dropped = _Broken()
            del dropped
    finally:
        sys.unraisablehook = former
    assert seen == [ValueError]


class _Broken:
    def __del__(self) -> None:
        raise ValueError("broken")


@pytest.mark.parametrize("number", STOPPING)
def test_an_ignored_signal_stays_ignored(number: signal.Signals) -> None:
    before = signal.signal(number, signal.SIG_IGN)
    try:
        with raise_on_stop():
            signal.raise_signal(number)
            assert signal.getsignal(number) is signal.SIG_IGN
    finally:
        signal.signal(number, before)


def test_in_another_thread_it_does_nothing() -> None:
    found: list[object] = []

    def run() -> None:
        with raise_on_stop():
            found.extend(signal.getsignal(number) for number in STOPPING)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert found == [signal.getsignal(number) for number in STOPPING]


def test_a_second_signal_ends_a_process_that_hangs_and_leaves_no_temporary_file(tmp_path: Path) -> None:
    program = f"""
import signal
from pathlib import Path
from dfer.runtime import signals
from dfer.runtime.files import atomic_path
with signals.raise_on_stop():
    try:
        with atomic_path(Path({str(tmp_path)!r}) / "a.csv"):
            try:
                signal.raise_signal(signal.SIGTERM)
            finally:
                signals._LastSignal.time_s = 0
                signal.raise_signal(signal.SIGTERM)
                while True:
                    pass
    except KeyboardInterrupt:
        pass
"""
    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=60).returncode == 128 + signal.SIGTERM
    assert list(tmp_path.iterdir()) == []
