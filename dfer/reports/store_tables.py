"""What a store's manifest says, counted: by status, emotion, fold and reason.

The protocols are what this package needs to know of a store; `dfer.store` has the real things.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import mean, median
from typing import Protocol

from dfer.drawing.page import Bar
from dfer.records import STATUSES
from dfer.runtime.formatting import MISSING, percent

Table = list[list[str]]
MAX_REASONS = 20
EXAMPLES = 3
SHOWN_RATES = 8


class About(Protocol):
    """What the report says of the store as a whole; see `dfer.store.DatasetInfo`."""

    @property
    def name(self) -> str:
        """Of the store."""

    @property
    def labels(self) -> Sequence[str]:
        """The emotions in order."""

    @property
    def crop_size(self) -> int:
        """Side of the crops, pixels."""

    @property
    def detector(self) -> str:
        """Its name, or "none" for sources that are crops."""

    @property
    def notice(self) -> str:
        """What everyone who sees results must be told, or ""."""

    @property
    def tool_version(self) -> str:
        """The dfer that wrote the store."""


class ClipRow(Protocol):
    """A row of the manifest, as far as the report shows it; see `dfer.store.manifest.ManifestRow`."""

    @property
    def clip_id(self) -> str:
        """The clip's name."""

    @property
    def label(self) -> int:
        """Index of its emotion."""

    @property
    def label_name(self) -> str:
        """Its emotion."""

    @property
    def status(self) -> str:
        """What became of it."""

    @property
    def detail(self) -> str:
        """Why it is not ok."""

    @property
    def num_frames(self) -> int:
        """Crops in the store."""

    @property
    def fps(self) -> float:
        """Frames a second of its source."""

    @property
    def detected(self) -> float:
        """Share of the crops in which the face was detected."""

    @property
    def folds(self) -> Mapping[int, str]:
        """Fold number -> split."""


def status_name(status: str) -> str:
    """A status as words: "no face"."""
    return status.replace("_", " ")


def status_bars(rows: Sequence[ClipRow]) -> list[Bar]:
    """A bar for each status that occurs, in the order of `STATUSES`; its length is the share of all clips."""
    counts = Counter(row.status for row in rows)
    shares = {status: counts[status] / len(rows) for status in STATUSES if counts[status]}
    return [
        Bar(status_name(status), f"{counts[status]:,} · {percent(share)} %", share) for status, share in shares.items()
    ]


def class_table(rows: Sequence[ClipRow], labels: Sequence[str]) -> Table:
    """A row per emotion, and all of them: clips, each status that occurs, crops."""
    occurring = [status for status in STATUSES if any(row.status == status for row in rows)]
    head = ["emotion", "clips", *map(status_name, occurring), "ok, %", "crops", "median", "detected, %"]
    if "ok" not in occurring:
        head = ["emotion", "clips", *map(status_name, occurring)]
    table = [head]
    of_label: dict[int, list[ClipRow]] = {label: [] for label in range(len(labels))}
    for row in rows:
        of_label[row.label].append(row)
    for name, group in [*((labels[label], group) for label, group in of_label.items()), ("all", list(rows))]:
        counts = Counter(row.status for row in group)
        cells = [name, f"{len(group):,}", *(f"{counts[status]:,}" for status in occurring)]
        table.append((cells + _crop_cells(group, counts["ok"]))[: len(head)])
    return table


def _crop_cells(group: Sequence[ClipRow], num_ok: int) -> list[str]:
    ok = [row for row in group if row.status == "ok"]
    if not ok:
        return [percent(0.0 if group else None, 1), "0", MISSING, MISSING]
    return [
        percent(num_ok / len(group), 1),
        f"{sum(row.num_frames for row in ok):,}",
        f"{median(row.num_frames for row in ok):g}",
        percent(mean(row.detected for row in ok), 1),
    ]


def fold_table(rows: Sequence[ClipRow], labels: Sequence[str]) -> Table:
    """A row per fold and split: clips of the lists, those that are ok, and these by emotion.

    Where no clip is ok, it is those of the lists that are told by emotion.
    """
    any_ok = any(row.status == "ok" for row in rows)
    clips: Counter[tuple[int, str]] = Counter()
    counted: Counter[tuple[int, str, int]] = Counter()
    for row in rows:
        for fold, split in row.folds.items():
            clips[fold, split] += 1
            counted[fold, split, row.label] += row.status == "ok" or not any_ok
    order = ["train", "val", "test"]
    table = [["fold", "split", "clips", *(["ok", "ok, %"] if any_ok else []), *labels]]
    for fold, split in sorted(clips, key=lambda slot: (slot[0], order.index(slot[1]) if slot[1] in order else 3)):
        by_label = [counted[fold, split, label] for label in range(len(labels))]
        total, num_ok = clips[fold, split], sum(by_label)
        ok = [f"{num_ok:,}", percent(num_ok / total, 1)] if any_ok else []
        table.append([str(fold), split, f"{total:,}", *ok, *(f"{count:,}" for count in by_label)])
    return table


def failure_table(rows: Sequence[ClipRow]) -> Table:
    """A row per status and reason, the most frequent first; reasons that differ in a number alone are one."""
    groups: dict[tuple[str, str], list[ClipRow]] = {}
    for row in rows:
        if row.status != "ok":
            groups.setdefault((row.status, _without_numbers(row.detail)), []).append(row)
    table = [["status", "clips", "reason", "such as"]]
    ordered = sorted(groups.items(), key=lambda item: -len(item[1]))
    for (status, reason), group in ordered[:MAX_REASONS]:
        said = group[0].detail if len({row.detail for row in group}) == 1 else reason
        names = ", ".join(row.clip_id for row in group[:EXAMPLES]) + (", …" if len(group) > EXAMPLES else "")
        table.append([status_name(status), f"{len(group):,}", said or MISSING, names])
    rest = [row for _, group in ordered[MAX_REASONS:] for row in group]
    if rest:
        others = f"{len(groups) - MAX_REASONS:,} other reasons"
        table.append(["others", f"{len(rest):,}", others, f"{rest[0].clip_id}, …"])
    return table


def rate_bars(rows: Sequence[ClipRow]) -> list[Bar]:
    """The sources' frame rates, the most frequent first; nothing where all are the same."""
    counts = Counter(f"{row.fps:.4g}" for row in rows if row.fps > 0)
    if len(counts) < 2:
        return []
    ordered = sorted(counts.items(), key=lambda item: (-item[1], float(item[0])))
    named = [(f"{rate} frames/s", count) for rate, count in ordered[:SHOWN_RATES]]
    rest = sum(count for _, count in ordered[SHOWN_RATES:])
    if rest:
        named.append((f"{len(ordered) - SHOWN_RATES} other rates", rest))
    total, most = counts.total(), max(count for _, count in named)
    return [Bar(name, f"{count:,} · {percent(count / total)} %", count / most) for name, count in named]


def _without_numbers(reason: str) -> str:
    """Exit codes such as -11 stay: they say which signal ended a decoder."""
    return re.sub(r"(?<![-\w.])\d+(?:\.\d+)?", "N", reason)
