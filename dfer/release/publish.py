"""Make the weights that dfer ships from a trained fold: half precision, calibrated, with their checksum.

    dfer train recipes/pretrained.yaml
    python -m dfer.release.publish runs/pretrained/fold1 data/ferplus

The temperature is fitted on the validation split; the metrics in the file's metadata are those of the test split. The
records of the run, and of the runs it started from, go into one JSON file.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dfer.errors import CheckpointError, DataError, DferError
from dfer.evaluation.evaluate import evaluate_fold, store_as_trained, trained_store
from dfer.evaluation.inference import evaluation_loader, run_clips
from dfer.model import load_weights
from dfer.model.calibration import fit_temperature
from dfer.model.checkpoint import CheckpointInfo, load_checkpoint, save_checkpoint
from dfer.pretrained import DEFAULT, FOLDER, pretrained_names, write_checksum
from dfer.recipe import load_recipe
from dfer.runs import fold_checkpoint, read_metrics, read_run
from dfer.runtime.device import choose_device
from dfer.runtime.files import sha256_of, write_json
from dfer.store import open_store

logger = logging.getLogger(__name__)

MAX_BYTES = 20_000_000
# Half precision rounds to 11 bits: an error of 2^-11 of a value. A tensor that loses more stays as it is.
_TOLERANCE = 2**-10
NOTICE = "a label says how an expression looks to others, not what a person feels"
LICENCE = "MIT, as dfer; trained on FER+ (labels: MIT, Microsoft; images: FER2013)"


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
) -> CheckpointInfo:
    """Write a trained fold's checkpoint as shipped weights, and its checksum beside it.

    The temperature is fitted on the store's official validation split, with the rounded weights; the metrics are
    those of its test split. The weights load as float32 again.

    Args:
        checkpoint: written by `dfer train`.
        data: the store that it was trained on.
        out: the file, such as dfer/pretrained/default.safetensors.
        described: a phrase on the data, such as "FER+ stills (not on video)".
        licence: of the weights.
        notice: what everyone who sees the model's predictions must know.
        device: "auto", "cpu" or "cuda".
        batch_size: clips at a time.

    Returns:
        The settings in the written file, with "test_war", "test_uar" and "test_ece" among the metrics.

    Raises:
        DferError: the store is not the one trained on or has no validation split, the file would be too large, or
            cannot be written.
    """
    chosen = choose_device(device)
    model, info = load_checkpoint(checkpoint, chosen)
    store = open_store(data)
    known = trained_store(store, info)
    if known is None or known.get("fingerprint") != store.fingerprint():
        raise DataError("the checkpoint was trained on other data", where=data, hint="name the store it was trained on")
    fold = info.data["fold"]
    given, store = store, store_as_trained(store, info, fold)
    rows = [row for row in store.select(fold, "val") if row.ok]
    if not rows:
        raise DataError(f"fold {fold} has no validation split to fit the temperature on", where=data)
    rounded, kept = to_half(model.state_dict())
    logger.info("in float32: %s", ", ".join(kept) or "nothing")
    _require_small(rounded, out)
    load_weights(model, rounded, where=str(checkpoint))
    logger.info("fitting the temperature on %d validation clips", len(rows))
    outputs = run_clips(model, evaluation_loader(store, rows, model, segments=info.segments, batch_size=batch_size))
    temperature = fit_temperature(outputs.logits, np.array([row.label for row in rows], np.int64))
    data_info = info.data | {"described": described}
    info = replace(info, temperature=temperature, licence=licence, notice=notice, data=data_info)
    logger.info("temperature %.3f; testing", temperature)
    tested = evaluate_fold(model, info, given, fold, checkpoint=out, batch_size=batch_size)
    figures = {"test_war": tested.war, "test_uar": tested.uar, "test_ece": tested.ece}
    known = {name: value for name, value in figures.items() if value is not None}
    info = replace(info, metrics=info.metrics | known)
    save_checkpoint(out, rounded, info)
    write_checksum(out)
    return info


def _require_small(state: Mapping[str, Tensor], out: Path) -> None:
    size = sum(value.nbytes for value in state.values())
    if size > MAX_BYTES:
        raise CheckpointError(
            f"the weights take {size / 1e6:.1f} MB, more than {MAX_BYTES / 1e6:.0f}: not written",
            where=out,
            hint="ship a smaller model",
        )


def to_half(state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """Round weights to half precision, except for tensors whose values it cannot hold.

    Args:
        state: a state dict.

    Returns:
        The state dict, in float16 where that holds the values, and the names of the tensors that stay float32.
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
    """Return the records of a trained fold and of the runs that it started from, the first one first.

    Args:
        fold: its folder. A recipe's relative path to another run is resolved from the working folder, as in training.

    Returns:
        For each run, its `run.json` without what concerns only this machine (command, paths), its recipe under "recipe"
        and the lines of its metrics.jsonl under "metrics".

    Raises:
        DferError: a record is missing or damaged, or what a run started from is not where its recipe says.
    """
    history: list[dict[str, Any]] = []
    folder: Path | None = fold
    while folder is not None:
        recipe = load_recipe(folder / "recipe.yaml")
        record = read_run(folder)
        del record["command"]
        values = recipe.model_dump(mode="json")
        if isinstance(paths := values["data"]["path"], str):
            del record["data"]["path"]
            values["data"]["path"] = Path(paths).name
        for store in (*record["data"].get("stores", ()), *(paths if isinstance(paths, list) else ())):
            store |= {key: Path(store[key]).name for key in ("path", "targets") if store.get(key)}
        history.insert(0, record | {"recipe": values, "metrics": read_metrics(folder)})
        folder = _run_before(folder, recipe.model.init or recipe.model.backbone)
    return history


def _run_before(folder: Path, start: str | None) -> Path | None:
    """Return the folder of the run that the one in `folder` started from; None if it did not start from a run."""
    if start is None or start in pretrained_names():
        return None
    if not Path(start).is_file():
        hint = "work in the folder that the runs were trained in"
        raise DataError(f"it started from {start}, which is not here", where=folder, hint=hint)
    return Path(start).parent if (Path(start).parent / "run.json").is_file() else None


def main() -> None:
    """Publish a fold's weights, from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fold", type=Path, help="the folder of the trained fold")
    parser.add_argument("data", type=Path, help="the store that it was trained on")
    parser.add_argument("--described", default="FER+ stills (not on video)", help="the data, in a phrase")
    parser.add_argument("--out", type=Path, default=FOLDER / f"{DEFAULT}.safetensors", help="the file to write")
    parser.add_argument("--history", type=Path, default=Path("docs/pretrained_runs.json"), help="the runs' records")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    history = training_history(options.fold)
    info = publish_weights(fold_checkpoint(options.fold), options.data, options.out, described=options.described)
    write_json(options.history, history)
    print(f"{options.out}: {options.out.stat().st_size / 1e6:.2f} MB, SHA-256 {sha256_of(options.out)}")
    metrics = {name: value for name, value in info.metrics.items() if name.startswith("test_")}
    print(f"temperature {info.temperature:.3f}", *(f"{name} {value:.4f}" for name, value in metrics.items()))


if __name__ == "__main__":
    try:
        main()
    except DferError as error:
        sys.exit(f"error: {error}")
