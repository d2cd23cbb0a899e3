"""AFEW: film clips with one of seven emotions, 773 to train and 383 to validate; the labels of its test clips are not
public, so results are reported on the validation clips.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from dfer.datasets.lists import Row
from dfer.datasets.media import Media, Report
from dfer.datasets.merge import ListedClip, OfficialSizes, RawDataset, check_sizes
from dfer.datasets.named import NamedClip, Naming, find_named, named_records, stray_notices
from dfer.datasets.sources import Form
from dfer.datasets.split_folders import clip_in_split, nearest_split
from dfer.labels import AFEW_LABELS
from dfer.records import Split

_TITLE = "AFEW"
# Of EmotiW 2016 to 2019; https://github.com/albanie/mcnDatasets, afew3.0/README.md.
OFFICIAL_SIZES = OfficialSizes(
    lists={(1, "train"): 773, (1, "test"): 383},
    emotions={
        "happy": 150 + 63, "sad": 117 + 61, "neutral": 144 + 63, "angry": 133 + 64, "surprise": 74 + 46,
        "disgust": 74 + 40, "fear": 81 + 46,
    },
)  # fmt: skip


def read_afew(raw: Path, report: Report) -> RawDataset:
    """Read the clips of AFEW with a label.

    Args:
        raw: the folder that contains Train_AFEW and Val_AFEW, or one above it.
        report: called with lines of progress.

    Returns:
        The clips in one fold; the validation clips are its test list, unless there are test clips with labels. The ids
        are such as "train/Angry/000046280".

    Raises:
        DataError: no clips.

    Source: A. Dhall et al., "EmotiW 2016: Video and Group-Level Emotion Recognition Challenges", ICMI 2016.
    """
    found = find_named(raw, report, _NAMING)
    clips, split_notices = _tested_on_validation(list(found.clips.values()))
    unlabelled = [item for item in found.others if nearest_split(item.folders) == "test"]
    strays = [item for item in found.others if item not in unlabelled]
    return RawDataset(
        "afew",
        AFEW_LABELS,
        named_records(clips, found.forms, AFEW_LABELS, lambda clip: {1: clip.split or "train"}),
        1,
        [
            *found.notices,
            *stray_notices(strays, _TITLE, raw),
            *([f"test clips without a label, left out: {len(unlabelled):,}"] if unlabelled else []),
            *split_notices,
            *check_sizes([_listed(clip, raw) for clip in clips], OFFICIAL_SIZES),
        ],
    )


def _tested_on_validation(clips: Sequence[NamedClip]) -> tuple[list[NamedClip], list[str]]:
    if any(clip.split == "test" for clip in clips) or all(clip.split != "val" for clip in clips):
        return list(clips), []
    tested: Split = "test"
    notice = "the labels of the test clips are not public, so the validation clips are the test list"
    return [replace(clip, split=tested) if clip.split == "val" else clip for clip in clips], [notice]


def _listed(clip: NamedClip, raw: Path) -> ListedClip:
    return ListedClip(clip.clip_id, clip.emotion, Row(raw, 0, ()), {1: clip.split or "train"})


def _form_of(media: Media) -> Form:
    home = "/".join(media.folders).lower()
    is_crop = any(mark in home for mark in ("align", "crop", "face"))
    if media.is_video:
        return _VIDEOS_OF_CROPS if is_crop else _VIDEOS
    return _FACE_CROPS if is_crop else _FRAMES


_VIDEOS = Form("original videos", rank=0)
_FRAMES = Form("frames of the original videos", rank=1)
_FACE_CROPS = Form("the authors' face crops", rank=2, aligned=True)
_VIDEOS_OF_CROPS = Form("videos of face crops", rank=3, aligned=True)
_NAMING = Naming(
    _TITLE,
    lambda media: clip_in_split(media, AFEW_LABELS),
    _form_of,
    looked_for="Train_AFEW/Angry/000046280.avi, Val_AFEW/Angry/000149120.avi",
)
