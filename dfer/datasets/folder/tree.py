"""Your own recordings in folders: class, split and subject follow from the path.

If no folder names a class, the names of the files may, as in CREMA-D and RAVDESS.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

from dfer.datasets.folder.images import ClassFolder, are_sequences
from dfer.datasets.folder.labelled import LabelledClip
from dfer.datasets.folder.levels import Place, Roles, find_roles, find_splits
from dfer.datasets.folder.options import FolderOptions
from dfer.datasets.folder.performances import Performance, parse_performance
from dfer.datasets.media import Media, Report, find_media
from dfer.runtime.filenames import composed


def read_tree(raw: Path, report: Report, options: FolderOptions) -> tuple[list[LabelledClip], list[str]]:
    """Read a folder with a sub-folder per class, perhaps within folders of splits or of subjects.

    Videos and frame folders are clips. Images directly in the folder of a class are a clip each or the frames of one
    clip; see `are_sequences`. Files named as in CREMA-D or RAVDESS need no class folders: their names contain emotion
    and subject.

    Args:
        raw: the folder.
        report: called with lines of progress.
        options: the user's decisions.

    Returns:
        The clips sorted by path, and notices.

    Raises:
        DataError: folders of splits are mixed with others, or no folder names a class.
    """
    report(f"looking for clips in {raw}")
    found, notices = find_media(raw, report)
    names = {item.path: parse_performance(item.name) for item in found}
    media, others, double_notices = _without_doubles(raw, found, names)
    all_named = bool(media) and all(names[item.path] for item in media)
    places, split_notices = find_splits(raw, media)
    roles, role_notices = find_roles(raw, places, options, all_named=all_named)
    inside = [place for place in places if _in_class(place, roles)]
    folders, beside_clips = _class_folders(inside, roles)
    sequences, decision = (
        are_sequences(list(folders.values()), options, below_subjects=roles.subject is not None)
        if folders
        else (False, None)
    )
    clips = []
    for place in inside:
        if place.item.path in beside_clips:
            continue
        folder = None if sequences else folders.get(place.item.path)
        for path in folder.images if folder else [place.item.path]:
            name = names[place.item.path] if all_named else None
            clip = _clip(place, path.relative_to(raw).as_posix(), path, roles, name)
            clips.append(clip if folder else replace(clip, others=tuple(others[path])))
    strays = [place.item.path for place in places if not _in_class(place, roles) or place.item.path in beside_clips]
    if strays:
        example = strays[0].relative_to(raw)
        notices.append(f"left out, since they are not in the folder of a class: {len(strays):,}, such as {example}")
    notices += [*double_notices, *split_notices, *role_notices, *([decision] if decision else [])]
    return _with_composed_ids(clips), notices


def _in_class(place: Place, roles: Roles) -> bool:
    """Return whether a place lies in the folder of a class, or needs none."""
    return roles.label is None or len(place.levels) > roles.label


def _class_folders(places: Sequence[Place], roles: Roles) -> tuple[dict[Path, ClassFolder], set[Path]]:
    """Return the folders of classes with images directly in them, and those whose images lie beside other clips."""
    parents = {place.item.folders for place in places}
    folders: dict[Path, ClassFolder] = {}
    beside_clips: set[Path] = set()
    for item in (place.item for place in places if roles.label == len(place.levels) - 1 and not place.item.is_video):
        if (*item.folders, item.name) in parents:
            beside_clips.add(item.path)
        else:
            folders[item.path] = ClassFolder(item.path)
    return folders, beside_clips


def _clip(place: Place, clip_id: str, source: Path, roles: Roles, name: Performance | None) -> LabelledClip:
    label = place.levels[roles.label] if roles.label is not None else name.emotion if name else ""
    subject = name.subject if name else None
    if roles.subject is not None:
        subject = composed(place.levels[roles.subject])
    return LabelledClip(clip_id, label, source, {1: place.split} if place.split else {}, subject)


def _with_composed_ids(clips: Sequence[LabelledClip]) -> list[LabelledClip]:
    """Let ids be the same on macOS and elsewhere, unless two files differ in nothing else."""
    counts = Counter(composed(clip.clip_id) for clip in clips)
    return [
        replace(clip, clip_id=composed(clip.clip_id)) if counts[composed(clip.clip_id)] == 1 else clip for clip in clips
    ]


def _without_doubles(
    raw: Path, media: Sequence[Media], names: Mapping[Path, Performance | None]
) -> tuple[list[Media], Mapping[Path, list[Path]], list[str]]:
    """Leave out duplicates: the frames beside a clip's video, or one of RAVDESS's videos with and without sound.

    Returns:
        The media without them, the duplicates of each, which are read where it is broken, and notices.
    """
    kept: dict[tuple[tuple[str, ...], str], Path] = {}
    others: defaultdict[Path, list[Path]] = defaultdict(list)
    for item in sorted(media, key=lambda item: not item.is_video):
        name = names[item.path]
        first = kept.setdefault((item.folders, name.performance if name else item.name), item.path)
        if first is not item.path:
            others[first].append(item.path)
    notices = [
        f"clips found more than once: {sum(map(len, others.values())):,}, such as {first.relative_to(raw)} (used) and "
        f"{doubles[0].relative_to(raw)} (used where the other is broken)"
        for first, doubles in islice(others.items(), 1)
    ]
    used = set(kept.values())
    return [item for item in media if item.path in used], others, notices
