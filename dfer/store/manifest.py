"""The manifest of a store, `manifest.csv`: a row per clip of the official lists, whatever happened to it."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, cast

import pandas as pd
from pydantic import ConfigDict, Field, SkipValidation

from dfer.errors import DataError, os_reason
from dfer.names import printable
from dfer.records import SPLITS, Split, Status
from dfer.runtime.cells import quote_cell, unquote_cell
from dfer.runtime.files import write_text
from dfer.runtime.reading import read_limited
from dfer.settings import MAX_CLASSES, STRICT, FoldNumber, Fraction, Note, read_record, show_value

MAX_CROPS = 500_000  # of a clip: five hours at 25 frames a second
MAX_MANIFEST_BYTES = 200_000_000  # some 600,000 clips

_COLUMNS = ["clip_id", "label", "label_name", "num_frames", "source_frames", "fps"]
_COLUMNS += ["status", "detail", "detected", "source", "sha256"]
_OPTIONAL = ["subject", "votes"]  # written only for data sets that give them
_TEXTS = ["clip_id", "label_name", "detail", "source", "subject"]
# The other columns are text.
_NUMBERS = {"label": int, "num_frames": int, "source_frames": int, "fps": float, "detected": float}

PathText = Annotated[str, Field(max_length=10_000)]


@dataclass(frozen=True)
class ManifestRow:
    """One clip in the manifest.

    Attributes:
        label: index into the store's labels; of a clip of split "soft" only the most frequent vote.
        status: the outcome of preprocessing.
        folds: fold number -> split.
        num_frames: number of crops in the store; 0 unless `status` is "ok".
        fps: frame rate of the source.
        source_frames: frames of the source, or of the segment of it that the clip is; 0 if it cannot be opened.
        detail: the reason, unless `status` is "ok".
        detected: share of the crops in which the detector found the face; in the others it was interpolated.
        source: path of the source, relative to the raw data set, as `dfer.names.name_text` has it.
        sha256: of the clip's ZIP.
        subject: the person, or "" where the data set does not say.
        votes: the number of annotators who chose each label; empty where the data set does not say.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    clip_id: PathText
    label: Annotated[int, Field(ge=0, lt=MAX_CLASSES)]
    label_name: Annotated[str, Field(max_length=200)]
    status: Status
    folds: dict[FoldNumber, Annotated[Split, SkipValidation]]  # `contradictions` checks the splits
    num_frames: Annotated[int, Field(ge=0, le=MAX_CROPS)] = 0
    fps: Annotated[float, Field(ge=0.0, le=1e6)] = 0.0
    source_frames: Annotated[int, Field(ge=0)] = 0
    detail: Note = ""
    detected: Fraction = 0.0
    source: PathText = ""
    sha256: Annotated[str, Field(max_length=64)] = ""
    subject: Annotated[str, Field(max_length=500)] = ""
    votes: Annotated[tuple[Annotated[int, Field(ge=0, le=1_000_000)], ...], Field(max_length=MAX_CLASSES)] = ()

    @property
    def ok(self) -> bool:
        """True if the clip has crops in the store."""
        return self.status == "ok"

    @property
    def is_soft(self) -> bool:
        """True if the clip has votes but no label: it serves training on soft labels and nothing else."""
        return "soft" in self.folds.values()

    def target(self, *, soft: bool) -> tuple[float, ...]:
        """Return what to train on in place of the label, a share per class up to a common factor; empty for the label.

        Args:
            soft: whether votes are trained on, where they are known.
        """
        return self.votes if soft and any(self.votes) else ()


def write_manifest(path: Path, rows: Sequence[ManifestRow]) -> None:
    """Write the manifest: the contract's columns, then a train|test column per fold."""
    table = pd.DataFrame([vars(row) for row in rows], columns=[*_COLUMNS, *_OPTIONAL])
    table["votes"] = [" ".join(map(str, row.votes)) for row in rows]
    table["detail"] = [printable(row.detail) for row in rows]  # a bare carriage return would end the row
    table["fps"] = table["fps"].map("{:.6g}".format)
    table["detected"] = table["detected"].map("{:.4f}".format)
    for name in _TEXTS:
        table[name] = table[name].map(quote_cell)
    unused = [name for name in _OPTIONAL if not table[name].any()]
    folds = pd.DataFrame([row.folds for row in rows]).sort_index(axis=1).add_prefix("fold_")
    write_text(path, table.drop(columns=unused).join(folds).to_csv(index=False, lineterminator="\n"))


def read_manifest(path: Path) -> list[ManifestRow]:
    """Read a manifest.

    Raises:
        DataError: it is missing or damaged.
    """
    hint = "run `dfer preprocess` to write it"
    try:
        # As text: clip ids such as 00001 are names, not numbers.
        table = pd.read_csv(io.BytesIO(read_limited(path, MAX_MANIFEST_BYTES)), dtype=str, keep_default_na=False)
        table["source_frames"] = table.get("source_frames", "0")  # stores written before there was this column
        if missing := [name for name in _COLUMNS if name not in table]:
            raise ValueError(f"no column {missing[0]!r}")
        folds = table.filter(regex="^fold_").rename(columns=lambda name: int(name[5:]))
        table = table[[*_COLUMNS, *table.columns.intersection(_OPTIONAL)]].astype(_NUMBERS)
        for name in table.columns.intersection(_TEXTS):
            table[name] = table[name].map(unquote_cell)
        if "votes" in table:
            table["votes"] = [tuple(map(int, votes.split())) for votes in table["votes"]]
    except (OSError, KeyError, ValueError, TypeError, OverflowError) as error:
        reason = os_reason(error) if isinstance(error, OSError) else f"{error!s:.200}"
        raise DataError(f"cannot read the manifest: {reason}", where=path, hint=hint) from error
    values = cast("list[dict[str, Any]]", table.to_dict("records"))
    splits = cast("list[dict[int, Split]]", folds.to_dict("records"))
    rows = {
        f"line {number}": row | {"folds": {fold: split for fold, split in of.items() if split}}
        for number, (row, of) in enumerate(zip(values, splits, strict=True), start=2)
    }
    what = "cannot read the manifest"
    return list(read_record(dict[str, ManifestRow], rows, what=what, where=path, error=DataError, hint=hint).values())


def contradictions(rows: Sequence[ManifestRow], labels: Sequence[str], num_folds: int) -> Iterator[str]:
    """Yield a line for everything in a manifest that contradicts the store's description, or itself.

    Args:
        rows: of the manifest.
        labels: the store's emotion names, in order.
        num_folds: the store's number of folds.
    """
    counts = Counter(row.clip_id for row in rows)
    yield from (f"{clip_id}: {count} rows in the manifest" for clip_id, count in counts.items() if count > 1)
    for row in rows:
        if row.label >= len(labels) or labels[row.label] != row.label_name:
            yield f"{row.clip_id}: label {row.label} is not {row.label_name} in dataset.json"
        if len(row.votes) not in (0, len(labels)):
            yield f"{row.clip_id}: {len(row.votes)} counts of votes for {len(labels)} labels"
        if any(fold > num_folds or split not in SPLITS for fold, split in row.folds.items()):
            yield f"{row.clip_id}: impossible folds {show_value(row.folds)}"
