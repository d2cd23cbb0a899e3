"""Numbers and times as text: the same everywhere."""

from __future__ import annotations

MISSING = "–"


def percent(fraction: float | None, decimals: int = 2) -> str:
    """A fraction as percent without the sign, such as 66.98; a dash for None."""
    return MISSING if fraction is None else f"{100 * fraction:.{decimals}f}"


def clock(seconds: float, *, total: float, decimals: int = 1) -> str:
    """A moment of a video: "4.2 s" in one shorter than a minute, else "1:04" or "1:02:07".

    Args:
        seconds: the moment.
        total: length of the video, which decides on the form.
        decimals: of the seconds in the short form.
    """
    if total < 60:
        return f"{seconds:.{decimals}f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if total >= 3600 else f"{60 * hours + minutes}:{rest:02d}"


def span(start: float, end: float, *, total: float) -> str:
    """A stretch of a video, such as "0.0–4.2 s" or "0:58–1:04"."""
    begin = clock(start, total=total)
    return f"{begin.removesuffix(' s')}–{clock(end, total=total)}"


def time_stamp(seconds: float) -> str:
    """A moment as a video player shows it, to a tenth of a second: "0:04.2"."""
    tenths = round(10 * seconds)
    minutes, tenths = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    rest = f"{tenths // 10:02d}.{tenths % 10}"
    return f"{hours}:{minutes:02d}:{rest}" if hours else f"{minutes}:{rest}"


def lasted(seconds: float) -> str:
    """How long something took: "0.8 s", "12 s", "4 min 05 s", "2 h 03 min"."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def counted(number: int, one: str, many: str | None = None) -> str:
    """A number with its noun: "1 fold", "5 folds", "11,697 clips"."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def merged(*groups: list[str]) -> list[str]:
    """All lines of the groups in order, each once."""
    return list(dict.fromkeys(line for group in groups for line in group))
