"""A hostile input with the command that reads it, the outcome of that command, and the table of all outcomes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

PATIENCE_S = 30.0  # of computing
MEMORY_MB = 2000
LONGEST_LINE = 5000  # letters of an error that a person reads
# Everything that must be 0, after the columns that tell how the rest ended.
FAULTS = ("unexpected", "aborts", "hangs", "over 2 GB", "outputs lost", "wrong answers")
COLUMNS = ("inputs", "clear errors", "answers", *FAULTS)
# What a name or a label could do to a terminal: control characters but tab and line feed, and bidirectional overrides.
_HARMFUL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True)
class Case:
    """A command on a hostile input.

    Attributes:
        group: row of the table.
        name: says what is hostile about it.
        arguments: of the real program.
        folder: the working folder, of this case alone.
        prepare: makes the input in that folder, when it is the case's turn.
        refuse: whether any answer would be wrong.
        earlier: files that an earlier run left: afterwards each is as it was, or a whole new one.
        disturbance: a `signal` to send `after_s`, or a `file_limit`, the bytes that a file may have.
    """

    group: str
    name: str
    arguments: list[str]
    folder: Path
    prepare: Callable[[Path], object] = lambda _folder: None
    refuse: bool = False
    earlier: dict[str, bytes] = field(default_factory=dict)
    disturbance: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Ending:
    """The way that a process ended.

    Attributes:
        code: its exit code; negative for a signal.
        hung: it was still running when its time was over.
        peak_mb: the most memory that it and its children held.
    """

    code: int
    hung: bool
    peak_mb: float
    seconds: float
    out: str
    err: str


def judge(case: Case, ending: Ending) -> tuple[str, str]:
    """Return the column in which an ending counts, and what there is to say about it."""
    if ending.hung:
        return "hangs", f"still running after {ending.seconds:.0f} s"
    if ending.peak_mb > MEMORY_MB:
        return "over 2 GB", f"{ending.peak_mb:.0f} MB"
    if ending.code < 0 or ending.code in range(128, 160):
        return "aborts", f"ended by signal {-ending.code}"
    if lost := _lost(case, ending):
        return "outputs lost", lost
    if unclear := _unclear(ending):
        return "unexpected", unclear
    if ending.code == 0 and case.refuse:
        return "wrong answers", (ending.out or ending.err).strip()[-200:]
    return ("answers" if ending.code == 0 else "clear errors"), ending.err.strip()[-400:]


def _unclear(ending: Ending) -> str:
    """Return what is wrong with the text that the program printed, or "" if it is as the contract says."""
    errors = [line for line in ending.err.splitlines() if line.startswith("error: ")]
    if "Traceback" in ending.err or any(line.startswith("error: unexpected") for line in errors):
        return next(iter(errors), ending.err[-400:])
    if harmful := _HARMFUL.search(ending.out + ending.err):
        return f"prints {harmful[0]!r}"
    if any(len(line) > LONGEST_LINE for line in ending.err.splitlines()):
        return f"a line of {max(map(len, ending.err.splitlines()))} letters"
    if ending.code not in (0, 1, 2):
        return f"exit code {ending.code}"
    return "" if (ending.code == 0) or errors else f"exit code {ending.code} without an error line: {ending.err[-200:]}"


def _lost(case: Case, ending: Ending) -> str:
    """Return what has become of the files of an earlier run, or "" if they are whole."""
    for name, before in case.earlier.items():
        path = case.folder / name
        if not path.is_file():
            return f"{name} is gone"
        after = path.read_bytes()
        if after != before and (ending.code != 0 or len(after) == 0):
            return f"{name} was changed by a command that failed, or emptied"
    left = [str(path.relative_to(case.folder)) for path in case.folder.rglob("*.tmp*")]
    return f"half-written: {left[0]}" if left else ""


def tabulate(judged: Iterable[tuple[str, str]]) -> dict[str, dict[str, int]]:
    """Return group -> column -> count, from (group, column) of each input."""
    table: dict[str, dict[str, int]] = {}
    for group, column in judged:
        row = table.setdefault(group, dict.fromkeys(COLUMNS, 0))
        row["inputs"] += 1
        row[column] += 1
    return table
