"""The manifest of a store, `manifest.csv`: a row per clip of the official lists, whatever happened to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import pandas as pd

from dfer.errors import DataError
from dfer.records import STATUSES, Status
from dfer.runtime.files import write_text

_COLUMNS = (
    "clip_id",
    "label",
    "label_name",
    "num_frames",
    "fps",
    "status",
    "detail",
    "detected",
    "source",
    "sha256",
)
_OPTIONAL = ("subject", "votes")  # columns of those data sets that tell


@dataclass(frozen=True)
class ManifestRow:
    """One clip in the manifest.

    Attributes:
        num_frames: crops in the store; 0 unless `status` is "ok".
        fps: frames a second of the source.
        detected: share of the crops outside of gaps, where the detector lost the face and it was interpolated.
        source: path of the source, relative to the raw data set.
        sha256: of the clip's ZIP.
        folds: fold number -> "train" or "test".
        votes: how many annotators chose each label; empty where it is not known.
    """

    clip_id: str
    label: int
    label_name: str
    status: Status
    folds: dict[int, str]
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
        """Whether the clip has crops in the store."""
        return self.status == "ok"


def write_manifest(path: Path, rows: Sequence[ManifestRow]) -> None:
    """Write the manifest: the contract's columns, then a train|test column per fold."""
    table = pd.DataFrame([asdict(row) for row in rows], columns=[*_COLUMNS, *_OPTIONAL, "folds"])
    table["votes"] = [" ".join(map(str, row.votes)) for row in rows]
    table["fps"] = [f"{row.fps:.6g}" for row in rows]
    table["detected"] = [f"{row.detected:.4f}" for row in rows]
    for fold in sorted({fold for row in rows for fold in row.folds}):
        table[f"fold_{fold}"] = [row.folds.get(fold, "") for row in rows]
    unused = [name for name in _OPTIONAL if not any(getattr(row, name) for row in rows)]
    write_text(path, table.drop(columns=["folds", *unused]).to_csv(index=False, lineterminator="\n"))


def read_manifest(path: Path) -> list[ManifestRow]:
    """Read a manifest.

    Raises:
        DataError: it is missing or damaged.
    """
    try:
        # As text: clip ids such as 00001 are names, not numbers.
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        return [_parse_row(values) for values in table.to_dict("records")]
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise DataError(
            f"cannot read the manifest: {error}", where=path, hint="run `dfer preprocess` to write it"
        ) from error


def _parse_row(values: dict[Any, str]) -> ManifestRow:
    status = cast(Status, values["status"])
    if status not in STATUSES:
        raise ValueError(f"unknown status {status!r} of clip {values['clip_id']!r}")
    return ManifestRow(
        clip_id=values["clip_id"],
        label=int(values["label"]),
        label_name=values["label_name"],
        status=status,
        num_frames=int(values["num_frames"]),
        fps=float(values["fps"]),
        detail=values["detail"],
        detected=float(values["detected"]),
        source=values["source"],
        sha256=values["sha256"],
        subject=values.get("subject") or "",
        votes=tuple(int(count) for count in values.get("votes", "").split()),
        folds={int(key[5:]): value for key, value in values.items() if key.startswith("fold_") and value},
    )
