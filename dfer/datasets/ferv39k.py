"""FERV39k: 38,935 clips of 22 scenes with one of seven emotions, in one official split.

Clip numbers repeat in every scene and emotion, so the id is the whole path. The official lists name the emotion;
copies that number it alphabetically are in circulation. The path contains the name too, so each row is checked.
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
from dfer.labels import FERV39K_LABELS, canonical_emotion
from dfer.runtime.filenames import composed

OFFICIAL_SIZES = OfficialSizes(
    lists={(1, "train"): 31088, (1, "test"): 7847},
    emotions={
        "happy": 7327,
        "sad": 6916,
        "neutral": 9748,
        "angry": 7393,
        "surprise": 3140,
        "disgust": 2300,
        "fear": 2111,
    },
)

_ALPHABETICAL = tuple(sorted(FERV39K_LABELS))
_LISTS = "4_setups/All_scenes/train_All.csv"
_CLIPS = "2_ClipsforFaceCrop/Action/Happy/0267/*.jpg"


def read_ferv39k(raw: Path, report: Report) -> RawDataset:
    """Read FERV39k with its official split over all scenes.

    Args:
        raw: the folder that contains 4_setups and 2_ClipsforFaceCrop, or its parent.
        report: called with lines of progress.

    Returns:
        The clips in one fold; their ids are those of the lists ("Action/Happy/0267").

    Raises:
        DataError: no lists, or lists that contradict each other or the paths in them.

    Source: Wang et al., "FERV39k: A Large-Scale Multi-Scene Dataset for Facial Expression Recognition in Videos", 2022.
    """
    hint = f"RAW is the folder that contains 4_setups and 2_ClipsforFaceCrop: {_LISTS}, {_CLIPS}"
    root, files = find_lists(raw, _lists_in, looked_for=_LISTS, hint=hint)
    report(f"reading {len(files)} lists in {root}")
    rows = {slot: read_pairs(file) for slot, file in files.items()}
    return build_dataset(
        "ferv39k",
        labels=FERV39K_LABELS,
        lists={slot: [_listed(row) for row in listed] for slot, listed in rows.items()},
        official=OFFICIAL_SIZES,
        find_sources=partial(find_sources, raw, root, layout=_LAYOUT, report=report),
        notices=_numbering_notices([row for listed in rows.values() for row in listed]),
    )


def _lists_in(folder: Path) -> dict[Slot, Path]:
    setups = [folder, *children(folder, "4?setups?", folders=True)]
    holders = [*setups, *(holder for setup in setups for holder in children(setup, "allscenes?", folders=True))]
    found = [
        ((1, split), file)
        for holder in holders
        for split in TRAIN_AND_TEST
        for file in children(holder, rf"{split}all(csv|txt)", folders=False)
    ]
    return one_per_slot(found)


def _listed(row: Row) -> ListedClip:
    path, label = row.fields
    clip_id = _clip_id(path.replace("\\", "/").split("/"))
    if clip_id is None:
        what = f"expected Scene/Emotion/0001 and a label, got {' '.join(row.fields)[:80]!r}"
        raise DataError(what, where=row.where)
    emotion = clip_id.split("/")[1].lower()
    if _named_by(label) != emotion:
        what = f"the path says {emotion}, the label {label!r} means {_named_by(label) or 'nothing'}"
        hint = f"labels are names, or {', '.join(f'{i} {name}' for i, name in enumerate(_ALPHABETICAL))}"
        raise DataError(what, where=row.where, hint=hint)
    return ListedClip(clip_id, emotion, row)


def _named_by(label: str) -> str | None:
    number = clip_number(label)
    if number is None:
        return canonical_emotion(label)
    return _ALPHABETICAL[number] if number < len(_ALPHABETICAL) else None


def _numbering_notices(rows: list[Row]) -> list[str]:
    numbered = [row for row in rows if clip_number(row.fields[1]) is not None]
    if not numbered:
        return []
    some = "the lists" if len(numbered) == len(rows) else f"{len(numbered):,} of {len(rows):,} rows"
    return [f"{some} number the emotions in alphabetical order; each row's path names the same emotion"]


def _clip_id(parts: list[str]) -> str | None:
    """Return the id in its official spelling from the last three parts of a path; None for any other path."""
    if len(parts) < 3:
        return None
    scene, emotion, name = parts[-3].strip(), canonical_emotion(parts[-2]), parts[-1]
    number = clip_number(name.partition(".")[0])
    if not scene or emotion not in FERV39K_LABELS or number is None:
        return None
    return f"{scene}/{emotion.capitalize()}/{number:04d}"


def _clip_of(media: Media) -> str | None:
    return _clip_id([*media.folders[-2:], media.name])


def _form_of(home: str, is_video: bool) -> Form:
    if is_video:
        return _VIDEOS_OF_CROPS if "face" in home else _VIDEOS
    if "face" in home:
        return _FACE_CROPS
    return _SCENE_IMAGES if "scen" in home else _RENAMED_CROPS


# Unlike in DFEW, the authors' crops come first: they show which person in a scene the label refers to.
_FACE_CROPS = Form("the authors' face crops", rank=0, aligned=True)
_RENAMED_CROPS = Form("the authors' face crops", rank=1, aligned=True, assumed=True)
_VIDEOS_OF_CROPS = Form("videos of the authors' face crops", rank=2, aligned=True)
_VIDEOS = Form("videos", rank=3)
_SCENE_IMAGES = Form("frames of the whole scene", rank=4)
_LAYOUT = Layout(
    _clip_of,
    _form_of,
    looked_for=_CLIPS,
    clips_folder=".*clipsforfacecrop.*",
    paths_of=lambda clip: (f"2_ClipsforFaceCrop/{clip}",),
    # Copies write the scenes in lower case or without spaces.
    key=lambda clip: re.sub(r"[^\w/]|_", "", composed(clip).lower()),
    id_levels=2,
)
