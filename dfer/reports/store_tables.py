"""A store's manifest, counted: by status, emotion, fold and reason; crops by detection and length."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import fields

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from dfer.records import STATUSES
from dfer.runtime.formatting import MISSING, percent
from dfer.store.manifest import ManifestRow

Table = list[list[str]]
Bars = list[tuple[str, str, float]]  # name, value as text, length 0..1
Bins = tuple[list[str], list[int], tuple[str, int] | None]  # edges as text, counts, and the bin that stands apart
MAX_REASONS = 20
EXAMPLES = 3
SHOWN_RATES = 8
_SPLITS = ("train", "val", "test")
_BIN_WIDTHS = [round(factor * 10**power) for power in range(6) for factor in (1, 2, 5)]


def clip_frame(rows: Sequence[ManifestRow]) -> pd.DataFrame:
    """Return the manifest as a table: a row per clip, `status` as a category in the order of `STATUSES`.

    `soft` says which clips have no label and serve training on soft labels only.
    """
    clips = pd.DataFrame([vars(row) for row in rows], columns=[field.name for field in fields(ManifestRow)])
    return clips.assign(
        status=pd.Categorical(clips["status"], STATUSES), soft=np.array([row.is_soft for row in rows], bool)
    )


def status_name(status: str) -> str:
    """Return a status as words: "no face"."""
    return status.replace("_", " ")


def status_bars(clips: pd.DataFrame) -> Bars:
    """Return a bar for each status that occurs; its length is the share of all clips."""
    counts = clips["status"].value_counts(sort=False)
    return [
        (status_name(str(status)), f"{count:,} · {percent(count / len(clips))} %", count / len(clips))
        for status, count in counts[counts > 0].items()
    ]


def class_table(clips: pd.DataFrame, labels: Sequence[str]) -> Table:
    """Return a row per emotion, and one for all of them: clips with a label, each status that occurs, crops."""
    clips = clips[~clips["soft"]]
    names = [*labels, "all"]
    twice = pd.concat([clips, clips.assign(label=len(labels))])  # once by emotion, once as "all"
    counts = pd.crosstab(twice["label"], twice["status"]).reindex(range(len(names)), fill_value=0)
    ok = twice[twice["status"] == "ok"].groupby("label")
    crops = ok.agg(total=("num_frames", "sum"), median=("num_frames", "median"), detected=("detected", "mean"))
    crops = crops.reindex(range(len(names)))
    table = [["emotion", "clips", *map(status_name, counts.columns)]]
    table += [
        [name, f"{by_status.sum():,}", *(f"{count:,}" for count in by_status)]
        for name, by_status in zip(names, counts.to_numpy(), strict=True)
    ]
    if "ok" not in counts:
        return table
    table[0] += ["ok, %", "crops", "median", "detected, %"]
    shares = (counts["ok"] / counts.sum(axis=1)).to_numpy()  # NaN for an emotion without clips
    for cells, share, (total, middle, detected) in zip(table[1:], shares, crops.to_numpy(), strict=True):
        cells.append(percent(None if np.isnan(share) else share, 1))
        if np.isnan(middle):
            cells += ["0", MISSING, MISSING]
        else:
            cells += [f"{total:,.0f}", f"{middle:g}", percent(detected, 1)]
    return table


def fold_table(clips: pd.DataFrame, labels: Sequence[str]) -> Table:
    """Return a row per fold and split: clips of the lists with a label, those that are ok, and these by emotion.

    Where no clip is ok, the clips of the lists are counted by emotion.
    """
    clips = clips[~clips["soft"]]
    ok = clips["status"] == "ok"
    any_ok = bool(ok.any())
    slots = pd.DataFrame(
        [
            (fold, split, label, usable or not any_ok)
            for folds, label, usable in zip(clips["folds"], clips["label"], ok, strict=True)
            for fold, split in folds.items()
        ],
        columns=["fold", "split", "label", "counted"],
    )
    slots["split"] = pd.Categorical(slots["split"], list(dict.fromkeys([*_SPLITS, *slots["split"]])))
    by_label = slots.pivot_table("counted", ["fold", "split"], "label", "sum", fill_value=0, observed=True)
    by_label = by_label.reindex(columns=range(len(labels)), fill_value=0).astype(int)
    listed = slots.groupby(["fold", "split"], observed=True).size()
    table = [["fold", "split", "clips", *(["ok", "ok, %"] if any_ok else []), *labels]]
    for (fold, split), counts in zip(by_label.index, by_label.to_numpy(), strict=True):
        total = listed[fold, split]
        usable = [f"{counts.sum():,}", percent(counts.sum() / total, 1)] if any_ok else []
        table.append([str(fold), split, f"{total:,}", *usable, *(f"{count:,}" for count in counts)])
    return table


def failure_table(clips: pd.DataFrame) -> Table:
    """Return a row per status and reason, the most frequent first; reasons that differ only in a number are one."""
    failed = clips[clips["status"] != "ok"]
    # Exit codes such as -11 stay: they say which signal ended a decoder.
    reasons = failed["detail"].str.replace(r"(?<![-\w.])\d+(?:\.\d+)?", "N", regex=True)
    groups = sorted(failed.groupby(["status", reasons], sort=False, observed=True), key=lambda group: -len(group[1]))
    table = [["status", "clips", "reason", "such as"]]
    for (status, reason), group in groups[:MAX_REASONS]:
        text = group["detail"].iloc[0] if group["detail"].nunique() == 1 else reason
        names = ", ".join(group["clip_id"].iloc[:EXAMPLES]) + (", …" if len(group) > EXAMPLES else "")
        table.append([status_name(str(status)), f"{len(group):,}", str(text) or MISSING, names])
    rest = groups[MAX_REASONS:]
    if rest:
        number = sum(len(group) for _, group in rest)
        table.append(["others", f"{number:,}", f"{len(rest):,} other reasons", f"{rest[0][1]['clip_id'].iloc[0]}, …"])
    return table


def rate_bars(clips: pd.DataFrame) -> Bars:
    """Return the sources' frame rates, the most frequent first; nothing where all are the same."""
    rates = clips.loc[clips["fps"] > 0, "fps"].map("{:.4g}".format)
    counts = sorted(Counter(rates).items(), key=lambda item: (-item[1], float(item[0])))
    if len(counts) < 2:
        return []
    named = [(f"{rate} frames/s", count) for rate, count in counts[:SHOWN_RATES]]
    rest = sum(count for _, count in counts[SHOWN_RATES:])
    if rest:
        named.append((f"{len(counts) - SHOWN_RATES} other rates", rest))
    most = max(count for _, count in named)
    return [(name, f"{count:,} · {percent(count / len(rates))} %", count / most) for name, count in named]


def share_bins(shares: ArrayLike) -> Bins:
    """Count shares (0..1) by tenths, in percent; those that are wholly 1 stand apart."""
    values = np.asarray(shares, np.float64)
    whole = values >= 1
    # Rounded first: in the manifest's four decimals 0.3 is not 0.2999.
    tenths = np.clip(np.round(10 * values[~whole], 3).astype(int), 0, 9)
    counts = np.bincount(tenths, minlength=10)
    return [str(10 * n) for n in range(11)], counts.tolist(), ("all", int(whole.sum()))


def length_bins(lengths: ArrayLike, max_bins: int = 10) -> Bins:
    """Count whole numbers in bins of a round width; the longest hundredth may stand apart, so that the others show."""
    values = np.asarray(lengths, np.int64)
    lowest, most = int(values.min()), int(np.quantile(values, 0.99, method="higher"))
    width = next(width for width in _BIN_WIDTHS if most // width - lowest // width < max_bins)
    first, end = lowest // width * width, (most // width + 1) * width
    edges = np.arange(first, end + 1, width)
    counts, _ = np.histogram(values[values < end], edges)
    longer = int((values >= end).sum())
    return [str(edge) for edge in edges], counts.tolist(), ("more", longer) if longer else None
