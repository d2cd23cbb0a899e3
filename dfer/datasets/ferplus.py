"""FER+: 35,710 still faces (FER2013's images), each with the votes of ten annotators. For pretraining.

The label follows from the votes by FER+'s own majority rule; the votes for the seven emotions are kept for soft
labels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath

from dfer.datasets.lists import children, read_csv, require_folder
from dfer.datasets.media import Report, find_images
from dfer.datasets.merge import RawDataset
from dfer.errors import DataError
from dfer.labels import DFEW_LABELS, canonical_emotion
from dfer.records import ClipRecord, Split

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


def read_ferplus(raw: Path, report: Report) -> RawDataset:
    """Read FER+ with the seven labels of DFEW, an image per clip.

    Images whose majority is contempt, unknown or not-a-face are left out. Training images without a majority are kept
    as the split "soft", to train on soft labels only, if at least half of their counted votes are for the seven
    emotions; their label is the most frequent vote among these, the first of equals. Other images without a majority
    are left out.

    Args:
        raw: the folder that contains FER2013Train, FER2013Valid and FER2013Test, or its parent.
        report: called with lines of progress.

    Returns:
        The clips in one fold, of which FER2013Valid is the "val" split; their ids are those of the lists without
        suffix ("fer0000000").

    Raises:
        DataError: no lists, or a row without votes.

    Source: Barsoum et al., "Training Deep Networks for Facial Expression Recognition with Crowd-Sourced Label
    Distribution", 2016.
    """
    clips: list[ClipRecord] = []
    left_out: Counter[str] = Counter()
    num_soft = 0
    sizes: dict[str, int] = {}
    split_of: dict[str, Split] = {}
    for split, file in _lists(raw).items():
        report(f"reading {file}")
        votes = _votes(file)
        images = {image.stem: image for image in find_images(file.parent)}
        sizes[split] = len(votes)
        for clip_id, counts in votes.items():
            if split_of.setdefault(clip_id, split) != split:
                raise DataError(f"image {clip_id} is in both {split_of[clip_id]} and {split}", where=file)
            winner, votes_by_emotion = majority(counts), _votes_by_emotion(counts)
            emotion, folds = canonical_emotion(winner or ""), {1: split}
            if winner is None and split == "train" and is_mostly_emotion(counts):
                emotion = DFEW_LABELS[votes_by_emotion.index(max(votes_by_emotion))]
                folds = {1: "soft"}
                num_soft += 1
            if emotion not in DFEW_LABELS:
                left_out[winner or "no majority"] += 1
                continue
            clips.append(
                ClipRecord(
                    clip_id=clip_id,
                    label=DFEW_LABELS.index(emotion),
                    label_name=emotion,
                    source=images.get(clip_id),
                    folds=folds,
                    votes=votes_by_emotion,
                )
            )
    num_missing = sum(clip.source is None for clip in clips)
    return RawDataset("ferplus", DFEW_LABELS, clips, 1, _notices(sizes, left_out, num_soft, num_missing))


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
    hint = f"RAW is the folder that contains FER2013Train, FER2013Valid and FER2013Test: {_LISTS}"
    require_folder(raw, looked_for=_LISTS, hint=hint)
    for root in (raw, *children(raw, ".*", folders=True)):
        found = {
            split: file
            for split, pattern in _FOLDERS.items()
            for folder in children(root, pattern, folders=True)
            for file in children(folder, "labelcsv", folders=False)
        }
        if found:
            return found
    raise DataError(f"no lists found: looked for {_LISTS} here and one level below", where=raw, hint=hint)


def _votes(file: Path) -> dict[str, tuple[int, ...]]:
    rows = read_csv(file)
    if not any(field.isdecimal() for field in rows[0].fields):  # some copies have a header
        rows = rows[1:]
    votes: dict[str, tuple[int, ...]] = {}
    for row in rows:
        counts = tuple(int(field) for field in row.fields[2:] if field.isascii() and field.isdecimal())
        if len(counts) != len(VOTES) or len(row.fields) != 2 + len(VOTES):
            raise DataError(
                f"expected an image, a box and {len(VOTES)} votes, got {','.join(row.fields)[:80]!r}",
                where=row.where,
                hint=f"the votes are for {', '.join(VOTES)}",
            )
        clip_id = PurePath(row.fields[0]).stem
        if votes.setdefault(clip_id, counts) != counts:
            raise DataError(f"image {clip_id} has two rows with different votes", where=row.where)
    return votes


def _notices(sizes: Mapping[str, int], left_out: Mapping[str, int], num_soft: int, num_missing: int) -> list[str]:
    notices = []
    if left_out:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in sorted(left_out.items()))
        notices.append(f"images left out because of their votes: {sum(left_out.values()):,} ({reasons})")
    if num_soft:
        notices.append(f"images without a majority, kept for training on soft labels only: {num_soft:,}")
    if sizes != OFFICIAL_SIZES:
        parts = ", ".join(f"{split} {sizes.get(split, 0):,} of {OFFICIAL_SIZES[split]:,}" for split in _FOLDERS)
        notices.append(f"not the official split sizes: {parts}")
    if num_missing:
        notices.append(f"images of the lists that are not on disk: {num_missing:,}")
    return notices
