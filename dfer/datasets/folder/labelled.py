"""A clip of a user's own folder or table, before labels are ordered and folds are made."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from dfer.records import Split

# Names in use for the splits.
_SPLITS: dict[Split, tuple[str, ...]] = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev", "development"),
    "test": ("test", "testing", "eval", "evaluation"),
}
SPLIT_NAMES = {name: split for split, names in _SPLITS.items() for name in names}


@dataclass(frozen=True)
class LabelledClip:
    """A clip of the user's own recordings.

    Attributes:
        clip_id: its path relative to the folder or table.
        label: the class as written there.
        source: the video, frame folder or image; None if it is not on disk.
        folds: fold number -> "train", "val" or "test"; empty if no split is given.
        subject: the person in the clip, if known.
    """

    clip_id: str
    label: str
    source: Path | None
    folds: dict[int, Split] = field(default_factory=dict)
    subject: str | None = None
