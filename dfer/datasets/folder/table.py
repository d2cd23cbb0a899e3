"""A CSV of your own recordings: path,label and optionally splits or folds, subject, and the segment of the video."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from dfer.datasets.folder.columns import HINT, REQUIRED, Columns, read_columns
from dfer.datasets.folder.labelled import LabelledClip
from dfer.datasets.folder.options import LABELS_EXAMPLE, FolderOptions, is_number
from dfer.datasets.lists import Row, children, read_csv, read_header
from dfer.datasets.nearest import NearestPaths
from dfer.datasets.outputs import store_around
from dfer.datasets.text import column_name
from dfer.errors import DataError
from dfer.records import Span
from dfer.runtime.filenames import composed


def find_table(folder: Path) -> Path | None:
    """Find the CSV that labels a folder's clips: `labels.csv`, or the only one with the columns path and label.

    Raises:
        DataError: several CSVs qualify.
    """
    files = children(folder, ".*[ct]sv", folders=False)
    found = [file for file in files if file.name.lower() == "labels.csv"] or list(filter(_is_table, files))
    if len(found) > 1:
        names = ", ".join(file.name for file in found)
        raise DataError(f"several CSVs here label clips: {names}", where=folder, hint="give one of these CSVs as RAW")
    return found[0] if found else None


def read_table(file: Path, options: FolderOptions) -> tuple[list[LabelledClip], list[str]]:
    """Read a CSV of clips.

    Args:
        file: the CSV; its paths, absolute or relative to its folder, are of videos, frame folders or images.
        options: names for classes that are numbers.

    Returns:
        The clips in the order of the table, and notices.

    Raises:
        DataError: columns are missing, or a row lacks a value, has an unknown split, or contradicts another.
    """
    header, *rows = read_csv(file, REQUIRED)
    columns, notices = read_columns(header, rows)
    if not rows:
        raise DataError("the table has no rows", where=file, hint=HINT)
    nearest = NearestPaths(file.parent)
    clips: dict[str, LabelledClip] = {}
    num_repeats = 0
    for row in rows:
        clip = _clip(row, columns, options, nearest)
        first = clips.setdefault(clip.clip_id, clip)
        if first != clip:
            raise DataError(f"{clip.clip_id} is in the table twice, with different values", where=row.where)
        num_repeats += first is not clip
    _refuse_stores(clips.values(), file)
    notices += [f"repeated rows (counted once): {num_repeats:,}"] if num_repeats else []
    for fold in sorted(columns.folds):
        present = {clip.folds.get(fold) for clip in clips.values()}
        missing = [split for split in ("train", "test") if split not in present]
        notices += [f"fold {fold} has no {split} clips" for split in missing]
    return _keep_segments_together(list(clips.values()), notices)


def _refuse_stores(clips: Iterable[LabelledClip], file: Path) -> None:
    folders = {clip.source.parent: clip.source for clip in clips if clip.source}
    for folder, source in folders.items():
        if store := store_around(folder):
            what = f"the table names files of a store that dfer preprocess has written, such as {source}"
            raise DataError(what, where=file, hint=f"a store is no raw data: to train on it, use data.path={store}")


def _is_table(file: Path) -> bool:
    return set(REQUIRED) <= set(map(column_name, read_header(file, REQUIRED)))


def _clip(row: Row, columns: Columns, options: FolderOptions, nearest: NearestPaths) -> LabelledClip:
    values = columns.values(row)
    label = values["label"]
    if is_number(options.name_of(label)):
        what = f"the label is the number {label}, which is ambiguous without the order of the classes"
        hint = f"write the name of the class, such as happy, or give the names: {LABELS_EXAMPLE}"
        raise DataError(what, where=row.where, hint=hint)
    path = _path(columns.path_as_written(row), values["path"], row.file.parent)
    source, span = nearest.find(path), columns.span(row, values)
    return LabelledClip(
        clip_id=_clip_id(path, row.file.parent) + (f"#{span}" if span else ""),
        label=label,
        source=source,
        folds=columns.splits(row, values),
        subject=values.get("subject") or None,
        span=span,
        missing="" if source else nearest.describe(path),
    )


def _path(written: str, stripped: str, folder: Path) -> Path:
    # Spaces around a name, and backslashes, may be part of it; else they are the table's, and those of Windows.
    path = folder / (written if os.path.lexists(folder / written) else stripped)
    if "\\" in stripped and not os.path.lexists(path):
        path = folder / stripped.replace("\\", "/")
    return Path(os.path.normpath(path))


def _clip_id(path: Path, folder: Path) -> str:
    """Return the path relative to the table's folder; for clips elsewhere, the whole path without a leading slash."""
    whole, base = path.absolute(), Path(os.path.normpath(folder.absolute()))
    whole = Path(os.path.normpath(whole))
    return composed(
        (whole.relative_to(base) if whole.is_relative_to(base) else whole.relative_to(whole.anchor)).as_posix()
    )


def _keep_segments_together(clips: Sequence[LabelledClip], notices: list[str]) -> tuple[list[LabelledClip], list[str]]:
    """Let all segments of a video count as one subject where subjects are not known: they show the same people."""
    videos = Counter(_video_of(clip) for clip in clips)
    if not any(clip.span for clip in clips) or any(clip.subject for clip in clips) or len(videos) == len(clips):
        return list(clips), notices
    several = sum(count > 1 for count in videos.values())
    example = next(video for video, count in videos.items() if count > 1)
    notice = (
        f"segments of one video are kept in one split, as if the video were a subject: {several:,} videos have several "
        f"segments, such as {example}; a column subject replaces this"
    )
    return [replace(clip, subject=_video_of(clip)) for clip in clips], [*notices, notice]


def _video_of(clip: LabelledClip) -> str:
    return clip.clip_id.removesuffix(f"#{clip.span}") if isinstance(clip.span, Span) else clip.clip_id
