"""The manifest of a store, `manifest.csv`: a row per clip of the official lists, whatever happened to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pandas as pd

from dfer.errors import DataError
from dfer.records import STATUSES, Split, Status
from dfer.runtime.files import write_text

_COLUMNS = ["clip_id", "label", "label_name", "num_frames", "fps", "status", "detail", "detected", "source", "sha256"]
_OPTIONAL = ["subject", "votes"]  # written only for data sets that give them
_NUMBERS = {"label": int, "num_frames": int, "fps": float, "detected": float}  # the other columns are text


@dataclass(frozen=True)
class ManifestRow:
    """One clip in the manifest.

    Attributes:
        label: index into the store's labels; of a clip of split "soft" only the most frequent vote.
        status: the outcome of preprocessing.
        folds: fold number -> split.
        num_frames: number of crops in the store; 0 unless `status` is "ok".
        fps: frame rate of the source.
        detail: the reason, unless `status` is "ok".
        detected: share of the crops in which the detector found the face; in the others it was interpolated.
        source: path of the source, relative to the raw data set.
        sha256: of the clip's ZIP.
        subject: the person, or "" where the data set does not say.
        votes: the number of annotators who chose each label; empty where the data set does not say.
    """

    clip_id: str
    label: int
    label_name: str
    status: Status
    folds: dict[int, Split]
    num_frames: int = 0
    fps: float = 0.0
    detail: str = ""
    detected: float = 0.0
    source: str = ""
    sha256: str = ""
    subject: str = ""
    votes: tuple[int, ...] = ()

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
    table["fps"] = table["fps"].map("{:.6g}".format)
    table["detected"] = table["detected"].map("{:.4f}".format)
    unused = [name for name in _OPTIONAL if not table[name].any()]
    folds = pd.DataFrame([row.folds for row in rows]).sort_index(axis=1).add_prefix("fold_")
    write_text(path, table.drop(columns=unused).join(folds).to_csv(index=False, lineterminator="\n"))


def read_manifest(path: Path) -> list[ManifestRow]:
    """Read a manifest.

    Raises:
        DataError: it is missing or damaged.
    """
    try:
        # As text: clip ids such as 00001 are names, not numbers.
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        folds = table.filter(regex="^fold_").rename(columns=lambda name: int(name[5:]))
        table = table[[*_COLUMNS, *table.columns.intersection(_OPTIONAL)]].astype(_NUMBERS)
        unknown = table[~table["status"].isin(STATUSES)]
        if len(unknown):
            raise ValueError(f"unknown status {unknown['status'].iloc[0]!r} of clip {unknown['clip_id'].iloc[0]!r}")
        if "votes" in table:
            table["votes"] = [tuple(map(int, votes.split())) for votes in table["votes"]]
        rows = cast("list[dict[str, Any]]", table.to_dict("records"))
        splits = cast("list[dict[int, Split]]", folds.to_dict("records"))
        return [
            ManifestRow(**row, folds={fold: split for fold, split in of.items() if split})
            for row, of in zip(rows, splits, strict=True)
        ]
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise DataError(
            f"cannot read the manifest: {error}", where=path, hint="run `dfer preprocess` to write it"
        ) from error
