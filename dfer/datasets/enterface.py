"""eNTERFACE'05: 44 people who react to six stories, each with five sentences; 1,293 videos. The folds are ours.

The paper has 42 people and 1,166 videos; the archive has more. Subject 6 has no folders of sentences.
"""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

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
from dfer.labels import ENTERFACE_LABELS, canonical_emotion

_NUM_SUBJECTS = 44
# In the archive that is in circulation; https://github.com/albanie/mcnDatasets, enterface/README.md.
_NUM_CLIPS = 1293
_SUBJECT = re.compile(r"s(?:ubject)?[ _-]*(\d{1,2})", re.ASCII | re.IGNORECASE)
_SENTENCE = re.compile(r"sentence[ _-]*(\d)", re.ASCII | re.IGNORECASE)
# s1_an_1; the files of subject 3 are named s_3_an_1.
_NAME = re.compile(
    r"s_?(?P<subject>\d{1,2})_(?P<emotion>an|di|fe|ha|sa|su)_?(?P<sentence>\d)", re.ASCII | re.IGNORECASE
)
_CODES = {"an": "angry", "di": "disgust", "fe": "fear", "ha": "happy", "sa": "sad", "su": "surprise"}


def read_enterface(raw: Path, report: Report) -> RawDataset:
    """Read the videos of eNTERFACE'05.

    Folders say subject, emotion and sentence; where one is missing, the name of the file does.

    Args:
        raw: the folder that contains subject 1, subject 2, ..., or one above it, or one with all videos in it.
        report: called with lines of progress.

    Returns:
        The clips in five folds with disjoint subjects; their ids are such as "subject 1/anger/sentence 1".

    Raises:
        DataError: no clips.

    Source: O. Martin et al., "The eNTERFACE'05 Audio-Visual Emotion Database", ICDEW 2006.
    """
    found = find_named(raw, report, _NAMING)
    folds = folds_of_subjects(list(product(map(_subject_name, range(1, _NUM_SUBJECTS + 1)), ENTERFACE_LABELS)))
    clips = list(found.clips.values())
    return dataset_in_subject_folds(
        "enterface",
        _NAMING,
        raw,
        ENTERFACE_LABELS,
        found,
        folds,
        notices=[
            *_contradictions([source.media for sources in found.forms.values() for source in sources], raw),
            *_count_notices(len(clips), len({clip.subject for clip in clips})),
        ],
    )


def _subject_name(number: int) -> str:
    return f"subject {number}"


def _clip_of(media: Media) -> NamedClip | None:
    # A frame folder named like a video is inside the folder of its sentence, or takes the place of one.
    folders = media.folders[::-1] if media.is_video else (media.name, *media.folders[::-1])
    name = _NAME.fullmatch(media.name)
    subject = _first(folders, _SUBJECT) or (int(name["subject"]) if name else None)
    emotion = _folder_emotion(folders) or (_CODES[name["emotion"].lower()] if name else None)
    sentence = _first(folders, _SENTENCE) or (int(name["sentence"]) if name else None)
    if subject is None or emotion not in ENTERFACE_LABELS or sentence is None or not 1 <= subject <= _NUM_SUBJECTS:
        return None
    person = _subject_name(subject)
    return NamedClip(f"{person}/{_FOLDERS[emotion]}/sentence {sentence}", emotion, person)


def _first(folders: tuple[str, ...], pattern: re.Pattern[str]) -> int | None:
    return next((int(match[1]) for folder in folders if (match := pattern.fullmatch(folder.strip()))), None)


def _folder_emotion(folders: tuple[str, ...]) -> str | None:
    return next((emotion for folder in folders if (emotion := canonical_emotion(folder))), None)


def _contradictions(media: list[Media], raw: Path) -> list[str]:
    """Return a notice of files that lie in the folder of another subject or emotion than their name says."""
    wrong = []
    for item in media:
        name, clip = _NAME.fullmatch(item.name), _clip_of(item)
        if name and clip and (clip.subject, clip.emotion) != (
            _subject_name(int(name["subject"])), _CODES[name["emotion"].lower()]
        ):  # fmt: skip
            wrong.append(item.path.relative_to(raw).as_posix())
    if not wrong:
        return []
    return [f"names that contradict their folders, which count: {len(wrong):,}, such as {wrong[0]}"]


def _count_notices(num_clips: int, num_subjects: int) -> list[str]:
    if num_clips == _NUM_CLIPS and num_subjects == _NUM_SUBJECTS:
        return []
    return [f"not the whole archive: {num_clips:,} of {_NUM_CLIPS:,} clips, {num_subjects} of {_NUM_SUBJECTS} subjects"]


def _form_of(media: Media) -> Form:
    return _VIDEOS if media.is_video else _FRAMES


_FOLDERS = {
    "angry": "anger",
    "disgust": "disgust",
    "fear": "fear",
    "happy": "happiness",
    "sad": "sadness",
    "surprise": "surprise",
}
_VIDEOS = Form("original videos", rank=0)
_FRAMES = Form("frames of the videos", rank=1)
_NAMING = Naming("eNTERFACE'05", _clip_of, _form_of, looked_for="subject 1/anger/sentence 1/s1_an_1.avi")
