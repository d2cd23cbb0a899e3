"""Clips that are on disk in several forms: where the best one is broken, the next one is used, and the row says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from dfer.preprocessing.clip import DAMAGED, relative_source
from dfer.preprocessing.engines import Rows
from dfer.records import ClipRecord, OtherForm
from dfer.store.manifest import ManifestRow


def process_forms(
    clips: Sequence[ClipRecord], process: Callable[[Sequence[ClipRecord]], Rows], raw: Path, *, only_aligned: bool
) -> Iterator[tuple[ClipRecord, ManifestRow]]:
    """Process clips, and those whose source is broken in their next form, until one can be read.

    A damaged source is used after all if no other form is whole.

    Args:
        clips: the clips, each with its best form.
        process: the engine.
        raw: the raw data set's folder.
        only_aligned: whether the detector can only take aligned forms of clips that come aligned.

    Yields:
        Each clip and its row, in the order of completion.
    """
    reasons: dict[str, str] = {}
    pending = [_without_unusable(clip) if only_aligned else clip for clip in clips]
    while pending:
        again: list[ClipRecord] = []
        with closing(process(pending)) as processed:
            for clip, row in processed:
                if row.status == "unreadable" and clip.others:
                    again.append(_next_form(clip, row, is_first=clip.clip_id not in reasons))
                    reason = f"{relative_source(clip, raw)}: {row.detail}"
                    reasons[clip.clip_id] = "; ".join(filter(None, [reasons.get(clip.clip_id), reason]))
                elif clip.clip_id in reasons:
                    yield clip, replace(row, detail=_explain(row, reasons[clip.clip_id]))
                else:
                    yield clip, row
        pending = again


def _next_form(clip: ClipRecord, row: ManifestRow, *, is_first: bool) -> ClipRecord:
    (best, *others), source = clip.others, clip.source
    if is_first and source is not None and row.detail.startswith(DAMAGED):
        others.append(OtherForm(source, clip.aligned))
    return replace(clip, source=best.path, aligned=best.aligned, others=tuple(others))


def _explain(row: ManifestRow, reasons: str) -> str:
    return f"another form of the clip is used, since {reasons}" if row.ok else f"{reasons}; {row.source}: {row.detail}"


def _without_unusable(clip: ClipRecord) -> ClipRecord:
    others = tuple(other for other in clip.others if other.aligned or not clip.aligned)
    return replace(clip, others=others)
