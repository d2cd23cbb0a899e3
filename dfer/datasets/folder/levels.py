"""The levels of a tree of folders: which one names the split, which the class, which the subject."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dfer.datasets.folder.options import LABELS_EXAMPLE, FolderOptions, class_key, is_number
from dfer.datasets.folder.splits import splits_of_folders
from dfer.datasets.media import Media
from dfer.errors import DataError
from dfer.records import Split

# S010, P001, Actor_01, subject 3: names of people, not of classes.
_SUBJECT = re.compile(r"(s|p|id|sub|subj|subject|person|actor|participant|user|speaker)[-_ ]?\d+", re.IGNORECASE)


@dataclass(frozen=True)
class Place:
    """The place of a video or frame folder in the tree.

    Attributes:
        item: the video or frame folder.
        levels: the folders on its path without the one of its split; the last may be a frame folder itself.
        split: its split, if there are folders of splits.
    """

    item: Media
    levels: tuple[str, ...]
    split: Split | None = None


@dataclass(frozen=True)
class Roles:
    """The level that names the class and the one that names the subject; None where no level does."""

    label: int | None
    subject: int | None = None


def find_splits(raw: Path, media: Sequence[Media]) -> tuple[list[Place], list[str]]:
    """Find the level of folders that names the split, above the classes or below them.

    Args:
        raw: the folder that was searched.
        media: the videos and frame folders in it.

    Returns:
        The place of each, and notices.

    Raises:
        DataError: folders of splits are mixed with others.
    """
    paths = [item.folders if item.is_video else (*item.folders, item.name) for item in media]
    for level in range(max(map(len, paths), default=0)):
        at_level = {path[level] for path in paths if len(path) > level}
        splits, others = splits_of_folders(at_level)
        is_top = all(len({path[above] for path in paths if len(path) > above}) == 1 for above in range(level))
        if not splits or (not is_top and (others or len(set(splits.values())) < 2)):
            continue
        others += [path[-1] for path in paths if path and len(path) <= level]
        if others:
            raise DataError(
                f"folders of splits ({', '.join(splits)}) are mixed with others ({', '.join(others[:5])})",
                where=raw,
                hint="put either all clips into folders such as train and test, or none",
            )
        splits, notices = _with_test(splits)
        places = [
            Place(item, path[:level] + path[level + 1 :], splits[path[level]] if path else None)
            for item, path in zip(media, paths, strict=True)
        ]
        return places, notices
    return [Place(item, path) for item, path in zip(media, paths, strict=True)], []


def _with_test(splits: dict[str, Split]) -> tuple[dict[str, Split], list[str]]:
    """Test on the validation split if there is no other: AFEW's test labels are not public."""
    if "test" in splits.values() or "train" not in splits.values():
        missing = sorted({"train", "test"} - set(splits.values()))
        return splits, [f"there is no folder of {split} clips" for split in missing]
    notices = [
        f"there is no folder of test clips, so {name} is the test split"
        for name, split in splits.items()
        if split == "val"
    ]
    if not notices:
        return splits, ["there is no folder of test clips"]
    return {name: "test" if split == "val" else split for name, split in splits.items()}, notices


def find_roles(
    raw: Path, places: Sequence[Place], options: FolderOptions, *, all_named: bool
) -> tuple[Roles, list[str]]:
    """Find the levels that name the class and the subject.

    Args:
        raw: the folder that was searched.
        places: the clips.
        options: names for classes.
        all_named: whether the names of all files contain the emotion, which counts unless their folders name it.

    Raises:
        DataError: no level names a class.
    """
    paths = [place.levels for place in places if place.levels]
    for level in range(max(map(len, paths), default=0)):
        names = {(*path[level : level + 1], "")[0] for path in paths}
        if all(options.emotion_of(name) or class_key(name) in options.names for name in names):
            return _with_subject(level, paths)
        if all_named:
            break
    if all_named:
        return Roles(None), []
    if places and not paths:
        raise DataError(
            f"the clips are not in the folder of a class, such as {places[0].item.path.name}",
            where=raw,
            hint="move them to RAW/happy/, RAW/sad/, ... or add RAW/labels.csv with the columns path,label",
        )
    _require_class_names(raw, sorted({path[0] for path in paths}), options)
    return Roles(0), []


def _with_subject(label: int, paths: Sequence[tuple[str, ...]]) -> tuple[Roles, list[str]]:
    """Find the level of the subjects above that of the classes: of several, the one with the most names."""
    names = [{path[level] for path in paths} for level in range(label)]
    candidates = [
        level for level in range(label) if len(names[level]) > 1 or all(map(_SUBJECT.fullmatch, names[level]))
    ]
    if not candidates:
        return Roles(label), []
    subject = max(candidates, key=lambda level: (len(names[level]), -level))
    notices = []
    if len(candidates) > 1:
        example = "/".join(path[subject] for path in paths[:1])
        notices = [f"the {len(names[subject])} folders such as {example} are taken for the subjects"]
    return Roles(label, subject), notices


def _require_class_names(raw: Path, classes: Sequence[str], options: FolderOptions) -> None:
    """Check that folders may be classes.

    Raises:
        DataError: they are numbers, or look like subjects.
    """
    numbers = [name for name in classes if is_number(options.name_of(name))]
    if numbers:
        raise DataError(
            f"folders that are numbers do not say which class they are: {', '.join(numbers[:8])}",
            where=raw,
            hint=f"give their names, {LABELS_EXAMPLE}, or rename them, or add RAW/labels.csv with columns path,label",
        )
    if classes and all(map(_SUBJECT.fullmatch, classes)):
        raise DataError(
            f"no folder names the class: {', '.join(classes[:5])} look like subjects",
            where=raw,
            hint="name the folders below them by emotion, or add RAW/labels.csv with the columns path,label",
        )
