"""Lists of all folds -> one record per clip, checked against each other and against the official sizes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from dfer.datasets.lists import Row, Slot
from dfer.datasets.sources import FoundSources
from dfer.errors import DataError
from dfer.records import ClipRecord, OtherForm, Split


@dataclass(frozen=True)
class RawDataset:
    """A raw data set: the content of its lists, and the clips found on disk.

    Attributes:
        name: its key in `DATASETS`.
        labels: the emotions in label order.
        clips: every clip of the lists once, in the order of the lists, with its folds merged. A fold maps to "train",
            "test" or, in data sets with an official validation split (FER+, CAER), "val"; to "soft" for clips
            without a label, whose votes can be trained on (FER+).
        num_folds: the highest fold number.
        notices: a sentence each on traps detected, assumptions made, and deviations from the official lists.
    """

    name: str
    labels: tuple[str, ...]
    clips: list[ClipRecord]
    num_folds: int
    notices: list[str]


@dataclass(frozen=True)
class OfficialSizes:
    """The sizes of the official lists.

    Attributes:
        lists: number of clips per fold and split.
        emotions: number of distinct clips per emotion.
    """

    lists: Mapping[Slot, int]
    emotions: Mapping[str, int]

    @property
    def num_clips(self) -> int:
        """The number of distinct clips."""
        return sum(self.emotions.values())


@dataclass(frozen=True)
class ListedClip:
    """A clip as a row of a list names it.

    Attributes:
        clip_id: its id, unique within the data set.
        emotion: the name of its label.
        row: the first row that names it.
        folds: its split in each fold; filled in by `merge_lists`.
    """

    clip_id: str
    emotion: str
    row: Row
    folds: dict[int, Split] = field(default_factory=dict)


def build_dataset(
    name: str,
    *,
    labels: tuple[str, ...],
    lists: Mapping[Slot, Sequence[ListedClip]],
    official: OfficialSizes,
    find_sources: Callable[[Sequence[str]], FoundSources],
    notices: Sequence[str] = (),
) -> RawDataset:
    """Merge and check the lists of a data set, and find its clips on disk.

    Args:
        name: key in `DATASETS`.
        labels: the emotions in label order.
        lists: the rows of each fold's lists.
        official: the sizes of the official lists.
        find_sources: returns the sources of the clips on disk, given all clip ids.
        notices: notices from reading the lists.

    Raises:
        DataError: the lists contradict each other or the official ones.
    """
    clips, merge_notices = merge_lists(lists)
    size_notices = check_sizes(clips, official)
    found = find_sources([clip.clip_id for clip in clips])
    return RawDataset(
        name=name,
        labels=labels,
        clips=[_record(clip, labels.index(clip.emotion), found) for clip in clips],
        num_folds=max(fold for fold, _ in lists),
        notices=[*notices, *merge_notices, *size_notices, *found.notices],
    )


def merge_lists(lists: Mapping[Slot, Sequence[ListedClip]]) -> tuple[list[ListedClip], list[str]]:
    """Merge the lists of all folds: each clip once, with its split in each fold.

    Args:
        lists: the rows of each fold's lists.

    Returns:
        The clips in order of first mention (fold 1's train list, its test list, fold 2's, ...), and notices.

    Raises:
        DataError: a clip is in two splits of a fold, or has two labels.
    """
    clips: dict[str, ListedClip] = {}
    repeats: list[ListedClip] = []
    for fold, split in sorted(lists, key=lambda slot: (slot[0], _SPLIT_ORDER.index(slot[1]))):
        in_this_list: set[str] = set()
        for item in lists[fold, split]:
            clip = clips.setdefault(item.clip_id, item)
            if clip.emotion != item.emotion:
                raise DataError(
                    f"clip {item.clip_id} is {item.emotion} here and {clip.emotion} in {clip.row.where}",
                    where=item.row.where,
                    hint="the lists contradict each other: copy them again from the data set's archive",
                )
            if clip.folds.setdefault(fold, split) != split:
                raise DataError(
                    f"clip {item.clip_id} is in both the {clip.folds[fold]} and the {split} list of fold {fold}",
                    where=item.row.where,
                    hint="testing on training clips makes the result worthless: copy the official lists again",
                )
            if item.clip_id in in_this_list:
                repeats.append(item)
            in_this_list.add(item.clip_id)
    merged = list(clips.values())
    return merged, [*_repeat_notices(repeats), *_overlap_notices(merged)]


_SPLIT_ORDER = ("train", "val", "test")


def check_sizes(clips: Sequence[ListedClip], official: OfficialSizes) -> list[str]:
    """Compare the lists with the official ones: other sizes are reported, another numbering is an error.

    Returns:
        One notice if the lists are not the official ones, else none.

    Raises:
        DataError: the numbers of clips per emotion are the official ones, but assigned to other emotions.
    """
    emotions = Counter(clip.emotion for clip in clips)
    if emotions != official.emotions and sorted(emotions.values()) == sorted(official.emotions.values()):
        wrong = next(name for name, count in official.emotions.items() if emotions[name] != count)
        raise DataError(
            f"the emotions are numbered in a different order: {emotions[wrong]:,} clips are labelled {wrong}, "
            f"officially {official.emotions[wrong]:,}",
            where=clips[0].row.file,
            hint="copy the official lists from the data set's archive",
        )
    sizes = Counter(slot for clip in clips for slot in clip.folds.items())
    differing = sorted(slot for slot in {*sizes, *official.lists} if sizes[slot] != official.lists.get(slot, 0))
    if not differing and emotions == official.emotions:
        return []
    notice = f"not the official split sizes: {len(clips):,} clips in all, officially {official.num_clips:,}"
    if differing:
        (fold, split), size = differing[0], sizes[differing[0]]
        notice += f"; fold {fold} {split} {size:,}, officially {official.lists.get((fold, split), 0):,}"
    return [notice]


def _repeat_notices(repeats: Sequence[ListedClip]) -> list[str]:
    if not repeats:
        return []
    return [
        f"rows that repeat a clip of the same list (counted once): {len(repeats):,}, such as {repeats[0].row.where}"
    ]


def _overlap_notices(clips: Sequence[ListedClip]) -> list[str]:
    num_tested = sum(list(clip.folds.values()).count("test") > 1 for clip in clips)
    if not num_tested:
        return []
    return [f"clips in the test lists of several folds, which pooled results count several times: {num_tested:,}"]


def _record(clip: ListedClip, label: int, found: FoundSources) -> ClipRecord:
    forms = found.forms.get(clip.clip_id, [])
    return ClipRecord(
        clip_id=clip.clip_id,
        label=label,
        label_name=clip.emotion,
        source=forms[0].media.path if forms else None,
        folds=clip.folds,
        aligned=forms[0].form.aligned if forms else False,
        missing=found.missing.get(clip.clip_id, ""),
        others=tuple(OtherForm(source.media.path, source.form.aligned) for source in forms[1:]),
    )


def spread_clips(clips: list[ClipRecord], limit: int | None) -> list[ClipRecord]:
    """Return at most `limit` of the clips, spread evenly over the list; all for None."""
    if limit is None or limit >= len(clips):
        return clips
    return [clips[n * len(clips) // limit] for n in range(limit)]
