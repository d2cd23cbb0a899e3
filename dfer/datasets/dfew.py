"""DFEW: 11,697 film clips with one of seven emotions, in five folds.

The lists number the emotions 1-7; copies that number them 0-6 under the same header are in circulation. The clips
come as original videos, as the authors' aligned frames, as 16 of those per clip, and as videos of either.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

from dfer.datasets.lists import TRAIN_AND_TEST, Row, Slot, children, find_lists, one_per_slot, read_csv
from dfer.datasets.media import Media, Report
from dfer.datasets.merge import ListedClip, OfficialSizes, RawDataset, build_dataset
from dfer.datasets.sources import Form, Layout, clip_number, find_sources
from dfer.errors import DataError
from dfer.labels import DFEW_LABELS
from dfer.shares import DATASET_COUNTS

_TRAIN_SIZES = (9356, 9356, 9357, 9358, 9361)
_TEST_SIZES = (2341, 2341, 2340, 2339, 2336)
OFFICIAL_SIZES = OfficialSizes(
    lists={(fold, "train"): size for fold, size in enumerate(_TRAIN_SIZES, start=1)}
    | {(fold, "test"): size for fold, size in enumerate(_TEST_SIZES, start=1)},
    emotions=DATASET_COUNTS["dfew"],
)

_LISTS = "EmoLabel_DataSplit/train(single-labeled)/set_1.csv"
_CLIPS = "Clip/original/1.mp4 or Clip/clip_224x224/00001/*.jpg"


def read_dfew(raw: Path, report: Report) -> RawDataset:
    """Read DFEW, or a data set in its layout.

    Args:
        raw: the folder that contains EmoLabel_DataSplit and Clip, or its parent.
        report: called with lines of progress.

    Returns:
        The clips in five folds; their ids are those of the lists ("1").

    Raises:
        DataError: no lists, or lists that contradict each other or the numbering of the emotions.

    Source: Jiang et al., "DFEW: A Large-Scale Database for Recognizing Dynamic Facial Expressions in the Wild", 2020.
    """
    hint = f"RAW is the folder that contains EmoLabel_DataSplit and Clip: {_LISTS}, {_CLIPS}"
    root, files = find_lists(raw, _lists_in, looked_for=_LISTS, hint=hint)
    report(f"reading {len(files)} lists in {root}")
    rows = {slot: _numbered_rows(file) for slot, file in files.items()}
    first, notices = _first_number([row for listed in rows.values() for row in listed])
    return build_dataset(
        "dfew",
        labels=DFEW_LABELS,
        lists={slot: [_listed(row, first) for row in listed] for slot, listed in rows.items()},
        official=OFFICIAL_SIZES,
        find_sources=partial(find_sources, raw, root, layout=_LAYOUT, report=report),
        notices=notices,
    )


def _lists_in(folder: Path) -> dict[Slot, Path]:
    found = [
        ((int(re.sub(r"\D", "", file.stem)), split), file)
        for holder in (folder, *children(folder, "emolabeldatasplit", folders=True))
        for split in TRAIN_AND_TEST
        for split_folder in children(holder, rf"{split}(singlelabell?ed)?", folders=True)
        for file in children(split_folder, "set[1-5]csv", folders=False)
    ]
    return one_per_slot(found)


def _numbered_rows(file: Path) -> list[Row]:
    """Read the rows of a list, each a clip number and a label number, without the header."""
    rows = read_csv(file)
    if [field.lower() for field in rows[0].fields] == ["video_name", "label"]:
        rows = rows[1:]
    if not rows:
        raise DataError("the list is empty", where=file, hint="copy it again from the data set's archive")
    for row in rows:
        if len(row.fields) != 2 or _number(row) is None or row.fields[1] not in set("01234567"):
            what = f"expected a clip number and a label 1-7, got {','.join(row.fields)[:80]!r}"
            raise DataError(what, where=row.where, hint="the columns are video_name,label")
    return rows


def _first_number(rows: list[Row]) -> tuple[int, list[str]]:
    """Infer the number of the first emotion from the numbers that appear in the lists; also return notices."""
    zero = next((row for row in rows if row.fields[1] == "0"), None)
    seven = next((row for row in rows if row.fields[1] == "7"), None)
    if zero and seven:
        raise DataError(
            f"label 0 here and label 7 in {seven.where}: two numberings are mixed",
            where=zero.where,
            hint="the official lists number the emotions 1-7, some copies 0-6: use the lists of one of them",
        )
    if zero:
        meaning = ", ".join(f"{number} {name}" for number, name in enumerate(DFEW_LABELS))
        return 0, [f"these lists number the emotions 0-6, unlike the official ones (1-7); they are read as {meaning}"]
    if seven:
        return 1, []
    return 1, ["neither label 0 nor label 7 is in the lists: the official numbering, 1-7, is assumed"]


def _listed(row: Row, first: int) -> ListedClip:
    return ListedClip(str(_number(row)), DFEW_LABELS[int(row.fields[1]) - first], row)


def _number(row: Row) -> int | None:
    return clip_number(row.fields[0].partition(".")[0])


def _clip_of(media: Media) -> str | None:
    number = clip_number(media.name)
    return None if number is None else str(number)


def _form_of(home: str, is_video: bool) -> Form:
    if "16f" in home:
        return _VIDEOS_OF_16 if is_video else _FRAMES_OF_16
    if is_video:
        is_crop = any(mark in home for mark in ("224x", "align", "crop", "face"))
        return _ALIGNED_VIDEOS if is_crop else _ORIGINAL_VIDEOS
    if "original" in home:
        return _ORIGINAL_FRAMES
    return _ALIGNED_FRAMES if "clip_224x224" in home else _RENAMED_FRAMES


_ORIGINAL_VIDEOS = Form("original videos", rank=0)
_ORIGINAL_FRAMES = Form("frames of the original videos", rank=1)
_ALIGNED_FRAMES = Form("the authors' aligned frames", rank=2, aligned=True)
# People rename the folder of aligned frames (jpg_256); no archive contains frames of the original videos.
_RENAMED_FRAMES = Form("the authors' aligned frames", rank=3, aligned=True, assumed=True)
_ALIGNED_VIDEOS = Form("videos of the authors' aligned frames", rank=4, aligned=True)
_FRAMES_OF_16 = Form("16 aligned frames per clip", rank=5, aligned=True)
_VIDEOS_OF_16 = Form("videos of 16 aligned frames per clip", rank=6, aligned=True)
_LAYOUT = Layout(
    _clip_of,
    _form_of,
    looked_for=_CLIPS,
    clips_folder="clips?",
    paths_of=lambda clip: (f"Clip/original/{clip}.mp4", f"Clip/clip_224x224/{clip:0>5}"),
)
