"""A clip of a user's own folder or table, before labels are ordered and folds are made."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from dfer.records import Span, Split


@dataclass(frozen=True)
class LabelledClip:
    """A clip of the user's own recordings.

    Attributes:
        clip_id: its path relative to the folder or table, and its segment of the video, if it is one.
        label: the class as written there.
        source: the video, frame folder or image; None if it is not on disk.
        folds: fold number -> "train", "val" or "test"; empty if no split is given.
        subject: the person in the clip, if known.
        span: the segment of the source; None for the whole.
        others: further files or folders with the same clip, for a source that is broken.
        missing: where the source was looked for, if it is not on disk.
    """

    clip_id: str
    label: str
    source: Path | None
    folds: dict[int, Split] = field(default_factory=dict)
    subject: str | None = None
    span: Span | None = None
    others: tuple[Path, ...] = ()
    missing: str = field(default="", compare=False)
