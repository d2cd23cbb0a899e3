"""How fast work goes, how long it will take, and how to say so."""

from __future__ import annotations

from collections import deque

WINDOW_S = 60.0
MIN_SAMPLES = 20  # of slow work, the window holds so many steps however old they are
SAMPLE_EVERY_S = 0.5


class Pace:
    """The rate of the last minute or so.

    It counts from the first thing worked on, so that neither the start of the workers nor what an earlier run had
    done is taken for work; what takes no time is told as `skipped`.

    Attributes:
        worked: things done so far, without the skipped ones.
    """

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque()  # (seconds, things worked on so far)
        self.worked = 0

    def add(self, now: float, count: int, *, skipped: bool = False) -> None:
        """So many more things are done, at a time in seconds."""
        if self.worked == 0:
            self._samples.clear()
        self.worked += 0 if skipped else count
        if not self._samples or now - self._samples[-1][0] >= SAMPLE_EVERY_S:
            self._samples.append((now, self.worked))
        while len(self._samples) > MIN_SAMPLES and now - self._samples[1][0] >= WINDOW_S:
            self._samples.popleft()

    def per_second(self, now: float) -> float | None:
        """Things a second; None as long as nothing can be said."""
        if not self._samples:
            return None
        begun, before = self._samples[0]
        done, passed = self.worked - before, now - begun
        return done / passed if done > 0 and passed >= SAMPLE_EVERY_S else None


def say_rate(per_second: float, unit: str) -> str:
    """A rate in the unit of time that suits it: "12 clips/s", "1.6 clips/s", "20 clips/min", "4 clips/h"."""
    if per_second >= 9.95:
        return f"{per_second:,.0f} {unit}/s"
    if per_second >= 0.995:
        return f"{per_second:.1f} {unit}/s"
    if per_second >= 0.995 / 60:
        return f"{60 * per_second:.0f} {unit}/min"
    return f"{3600 * per_second:.0f} {unit}/h"


def say_left(seconds: float) -> str:
    """About how long: "40 s", "8 min", "1 h 12 min", "2 d 3 h"."""
    if seconds < 59.5:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes:02d} min"
    days, hours = divmod(round(seconds / 3600), 24)
    return f"{days} d {hours} h"
