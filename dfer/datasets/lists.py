"""Find and read the lists of a data set, tolerant of differences between copies, strict about their content.

Copies of the same lists differ in spaces and case of folder names, byte-order marks, line ends and separators.
None of that changes the meaning of a row, so it is accepted; anything that does is an error naming file and line.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from dfer.datasets.text import iter_fields, read_text
from dfer.errors import DataError, os_reason
from dfer.records import Split
from dfer.runtime.filenames import is_visible

Slot = tuple[int, Split]  # a list's place in the protocol; folds are 1-based
TRAIN_AND_TEST: tuple[Split, ...] = ("train", "test")


@dataclass(frozen=True)
class Row:
    """One row of a list, and its place in the file.

    Attributes:
        fields: without the spaces around them.
        written: with them, for names of files; empty where a list cannot hold any.
    """

    file: Path
    line: int
    fields: tuple[str, ...]
    written: tuple[str, ...] = ()

    @property
    def where(self) -> str:
        """The file and line, for an error message."""
        return f"{self.file}, line {self.line}"


def require_folder(raw: Path, *, looked_for: str, hint: str) -> None:
    """Check that the raw data set is a folder.

    Raises:
        DataError: it does not exist, is a file, or cannot be listed.
    """
    if not raw.exists():
        raise DataError(f"no such folder; looked for {looked_for} in it", where=raw, hint=hint)
    if not raw.is_dir():
        what = "is an archive, not a folder" if raw.suffix.lower() in _ARCHIVES else "is a file, not a folder"
        raise DataError(f"the raw data set {what}; looked for {looked_for} in it", where=raw, hint=hint)
    try:
        os.scandir(raw).close()
    except OSError as error:
        raise DataError(f"cannot list the folder: {os_reason(error)}", where=raw) from error


_ARCHIVES = frozenset({".zip", ".tar", ".gz", ".tgz", ".7z", ".rar"})


def children(folder: Path, pattern: str, *, folders: bool) -> list[Path]:
    """Find the sub-folders (or files) whose name matches, regardless of case, spaces and punctuation.

    Args:
        folder: the folder to list; one that cannot be listed has no children.
        pattern: a regular expression for the whole name reduced to lower-case letters and digits, so that
            `set[1-5]csv` matches "Set 1.csv" too.
        folders: whether to find folders rather than files.

    Returns:
        The paths, sorted by name.
    """
    expression = re.compile(pattern)
    try:
        with os.scandir(folder) as entries:
            return sorted(
                Path(entry.path)
                for entry in entries
                if is_visible(entry.name)
                and expression.fullmatch(re.sub(r"[^a-z0-9]", "", entry.name.lower()))
                and entry.is_dir() == folders
            )
    except OSError:
        return []


def find_lists(
    raw: Path, lists_in: Callable[[Path], dict[Slot, Path]], *, looked_for: str, hint: str
) -> tuple[Path, dict[Slot, Path]]:
    """Find a data set's lists in RAW, or one level below it, where archives often unpack to.

    Args:
        raw: the folder given by the user.
        lists_in: returns the lists in a folder; empty if the folder is not the root of the data set.
        looked_for: the official path of the lists, for the error message.
        hint: the hint of the error message.

    Returns:
        The root of the data set, and the file of each list.

    Raises:
        DataError: RAW is not a folder, contains no lists or several data sets, or lacks one of a pair of lists.
    """
    require_folder(raw, looked_for=looked_for, hint=hint)
    found = [(raw, lists_in(raw))]
    if not found[0][1]:
        found = [(folder, lists) for folder in children(raw, ".*", folders=True) if (lists := lists_in(folder))]
    if not found:
        what = f"no lists found: looked for {looked_for} here and one level below"
        raise DataError(what, where=raw, hint=hint)
    if len(found) > 1:
        names = ", ".join(folder.name for folder, _ in found)
        hint = "give one of these folders as RAW"
        raise DataError(f"several folders here contain lists of the data set: {names}", where=raw, hint=hint)
    root, lists = found[0]
    for fold, split in sorted(lists):
        other: Split = "test" if split == "train" else "train"
        if (fold, other) not in lists:
            what, hint = f"fold {fold} has a {split} list but no {other} list", "copy it from the data set's archive"
            raise DataError(what, where=lists[fold, split], hint=hint)
    return root, lists


def one_per_slot(found: list[tuple[Slot, Path]]) -> dict[Slot, Path]:
    """Map each fold and split to its list.

    Raises:
        DataError: two files are the list of the same fold and split.
    """
    lists: dict[Slot, Path] = {}
    for slot, file in sorted(found):
        if slot in lists:
            fold, split = slot
            what = f"two files are the {split} list of fold {fold}: also {lists[slot].parent.name}/{lists[slot].name}"
            raise DataError(what, where=file, hint="keep one of them under the raw folder")
        lists[slot] = file
    return lists


def read_csv(file: Path, columns: Collection[str] = ()) -> list[Row]:
    """Read the rows of a CSV, including any header; fields are separated by commas, semicolons, tabs or bars.

    Args:
        file: the CSV.
        columns: names that its header has, if it is known to have one.

    Raises:
        DataError: the file cannot be read, is not text, or has no rows.
    """
    rows = [
        Row(file, line, tuple(map(str.strip, written)), written)
        for line, written in iter_fields(read_text(file), file, columns)
    ]
    return _require_rows(file, rows)


def read_header(file: Path, columns: Collection[str] = ()) -> tuple[str, ...]:
    """Return the first row of what may be a CSV, however long that is; no fields if it is none.

    Args:
        file: the file.
        columns: names that the header of the CSVs that are looked for has.
    """
    try:
        return next(iter_fields(read_text(file, beginning_only=True), file, columns), (0, ()))[1]
    except DataError:
        return ()


def read_pairs(file: Path) -> list[Row]:
    """Read the rows of a list without a header: two fields each, separated by a space or a comma.

    Raises:
        DataError: the file cannot be read, is not text, has no rows, or a row does not have two fields.
    """
    rows = []
    for number, line in enumerate(read_text(file).splitlines(), start=1):
        if not line.strip():
            continue
        pair = _PAIR.fullmatch(line.strip())
        if pair is None:
            raise DataError(f"expected two fields, got {line.strip()[:80]!r}", where=f"{file}, line {number}")
        rows.append(Row(file, number, (pair[1].rstrip(), pair[2])))
    return _require_rows(file, rows)


# The last field is one word; the first (a scene's name) may contain spaces.
_PAIR = re.compile(r"(\S.*?)[\s,]\s*([^\s,]+)")


def _require_rows(file: Path, rows: list[Row]) -> list[Row]:
    if not rows:
        raise DataError("the list is empty", where=file, hint="copy it again from the data set's archive")
    return rows
