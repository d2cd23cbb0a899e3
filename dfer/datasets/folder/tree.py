"""Your own recordings in folders: class, split and subject follow from the path.

If no folder names a class, the names of the files may, as in CREMA-D and RAVDESS.
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
from dfer.records import Split


@dataclass(frozen=True)
class _Name:
    """The content of a file's name: emotion, subject, and the performance, of which there may be several files."""

    emotion: str
    subject: str
    performance: str


# A place in the tree: class, subject, and the level of folders that names the class, if one does.
_Reading = tuple[str, str | None, int | None]


def read_tree(raw: Path, report: Report) -> tuple[list[LabelledClip], list[str]]:
    """Read a folder with a sub-folder per class, perhaps within folders of splits or of subjects.

    Videos, frame folders and, directly in a class's folder, single images are clips. Files named as in CREMA-D or
    RAVDESS need no class folders: their names contain emotion and subject.

    Args:
        raw: the folder.
        report: called with lines of progress.

    Returns:
        The clips sorted by path, and notices.

    Raises:
        DataError: folders of splits are mixed with others, or no folder names a class.
    """
    report(f"looking for clips in {raw}")
    found, notices = find_media(raw, report)
    names = {item.path: _file_name(item.name) for item in found}
    media, double_notices = _without_doubles(raw, found, names)
    splits = _splits(raw, media)
    read = _reader(raw, media, names, level=1 if splits else 0)
    parents = {item.folders for item in media}
    clips: list[LabelledClip] = []
    strays: list[Media] = []
    for item in media:
        reading, folders = read(item), _folders(item)
        if reading is None:
            strays.append(item)
            continue
        label, subject, class_level = reading
        # In a class's folder, each image is a clip, unless other clips lie beside the images.
        is_class_folder = not item.is_video and class_level == len(folders) - 1
        if is_class_folder and folders in parents:
            strays.append(item)
            continue
        folds = {1: splits[folders[0]]} if splits else {}
        for path in find_images(item.path) if is_class_folder else [item.path]:
            clip_id = path.relative_to(raw).as_posix()
            clips.append(LabelledClip(clip_id, label, path, folds, subject))
    if strays:
        example = strays[0].path.relative_to(raw)
        notices.append(f"left out, since they are not in the folder of a class: {len(strays):,}, such as {example}")
    return clips, [*notices, *double_notices, *_split_notices(splits)]


def _splits(raw: Path, media: Sequence[Media]) -> dict[str, Split]:
    """Return the split that each top folder stands for; empty if they are not splits."""
    tops = sorted({(*_folders(item), "")[0] for item in media})
    splits = {top: SPLIT_NAMES[top.lower()] for top in tops if top.lower() in SPLIT_NAMES}
    others = [top or "files" for top in tops if top not in splits]
    if splits and others:
        what = f"folders of splits ({', '.join(splits)}) are mixed with others ({', '.join(others[:5])})"
        raise DataError(what, where=raw, hint="put either all class folders into train or test, or none")
    if "test" not in splits.values() and "train" in splits.values():
        # AFEW's test labels are not public: everyone tests on its validation split.
        splits = {top: "test" if split == "val" else split for top, split in splits.items()}
    return splits


def _split_notices(splits: dict[str, Split]) -> list[str]:
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
    """Choose the reading of a tree; `level` is the first level of folders below the splits."""
    classes = {folders[level] for item in media if len(folders := _folders(item)) > level}
    inner = {(*_folders(item)[level + 1 :], "")[0] for item in media}
    all_named = bool(media) and all(names[item.path] for item in media)

    def by_class(item: Media) -> _Reading | None:
        folders, name = _folders(item), names[item.path]
        if len(folders) <= level:
            return None
        return folders[level], name.subject if name and all_named else None, level

    def by_name(item: Media) -> _Reading | None:
        name = names[item.path]
        return (name.emotion, name.subject, None) if name else None

    def by_subject_and_class(item: Media) -> _Reading | None:
        folders = _folders(item)
        return folders[level + 1], folders[level], level + 1

    if classes and all(map(canonical_emotion, classes)):
        return by_class
    if all_named:
        return by_name
    if inner and all(map(canonical_emotion, inner)):
        return by_subject_and_class
    if media and not classes:
        raise DataError(
            f"the clips are not in the folder of a class, such as {media[0].path.name}",
            where=raw,
            hint="move them to RAW/happy/, RAW/sad/, ... or add RAW/labels.csv with the columns path,label",
        )
    return by_class


def _folders(item: Media) -> tuple[str, ...]:
    """Return the folders on the path of a clip, including a frame folder itself, which may be a class."""
    return item.folders if item.is_video else (*item.folders, item.name)


def _without_doubles(
    raw: Path, media: Sequence[Media], names: Mapping[Path, _Name | None]
) -> tuple[list[Media], list[str]]:
    """Leave out duplicates: the frames beside a clip's video, or one of RAVDESS's videos with and without sound."""
    kept: dict[tuple[tuple[str, ...], str], Media] = {}
    doubles = []
    for item in sorted(media, key=lambda item: not item.is_video):
        name = names[item.path]
        first = kept.setdefault((item.folders, name.performance if name else item.name), item)
        if first is not item:
            doubles.append((first.path.relative_to(raw), item.path.relative_to(raw)))
    notices = [
        f"clips found more than once: {len(doubles):,}, such as {first} (used) and {double}"
        for first, double in doubles[:1]
    ]
    used = {item.path for item in kept.values()}
    return [item for item in media if item.path in used], notices


def _file_name(name: str) -> _Name | None:
    """Parse the name of a CREMA-D or RAVDESS file; None for any other."""
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
