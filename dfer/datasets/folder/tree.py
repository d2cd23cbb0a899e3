"""One's own recordings in folders: class, split and subject are read from the path.

Where no folder names a class, the files' names may, as they do in CREMA-D and RAVDESS.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dfer.datasets.folder.labelled import SPLIT_NAMES, LabelledClip
from dfer.datasets.media import Media, Report, find_images, find_media
from dfer.errors import DataError
from dfer.labels import canonical_emotion


@dataclass(frozen=True)
class _Name:
    """What a file's name tells: the emotion, who is seen, and which performance, whatever its recording."""

    emotion: str
    subject: str
    performance: str


@dataclass(frozen=True)
class _Reading:
    """What a place in the tree means: class and subject, and the level of folders that names the class, if one does."""

    label: str
    subject: str | None
    class_level: int | None


def read_tree(raw: Path, report: Report) -> tuple[list[LabelledClip], list[str]]:
    """Read a folder with a sub-folder per class, perhaps within folders of splits or of subjects.

    Videos, frame folders and, directly in a class's folder, single images are clips. Files named as in CREMA-D or
    RAVDESS need no class folders: their names tell emotion and subject.

    Args:
        raw: the folder.
        report: told how far a long walk is.

    Returns:
        The clips sorted by path, none if there are none; and the notices.

    Raises:
        DataError: folders of splits stand beside other ones, or no folder names a class.
    """
    report(f"looking for clips in {raw}")
    found, notices = find_media(raw, report)
    names = {item.path: _file_name(item.name) for item in found}
    media, double_notices = _without_doubles(raw, found, names)
    splits = _splits(raw, media)
    read = _reader(raw, media, names, level=1 if splits else 0)
    holders = {item.folders for item in media}
    clips: list[LabelledClip] = []
    strays: list[Media] = []
    for item in media:
        reading, folders = read(item), _folders(item)
        # A class's folder that holds images itself is no clip: each image is one, unless clips lie beside them.
        is_class_folder = reading is not None and not item.is_video and reading.class_level == len(folders) - 1
        if reading is None or (is_class_folder and folders in holders):
            strays.append(item)
            continue
        folds = {1: splits[folders[0]]} if splits else {}
        for path in find_images(item.path) if is_class_folder else [item.path]:
            clip_id = path.relative_to(raw).as_posix()
            clips.append(LabelledClip(clip_id, reading.label, path, folds, reading.subject))
    if strays:
        example = strays[0].path.relative_to(raw)
        notices.append(f"left out, not being where the clips of a class are: {len(strays):,}, such as {example}")
    return clips, [*notices, *double_notices, *_split_notices(splits)]


def _splits(raw: Path, media: Sequence[Media]) -> dict[str, str]:
    """The split that each folder at the top stands for; empty if they are no splits."""
    tops = sorted({(*_folders(item), "")[0] for item in media})
    splits = {top: SPLIT_NAMES[top.lower()] for top in tops if top.lower() in SPLIT_NAMES}
    others = [top or "files" for top in tops if top not in splits]
    if splits and others:
        what = f"folders of splits ({', '.join(splits)}) stand beside others ({', '.join(others[:5])})"
        raise DataError(what, where=raw, hint="put every class's folder into train or test, or none")
    if "test" not in splits.values() and "train" in splits.values():
        # AFEW's test labels are not public: its validation split is what everyone tests on.
        splits = {top: "test" if split == "val" else split for top, split in splits.items()}
    return splits


def _split_notices(splits: dict[str, str]) -> list[str]:
    notices = [
        f"there is no folder of test clips, so {top} is the test split"
        for top, split in splits.items()
        if split == "test" and SPLIT_NAMES[top.lower()] == "val"
    ]
    missing = sorted({"train", "test"} - set(splits.values())) if splits else []
    return notices + [f"there is no folder of {split} clips" for split in missing]


def _reader(
    raw: Path, media: Sequence[Media], names: Mapping[Path, _Name | None], level: int
) -> Callable[[Media], _Reading | None]:
    """How this tree is to be read; `level` is the first level of folders below the splits."""
    classes = {folders[level] for item in media if len(folders := _folders(item)) > level}
    inner = {(*_folders(item)[level + 1 :], "")[0] for item in media}
    told_by_name = bool(media) and all(names[item.path] for item in media)

    def by_class(item: Media) -> _Reading | None:
        folders, name = _folders(item), names[item.path]
        if len(folders) <= level:
            return None
        return _Reading(folders[level], name.subject if name and told_by_name else None, level)

    def by_name(item: Media) -> _Reading | None:
        name = names[item.path]
        return _Reading(name.emotion, name.subject, None) if name else None

    def by_subject_and_class(item: Media) -> _Reading | None:
        folders = _folders(item)
        return _Reading(folders[level + 1], folders[level], level + 1)

    if classes and all(map(canonical_emotion, classes)):
        return by_class
    if told_by_name:
        return by_name
    if inner and all(map(canonical_emotion, inner)):
        return by_subject_and_class
    if media and not classes:
        raise DataError(
            f"the clips lie in no class's folder, such as {media[0].path.name}",
            where=raw,
            hint="move them to RAW/happy/, RAW/sad/, ... or add RAW/labels.csv with the columns path,label",
        )
    return by_class


def _folders(item: Media) -> tuple[str, ...]:
    """The folders on the way to what a clip is made of: a frame folder is one of them, for it may be a class's."""
    return item.folders if item.is_video else (*item.folders, item.name)


def _without_doubles(
    raw: Path, media: Sequence[Media], names: Mapping[Path, _Name | None]
) -> tuple[list[Media], list[str]]:
    """Leave out what is there twice: a clip's video and its frames, or RAVDESS's video with sound and without."""
    kept: dict[tuple[tuple[str, ...], str], Media] = {}
    doubles = []
    for item in sorted(media, key=lambda item: not item.is_video):
        name = names[item.path]
        first = kept.setdefault((item.folders, name.performance if name else item.name), item)
        if first is not item:
            doubles.append((first.path.relative_to(raw), item.path.relative_to(raw)))
    notices = [
        f"clips on the disk more than once: {len(doubles):,}, such as {first} (taken) and {double}"
        for first, double in doubles[:1]
    ]
    taken = {item.path for item in kept.values()}
    return [item for item in media if item.path in taken], notices


def _file_name(name: str) -> _Name | None:
    """What the name of a CREMA-D or RAVDESS file tells; None for another."""
    if match := _CREMA_D.fullmatch(name):
        return _Name(emotion=match["emotion"], subject=match["subject"], performance=name)
    if match := _RAVDESS.fullmatch(name):
        return _Name(_RAVDESS_EMOTIONS[int(match["emotion"]) - 1], match["subject"], match["performance"])
    return None


# 1001_DFA_ANG_XX: actor, sentence, emotion, strength.
_CREMA_D = re.compile(r"(?P<subject>\d{4})_[A-Z]{3}_(?P<emotion>ANG|DIS|FEA|HAP|NEU|SAD)_(LO|MD|HI|XX?)")
# 02-01-06-01-02-01-12: modality, speech or song, emotion, strength, sentence, repetition, actor.
_RAVDESS = re.compile(r"\d\d-(?P<performance>\d\d-0(?P<emotion>[1-8])-\d\d-\d\d-\d\d-(?P<subject>\d\d))")
_RAVDESS_EMOTIONS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
