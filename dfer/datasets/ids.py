"""Clip ids, labels and subjects as text that every file can hold, and ids that stay apart on every disk."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from dfer.datasets.merge import RawDataset
from dfer.names import name_text, printable
from dfer.runtime.filenames import composed

_MAX_NAME = 200  # letters of a label, as many as a store may have


def with_portable_names(dataset: RawDataset) -> RawDataset:
    """Return a data set whose names are valid text without control characters; ordinary ones are unchanged.

    Ids that differ only in case or in Unicode's form would be one file on some disks: each of them gets a hash.
    """
    ids = _apart([name_text(clip.clip_id) for clip in dataset.clips])
    clips = [
        replace(
            clip,
            clip_id=clip_id,
            label_name=_short(clip.label_name),
            subject=None if clip.subject is None else _short(clip.subject),
        )
        for clip, clip_id in zip(dataset.clips, ids, strict=True)
    ]
    notices = [printable(notice, keep="") for notice in dataset.notices]
    return replace(dataset, clips=clips, labels=tuple(map(_short, dataset.labels)), notices=notices)


def _short(name: str) -> str:
    text = name_text(name)
    if len(text) <= _MAX_NAME:
        return text
    return f"{text[: _MAX_NAME - 9]}~{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _apart(ids: Sequence[str]) -> list[str]:
    keys = [composed(text).casefold() for text in ids]
    shared = {key for key, count in Counter(keys).items() if count > 1}
    return [
        f"{text}~{hashlib.sha256(text.encode()).hexdigest()[:8]}" if key in shared else text
        for text, key in zip(ids, keys, strict=True)
    ]
