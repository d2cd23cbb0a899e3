"""CAER: clips of television series with one of seven emotions, in an official train, validation and test split."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from dfer.datasets.media import Media, Report
from dfer.datasets.merge import RawDataset
from dfer.datasets.named import NamedClip, Naming, find_named, named_records, stray_notices
from dfer.datasets.sources import Form
from dfer.datasets.split_folders import clip_in_split
from dfer.labels import CAER_LABELS
from dfer.records import SPLITS

_TITLE = "CAER"


def read_caer(raw: Path, report: Report) -> RawDataset:
    """Read the clips of CAER. CAER-S, which holds single frames of them, is read with `folder`.

    Args:
        raw: the folder that contains train, validation and test, or one above it.
        report: called with lines of progress.

    Returns:
        The clips in one fold; their ids are such as "train/Anger/0001", since numbers repeat.

    Raises:
        DataError: no clips.

    Source: J. Lee et al., "Context-Aware Emotion Recognition Networks", ICCV 2019; https://caer-dataset.github.io.
    """
    found = find_named(raw, report, _NAMING)
    clips = list(found.clips.values())
    return RawDataset(
        "caer",
        CAER_LABELS,
        named_records(clips, found.forms, CAER_LABELS, lambda clip: {1: clip.split or "train"}),
        1,
        [*found.notices, *stray_notices(found.others, _TITLE, raw), *_split_notices(clips)],
    )


def _split_notices(clips: list[NamedClip]) -> list[str]:
    """Return the sizes of the lists, with which no official ones are compared, and the lists that are missing."""
    counts = Counter(clip.split for clip in clips)
    lists = [split for split in SPLITS if split != "soft"]
    sizes = ", ".join(f"{split} {counts[split]:,}" for split in lists)
    missing = [f"there is no folder of {split} clips" for split in lists if not counts[split]]
    return [f"clips on disk: {sizes}; compare them with the archive, since dfer knows no official sizes", *missing]


def _form_of(media: Media) -> Form:
    return _VIDEOS if media.is_video else _FRAMES


_VIDEOS = Form("original videos", rank=0)
_FRAMES = Form("frames of the original videos", rank=1)
_NAMING = Naming(
    _TITLE,
    lambda media: clip_in_split(media, CAER_LABELS),
    _form_of,
    looked_for="train/Anger/0001.avi, validation/Anger/0001.avi, test/Anger/0001.avi",
)
