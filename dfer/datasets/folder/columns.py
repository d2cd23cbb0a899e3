"""The columns of a table of clips: which there are, and what each row has in them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dfer.datasets.folder.splits import split_of
from dfer.datasets.lists import Row
from dfer.datasets.text import column_name
from dfer.errors import DataError
from dfer.records import Span, Split

REQUIRED = ("path", "label")
HINT = "the first line names the columns: path,label[,split|fold_1,fold_2,...][,subject][,start,end]"
_PIXELS_HINT = "`dfer preprocess ferplus` reads fer2013.csv, with the votes of FER+ in fer2013new.csv beside it"
_SPLIT_COLUMNS = ("split", "set", "subset", "partition", "usage")
_START = ("start", "start_s", "start_sec", "start_time", "begin")
_END = ("end", "end_s", "end_sec", "end_time", "stop")
_KNOWN = frozenset({*REQUIRED, *_SPLIT_COLUMNS, *_START, *_END, "subject"})
_IN_FRAMES = ("start_frame", "end_frame", "frame_start", "frame_end")
_FOLD = re.compile(r"fold_?([1-9][0-9]?)")
_TIME = re.compile(r"(?:(?:(\d{1,3}):)?(\d{1,3}):)?(\d{1,9}(?:[.,]\d*)?)", re.ASCII)


@dataclass(frozen=True)
class Columns:
    """The columns of a table.

    Attributes:
        names: of all columns, in lower case.
        folds: fold number -> its column; a column of splits is fold 1.
        start: the column of the time at which a segment of a video begins, or None.
        end: the column of the time at which it ends, or None.
    """

    names: tuple[str, ...]
    folds: Mapping[int, str]
    start: str | None
    end: str | None

    def values(self, row: Row) -> dict[str, str]:
        """Return the fields of a row by column.

        Raises:
            DataError: there are more or fewer fields than columns, or path or label is empty.
        """
        if len(row.fields) != len(self.names):
            what = f"expected {len(self.names)} fields, got {len(row.fields)}"
            raise DataError(what, where=row.where, hint="quote paths that contain the separator, such as a comma")
        values = dict(zip(self.names, row.fields, strict=True))
        for name in ("label", "path"):
            if not values[name]:
                raise DataError(f"the {name} is empty", where=row.where)
        return values

    def path_as_written(self, row: Row) -> str:
        """Return the path of a row with the spaces around it, which may belong to the name of the file."""
        return row.written[self.names.index("path")]

    def splits(self, row: Row, values: Mapping[str, str]) -> dict[int, Split]:
        """Return the split of a row's clip in each fold.

        Raises:
            DataError: an unknown split.
        """
        splits: dict[int, Split] = {}
        for fold, column in self.folds.items():
            name = values[column]
            if split := split_of(name):
                splits[fold] = split
            elif name or column in _SPLIT_COLUMNS:  # a clip may be missing from one of several folds
                hint = f"known splits: train, val, test; they stand in the column {column}"
                raise DataError(f"unknown split {name.lower()!r}", where=row.where, hint=hint)
        return splits

    def span(self, row: Row, values: Mapping[str, str]) -> Span | None:
        """Return the segment of the video that a row labels, or None for the whole.

        Raises:
            DataError: a time cannot be read, or the segment ends before it begins.
        """
        start, end = (_seconds(values.get(column or "", ""), row) for column in (self.start, self.end))
        if start is None and end is None:
            return None
        if end is not None and end <= (start or 0.0):
            raise DataError(f"the segment ends at {end:g} s, not after its start at {start or 0:g} s", where=row.where)
        return Span(start or 0.0, end)


def read_columns(header: Row, rows: Sequence[Row]) -> tuple[Columns, list[str]]:
    """Find the columns of a table, and return notices of those that are ignored.

    Raises:
        DataError: path or label is missing, a column is there twice, or the folds are not clear.
    """
    names = tuple(column_name(field) for field in header.fields)
    for name in REQUIRED:
        if name not in names:
            raise DataError(
                f"the table has no column {name}, but {','.join(header.fields)[:80]}",
                where=header.where,
                hint=_PIXELS_HINT if "pixels" in names else HINT,
            )
    for name in names:
        if names.count(name) > 1 and (name in _KNOWN or _FOLD.fullmatch(name)):
            raise DataError(f"the table has two columns {name}", where=header.where, hint=HINT)
    if found := [name for name in names if name in _IN_FRAMES]:
        what = f"the column {found[0]} counts frames, which have no fixed time"
        raise DataError(what, where=header.where, hint="give the columns start,end in seconds")
    splits, notices = _split_columns(names, rows)
    folds = _fold_columns(names, splits, header)
    return Columns(names, folds, _one_of(_START, names, header), _one_of(_END, names, header)), notices


def _split_columns(names: tuple[str, ...], rows: Sequence[Row]) -> tuple[list[str], list[str]]:
    """Return the columns of splits; columns such as "set" may hold something else, which a notice says."""
    found, notices = [], []
    for name in (name for name in names if name in _SPLIT_COLUMNS):
        values = {row.fields[names.index(name)] for row in rows if len(row.fields) == len(names)}
        if name == "split" or any(map(split_of, values)):
            found.append(name)
        else:
            example = next(iter(sorted(values)), "")
            notices.append(f"the column {name} holds no splits (train, val, test), such as {example!r}: it is ignored")
    if not found and (other := _looks_like_splits(names, rows)) is not None:
        found.append(other)
        notices.append(f"the column {other} is taken for the split: it holds nothing but names of splits")
    return found, notices


def _looks_like_splits(names: tuple[str, ...], rows: Sequence[Row]) -> str | None:
    """Return the only column of another name that holds a split in each row, and more than one of them."""
    if any(map(_FOLD.fullmatch, names)):
        return None
    whole = [row for row in rows if len(row.fields) == len(names)]
    found = []
    for column, name in enumerate(names):
        splits = {split_of(row.fields[column]) for row in whole}
        if name not in _KNOWN and len(splits) > 1 and None not in splits:
            found.append(name)
    return found[0] if len(found) == 1 else None


def _fold_columns(names: tuple[str, ...], splits: Sequence[str], header: Row) -> dict[int, str]:
    folds = {int(match[1]): name for name in names if (match := _FOLD.fullmatch(name))}
    if len(splits) > 1 or (folds and splits):
        both = f"both a column {splits[0]} and " + (f"a column {splits[1]}" if splits[1:] else "columns of folds")
        raise DataError(f"the table has {both}", where=header.where, hint=HINT)
    if sorted(folds) != list(range(1, len(folds) + 1)):
        listed = ", ".join(f"fold_{fold}" for fold in sorted(folds))
        raise DataError(f"folds are numbered from 1, the table has {listed}", where=header.where)
    return folds or ({1: splits[0]} if splits else {})


def _one_of(known: Sequence[str], names: Sequence[str], header: Row) -> str | None:
    found = [name for name in names if name in known]
    if len(found) > 1:
        raise DataError(
            f"the table has both a column {found[0]} and a column {found[1]}", where=header.where, hint=HINT
        )
    return found[0] if found else None


def _seconds(text: str, row: Row) -> float | None:
    """Return a time in seconds, given as 83.5, 83,5 or 1:23.5; None for an empty field."""
    if not text:
        return None
    match = _TIME.fullmatch(text)
    if match is None:
        hint = "times are seconds, such as 83.5, or minutes and seconds, such as 1:23.5"
        raise DataError(f"{text[:40]!r} is no time", where=row.where, hint=hint)
    hours, minutes, seconds = (float((part or "0").replace(",", ".")) for part in match.groups())
    return 3600 * hours + 60 * minutes + seconds
