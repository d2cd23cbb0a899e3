"""RAVDESS: 2,452 videos of 24 actors who speak and sing two sentences with eight emotions.

Each performance comes with its sound (01) and without it (02): one clip in two forms. The folds are ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path

from dfer.datasets.folder.performances import RAVDESS
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
from dfer.labels import RAVDESS_LABELS

_WITH_PICTURES = ("01", "02")  # 03 is the sound by itself
_CHANNELS = {"01": "speech", "02": "song"}
_IN_SONG = RAVDESS_LABELS[:6]  # without disgust and surprise
_NOT_SINGING = "18"
_SHOWN = 6  # actors in a notice
_ACTORS = tuple(f"{number:02d}" for number in range(1, 25))


def read_ravdess(raw: Path, report: Report) -> RawDataset:
    """Read the videos of RAVDESS, speech and song.

    Every performance of an actor who is on disk has a record; actors, or their speech or song, that were not
    downloaded have none.

    Args:
        raw: a folder with the unpacked archives, as Actor_01 or Video_Speech_Actor_01/Actor_01, at any depth.
        report: called with lines of progress.

    Returns:
        The clips in five folds with disjoint actors; their ids are the file names without the modality.

    Raises:
        DataError: no clips.

    Source: S. Livingstone and F. Russo, "The Ryerson Audio-Visual Database of Emotional Speech and Song (RAVDESS)",
        PLoS ONE 13(5), 2018; names and numbers of files: https://zenodo.org/records/1188976.
    """
    found = find_named(raw, report, _NAMING)
    there = {(clip.subject, clip.clip_id[:2]) for clip in found.clips.values()}
    expected = {clip.clip_id: clip for clip in _performances() if (clip.subject, clip.clip_id[:2]) in there}
    clips = {**expected, **found.clips}
    folds = folds_of_subjects([(clip.subject or "", clip.emotion) for clip in _performances()])
    return dataset_in_subject_folds(
        "ravdess",
        _NAMING,
        raw,
        RAVDESS_LABELS,
        found,
        folds,
        clips=[clips[name] for name in sorted(clips)],
        notices=_coverage_notices(there, len(expected.keys() - found.clips.keys())),
    )


def _performances() -> Iterator[NamedClip]:
    """Yield every performance of the data set: 60 spoken ones per actor, and 44 sung ones but for actor 18."""
    for actor, (channel, _), (number, emotion) in product(_ACTORS, _CHANNELS.items(), enumerate(RAVDESS_LABELS, 1)):
        if channel == "02" and (actor == _NOT_SINGING or emotion not in _IN_SONG):
            continue
        intensities = ("01",) if emotion == "neutral" else ("01", "02")
        for intensity, statement, repetition in product(intensities, ("01", "02"), ("01", "02")):
            name = f"{channel}-{number:02d}-{intensity}-{statement}-{repetition}-{actor}"
            yield NamedClip(name, emotion, actor, expected_at=f"Actor_{actor}/01-{name}.mp4")


def _coverage_notices(there: set[tuple[str | None, str]], num_missing: int) -> list[str]:
    """Return notices if not all actors are there, or if some of their videos are missing."""
    notices = []
    for channel, title in _CHANNELS.items():
        actors = [actor for actor in _ACTORS if channel == "01" or actor != _NOT_SINGING]
        absent = [actor for actor in actors if (actor, channel) not in there]
        if absent:
            more = f" and {len(absent) - _SHOWN} more" if len(absent) > _SHOWN else ""
            lacking = "" if len(absent) == len(actors) else f", not {', '.join(absent[:_SHOWN])}{more}"
            notices.append(f"{title}: {len(actors) - len(absent)} of {len(actors)} actors are on disk{lacking}")
    if num_missing:
        notices.append(f"missing recordings of these actors: {num_missing:,}")
    return notices


def _clip_of(media: Media) -> NamedClip | None:
    match = RAVDESS.fullmatch(media.name)
    if match is None or match["modality"] not in _WITH_PICTURES or match["channel"] not in _CHANNELS:
        return None
    if match["subject"] not in _ACTORS:
        return None
    return NamedClip(match["performance"], RAVDESS_LABELS[int(match["emotion"]) - 1], match["subject"])


def _form_of(media: Media) -> Form:
    if not media.is_video:
        return _FRAMES
    return _WITH_SOUND if media.name.startswith("01") else _WITHOUT_SOUND


# The pictures are the same; the larger part of the public copies have the sound.
_WITH_SOUND = Form("videos with sound", rank=0)
_WITHOUT_SOUND = Form("videos without sound", rank=1)
_FRAMES = Form("frames of the videos", rank=2)
_NAMING = Naming(
    "RAVDESS", _clip_of, _form_of, looked_for="Actor_01/01-01-01-01-01-01-01.mp4 or 02-01-01-01-01-01-01.mp4"
)
