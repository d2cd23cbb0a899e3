"""A CSV of your own recordings: path,label and optionally split or fold_1, fold_2, ..., and subject."""

from __future__ import annotations

import os
import re
from pathlib import Path

from dfer.datasets.folder.labelled import SPLIT_NAMES, LabelledClip
from dfer.datasets.lists import Row, children, read_csv
from dfer.datasets.media import find_images
from dfer.errors import DataError
from dfer.records import Split

_HINT = "the first line names the columns: path,label[,split|fold_1,fold_2,...][,subject]"
_FOLD = re.compile(r"fold_?([1-9]\d?)")


def find_table(folder: Path) -> Path | None:
    """Find the CSV that labels a folder's clips: `labels.csv`, or the only one with the columns path and label.

    Raises:
        DataError: several CSVs qualify.
    """
    files = children(folder, ".*csv", folders=False)
    found = [file for file in files if file.name.lower() == "labels.csv"] or list(filter(_is_table, files))
    if len(found) > 1:
        names = ", ".join(file.name for file in found)
        raise DataError(f"several CSVs here label clips: {names}", where=folder, hint="give one of these CSVs as RAW")
    return found[0] if found else None


def read_table(file: Path) -> tuple[list[LabelledClip], list[str]]:
    """Read a CSV of clips.

    Args:
        file: the CSV; its paths, absolute or relative to its folder, are of videos, frame folders or images.

    Returns:
        The clips in the order of the table, and notices.

    Raises:
        DataError: columns are missing, or a row lacks a value, has an unknown split, or contradicts another.
    """
    header, *rows = read_csv(file)
    fold_columns = _fold_columns(header)
    if not rows:
        raise DataError("the table has no rows", where=file, hint=_HINT)
    clips: dict[str, LabelledClip] = {}
    num_repeats = 0
    for row in rows:
        clip = _clip(row, _names(header), fold_columns)
        first = clips.setdefault(clip.clip_id, clip)
        if first != clip:
            raise DataError(f"{clip.clip_id} is in the table twice, with different values", where=row.where)
        num_repeats += first is not clip
    notices = [f"repeated rows (counted once): {num_repeats:,}"] if num_repeats else []
    for fold in sorted(fold_columns):
        present = {clip.folds.get(fold) for clip in clips.values()}
        missing = [split for split in ("train", "test") if split not in present]
        notices += [f"fold {fold} has no {split} clips" for split in missing]
    return list(clips.values()), notices


def _is_table(file: Path) -> bool:
    try:
        return {"path", "label"} <= set(_names(read_csv(file)[0]))
    except DataError:
        return False


def _names(header: Row) -> list[str]:
    return [field.lower().replace(" ", "_") for field in header.fields]


def _fold_columns(header: Row) -> dict[int, str]:
    """Check the columns of a table, and return the column of each fold; a column `split` is fold 1.

    Raises:
        DataError: path or label is missing, a column is there twice, or the folds are not clear.
    """
    names = _names(header)
    for name in ("path", "label"):
        if name not in names:
            what = f"the table has no column {name}, but {','.join(header.fields)[:80]}"
            raise DataError(what, where=header.where, hint=_HINT)
    for name in names:
        if names.count(name) > 1 and (name in ("path", "label", "split", "subject") or _FOLD.fullmatch(name)):
            raise DataError(f"the table has two columns {name}", where=header.where, hint=_HINT)
    folds = {int(match[1]): name for name in names if (match := _FOLD.fullmatch(name))}
    if folds and "split" in names:
        raise DataError("the table has both a column split and columns of folds", where=header.where, hint=_HINT)
    if sorted(folds) != list(range(1, len(folds) + 1)):
        found = ", ".join(f"fold_{fold}" for fold in sorted(folds))
        raise DataError(f"folds are numbered from 1, the table has {found}", where=header.where)
    return folds or ({1: "split"} if "split" in names else {})


def _clip(row: Row, names: list[str], fold_columns: dict[int, str]) -> LabelledClip:
    if len(row.fields) != len(names):
        what = f"expected {len(names)} fields, got {len(row.fields)}"
        raise DataError(what, where=row.where, hint="quote paths that contain a comma")
    values = dict(zip(names, row.fields, strict=True))
    written, label = values["path"].replace("\\", "/"), values["label"]
    if not written or not label:
        raise DataError(f"the {'label' if written else 'path'} is empty", where=row.where)
    if label.isdecimal():
        what = f"the label is the number {label}, which is ambiguous without the order of the classes"
        raise DataError(what, where=row.where, hint="write the name of the class, such as happy")
    folds: dict[int, Split] = {}
    for fold, column in fold_columns.items():
        name = values[column].lower()
        if name in SPLIT_NAMES:
            folds[fold] = SPLIT_NAMES[name]
        elif name or column == "split":  # a clip may be missing from one of several folds
            raise DataError(f"unknown split {name!r}", where=row.where, hint="known splits: train, val, test")
    path = Path(os.path.normpath(row.file.parent / written))
    return LabelledClip(
        clip_id=_clip_id(path, row.file.parent),
        label=label,
        source=path if path.is_file() or find_images(path) else None,
        folds=folds,
        subject=values.get("subject") or None,
    )


def _clip_id(path: Path, folder: Path) -> str:
    """Return the path relative to the table's folder; for clips elsewhere, the whole path without a leading slash."""
    whole, base = path.absolute(), Path(os.path.normpath(folder.absolute()))
    whole = Path(os.path.normpath(whole))
    return (whole.relative_to(base) if whole.is_relative_to(base) else whole.relative_to(whole.anchor)).as_posix()
