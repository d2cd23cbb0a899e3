"""CREMA-D: 7,442 videos of 91 actors who speak twelve sentences with six emotions. The folds are ours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import product
from pathlib import Path

from dfer.datasets.folder.performances import CREMA_D
from dfer.datasets.lists import children, read_csv
from dfer.datasets.media import Media, Report
from dfer.datasets.merge import RawDataset
from dfer.datasets.named import (
    NamedClip,
    Naming,
    dataset_in_subject_folds,
    find_named,
    folds_of_subjects,
)
from dfer.datasets.sources import Form
from dfer.errors import DataError
from dfer.labels import CREMA_D_LABELS, require_emotion

_ACTORS = tuple(str(number) for number in range(1001, 1092))
# https://github.com/tsagketas/demokritos-ml-project, reports/cremad_dataset_report.md; the total also in the paper.
_COUNTS = {"happy": 1271, "sad": 1271, "neutral": 1087, "angry": 1271, "disgust": 1271, "fear": 1271}


def read_crema_d(raw: Path, report: Report) -> RawDataset:
    """Read the videos of CREMA-D, labelled with the emotion that the actor was to show.

    With the data set's list beside them (SentenceFilenames.csv), every clip of it has a record.

    Args:
        raw: the folder that contains VideoFlash, or its parent.
        report: called with lines of progress.

    Returns:
        The clips in five folds with disjoint actors; their ids are the names of the files.

    Raises:
        DataError: no clips, or the files are pointers of Git LFS.

    Source: H. Cao et al., "CREMA-D: Crowd-sourced Emotional Multimodal Actors Dataset", IEEE Transactions on Affective
        Computing 5(4), 2014; https://github.com/CheyneyComputerScience/CREMA-D.
    """
    found = find_named(raw, report, _NAMING)
    listed, list_notices = _listed(raw)
    clips = {**listed, **found.clips}
    folds = folds_of_subjects(list(product(_ACTORS, CREMA_D_LABELS)))
    return dataset_in_subject_folds(
        "crema-d",
        _NAMING,
        raw,
        CREMA_D_LABELS,
        found,
        folds,
        clips=[clips[name] for name in sorted(clips)],
        notices=[*list_notices, *_count_notices(clips.values())],
    )


def _listed(raw: Path) -> tuple[dict[str, NamedClip], list[str]]:
    """Return the clips of the data set's list, if it is there; its rows are a number and a name."""
    files = [
        file
        for folder in (raw, raw.parent, *children(raw, ".*", folders=True))
        for file in children(folder, "sentencefilenamescsv", folders=False)
    ]
    if not files:
        return {}, ["no SentenceFilenames.csv beside the videos: clips that are not on disk have no row"]
    clips = {}
    for row in read_csv(files[0], ("filename",)):
        clip = _named(row.fields[-1].partition(".")[0])
        if clip is not None:
            clips[clip.clip_id] = clip
    if not clips:
        raise DataError("no names of clips in the list", where=files[0], hint="its rows are a number and a name")
    return clips, []


def _count_notices(clips: Iterable[NamedClip]) -> list[str]:
    counts = Counter(clip.emotion for clip in clips)
    if counts == _COUNTS:
        return []
    differing = next(label for label in CREMA_D_LABELS if counts[label] != _COUNTS[label])
    return [
        f"not the whole data set: {counts.total():,} clips in all, officially {sum(_COUNTS.values()):,}; {differing} "
        f"{counts[differing]:,}, officially {_COUNTS[differing]:,}"
    ]


def _named(name: str) -> NamedClip | None:
    match = CREMA_D.fullmatch(name)
    if match is None or match["subject"] not in _ACTORS:
        return None
    clip_id = name.upper()
    emotion = require_emotion(match["emotion"], where=clip_id)
    return NamedClip(clip_id, emotion, match["subject"], expected_at=f"VideoFlash/{clip_id}.flv")


def _form_of(media: Media) -> Form:
    if not media.is_video:
        return _FRAMES
    return _VIDEOS if media.path.suffix.lower() == ".flv" else _CONVERTED


_VIDEOS = Form("original videos", rank=0)
_CONVERTED = Form("converted videos", rank=1)
_FRAMES = Form("frames of the videos", rank=2)
_NAMING = Naming("CREMA-D", lambda media: _named(media.name), _form_of, looked_for="VideoFlash/1001_DFA_ANG_XX.flv")
