"""The answers of a model for each test clip of a fold, as files that comparisons read.

    predictions.csv    a row per clip of the test list, in the manifest's order
    logits.npz         arrays clip_id [N], labels [M] and logits float32 [N, M], of the N clips that could be read
    splits.csv         clip_id and split of every clip in the fold's lists
    predictions.json   what made them: store, checkpoint, prior; written last, with the SHA-256 of predictions.csv

Answers that other programs wrote need no more than a CSV with the columns clip_id, label and predicted.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field, with_config
from typing_extensions import Required, TypedDict

from dfer.errors import DataError, os_reason, reason_suffix
from dfer.records import Selection
from dfer.runs import fold_number
from dfer.runtime.cells import quote_cell, unquote_cell
from dfer.runtime.files import atomic_path, write_bytes, write_json
from dfer.runtime.formatting import shorten_home
from dfer.runtime.reading import read_json, read_limited
from dfer.settings import MAX_CLASSES, STRICT_AND_OPEN, FoldNumber, Labels, Name, read_record

SCHEMA = "dfer.predictions/1"
CSV, LOGITS, SPLITS, RECORD = "predictions.csv", "logits.npz", "splits.csv", "predictions.json"
PREDICTION_FILES = (CSV, LOGITS, SPLITS, RECORD)
UNREAD = -1  # in place of the label that was predicted for a clip
MAX_CSV_BYTES = 500_000_000  # some 3,000,000 clips
_REQUIRED = ["clip_id", "label", "predicted"]
_PROBABILITY = "p_"


@with_config(STRICT_AND_OPEN)
class CheckpointOrigin(TypedDict, total=False):
    """The checkpoint that answered."""

    path: str
    sha256: Name


@with_config(STRICT_AND_OPEN)
class AcrossOrigin(TypedDict, total=False):
    """The classes of data and checkpoint, as they were joined."""

    protocol: Required[Literal["restricted", "open"]]


@with_config(STRICT_AND_OPEN)
class PredictionRecord(TypedDict, total=False):
    """The content of `predictions.json`, as far as dfer reads it again."""

    schema: Required[Name]
    fold: Required[FoldNumber]
    labels: Required[Labels]
    selection: Selection
    seed: Annotated[int, Field(ge=0)] | None
    settings: Name | None
    prior: str
    mirror: bool
    checkpoint: CheckpointOrigin
    across: AcrossOrigin
    predictions_sha256: Required[Name]


@dataclass(frozen=True)
class FoldPredictions:
    """The answers for the N test clips of a fold.

    Attributes:
        labels: C class names.
        clip_ids: N ids, all different.
        truth: int64 [N].
        predicted: int64 [N], `UNREAD` for a clip that could not be read.
        probabilities: float64 [N, C], NaN for such a clip; None where they are not known.
        frames: int64 [N], crops of each clip in the store; 0 where that is not known.
        subjects: the person in each clip, "" where that is not known.
        record: what made them, see `PredictionRecord`; empty for answers that another program wrote.
    """

    labels: list[str]
    clip_ids: list[str]
    truth: NDArray[np.int64]
    predicted: NDArray[np.int64]
    probabilities: NDArray[np.float64] | None = field(default=None, repr=False)
    frames: NDArray[np.int64] | None = field(default=None, repr=False)
    subjects: list[str] = field(default_factory=list, repr=False)
    record: Mapping[str, Any] = field(default_factory=dict, repr=False)


def write_predictions(
    folder: Path,
    answers: FoldPredictions,
    *,
    logits: NDArray[np.float32],
    logit_labels: Sequence[str] = (),
    splits: Sequence[tuple[str, str]],
) -> None:
    """Write the files of a fold; one that is interrupted leaves no `predictions.json` that fits.

    Args:
        folder: of the fold.
        answers: with the record of what made them.
        logits: float32 [R, M] of the R readable clips, in their order.
        logit_labels: the M classes of the model, if the answers are among some of them only.
        splits: clip id and split of every clip in the fold's lists.

    Raises:
        DferError: a file cannot be written.
    """
    readable = [clip for clip, label in zip(answers.clip_ids, answers.predicted, strict=True) if label != UNREAD]
    with atomic_path(folder / LOGITS) as temporary:
        np.savez_compressed(
            temporary, clip_id=np.array(readable), labels=np.array(logit_labels or answers.labels), logits=logits
        )
    rows = pd.DataFrame(splits, columns=["clip_id", "split"])
    rows["clip_id"] = rows["clip_id"].map(quote_cell)
    write_bytes(folder / SPLITS, _csv(rows))
    content = _csv(_table(answers))
    write_bytes(folder / CSV, content)
    record = {"schema": SCHEMA, **answers.record, "labels": answers.labels}
    write_json(folder / RECORD, shorten_home({**record, "predictions_sha256": hashlib.sha256(content).hexdigest()}))


def _table(answers: FoldPredictions) -> pd.DataFrame:
    names = [*map(quote_cell, answers.labels), ""]  # the last for clips without an answer, whose label is -1
    table = pd.DataFrame(
        {
            "clip_id": list(map(quote_cell, answers.clip_ids)),
            "label": [names[label] for label in answers.truth],
            "predicted": [names[label] for label in answers.predicted],
        }
    )
    if answers.probabilities is not None:
        for label, values in zip(answers.labels, answers.probabilities.T, strict=True):
            table[f"{_PROBABILITY}{label}"] = ["" if np.isnan(value) else f"{value:.6f}" for value in values]
    if answers.frames is not None:
        table["frames"] = answers.frames
    table["readable"] = np.where(answers.predicted == UNREAD, "false", "true")
    if any(answers.subjects):
        table["subject"] = list(map(quote_cell, answers.subjects))
    return table


def _csv(table: pd.DataFrame) -> bytes:
    return table.to_csv(index=False, lineterminator="\n").encode(errors="backslashreplace")


def read_predictions(path: Path) -> dict[int, FoldPredictions]:
    """Read the answers for each fold, as `dfer eval` or another program wrote them.

    Args:
        path: the folder of a run or of one of its folds, or a CSV, whose column `fold`, if it has one, tells the fold.

    Returns:
        By fold number; 1 where nothing tells it.

    Raises:
        DataError: there are none, or they are damaged.
    """
    if not path.is_dir():
        return _read_csv(path, {})
    if (path / CSV).exists():
        return _read_folder(path)
    found: dict[int, FoldPredictions] = {}
    for folder in path.glob("fold*"):
        number = fold_number(folder)
        if number is not None and (folder / CSV).exists():
            *_, found[number] = _read_folder(folder).values()
    if not found:
        raise DataError(f"no {CSV} here", where=path, hint=f"write it with `dfer eval --run {path}`")
    return dict(sorted(found.items()))


def _read_folder(folder: Path) -> dict[int, FoldPredictions]:
    path, what, hint = folder / RECORD, "damaged record of the predictions", "run `dfer eval` again"
    try:
        values = read_json(path)
    except FileNotFoundError:
        return _read_csv(folder / CSV, {})
    except (OSError, ValueError) as error:
        raise DataError(f"{what}{reason_suffix(error)}", where=path, hint=hint) from error
    record = {**read_record(PredictionRecord, values, what=what, where=path, error=DataError, hint=hint)}
    return _read_csv(folder / CSV, record)


def _read_csv(path: Path, record: dict[str, Any]) -> dict[int, FoldPredictions]:
    what = "cannot read the predictions"
    try:
        content = read_limited(path, MAX_CSV_BYTES)
        table = pd.read_csv(io.BytesIO(content), dtype=str, keep_default_na=False, encoding="utf-8-sig")
        if missing := [name for name in _REQUIRED if name not in table]:
            raise ValueError(f"no column {missing[0]!r}; the columns clip_id, label and predicted are needed")
        folds = _folds(table, record)
    except OSError as error:
        raise DataError(f"{what}: {os_reason(error)}", where=path) from error
    except (ValueError, OverflowError) as error:
        raise DataError(f"{what}: {error!s:.200}", where=path) from error
    if record and record["predictions_sha256"] != hashlib.sha256(content).hexdigest():
        hint = f"run `dfer eval` again, or remove {RECORD} if you changed the table"
        raise DataError(f"{what}: they are not those that {RECORD} describes", where=path, hint=hint)
    if not len(table):
        raise DataError("no predictions in this table", where=path)
    for name in table.columns.intersection([*_REQUIRED, "subject"]):
        table[name] = table[name].map(unquote_cell)
    parts = {fold: table[folds == fold].reset_index(drop=True) for fold in sorted(set(folds.tolist()))}
    return {fold: _answers(part, path, record) for fold, part in parts.items()}


def _folds(table: pd.DataFrame, record: Mapping[str, Any]) -> NDArray[np.int64]:
    if record or "fold" not in table:
        return np.full(len(table), record.get("fold", 1), np.int64)
    return np.asarray(table["fold"].astype(int), np.int64)


def _answers(table: pd.DataFrame, path: Path, record: Mapping[str, Any]) -> FoldPredictions:
    clips = table["clip_id"].tolist()
    if twice := next((clip for clip, again in zip(clips, table["clip_id"].duplicated(), strict=True) if again), None):
        raise DataError(f"clip {twice} has two rows", where=path)
    probable = [str(name) for name in table.columns if str(name).startswith(_PROBABILITY)]
    named = record.get("labels") or [name.removeprefix(_PROBABILITY) for name in probable]
    labels = _labels(table, named, path)
    place = {"": UNREAD} | {name: number for number, name in enumerate(labels)}
    truth, predicted = (np.array([place[name] for name in table[column]], np.int64) for column in _REQUIRED[1:])
    return FoldPredictions(
        labels=labels,
        clip_ids=clips,
        truth=truth,
        predicted=np.where(_marked_unreadable(table), UNREAD, predicted),
        probabilities=_probabilities(table, probable, labels, path) if probable else None,
        frames=_frames(table),
        subjects=table["subject"].tolist() if "subject" in table else [],
        record=record,
    )


def _labels(table: pd.DataFrame, named: Sequence[str], path: Path) -> list[str]:
    """Return the names of the classes: those that are known, in their order, then further ones in the table."""
    if (table["label"] == "").any():
        clip = table["clip_id"][int((table["label"] == "").argmax())]
        raise DataError(f"clip {clip} has no label", where=path)
    labels = list(dict.fromkeys([*named, *sorted({*table["label"], *table["predicted"]} - {""})]))
    if len(labels) > MAX_CLASSES:
        raise DataError(f"{len(labels):,} classes", where=path, hint="`label` and `predicted` hold names of classes")
    return labels


def _marked_unreadable(table: pd.DataFrame) -> NDArray[np.bool_]:
    if "readable" not in table:
        return np.zeros(len(table), bool)
    return table["readable"].str.lower().isin(["false", "0", "no"]).to_numpy(bool)


def _probabilities(
    table: pd.DataFrame, columns: Sequence[str], labels: Sequence[str], path: Path
) -> NDArray[np.float64]:
    found = np.zeros((len(table), len(labels)))  # a class without a column has none
    for name in columns:
        numbers = pd.to_numeric(table[name], errors="coerce")
        wrong = (numbers.isna() & (table[name] != "")).to_numpy(bool)
        if wrong.any():
            clip, text = (table[column][int(wrong.argmax())] for column in ("clip_id", name))
            raise DataError(f"{name} of clip {clip} is {text!r:.40}, not a number", where=path)
        found[:, list(labels).index(name.removeprefix(_PROBABILITY))] = numbers
    return found


def _frames(table: pd.DataFrame) -> NDArray[np.int64] | None:
    if "frames" not in table:
        return None
    return pd.to_numeric(table["frames"], errors="coerce").fillna(0).to_numpy(np.int64)
