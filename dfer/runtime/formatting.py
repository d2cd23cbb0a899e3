"""Text for numbers, durations, rates and moments of a video: the same everywhere."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

MISSING = "–"


def percent(fraction: float | None, decimals: int = 2) -> str:
    """Return a fraction as percent without the sign, such as 66.98; a dash for None."""
    return MISSING if fraction is None else f"{100 * fraction:.{decimals}f}"


def pluralize(number: int, one: str, many: str | None = None) -> str:
    """Return a number with its noun: "1 fold", "5 folds", "11,697 clips"."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def format_bytes(size: float) -> str:
    """Return a size in memory or on disk: "41.2 GB", "87 MB", "6.4 MB"."""
    if size >= 0.9995e9:
        return f"{size / 1e9:.1f} GB"
    return f"{size / 1e6:.{0 if size >= 9.95e6 else 1}f} MB"


def format_duration(seconds: float) -> str:
    """Return how long something took: "0.8 s", "12 s", "4 min 05 s", "2 h 03 min"."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def format_eta(seconds: float) -> str:
    """Return roughly how long something will take: "40 s", "8 min", "1 h 12 min", "2 d 3 h"."""
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


def format_rate(per_second: float, unit: str) -> str:
    """Return a rate per the unit of time that suits it: "12 clips/s", "1.6 clips/s", "20 clips/min", "4 clips/h"."""
    if per_second >= 9.95:
        return f"{per_second:,.0f} {unit}/s"
    if per_second >= 0.995:
        return f"{per_second:.1f} {unit}/s"
    if per_second >= 0.995 / 60:
        return f"{60 * per_second:.0f} {unit}/min"
    return f"{3600 * per_second:.0f} {unit}/h"


def clock(seconds: float, *, total: float, decimals: int = 1) -> str:
    """Return a moment of a video: "4.2 s" if the video is shorter than a minute, else "1:04" or "1:02:07".

    Args:
        seconds: the moment.
        total: length of the video in seconds, which decides the form.
        decimals: of the seconds in the short form.
    """
    if total < 60:
        return f"{seconds:.{decimals}f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if total >= 3600 else f"{60 * hours + minutes}:{rest:02d}"


def span(start: float, end: float, *, total: float) -> str:
    """Return a stretch of a video, such as "0.0–4.2 s" or "0:58–1:04"; see `clock`."""
    begin = clock(start, total=total)
    return f"{begin.removesuffix(' s')}–{clock(end, total=total)}"


def timestamp(seconds: float) -> str:
    """Return a moment as a video player shows it, to a tenth of a second: "0:04.2"."""
    tenths = round(10 * seconds)
    minutes, tenths = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    rest = f"{tenths // 10:02d}.{tenths % 10}"
    return f"{hours}:{minutes:02d}:{rest}" if hours else f"{minutes}:{rest}"


def unique_lines(*groups: Iterable[str]) -> list[str]:
    """Return all lines of the groups in order, each once."""
    return list(dict.fromkeys(line for group in groups for line in group))


def shorten_home(value: Any) -> Any:
    """Return text with the home folder in its paths as ~, which keeps a user's name out of records.

    Args:
        value: text, such as a path or a command line; or what JSON can hold, whose texts are all shortened.
    """
    if isinstance(value, dict):
        return {key: shorten_home(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [shorten_home(item) for item in value]
    if not isinstance(value, str):
        return value
    for home in {str(Path.home()), str(Path.home().resolve())} - {"/"}:
        # Not within a longer path, such as /mnt/home/anna.
        value = re.sub(rf"(?<![\w./~-]){re.escape(home)}(?=/)", "~", value)
    return value
