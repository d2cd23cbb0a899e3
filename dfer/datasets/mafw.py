"""MAFW: 9,172 clips with one of eleven emotions, in five folds.

At least three numberings of these emotions are in circulation, so only lists that name the emotions are read.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

from dfer.datasets.lists import TRAIN_AND_TEST, Row, Slot, children, find_lists, one_per_slot, read_pairs
from dfer.datasets.media import Media, Report
from dfer.datasets.merge import ListedClip, OfficialSizes, RawDataset, build_dataset
from dfer.datasets.sources import Form, Layout, clip_number, find_sources
from dfer.errors import DataError
from dfer.labels import MAFW_LABELS, require_emotion
from dfer.shares import DATASET_COUNTS

_TRAIN_SIZES = (7333, 7335, 7339, 7340, 7341)
_TEST_SIZES = (1839, 1837, 1833, 1832, 1831)
OFFICIAL_SIZES = OfficialSizes(
    lists={(fold, "train"): size for fold, size in enumerate(_TRAIN_SIZES, start=1)}
    | {(fold, "test"): size for fold, size in enumerate(_TEST_SIZES, start=1)},
    emotions=DATASET_COUNTS["mafw"],
)

_LISTS = "split/single/no_caption/set_1/train.txt"
_CLIPS = "data/clips/00001.mp4, data/frames/00001/*.png or data/faces/00001/*.png"


def read_mafw(raw: Path, report: Report) -> RawDataset:
    """Read the clips of MAFW that have a single emotion.

    Args:
        raw: the folder that contains split and data, or its parent.
        report: called with lines of progress.

    Returns:
        The clips in five folds; their ids are those of the lists without suffix ("00001").

    Raises:
        DataError: no lists, lists that contradict each other, or lists that number the emotions.

    Source: Liu et al., "MAFW: A Large-scale, Multi-modal, Compound Affective Database for Dynamic Facial Expression
    Recognition in the Wild", 2022.
    """
    hint = f"RAW is the folder that contains split and data: {_LISTS}, {_CLIPS}"
    root, files = find_lists(raw, _lists_in, looked_for=_LISTS, hint=hint)
    report(f"reading {len(files)} lists in {root}")
    return build_dataset(
        "mafw",
        labels=MAFW_LABELS,
        lists={slot: [_listed(row) for row in read_pairs(file)] for slot, file in files.items()},
        official=OFFICIAL_SIZES,
        find_sources=partial(find_sources, raw, root, layout=_LAYOUT, report=report),
    )


def _lists_in(folder: Path) -> dict[Slot, Path]:
    holders = [folder]
    # In the archive, the first folder is named "Train & Test Set"; copies may lack any of the levels.
    for level in ("split|traintestset", "single", "nocaption"):
        holders += [found for holder in holders for found in children(holder, level, folders=True)]
    found = [
        ((int(re.sub(r"\D", "", fold.name)), split), file)
        for holder in holders
        for fold in children(holder, "set[1-5]", folders=True)
        for split in TRAIN_AND_TEST
        for file in children(fold, rf"{split}(txt|csv)", folders=False)
    ]
    return one_per_slot(found)


def _listed(row: Row) -> ListedClip:
    name, label = row.fields
    number = clip_number(name.partition(".")[0])
    if number is None:
        raise DataError(f"expected 00001.mp4 and an emotion, got {' '.join(row.fields)[:80]!r}", where=row.where)
    if clip_number(label) is not None:
        raise DataError(
            f"the label is the number {label}, which is ambiguous: three numberings of MAFW's emotions exist",
            where=row.where,
            hint="use the official lists, which name the emotions: 00001.mp4 anger",
        )
    return ListedClip(f"{number:05d}", require_emotion(label, where=row.where), row)


def _clip_of(media: Media) -> str | None:
    number = clip_number(media.name)
    return None if number is None else f"{number:05d}"


def _form_of(home: str, is_video: bool) -> Form:
    is_crop = any(mark in home for mark in ("align", "crop", "face"))
    if is_video:
        return _VIDEOS_OF_CROPS if is_crop else _VIDEOS
    if is_crop:
        return _FACE_CROPS
    return _FRAMES if "frames" in home else _RENAMED_FRAMES


_VIDEOS = Form("original videos", rank=0)
_FRAMES = Form("frames of the original videos", rank=1)
_RENAMED_FRAMES = Form("frames of the original videos", rank=2, assumed=True)
_FACE_CROPS = Form("face crops", rank=3, aligned=True)
_VIDEOS_OF_CROPS = Form("videos of face crops", rank=4, aligned=True)
_LAYOUT = Layout(
    _clip_of,
    _form_of,
    looked_for=_CLIPS,
    clips_folder="data",
    paths_of=lambda clip: (f"data/clips/{clip}.mp4", f"data/frames/{clip}", f"data/faces/{clip}"),
)
