"""A CSV of one's own recordings: path,label and, if wanted, split or fold_1, fold_2, ..., and subject."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from dfer.datasets.folder.labelled import SPLIT_NAMES, LabelledClip
from dfer.datasets.lists import Row, children, read_csv
from dfer.datasets.media import find_images
from dfer.errors import DataError

_HINT = "the first line names the columns: path,label[,split|fold_1,fold_2,...][,subject]"
_FOLD = re.compile(r"fold_?([1-9]\d?)")


@dataclass(frozen=True)
class _Columns:
    """Where the values of a row are; `folds` by fold number, a plain `split` being fold 1."""

    count: int
    path: int
    label: int
    subject: int | None
    folds: dict[int, int]
    has_plain_split: bool


def find_table(folder: Path) -> Path | None:
    """The CSV that labels a folder's clips: `labels.csv`, or the only one with the columns path and label.

    Raises:
        DataError: several CSVs qualify.
    """
    files = children(folder, ".*csv", folders=False)
    found = [file for file in files if file.name.lower() == "labels.csv"] or list(filter(_is_table, files))
    if len(found) > 1:
        names = ", ".join(file.name for file in found)
        raise DataError(f"several CSVs here label clips: {names}", where=folder, hint="give the CSV you mean as RAW")
    return found[0] if found else None


def read_table(file: Path) -> tuple[list[LabelledClip], list[str]]:
    """Read a CSV of clips.

    Args:
        file: the CSV; its paths are absolute or from its own folder, of videos, frame folders or images.

    Returns:
        The clips in the table's order, and the notices.

    Raises:
        DataError: columns are missing, or a row lacks a value, has an unknown split, or contradicts another.
    """
    header, *rows = read_csv(file)
    columns = _columns(header)
    if not rows:
        raise DataError("the table holds no clips", where=file, hint=_HINT)
    clips: dict[str, LabelledClip] = {}
    num_repeats = 0
    for row in rows:
        clip = _clip(row, columns)
        first = clips.setdefault(clip.clip_id, clip)
        if first != clip:
            raise DataError(f"{clip.clip_id} is in the table twice, with different values", where=row.where)
        num_repeats += first is not clip
    notices = [f"rows that repeat another one, which counts once: {num_repeats:,}"] if num_repeats else []
    for fold in sorted(columns.folds):
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


def _columns(header: Row) -> _Columns:
    names = _names(header)
    for name in ("path", "label"):
        if name not in names:
            what = f"the table has no column {name}, but {','.join(header.fields)[:80]}"
            raise DataError(what, where=header.where, hint=_HINT)
    known = [name for name in names if name in ("path", "label", "split", "subject") or _FOLD.fullmatch(name)]
    for name in known:
        if known.count(name) > 1:
            raise DataError(f"the table has two columns {name}", where=header.where, hint=_HINT)
    folds = {int(match[1]): index for index, name in enumerate(names) if (match := _FOLD.fullmatch(name))}
    if folds and "split" in names:
        raise DataError("the table has both a column split and columns of folds", where=header.where, hint=_HINT)
    if sorted(folds) != list(range(1, len(folds) + 1)):
        found = ", ".join(f"fold_{fold}" for fold in sorted(folds))
        raise DataError(f"folds are numbered from 1 on, the table has {found}", where=header.where)
    return _Columns(
        count=len(names),
        path=names.index("path"),
        label=names.index("label"),
        subject=names.index("subject") if "subject" in names else None,
        folds=folds or ({1: names.index("split")} if "split" in names else {}),
        has_plain_split="split" in names,
    )


def _clip(row: Row, columns: _Columns) -> LabelledClip:
    if len(row.fields) != columns.count:
        what = f"expected {columns.count} fields, got {len(row.fields)}"
        raise DataError(what, where=row.where, hint="quote a path that holds a comma")
    written, label = row.fields[columns.path].replace("\\", "/"), row.fields[columns.label]
    if not written or not label:
        raise DataError(f"the {'label' if written else 'path'} is empty", where=row.where)
    if label.isdecimal():
        what = f"the label is the number {label}, which means nothing without its order"
        raise DataError(what, where=row.where, hint="write the class's name, such as happy")
    folds = {}
    for fold, index in columns.folds.items():
        name = row.fields[index].lower()
        if name in SPLIT_NAMES:
            folds[fold] = SPLIT_NAMES[name]
        elif name or columns.has_plain_split:  # a clip may be out of one of several folds
            raise DataError(f"unknown split {name!r}", where=row.where, hint="known splits: train, val, test")
    path = Path(os.path.normpath(row.file.parent / written))
    return LabelledClip(
        clip_id=_clip_id(path, row.file.parent),
        label=label,
        source=path if path.is_file() or find_images(path) else None,
        folds=folds,
        subject=(row.fields[columns.subject] or None) if columns.subject is not None else None,
    )


def _clip_id(path: Path, folder: Path) -> str:
    """The path from the table's folder; for a clip that lies elsewhere its whole path, without a leading slash."""
    whole, base = path.absolute(), Path(os.path.normpath(folder.absolute()))
    whole = Path(os.path.normpath(whole))
    return (whole.relative_to(base) if whole.is_relative_to(base) else whole.relative_to(whole.anchor)).as_posix()
