"""A trained fold -> the weights that dfer ships: half precision, calibrated, measured, with checksum and history."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dfer.errors import CheckpointError, DataError
from dfer.evaluation.evaluate import FoldTask, evaluate_fold
from dfer.evaluation.inference import run_clips, stored_feed
from dfer.model import load_weights
from dfer.model.calibration import fit_temperature
from dfer.model.checkpoint import load_checkpoint, save_checkpoint
from dfer.pretrained import pretrained_names, write_checksum
from dfer.recipe import load_recipe
from dfer.runs import read_metrics, read_run
from dfer.runtime.device import choose_device
from dfer.store import open_store

logger = logging.getLogger(__name__)

MAX_BYTES = 20_000_000
# Half precision rounds to 11 bits: an error of 2^-11 of a value. A tensor that loses more stays as it is.
_TOLERANCE = 2**-10
NOTICE = "a label says how an expression looks to others, not what a person feels"
LICENCE = "MIT, as dfer; trained on FER+ (labels: MIT, Microsoft; images: FER2013)"


@dataclass(frozen=True)
class Published:
    """What was written.

    Attributes:
        path: the file.
        size: bytes.
        sha256: of the file.
        temperature: fitted on the validation split.
        figures: "test_war", "test_uar" and "test_ece".
        kept: names of the tensors that half precision could not hold.
    """

    path: Path
    size: int
    sha256: str
    temperature: float
    figures: dict[str, float]
    kept: list[str]


def publish_weights(
    checkpoint: Path,
    data: Path,
    out: Path,
    *,
    described: str,
    licence: str = LICENCE,
    notice: str = NOTICE,
    device: str = "auto",
    batch_size: int = 16,
) -> Published:
    """Write a trained fold's checkpoint as shipped weights, and its checksum beside it.

    The temperature is fitted on the store's official validation split, with the rounded weights; the figures are
    those of its test split. Weights load as float32 again.

    Args:
        checkpoint: written by `dfer train`.
        data: the store that it was trained on.
        out: the file, such as dfer/pretrained/default.safetensors.
        described: a phrase on the data, such as "FER+ stills (not on video)".
        licence: of the weights.
        notice: what everyone who sees their answers is told.
        device: "auto", "cpu" or "cuda".
        batch_size: clips at a time.

    Raises:
        DferError: the store is not the one trained on or has no validation split, the file would be too large, or
            cannot be written.
    """
    chosen = choose_device(device)
    model, info = load_checkpoint(checkpoint, chosen)
    store = open_store(data)
    if info.data.get("fingerprint") != store.fingerprint():
        raise DataError("the checkpoint was trained on other data", where=data, hint="name the store it was trained on")
    fold = info.data["fold"]
    rows = [row for row in store.select(fold, "val") if row.status == "ok"]
    if not rows:
        raise DataError(f"fold {fold} has no validation split to fit the temperature on", where=data)
    rounded, kept = to_half(model.state_dict())
    load_weights(model, rounded, where=str(checkpoint))
    logger.info("fitting the temperature on %d validation clips", len(rows))
    feed = stored_feed(store, rows)
    outputs = run_clips(model, feed, rows, segments=info.segments, batch_size=batch_size, device=chosen)
    temperature = fit_temperature(outputs.logits, np.array([row.label for row in rows], np.int64))
    info = replace(
        info, temperature=temperature, licence=licence, notice=notice, data=info.data | {"described": described}
    )
    with TemporaryDirectory() as folder:
        draft = Path(folder) / out.name
        save_checkpoint(draft, rounded, info)
        size = draft.stat().st_size
        if size > MAX_BYTES:
            raise CheckpointError(
                f"the weights take {size / 1e6:.1f} MB, more than {MAX_BYTES / 1e6:.0f}: not written",
                where=out,
                hint="ship a smaller model",
            )
        logger.info("temperature %.3f; testing", temperature)
        tested = evaluate_fold(FoldTask(fold, draft, data), device=device, batch_size=batch_size)
    figures = {f"test_{name}": tested.figures[name] for name in ("war", "uar", "ece")}
    save_checkpoint(out, rounded, replace(info, metrics=info.metrics | figures))
    return Published(out, out.stat().st_size, write_checksum(out), temperature, figures, kept)


def to_half(state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """Weights in half precision, but for tensors of values too large or too small for it.

    Args:
        state: a state dict.

    Returns:
        The state dict, float16 where that holds the values; and the names of the float tensors where it does not.
    """
    rounded: dict[str, Tensor] = {}
    kept = []
    for name, value in state.items():
        rounded[name] = value
        if not value.is_floating_point():  # a counter
            continue
        half = value.to(torch.float16)
        if (half.to(value.dtype) - value).abs().max() <= _TOLERANCE * value.abs().max():
            rounded[name] = half
        else:
            kept.append(name)
    return rounded, kept


def training_history(fold: Path) -> list[dict[str, Any]]:
    """The records of a trained fold and of those that it started from, the first one first.

    Args:
        fold: its folder. A recipe's relative path to another run is looked for from the working folder, as in training.

    Returns:
        For each its `run.json` without what is this machine's alone (command, paths), its recipe under "recipe" and the
        lines of its metrics.jsonl under "metrics".

    Raises:
        DferError: a record is missing or damaged, or what a run started from is not where its recipe says.
    """
    history: list[dict[str, Any]] = []
    folder: Path | None = fold
    while folder is not None:
        recipe = load_recipe(folder / "recipe.yaml")
        record = read_run(folder)
        del record["command"], record["data"]["path"]
        values = recipe.model_dump(mode="json")
        values["data"]["path"] = Path(recipe.data.path).name
        history.insert(0, record | {"recipe": values, "metrics": read_metrics(folder)})
        folder = _run_before(folder, recipe.model.init or recipe.model.backbone)
    return history


def _run_before(folder: Path, start: str | None) -> Path | None:
    """The folder of the run that the one in `folder` started from; None where it started from none of ours."""
    if start is None or start in pretrained_names():
        return None
    if not Path(start).is_file():
        hint = "work in the folder that the runs were trained in"
        raise DataError(f"it started from {start}, which is not here", where=folder, hint=hint)
    return Path(start).parent if (Path(start).parent / "run.json").is_file() else None
