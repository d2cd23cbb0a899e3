"""Data sets whose folders are the official lists: a folder per split, and in it a folder per class (AFEW, CAER)."""

from __future__ import annotations

from dfer.datasets.folder.splits import split_among_words
from dfer.datasets.media import Media
from dfer.datasets.named import NamedClip
from dfer.labels import canonical_emotion
from dfer.records import Split


def clip_in_split(media: Media, labels: tuple[str, ...]) -> NamedClip | None:
    """Return the clip in the folder of a class within that of a split; None for anything else.

    Args:
        media: a video or a frame folder; images directly in the folder of a class are none.
        labels: the emotions.
    """
    if not media.folders:
        return None
    *above, written = media.folders
    emotion, split = canonical_emotion(written), nearest_split(above)
    if emotion not in labels or split is None:
        return None
    return NamedClip(f"{split}/{written.strip().capitalize()}/{media.name}", emotion, split=split)


def nearest_split(folders: list[str] | tuple[str, ...]) -> Split | None:
    """Return the split that the innermost folder names that names one."""
    return next((split for folder in reversed(folders) if (split := split_among_words(folder))), None)
