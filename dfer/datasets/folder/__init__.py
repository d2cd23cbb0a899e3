"""Your own recordings: a folder per class, a CSV, or files named as in CREMA-D or RAVDESS."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from dfer.datasets.folder.classes import order_labels
from dfer.datasets.folder.folds import folds_by_label, folds_by_subject, splits_by_fold
from dfer.datasets.folder.labelled import LabelledClip
from dfer.datasets.folder.options import FolderOptions
from dfer.datasets.folder.table import find_table, read_table
from dfer.datasets.folder.tree import read_tree
from dfer.datasets.media import Report
from dfer.datasets.merge import RawDataset
from dfer.errors import DataError
from dfer.records import ClipRecord, OtherForm, Split

_LOOKED_FOR = "a folder per class (RAW/happy/*.mp4) or a CSV with the columns path,label"
_TABLES = (".csv", ".tsv", ".txt")
_HINT = (
    "either RAW/happy/clip.mp4 (or frames in RAW/happy/clip/, or RAW/train/happy/..., RAW/test/happy/...), "
    "or RAW/labels.csv with the columns path,label[,split|fold_1,fold_2,...][,subject]"
)


def read_folder(raw: Path, report: Report, options: FolderOptions | None = None) -> RawDataset:
    """Read a folder or a CSV of your own recordings.

    Labels are the known emotions in DFEW's order, or else the names of the classes in alphabetical order. Without a
    split, five folds are made: by subject where subjects are known, else by label.

    Args:
        raw: a folder with a sub-folder per class, also in folders of splits (train, validation, test) or subjects; a
            folder with one CSV; a folder of files named as in CREMA-D or RAVDESS; or a CSV.
        report: called with lines of progress.
        options: the user's decisions where recordings can be read in more than one way.

    Returns:
        The clips; their ids are the paths relative to `raw`.

    Raises:
        DataError: no clips, or labels or splits that contradict each other.
        UsageError: a class that was given a name does not exist.
    """
    if not raw.exists():
        raise DataError(f"no such folder or CSV; looked for {_LOOKED_FOR}", where=raw, hint=_HINT)
    if raw.is_file() and raw.suffix.lower() not in _TABLES:
        raise DataError(f"neither a folder nor a CSV; looked for {_LOOKED_FOR}", where=raw, hint=_HINT)
    options = options or FolderOptions()
    table = raw if raw.is_file() else find_table(raw)
    if table is not None:
        report(f"reading {table}")
        clips, notices = read_table(table, options)
    else:
        clips, notices = read_tree(raw, report, options)
    if not clips:
        others = f"; {notices[0]}" if notices else ""
        raise DataError(f"no clips found; looked for {_LOOKED_FOR}{others}", where=raw, hint=_HINT)
    names, labels, label_notices = order_labels([clip.label for clip in clips], options)
    folds, fold_notices = _folds(clips)
    records = [
        ClipRecord(
            clip_id=clip.clip_id,
            label=labels.index(names[clip.label]),
            label_name=names[clip.label],
            source=clip.source,
            folds=clip_folds,
            subject=clip.subject,
            span=clip.span,
            missing=clip.missing,
            others=tuple(map(OtherForm, clip.others)),
        )
        for clip, clip_folds in zip(clips, folds, strict=True)
    ]
    if len(labels) == 1:
        label_notices.append(f"all clips belong to one class, {labels[0]}: a model cannot learn anything from them")
    num_folds = max((fold for clip_folds in folds for fold in clip_folds), default=0)
    return RawDataset("folder", labels, records, num_folds, [*notices, *label_notices, *fold_notices])


def _folds(clips: Sequence[LabelledClip]) -> tuple[list[dict[int, Split]], list[str]]:
    """Return the folds of each clip, either given or made here, and notices."""
    if any(clip.folds for clip in clips):
        return [clip.folds for clip in clips], _shared_subjects(clips)
    labels = [clip.label for clip in clips]
    subjects = [clip.subject for clip in clips if clip.subject is not None]
    num_subjects = len(set(subjects))
    if len(subjects) == len(clips) and num_subjects > 1:
        tested = folds_by_subject(subjects, labels)
        notice = f"no split is given: {max(tested)} folds were made, keeping each of the {num_subjects} subjects in one"
    else:
        tested = folds_by_label([clip.clip_id for clip in clips], labels)
        notice = (
            f"no split is given: {max(tested)} folds were made by label, not subject-disjoint, so the same person may "
            "be in train and test, which makes the results too high; give a subject for every clip, or a split"
        )
    return splits_by_fold(tested), [notice]


def _shared_subjects(clips: Sequence[LabelledClip]) -> list[str]:
    splits: dict[tuple[int, str], set[str]] = defaultdict(set)
    for clip in clips:
        for fold, split in clip.folds.items():
            if clip.subject is not None:
                splits[fold, clip.subject].add("test" if split == "test" else "train")
    shared = sorted({(fold, subject) for (fold, subject), names in splits.items() if len(names) > 1})
    if not shared:
        return []
    fold, subject = shared[0]
    count = len({name for _, name in shared})
    return [
        f"subjects in both train and test, which makes the results too high: {count}, such as {subject} in fold {fold}"
    ]
