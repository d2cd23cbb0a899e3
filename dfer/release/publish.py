"""Make the weights that dfer ships from a trained fold: half precision, calibrated, with their checksum.

    dfer train recipes/pretrained.yaml
    python -m dfer.release.publish runs/pretrained/fold1 data/ferplus data/faces160 --default-prior 0.25 --mirror

Temperatures are fitted on the validation splits; the metrics in the file's metadata are those of the test splits. With
a default prior, a store of a data set whose frequencies are published is calibrated and tested under these, and all
others under the default. The records of the run, and of the runs it started from, go into one JSON file.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dfer.errors import CheckpointError, DataError
from dfer.evaluation.across import store_as_trained, trained_store
from dfer.evaluation.evaluate import evaluate_fold
from dfer.evaluation.inference import evaluation_loader, run_clips
from dfer.model import load_weights
from dfer.model.calibration import fit_temperature
from dfer.model.checkpoint import CalibratedPrior, CheckpointInfo, load_checkpoint, save_checkpoint
from dfer.model.priors import DEFAULT as DEFAULT_PRIOR
from dfer.model.priors import choose_answering, dataset_shares, tempered_shares
from dfer.model.video_model import VideoModel
from dfer.pretrained import DEFAULT, FOLDER, pretrained_names, write_checksum
from dfer.recipe import load_recipe
from dfer.release.card_sets import fold_of, prior_of
from dfer.release.script import run_script
from dfer.run_records import read_metrics, read_run
from dfer.runs import fold_checkpoint
from dfer.runtime.device import choose_device
from dfer.runtime.files import sha256_of, write_json
from dfer.shares import DATASET_COUNTS
from dfer.store import Store, open_store
from dfer.store.manifest import ManifestRow

logger = logging.getLogger(__name__)

MAX_BYTES = 20_000_000
# Half precision rounds to 11 bits: an error of 2^-11 of a value. A tensor that loses more stays as it is.
_TOLERANCE = 2**-10
NOTICE = "a label says how an expression looks to others, not what a person feels"
LICENCE = "MIT, as dfer; trained on FER+ (labels: MIT, Microsoft; images: FER2013) and facial_expressions (Apache-2.0)"


def publish_weights(
    checkpoint: Path,
    data: Path | Sequence[Path],
    out: Path,
    *,
    described: str,
    licence: str = LICENCE,
    notice: str = NOTICE,
    default_prior: float | None = None,
    mirror: bool = False,
    device: str = "auto",
    batch_size: int = 16,
) -> CheckpointInfo:
    """Write a trained fold's checkpoint as shipped weights, and its checksum beside it.

    Temperatures are fitted on the stores' official validation splits, with the rounded weights; the metrics are those
    of their test splits. The weights load as float32 again.

    Args:
        checkpoint: written by `dfer train`.
        data: the store that it was trained on, or several: the first must be one that it was trained on.
        out: the file, such as dfer/pretrained/default.safetensors.
        described: a phrase on the data, such as "FER+ stills (not on video)".
        licence: of the weights.
        notice: what everyone who sees the model's predictions must know.
        default_prior: the power of the training prior that is the default one; None for the prior it was trained under.
        mirror: average clips with their mirror images, now and in prediction.
        device: "auto", "cpu" or "cuda".
        batch_size: clips at a time.

    Returns:
        The settings in the written file, with "test_war", "test_uar" and "test_ece" of the first store among the
        metrics; of several also those of each, as "test_STORE_war".

    Raises:
        DferError: the store is not the one trained on, one has no validation split, the file would be too large, or
            cannot be written.
    """
    model, info = load_checkpoint(checkpoint, choose_device(device))
    stores = [open_store(path) for path in ([data] if isinstance(data, Path) else data)]
    _require_fitting(stores, info)
    rounded, kept = to_half(model.state_dict())
    logger.info("in float32: %s", ", ".join(kept) or "nothing")
    _require_small(rounded, out)
    load_weights(model, rounded, where=str(checkpoint))
    info = replace(info, licence=licence, notice=notice, mirror=mirror, data=info.data | {"described": described})
    if default_prior is not None:
        info = replace(info, priors=_priors(info, stores, default_prior, where=checkpoint))
    info = calibrate(model, info, stores, batch_size=batch_size)
    for number, store in enumerate(stores):
        tested = evaluate_fold(
            model,
            info,
            store,
            fold_of(store, info.data["fold"]),
            checkpoint=out,
            batch_size=batch_size,
            prior=prior_of(store, info),
        )
        figures = {"war": tested.war, "uar": tested.uar, "ece": tested.ece}
        names = ([] if number else ["test"]) + ([f"test_{store.info.name}"] if len(stores) > 1 else [])
        known = {f"{name}_{key}": value for name in names for key, value in figures.items() if value is not None}
        info = replace(info, metrics=info.metrics | known)
    save_checkpoint(out, rounded, info)
    write_checksum(out)
    return info


def calibrate(model: VideoModel, info: CheckpointInfo, stores: Sequence[Store], *, batch_size: int) -> CheckpointInfo:
    """Return the settings with the temperature of each prior, fitted on the validation splits that it applies to.

    Args:
        model: on the device to compute on.
        info: of its checkpoint.
        stores: the clips; those under the same prior are taken together.
        batch_size: clips at a time.
    """
    found: dict[str | None, list[tuple[NDArray[np.float32], NDArray[np.int64]]]] = {}
    for store in stores:
        fitted = store_as_trained(store, info, fold_of(store, info.data["fold"]))
        rows = _validation_rows(fitted, info)
        loader = evaluation_loader(fitted, rows, model, segments=info.segments, batch_size=batch_size)
        logits = run_clips(model, loader, mirror=info.mirror).logits
        found.setdefault(prior_of(store, info), []).append((logits, np.array([row.label for row in rows], np.int64)))
    temperatures = {}
    for name, parts in found.items():
        shift = choose_answering(info, name, where=stores[0].root).shift
        logits, labels = (np.concatenate(values) for values in zip(*parts, strict=True))
        temperatures[name] = fit_temperature(logits, labels, shift)
        logger.info("temperature %.3f on %d validation clips, prior %s", temperatures[name], len(labels), name)
    common = temperatures.get(None, next(iter(temperatures.values())))
    priors: dict[str, CalibratedPrior] = {
        name: {"shares": prior["shares"], "temperature": temperatures.get(name, common)}
        for name, prior in info.priors.items()
    }
    return replace(info, temperature=common, priors=priors)


def _priors(info: CheckpointInfo, stores: Sequence[Store], power: float, *, where: Path) -> dict[str, CalibratedPrior]:
    """Return the default prior and those of the stores' data sets, not calibrated yet."""
    if info.prior is None:
        raise CheckpointError("this checkpoint does not say its training prior", where=where, hint="train it again")
    names = dict.fromkeys(store.info.name for store in stores if store.info.name in DATASET_COUNTS)
    own = {name: dataset_shares(name, info.labels) for name in names}
    shares = {DEFAULT_PRIOR: tempered_shares(info.prior, power), **own}
    return {name: {"shares": values, "temperature": info.temperature} for name, values in shares.items()}


def _require_fitting(stores: Sequence[Store], info: CheckpointInfo) -> None:
    known = trained_store(stores[0], info)
    if known is None or known.get("fingerprint") != stores[0].fingerprint():
        hint = "name the store it was trained on first"
        raise DataError("the checkpoint was trained on other data", where=stores[0].root, hint=hint)
    for store in stores:
        _validation_rows(store, info)


def _validation_rows(store: Store, info: CheckpointInfo) -> list[ManifestRow]:
    fold = fold_of(store, info.data["fold"])
    rows = [row for row in store.select(fold, "val") if row.ok]
    if not rows:
        raise DataError(f"fold {fold} has no validation split to fit the temperature on", where=store.root)
    return rows


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
    folders: dict[Path, None] = {}
    _collect_runs(fold, folders)
    return [_history_record(folder) for folder in folders]


def _collect_runs(folder: Path, found: dict[Path, None]) -> None:
    """Add the folder of a run after those of the runs that it started from, each once."""
    if folder in found:
        return
    model = load_recipe(folder / "recipe.yaml").model
    for start in (model.init, model.backbone):
        before = _run_before(folder, start)
        if before is not None:
            _collect_runs(before, found)
    found[folder] = None


def _history_record(folder: Path) -> dict[str, Any]:
    recipe, record = load_recipe(folder / "recipe.yaml"), read_run(folder)
    del record["command"]
    values = recipe.model_dump(mode="json")
    if isinstance(paths := values["data"]["path"], str):
        del record["data"]["path"]
        values["data"]["path"] = Path(paths).name
    for store in (*record["data"].get("stores", ()), *(paths if isinstance(paths, list) else ())):
        store |= {key: Path(store[key]).name for key in ("path", "targets") if store.get(key)}
    return record | {"recipe": values, "metrics": read_metrics(folder)}


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
    parser.add_argument("data", type=Path, nargs="+", help="the stores; the first is one that it was trained on")
    parser.add_argument(
        "--described", default="stills of FER+ and facial_expressions (not on video)", help="the data, in a phrase"
    )
    parser.add_argument("--licence", default=LICENCE, help="of the weights")
    parser.add_argument(
        "--default-prior",
        type=float,
        metavar="POWER",
        help="answer under the training prior to this power; 0 is balanced",
    )
    parser.add_argument("--mirror", action="store_true", help="average clips with their mirror images")
    parser.add_argument("--out", type=Path, default=FOLDER / f"{DEFAULT}.safetensors", help="the file to write")
    parser.add_argument("--history", type=Path, default=Path("docs/pretrained_runs.json"), help="the runs' records")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    history = training_history(options.fold)
    info = publish_weights(
        fold_checkpoint(options.fold),
        options.data,
        options.out,
        described=options.described,
        licence=options.licence,
        default_prior=options.default_prior,
        mirror=options.mirror,
    )
    write_json(options.history, history)
    print(f"{options.out}: {options.out.stat().st_size / 1e6:.2f} MB, SHA-256 {sha256_of(options.out)}")
    metrics = {name: value for name, value in info.metrics.items() if name.startswith("test_")}
    print(f"temperature {info.temperature:.3f}", *(f"{name} {value:.4f}" for name, value in metrics.items()))
    for name, prior in info.priors.items():
        shares = ", ".join(f"{label} {share:.3f}" for label, share in prior["shares"].items())
        print(f"prior {name}: temperature {prior['temperature']:.3f}; {shares}")


if __name__ == "__main__":
    run_script(main)
