"""The records that a run leaves behind, `run.json` and `metrics.jsonl`, checked as a whole when they are read.

They are apart from `dfer.runs`, which every command imports, since checking them takes a library that is slow to load.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, with_config
from typing_extensions import Required, TypedDict

from dfer.errors import DataError, reason_suffix
from dfer.records import Selection
from dfer.runtime.reading import parse_json, read_json, read_limited
from dfer.settings import STRICT_AND_OPEN, Count, FoldNumber, Fraction, Labels, Name, Note, read_record

MAX_METRICS_BYTES = 50_000_000  # of metrics.jsonl: some 100,000 epochs


@with_config(STRICT_AND_OPEN)
class EpochRecord(TypedDict, total=False):
    """The figures of an epoch, a line of `metrics.jsonl`; further ones may stand beside these."""

    epoch: Required[Annotated[int, Field(ge=1, le=10_000_000)]]
    train_loss: float
    lr: float
    val_loss: float
    val_war: Fraction
    val_uar: Fraction


@with_config(STRICT_AND_OPEN)
class RunStore(TypedDict, total=False):
    """One of the stores that a fold was trained on."""

    path: str
    name: Name


@with_config(STRICT_AND_OPEN)
class RunData(RunStore, total=False):
    """The data that a fold was trained on: one store, or several."""

    fingerprint: Name
    notice: Note
    stores: list[RunStore]


@with_config(STRICT_AND_OPEN)
class RunRecord(TypedDict, total=False):
    """The content of `run.json`, as far as dfer reads it again."""

    fold: FoldNumber
    labels: Labels
    epochs: Count
    selection: Selection
    data: Required[RunData]
    best: EpochRecord | None
    last: EpochRecord


def read_run(folder: Path) -> dict[str, Any]:
    """Read `run.json`, the record of a trained fold.

    Raises:
        DataError: it is missing or damaged.
    """
    path, what = folder / "run.json", "run record missing or damaged"
    try:
        values = read_json(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{what}{reason_suffix(error)}", where=path) from error
    return {**read_record(RunRecord, values, what=what, where=path, error=DataError)}


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """Read `metrics.jsonl` of a trained fold, a record per epoch.

    Raises:
        DataError: it is missing or damaged.
    """
    path, what = folder / "metrics.jsonl", "record of the epochs missing or damaged"
    try:
        values = [parse_json(line) for line in read_limited(path, MAX_METRICS_BYTES).splitlines()]
    except (OSError, ValueError) as error:
        raise DataError(f"{what}{reason_suffix(error)}", where=path) from error
    return [{**record} for record in read_record(list[EpochRecord], values, what=what, where=path, error=DataError)]
