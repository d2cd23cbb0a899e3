"""Names of files on disks of all kinds: leftovers, names that are the same, and the order of frames."""

from __future__ import annotations

import errno
import os
import re
import unicodedata
from collections.abc import Iterable, Sequence
from decimal import Decimal
from itertools import pairwise
from math import gcd
from pathlib import Path

# Folders and files that network drives, archivers and file managers leave behind, in lower case.
_LEFTOVERS = frozenset({
    "#recycle", "$recycle.bin", "@eadir", "@recently-snapshot", "@recycle", "__macosx", "desktop.ini", "ehthumbs.db",
    "lost+found", "network trash folder", "system volume information", "temporary items", "thumbs.db",
})  # fmt: skip

# A number in a name, with its fraction.
_NUMBER = re.compile(r"([0-9]+)(?:\.([0-9]+))?")
# The number that counts frames: a time, or the last one.
_TIME = re.compile(r"(|.*[^A-Za-z0-9.])([0-9]+\.[0-9]+)([^0-9]*)")
_LAST_NUMBER = re.compile(r"(.*?)([0-9]+)([^0-9]*)")
_SCIENTIFIC = re.compile(r"[0-9]+(\.[0-9]+)?e-[0-9]{1,2}")  # 3.3e-05: as Python writes times close to zero


def is_visible(name: str) -> bool:
    """Return whether a file or folder is neither hidden nor a leftover of an archiver or a network drive."""
    return not name.startswith(".") and name.lower() not in _LEFTOVERS


def require_possible(path: Path) -> None:
    """Check that a file could be named like this: without NUL, and without surrogates that stand for no byte.

    Raises:
        OSError: none could. The system's own functions would raise a ValueError.
    """
    try:
        possible = b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:
        possible = False
    if not possible:
        raise OSError(errno.EINVAL, "no file can have this name", str(path))


def composed(name: str) -> str:
    """Return a name in Unicode's composed form (NFC): macOS writes "é" as two characters, other systems as one."""
    return unicodedata.normalize("NFC", name)


def sort_frames(paths: Iterable[Path]) -> list[Path]:
    """Sort frames by the numbers in their names, so that frame2 comes before frame10.

    Names such as 0.9 and 0.133333 are read as decimal numbers. Where a fraction of some digits ends in a zero (1.9,
    1.10), the parts are counters instead, since no program writes decimal numbers in this way.

    Args:
        paths: the frames of a folder.
    """
    listed = list(paths)
    fractions = [fraction for path in listed for _, fraction in _NUMBER.findall(path.stem) if fraction]
    same_length = len({len(fraction) for fraction in fractions}) <= 1
    decimal = same_length or not any(len(fraction) > 1 and fraction.endswith("0") for fraction in fractions)
    return sorted(listed, key=lambda path: (_natural_key(path.stem, decimal), path.name))


def _natural_key(name: str, decimal: bool) -> list[tuple[int, str, str]]:
    """Return a sort key of a name: numbers, each with its decimal fraction if it has one, and the text between."""
    key: list[tuple[int, str, str]] = []
    if decimal:
        name = _SCIENTIFIC.sub(lambda match: format(Decimal(match[0]), "f"), name)
    # ASCII digits only: int() refuses others that count as digits, such as a circled one.
    for part in re.split(r"([0-9]+(?:\.[0-9]+)?)" if decimal else r"([0-9]+)", composed(name)):
        if match := _NUMBER.fullmatch(part):
            key.append((int(match[1]), match[2] or "", ""))
        elif part:
            key.append((-1, "", part))
    return key


def are_counted(stems: Sequence[str]) -> bool:
    """Return whether names without suffixes differ in one number only, which counts with few gaps or is a time."""
    if _differ_in_number(list(map(_TIME.fullmatch, stems))):
        return True
    matches = list(map(_LAST_NUMBER.fullmatch, stems))
    if not _differ_in_number(matches):
        return False
    numbers = sorted(int(match[2]) for match in matches if match)
    step = gcd(*(after - before for before, after in pairwise(numbers)))
    return step > 0 and (numbers[-1] - numbers[0]) // step <= 2 * len(numbers)


def _differ_in_number(matches: Sequence[re.Match[str] | None]) -> bool:
    return all(matches) and len({(match[1], match[3]) for match in matches if match}) == 1
