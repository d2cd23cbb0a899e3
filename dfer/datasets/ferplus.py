"""FER+: 35,710 still faces (FER2013's images), each with the votes of ten annotators. For pretraining.

The label follows from the votes by FER+'s own majority rule; the votes for the seven emotions are kept for soft
labels.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

from dfer.datasets.fer2013 import PixelRow, find_table, read_pixel_rows
from dfer.datasets.folder.splits import split_of
from dfer.datasets.lists import Row, children, read_csv, require_folder
from dfer.datasets.media import Report, find_images
from dfer.datasets.merge import RawDataset
from dfer.datasets.text import column_name
from dfer.errors import DataError
from dfer.labels import DFEW_LABELS, canonical_emotion
from dfer.records import ClipRecord, PixelText, Split

# The order of the votes in label.csv.
VOTES = (
    "neutral",
    "happiness",
    "surprise",
    "sadness",
    "anger",
    "disgust",
    "fear",
    "contempt",
    "unknown",
    "not-a-face",
)
OFFICIAL_SIZES = {"train": 28558, "val": 3579, "test": 3573}

_FOLDERS: dict[Split, str] = {"train": "fer2013train", "val": "fer2013valid(ation)?", "test": "fer2013test"}
_LISTS = "FER2013Train/label.csv"
_VOTES = "fer2013new.csv"
_HINT = (
    f"RAW contains FER2013Train, FER2013Valid and FER2013Test, each with its images and label.csv; "
    f"or fer2013.csv (Kaggle) and {_VOTES} (github.com/microsoft/FERPlus)"
)
_VOTES_HINT = f"its first line is Usage,Image name and {len(VOTES)} emotions; usages: Training, PublicTest, PrivateTest"
_NUMBER = re.compile(r"fer(\d{7})", re.ASCII)


def read_ferplus(raw: Path, report: Report) -> RawDataset:
    """Read FER+ with the seven labels of DFEW, an image per clip.

    Images whose majority is contempt, unknown or not-a-face are left out. Training images without a majority are kept
    as the split "soft", to train on soft labels only, if at least half of their counted votes are for the seven
    emotions; their label is the most frequent vote among these, the first of equals. Other images without a majority
    are left out.

    Args:
        raw: the folder that contains FER2013Train, FER2013Valid and FER2013Test, or fer2013new.csv; or its parent.
            Images that are no files are read from the pixels in fer2013.csv.
        report: called with lines of progress.

    Returns:
        The clips in one fold, of which FER2013Valid is the "val" split; their ids are those of the lists without
        suffix ("fer0000000").

    Raises:
        DataError: no lists, or a row without votes.

    Source: Barsoum et al., "Training Deep Networks for Facial Expression Recognition with Crowd-Sourced Label
    Distribution", 2016.
    """
    images, nameless = _read_images(raw, report)
    clips: list[ClipRecord] = []
    left_out: Counter[str] = Counter()
    for image in images:
        winner, votes = majority(image.counts), _votes_by_emotion(image.counts)
        emotion, folds = canonical_emotion(winner or ""), {1: image.split}
        if winner is None and image.split == "train" and is_mostly_emotion(image.counts):
            emotion = DFEW_LABELS[votes.index(max(votes))]
            folds = {1: "soft"}
        if emotion not in DFEW_LABELS:
            left_out[winner or "no majority"] += 1
            continue
        clips.append(
            ClipRecord(
                clip_id=image.clip_id,
                label=DFEW_LABELS.index(emotion),
                label_name=emotion,
                source=image.source,
                folds=folds,
                votes=votes,
                pixels=image.pixels,
            )
        )
    return RawDataset("ferplus", DFEW_LABELS, clips, 1, _notices(images, nameless, left_out, clips))


@dataclass(frozen=True)
class _Image:
    """An image of the lists: its votes, and its file, or its row in fer2013.csv and its place there."""

    clip_id: str
    split: Split
    counts: tuple[int, ...]
    where: str
    source: Path | None = None
    row: int | None = None
    pixels: PixelText | None = None


def _read_images(raw: Path, report: Report) -> tuple[list[_Image], int]:
    """Return the images of the lists, and the number of those that fer2013new.csv gives no name.

    Raises:
        DataError: no lists, a broken row, an image in two splits, or tables of different images.
    """
    require_folder(raw, looked_for=_LISTS, hint=_HINT)
    lists, votes, table = _lists(raw), find_table(raw, "fer2013newcsv"), find_table(raw, "fer2013csv")
    for file in (*lists.values(), votes, table):
        if file is not None:
            report(f"reading {file}")
    nameless = 0
    if lists:
        images = [image for split, file in lists.items() for image in _listed_images(file, split)]
    elif votes:
        images, nameless = _voted_images(votes)
    else:
        found = f"{table.name} holds no votes" if table else "no lists found"
        raise DataError(f"{found}; looked for {_LISTS} or {_VOTES} here and one level below", where=raw, hint=_HINT)
    _require_one_split(images)
    if table is not None:
        rows = read_pixel_rows(table)
        if not lists and len(rows) != len(images) + nameless:
            what = f"{len(rows):,} images here, {len(images) + nameless:,} in {_VOTES}: they must be in the same order"
            raise DataError(what, where=table, hint=_HINT)
        images = [_in_table(image, table, rows) for image in images]
    return images, nameless


def _listed_images(file: Path, split: Split) -> Iterator[_Image]:
    """Yield the images of a label.csv; of fer0000123.png the number is the row in fer2013.csv."""
    on_disk = {image.stem: image for image in find_images(file.parent)}
    for clip_id, (counts, where) in _votes(file).items():
        number = _NUMBER.fullmatch(clip_id)
        yield _Image(clip_id, split, counts, where, on_disk.get(clip_id), int(number[1]) if number else None)


def _voted_images(file: Path) -> tuple[list[_Image], int]:
    """Return the images of fer2013new.csv, whose rows are those of fer2013.csv; and the number of rows without one."""
    images = []
    header, *rows = read_csv(file)
    if column_name(header.fields[0]) != "usage":
        raise DataError("the table has no column Usage", where=header.where, hint=_VOTES_HINT)
    for number, row in enumerate(rows):
        counts = _counts(row)
        split = split_of(row.fields[0])
        if split is None:
            raise DataError(f"unknown usage {row.fields[0][:40]!r}", where=row.where, hint=_VOTES_HINT)
        if row.fields[1]:
            images.append(_Image(PurePath(row.fields[1]).stem, split, counts, row.where, row=number))
    return images, len(rows) - len(images)


def _in_table(image: _Image, table: Path, rows: Sequence[PixelRow]) -> _Image:
    """Return an image with its place in fer2013.csv, unless it is on disk as a file.

    Raises:
        DataError: the table says that it belongs to another split.
    """
    if image.source is not None or image.row is None or image.row >= len(rows):
        return image
    row = rows[image.row]
    if row.split != image.split:
        what = f"line {row.line} is an image for {row.split}, the votes of {image.clip_id} are for {image.split}"
        raise DataError(f"{what} ({image.where})", where=table, hint="the tables must hold the same images in order")
    return replace(image, source=table, pixels=row.pixels)


def _require_one_split(images: Iterable[_Image]) -> None:
    split_of_image: dict[str, Split] = {}
    for image in images:
        split = split_of_image.setdefault(image.clip_id, image.split)
        if split != image.split:
            raise DataError(f"image {image.clip_id} is in both {split} and {image.split}", where=image.where)


def _votes_by_emotion(votes: Sequence[int]) -> tuple[int, ...]:
    """Return the votes for DFEW's seven emotions, in their order, without single votes as in `majority`."""
    counted = {canonical_emotion(name): count for name, count in zip(VOTES, votes, strict=True) if count > 1}
    return tuple(counted.get(emotion, 0) for emotion in DFEW_LABELS)


def is_mostly_emotion(votes: Sequence[int]) -> bool:
    """Return whether at least half of the votes, without single ones, are for the seven emotions, and there are any.

    Args:
        votes: number of votes for each of `VOTES`.
    """
    counted = sum(count for count in votes if count > 1)
    return counted > 0 and 2 * sum(_votes_by_emotion(votes)) >= counted


def majority(votes: Sequence[int]) -> str | None:
    """Return the choice of more than half of the votes; single votes are not counted, as likely slips.

    Args:
        votes: number of votes for each of `VOTES`.

    Returns:
        One of `VOTES`, or None if none has a majority.

    Source: the majority mode of the paper (see `read_ferplus`) and of its authors' published reader.
    """
    counted = [count if count > 1 else 0 for count in votes]
    most = max(counted)
    return VOTES[counted.index(most)] if 2 * most > sum(counted) else None


def _lists(raw: Path) -> dict[Split, Path]:
    """Return the label.csv of each split, in RAW or one level below it; empty if there are none."""
    for root in (raw, *children(raw, ".*", folders=True)):
        found = {
            split: file
            for split, pattern in _FOLDERS.items()
            for folder in children(root, pattern, folders=True)
            for file in children(folder, "labelcsv", folders=False)
        }
        if found:
            return found
    return {}


def _votes(file: Path) -> dict[str, tuple[tuple[int, ...], str]]:
    """Return the votes for each image of a label.csv, and the row they stand in."""
    rows = read_csv(file)
    if not any(field.isdecimal() for field in rows[0].fields):  # some copies have a header
        rows = rows[1:]
    votes: dict[str, tuple[tuple[int, ...], str]] = {}
    for row in rows:
        counts, clip_id = _counts(row), PurePath(row.fields[0]).stem
        if votes.setdefault(clip_id, (counts, row.where))[0] != counts:
            raise DataError(f"image {clip_id} has two rows with different votes", where=row.where)
    return votes


def _counts(row: Row) -> tuple[int, ...]:
    """Return the votes of a row, which follow two other fields."""
    counts = tuple(int(field) for field in row.fields[2:] if field.isascii() and field.isdecimal())
    if len(counts) != len(VOTES) or len(row.fields) != 2 + len(VOTES):
        raise DataError(
            f"expected an image, its box or usage, and {len(VOTES)} votes, got {','.join(row.fields)[:80]!r}",
            where=row.where,
            hint=f"the votes are for {', '.join(VOTES)}",
        )
    return counts


def _notices(
    images: Sequence[_Image], nameless: int, left_out: Mapping[str, int], clips: Sequence[ClipRecord]
) -> list[str]:
    notices = []
    if nameless:
        notices.append(f"rows of {_VOTES} without an image, which its authors left out: {nameless:,}")
    if left_out:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in sorted(left_out.items()))
        notices.append(f"images left out because of their votes: {sum(left_out.values()):,} ({reasons})")
    if num_soft := sum(clip.folds[1] == "soft" for clip in clips):
        notices.append(f"images without a majority, kept for training on soft labels only: {num_soft:,}")
    sizes = Counter[str](image.split for image in images)
    if sizes != OFFICIAL_SIZES:
        parts = ", ".join(f"{split} {sizes[split]:,} of {official:,}" for split, official in OFFICIAL_SIZES.items())
        notices.append(f"not the official split sizes: {parts}")
    if in_table := sum(clip.pixels is not None for clip in clips):
        notices.append(f"images read from the pixels in fer2013.csv: {in_table:,}")
    if num_missing := sum(clip.source is None for clip in clips):
        notices.append(f"images of the lists that are not on disk: {num_missing:,}")
    return notices
