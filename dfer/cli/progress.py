"""Progress on stderr: a bar on a terminal, a line now and then in a log file, and one at the end."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType

from tqdm import tqdm

from dfer.cli.console import is_quiet, note, stderr
from dfer.names import printable
from dfer.runtime.formatting import format_duration, format_eta, format_rate

PERCENT = "%"  # as the unit: progress of a single item
REDRAW_EVERY_S = 0.1
LOG_FIRST_S, LOG_LAST_S = 10.0, 300.0  # pauses between log lines grow from the first to the last
LOG_PAUSE = 0.25  # of the time since the start
SUMMARY_FROM_S = 10.0  # shorter work ends without a summary
WINDOW_S = 60.0  # the rate is that of the last minute
MIN_SAMPLES = 20  # kept however old they are, so that slow work has a rate too
SAMPLE_EVERY_S = 0.5
_BAR_WIDTHS = (30, 8)  # columns, at most and at least


class Progress:
    """Counts finished items and shows how many, how fast, and how long the rest will take.

    Args:
        what: the work, such as "preprocess".
        unit: the items, such as "clips"; `PERCENT` for the progress of a single item.
        clock: the time in seconds.
    """

    def __init__(self, what: str, unit: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._what, self._unit, self._clock = printable(what, keep=""), unit, clock
        self._bar: _Bar | None = None
        self._meter = RateMeter()
        self._done, self._total, self._extra = 0, 0, ""
        self._left_s: float | None = None
        self._counted = 0  # over all rounds
        self._begun = self._logged = clock()
        self._drawn = -REDRAW_EVERY_S

    def __enter__(self) -> Progress:
        self._begun = self._logged = self._clock()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()
        if self._total and self._clock() - self._begun >= SUMMARY_FROM_S:
            note(self._summary())

    def advance(self, count: int, total: int, extra: str = "", *, skipped: bool = False) -> None:
        """Add finished items.

        Args:
            count: number of items finished since the last call.
            total: number of items in all.
            extra: text for the end of the line, such as "3 failed".
            skipped: these items took no work, so they do not count towards the rate.
        """
        self._update(self._done + count, total, extra, skipped=skipped)

    def set(self, done: int, total: int, extra: str = "", *, earlier: int = 0, left_s: float | None = None) -> None:
        """Set the number of finished items; a lower number than before starts another round.

        Args:
            done: number of items finished.
            total: number of items in all.
            extra: text for the end of the line.
            earlier: items that an earlier run had finished, which do not count towards the rate.
            left_s: how long the rest takes, seconds, where the caller knows better than the rate of the items.
        """
        self._left_s = left_s
        if not self._total and earlier:
            self._update(earlier, total, extra, skipped=True)
        self._update(done, total, extra)

    def _update(self, done: int, total: int, extra: str, *, skipped: bool = False) -> None:
        now = self._clock()
        step = done - self._done if done >= self._done else done
        self._meter.add(now, step, skipped=skipped)
        self._counted += step
        self._done, self._total, self._extra = done, total, extra
        if is_quiet():
            return
        if _animated():
            if now - self._drawn >= REDRAW_EVERY_S or done >= total:
                self._drawn = now
                self._draw()
        elif now - self._logged >= min(LOG_LAST_S, max(LOG_FIRST_S, LOG_PAUSE * (now - self._begun))):
            self._logged = now
            note(f"{self._what}: {', '.join(self._parts())}")

    def _draw(self) -> None:
        width = stderr.width
        line = bar_format(self._what, self._parts(), width)
        if self._bar is None:
            # One line needs no height, which some terminals do not report.
            self._bar = _Bar(total=1.0, file=sys.stderr, leave=False, bar_format=line, ncols=width, nrows=20)
        self._bar.n, self._bar.ncols, self._bar.bar_format = min(1.0, self._share()), width, line
        self._bar.refresh()

    def _share(self) -> float:
        return self._done / self._total if self._total else 0.0

    def _count(self) -> str:
        if self._unit == PERCENT:
            return f"{100 * self._share():.0f} %"
        return f"{self._done:,} of {self._total:,} {self._unit}"

    def _parts(self) -> list[str]:
        """Return the count, the rate, the time left, and the extra text, as far as they are known."""
        parts = [self._count()]
        rate = self._meter.per_second(self._clock())
        if rate is not None and self._unit != PERCENT:
            parts.append(format_rate(rate, self._unit))
        left_s = self._left_s
        if left_s is None and rate is not None:
            left_s = (self._total - self._done) / rate
        if left_s is not None and self._done < self._total:
            parts.append(f"{format_eta(left_s)} left")
        return [*parts, self._extra] if self._extra else parts

    def _summary(self) -> str:
        seconds = self._clock() - self._begun
        whole = self._done >= self._total and self._unit != PERCENT
        count = f"{self._counted:,} {self._unit}" if whole else self._count()
        parts = [f"{count} in {format_duration(seconds)}"]
        if self._unit != PERCENT and self._meter.worked:
            parts.append(format_rate(self._meter.worked / seconds, self._unit))
        return f"{self._what}: {', '.join([*parts, self._extra] if self._extra else parts)}"


class RateMeter:
    """Measures the rate of the last minute or so.

    It starts at the first item worked on, so that neither the start of the workers nor skipped items affect it.

    Attributes:
        worked: items so far, without skipped ones.
    """

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque()  # (seconds, items worked on so far)
        self.worked = 0

    def add(self, now: float, count: int, *, skipped: bool = False) -> None:
        """Add `count` items finished at the time `now`, in seconds."""
        if self.worked == 0:
            self._samples.clear()
        self.worked += 0 if skipped else count
        if not self._samples or now - self._samples[-1][0] >= SAMPLE_EVERY_S:
            self._samples.append((now, self.worked))
        while len(self._samples) > MIN_SAMPLES and now - self._samples[1][0] >= WINDOW_S:
            self._samples.popleft()

    def per_second(self, now: float) -> float | None:
        """Return items per second; None as long as there is too little to measure."""
        if not self._samples:
            return None
        begun, before = self._samples[0]
        done, passed = self.worked - before, now - begun
        return done / passed if done > 0 and passed >= SAMPLE_EVERY_S else None


class _Bar(tqdm):  # type: ignore[type-arg]
    monitor_interval = 0  # tqdm's redrawing thread would keep the program from ending after an error


def bar_format(what: str, parts: list[str], width: int) -> str:
    """Return tqdm's format of a line: the work, a bar, and as many parts as fit.

    Args:
        what: the work; dropped on a narrow terminal.
        parts: the count, the rate, the time left, and more; the rate is dropped first.
        width: of the terminal, in columns.
    """
    widest, narrowest = _BAR_WIDTHS
    no_rate, ends = [*parts[:1], *parts[2:]], [*parts[:1], *parts[1:][-1:]]
    choices = [(what, parts, narrowest), (what, no_rate, narrowest), ("", no_rate, narrowest), ("", ends, narrowest)]
    for name, shown, bar in [*choices, ("", ends, 0), ("", parts[:1], 0)]:
        text = " · ".join(shown)
        room = width - len(text) - (len(name) + 1 if name else 0) - 1
        if room >= bar:
            break
    cells = [name.replace("{", "{{").replace("}", "}}")] if name else []
    cells += [f"{{bar:{min(widest, room)}}}"] if bar else []
    return " ".join([*cells, text])


def _animated() -> bool:
    """Return whether stderr is a terminal on which a line can be redrawn."""
    return sys.stderr.isatty() and stderr.is_terminal and not stderr.is_dumb_terminal
