"""Measure the speed of training on this machine, at the true clip lengths of a data set, beside a plain PyTorch loop.

The store is generated: as many clips and frames as the data set has, or a share of them, with random content. What is
measured is a run of training itself, with its losses, saved states and validation; only its screen is left out.
"""

from __future__ import annotations

import gc
import itertools
import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from dfer.batches.crops import CropLocation, choose_location, crop_bytes
from dfer.bench.plain_training import plain_steps
from dfer.bench.random_store import DFEW_FOLD_1, clip_lengths, generate_store
from dfer.bench.timing import measure_peak_flops, time_steps
from dfer.errors import DferError
from dfer.model.build import build_model
from dfer.model.complexity import count_gmacs
from dfer.recipe import Recipe, load_recipe, shipped_recipes
from dfer.runtime.device import choose_device, describe_machine, free_device_memory
from dfer.runtime.machine import load_average
from dfer.store import Store
from dfer.training.loop import FoldTrainer

SCHEMA = "dfer.bench.training/1"
RECIPE = "dfew.yaml"
PLAIN = "plain loop"
_ENDLESS = 1_000_000  # epochs
BUSY = 0.5  # load average from which other work disturbs the measurement
TRAINING_FACTOR = 3  # a backward pass takes as many operations as two forward passes
# Clips in a batch, and the share of DFEW's clips, by kind of device.
DEFAULT_BATCH_SIZE = {"cuda": 256, "cpu": 8}
DEFAULT_SCALE = {"cuda": 1.0, "cpu": 0.02}


def bench_training(
    *,
    device: str = "auto",
    batch_size: int | None = None,
    image_size: int = 112,
    seconds: float = 30.0,
    scale: float | None = None,
    frame_counts: Path | None = None,
    feeds: Sequence[CropLocation] | None = None,
    overrides: Sequence[str] = (),
    folder: Path | None = None,
    on_step: Callable[[str], None] = lambda _line: None,
) -> dict[str, Any]:
    """Measure training by recipes/dfew.yaml.

    Args:
        device: "auto", "cpu" or "cuda".
        batch_size: clips in a batch; None for 256 on a GPU, 8 on a CPU.
        image_size: S, also the side of the stored crops.
        seconds: duration of each case, after two steps for warming up.
        scale: share of the data set's clips to generate; None for all on a GPU, 0.02 on a CPU.
        frame_counts: CSV with a column `num_frames`, a row per clip; None for lengths like DFEW's.
        feeds: values of `train.feed` to measure; None for "stream" and the fastest that fits.
        overrides: further changes of the recipe, KEY=VALUE.
        folder: the folder to generate the store in, which is kept; None for a temporary one.
        on_step: called with a line that says what is done next.

    Returns:
        `dfer.bench.training/1`, see docs/cli.md.

    Raises:
        DferError: there is no such device or recipe, the share is invalid, or the count file cannot be read.
    """
    chosen = choose_device(device)
    batch_size = batch_size or DEFAULT_BATCH_SIZE[chosen.type]
    scale = DEFAULT_SCALE[chosen.type] if scale is None else scale
    lengths = clip_lengths(frame_counts, scale)
    load = load_average()
    if load > BUSY:
        on_step(f"other work is using this machine (load {load:.1f}): speeds will be too low, and their ratios off")
    with tempfile.TemporaryDirectory(prefix="dfer-bench-") as temporary:
        root = folder or Path(temporary) / "store"
        changes = [f"model.image_size={image_size}", f"train.batch_size={batch_size}", *overrides]
        changes.append(f"data.path={root}")
        recipe = load_recipe(shipped_recipes() / RECIPE, changes)
        on_step(f"generating {len(lengths):,} clips, {sum(lengths):,} crops of {image_size} pixels")
        store = generate_store(root, lengths, image_size)
        measure = partial(_measure, recipe=recipe, device=chosen, on_step=on_step)
        options: dict[str, Any] = {"store": store, "device": chosen, "seconds": seconds}
        cases = []
        for location in feeds or _locations(store, chosen):
            on_step(f"dfer's own training, clips from: {location}")
            runs = Path(temporary) / location
            cases.append({"name": location, **measure(partial(_engine_times, location=location, runs=runs, **options))})
        on_step("a plain float32 loop over DataLoader and PIL")
        cases.append({"name": PLAIN, **measure(partial(_plain_times, **options))})
        model = build_model(recipe.model, store.info.labels)
        gmacs = count_gmacs(model, recipe.model.num_frames, recipe.model.image_size)
    on_step("the device's peak")
    peaks = {dtype: measure_peak_flops(chosen, getattr(torch, dtype)) for dtype in {case["dtype"] for case in cases}}
    for case in cases:
        case["flops"] = case["clips_per_s"] * gmacs * 2e9 * TRAINING_FACTOR
        case["utilisation"] = case["flops"] / peaks[case["dtype"]]
        case["epoch_s"] = DFEW_FOLD_1 / case["clips_per_s"]
        case["relative"] = case["clips_per_s"] / cases[-1]["clips_per_s"]
    return {
        "schema": SCHEMA,
        "machine": describe_machine(chosen),
        "load_before": load,
        "model": recipe.model.name,
        "gmacs": gmacs,
        "image_size": recipe.model.image_size,
        "batch_size": recipe.train.batch_size,
        "seconds": seconds,
        "store": {"clips": len(lengths), "crops": sum(lengths), "bytes": crop_bytes(store, store.rows), "scale": scale},
        "peak_flops": peaks,
        "cases": cases,
    }


def _locations(store: Store, device: torch.device) -> list[CropLocation]:
    room = free_device_memory(device) / 2
    return ["stream", choose_location(crop_bytes(store, store.rows), memory_bytes=math.inf, device_bytes=room)]


def _engine_times(
    recipe: Recipe, *, store: Store, device: torch.device, seconds: float, location: CropLocation, runs: Path
) -> dict[str, Any]:
    """Time the steps of a real run, with reading losses, saving and validation; see `time_steps`."""
    settings = recipe.train.model_copy(update={"feed": location, "epochs": _ENDLESS})
    recipe = recipe.model_copy(update={"train": settings})
    trainer = FoldTrainer(recipe, store, 1, runs, device=device, resume=False)
    train_loader, val_loader, _ = trainer.open_loaders()

    def last_steps(start: int) -> Iterator[tuple[int, float]]:
        trainer.state.step, waited = start, 0.0
        for clips in trainer.steps(train_loader, val_loader):
            yield clips, train_loader.waited_s - waited if clips else 0.0
            waited = train_loader.waited_s if clips else 0.0

    def steps() -> Iterator[tuple[int, float]]:
        # Each batch size is compiled separately: warm up with the first batch, with the last, which may be smaller, and
        # with validation. Then the end of an epoch comes early, so that it is measured in any case.
        last = len(train_loader) - 1
        yield from itertools.islice(last_steps(0), 1)
        yield from itertools.islice(last_steps(last), 2)
        yield from last_steps(last)

    epoch_clips = round(settings.epoch_share * len(trainer.train_rows))
    times = time_steps(steps(), device, seconds, warm_up=3, epoch_clips=epoch_clips)
    return {"dtype": "bfloat16" if trainer.dtype == torch.bfloat16 else "float32", **times}


def _plain_times(recipe: Recipe, *, store: Store, device: torch.device, seconds: float) -> dict[str, Any]:
    return {"dtype": "float32", **time_steps(plain_steps(recipe, store, device), device, seconds)}


def _measure(
    times: Callable[[Recipe], dict[str, Any]], recipe: Recipe, *, device: torch.device, on_step: Callable[[str], None]
) -> dict[str, Any]:
    """Return a row of the result, with the largest batch that fits: the recipe's, halved as often as necessary.

    Args:
        times: measures the case with a recipe.
        recipe: training settings.
        device: the device to train on.
        on_step: called with a line that says what is done next.
    """
    batch_size = recipe.train.batch_size
    while True:
        tried = recipe.model_copy(update={"train": recipe.train.model_copy(update={"batch_size": batch_size})})
        try:
            return {"batch_size": batch_size, **times(tried)}
        except torch.OutOfMemoryError as error:
            if batch_size == 1:
                raise DferError("out of memory: not even one clip fits", where=str(device)) from error
        finally:
            gc.collect()  # frees the crops and the model
        batch_size //= 2
        on_step(f"out of memory: trying batches of {batch_size}")
