"""Signals that ask a program to stop: Ctrl-C, SIGTERM and SIGHUP end it as an exception does, so that it cleans up."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from dfer.runtime.files import remove_own_unfinished

STOPPING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
_SAME_REQUEST_S = 1.0  # `timeout` and schedulers send a signal to a process and then to its group: twice
_RAISE_AGAIN_S = 0.02
_NEVER = float("-inf")


class _LastSignal:
    """The signal that asked this process to stop, and when it came, by the monotonic clock."""

    number = int(signal.SIGINT)
    time_s = _NEVER


def last_signal() -> signal.Signals:
    """Return the signal that asked this process to stop; SIGINT if a KeyboardInterrupt came without one."""
    return signal.Signals(_LastSignal.number)


@contextmanager
def stop_handler(handle: Callable[[int, bool], None]) -> Iterator[None]:
    """Call `handle` for each signal that asks to stop; outside the main thread, which gets no signals, do nothing.

    A signal that is ignored, as `nohup` and `&` in a script let SIGHUP and SIGINT be, stays ignored. One that comes
    twice within a second counts once.

    Args:
        handle: called with the signal's number, and whether one came before in this block.
    """
    calls = 0

    def receive(number: int, _frame: FrameType | None) -> None:
        nonlocal calls
        now, before = time.monotonic(), _LastSignal.time_s
        if now - before < _SAME_REQUEST_S:
            return
        _LastSignal.number, _LastSignal.time_s = number, now
        calls += 1
        handle(number, calls > 1)

    former = {}
    if threading.current_thread() is threading.main_thread():
        former = {n: h for n in STOPPING if (h := signal.getsignal(n)) not in (signal.SIG_IGN, None)}
    try:
        for number in former:
            signal.signal(number, receive)
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _send(number: signal.Signals) -> None:
    """Send a signal to the main thread, so that it ends a wait there too."""
    main = threading.main_thread().ident
    if hasattr(signal, "pthread_kill") and main is not None:
        signal.pthread_kill(main, number)
    else:
        signal.raise_signal(number)


@contextmanager
def raise_on_stop() -> Iterator[None]:
    """Raise KeyboardInterrupt for the first signal that asks to stop; another one ends the process at once.

    A signal that arrives where Python drops exceptions, as in a finaliser or in a callback from C, is raised again.
    """
    _LastSignal.number, _LastSignal.time_s = int(signal.SIGINT), _NEVER
    dropped = False

    def handle(number: int, again: bool) -> None:
        nonlocal dropped
        if again and not dropped:
            remove_own_unfinished()
            os._exit(128 + number)
        dropped = False
        raise KeyboardInterrupt

    def report(unraisable: sys.UnraisableHookArgs) -> None:
        nonlocal dropped
        if unraisable.exc_type is not KeyboardInterrupt or threading.current_thread() is not threading.main_thread():
            former(unraisable)
            return
        dropped, _LastSignal.time_s = True, _NEVER
        # Later, because the finaliser still runs; again if that is in another one.
        timer = threading.Timer(_RAISE_AGAIN_S, _send, [last_signal()])
        timer.daemon = True
        timer.start()

    former, sys.unraisablehook = sys.unraisablehook, report
    try:
        with stop_handler(handle):
            yield
    finally:
        sys.unraisablehook = former
