"""Speed of training on this machine, at the true lengths of a data set's clips, beside a plain PyTorch loop.

The store is generated: as many clips and frames as the data set has, or a share of them, with random content. The
engine's own parts are measured (feed, augmentation, step), with each feed that the machine has room for.
"""

from __future__ import annotations

import gc
import itertools
import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch

from dfer.batches.loaders import DEVICE_SHARE, FeedKind, choose_feed, crop_bytes
from dfer.batches.prefetch import on_device
from dfer.batches.sampling import in_batches, training_plan
from dfer.bench.plain_training import plain_steps
from dfer.bench.random_store import DFEW_FOLD_1, clip_lengths, generate_store
from dfer.bench.timing import StepTimes, measure_peak_flops, time_steps
from dfer.errors import DferError
from dfer.model.complexity import count_gmacs
from dfer.recipe import Recipe, load_recipe, shipped_recipes
from dfer.runtime.device import choose_device, describe_machine, free_device_memory
from dfer.runtime.machine import load_average
from dfer.store import Store
from dfer.training import FoldTrainer
from dfer.training.distributed import Peers
from dfer.training.feeds import open_feeds

# The number format, and for each step the clips and the seconds it waited for them.
Steps = tuple[str, Iterator[tuple[int, float]]]

SCHEMA = "dfer.bench.training/1"
RECIPE = "dfew.yaml"
PLAIN = "plain loop"
BUSY = 0.5  # a load that is not ours
TRAINING_FACTOR = 3  # a backward pass costs two forward passes
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
    feeds: Sequence[FeedKind] | None = None,
    overrides: Sequence[str] = (),
    folder: Path | None = None,
    on_step: Callable[[str], None] = lambda _line: None,
) -> dict[str, Any]:
    """Measure training by recipes/dfew.yaml.

    Args:
        device: "auto", "cpu" or "cuda".
        batch_size: clips in a batch; None for 256 on a GPU, 8 on a CPU.
        image_size: S, also the side of the stored crops.
        seconds: for each case, after two steps for warming up.
        scale: share of the data set's clips to generate; None for all on a GPU, 0.02 on a CPU.
        frame_counts: CSV with a column `num_frames`, a row per clip; None for lengths like DFEW's.
        feeds: which to measure; None for the streamed one and the fastest that fits.
        overrides: further changes of the recipe, KEY=VALUE.
        folder: where the store is generated, and left; None for a temporary one.
        on_step: called with a line on what is done next.

    Returns:
        `dfer.bench.training/1`, see docs/cli.md.

    Raises:
        DferError: no such device, recipe or share, or a count file that cannot be read.
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
        changes += [f"data.path={root}", "data.val_fraction=0"]
        recipe = load_recipe(shipped_recipes() / RECIPE, changes)
        on_step(f"generating {len(lengths):,} clips, {sum(lengths):,} crops of {image_size} pixels")
        store = generate_store(root, lengths, image_size)
        measure = partial(_measure, recipe=recipe, device=chosen, seconds=seconds, on_step=on_step)
        cases = []
        for kind in feeds or _feeds(store, chosen):
            on_step(f"the engine, clips from: {kind}")
            start = partial(_engine_steps, store=store, device=chosen, kind=kind, folder=Path(temporary))
            cases.append({"name": kind, **measure(start)})
        on_step("a plain float32 loop over DataLoader and PIL")
        cases.append({"name": PLAIN, **measure(partial(_plain_steps, store=store, device=chosen))})
        gmacs = _gmacs(recipe, store, Path(temporary))
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


def _feeds(store: Store, device: torch.device) -> list[FeedKind]:
    room = DEVICE_SHARE * free_device_memory(device)
    return ["stream", choose_feed(crop_bytes(store, store.rows), memory_bytes=math.inf, device_bytes=room)]


def _trainer(recipe: Recipe, store: Store, run: Path, device: torch.device) -> FoldTrainer:
    return FoldTrainer(recipe, store, 1, run, device=device, resume=False)


def _gmacs(recipe: Recipe, store: Store, folder: Path) -> float:
    model = _trainer(recipe, store, folder / "gmacs", torch.device("cpu")).model
    return count_gmacs(model, recipe.model.num_frames, recipe.model.image_size)


def _engine_steps(recipe: Recipe, *, store: Store, device: torch.device, kind: FeedKind, folder: Path) -> Steps:
    recipe = recipe.model_copy(update={"train": recipe.train.model_copy(update={"feed": kind})})
    trainer = _trainer(recipe, store, folder / kind, device)
    rows, stepper = trainer.train_rows, trainer.stepper
    lengths = [row.num_frames for row in rows]
    feeds = open_feeds(store, rows, [], recipe.train, device=device, peers=Peers(), on_load=lambda *_: None)
    trainer.model.train()

    def steps() -> Iterator[tuple[int, float]]:
        for epoch in itertools.count():
            plan = training_plan(lengths, recipe.model.num_frames, recipe.data.segments, [epoch])
            batches = in_batches(plan, recipe.train.batch_size)
            if epoch == 0:  # warming up: each size of batch is compiled by itself
                batches = [batches[0], batches[-1]]
            parts = [batch[part.clips] for batch in batches for part in stepper.parts(len(batch))]
            frames = on_device(feeds.train.batches(parts), device)
            for number, batch in enumerate(batches):
                chosen = [rows[clip] for clip, _ in batch]
                outcome = stepper.run(frames, chosen, epoch=0, step=number, steps=len(batches), stop=False)
                yield len(batch), outcome.waited_s

    return "bfloat16" if trainer.dtype == torch.bfloat16 else "float32", steps()


def _plain_steps(recipe: Recipe, *, store: Store, device: torch.device) -> Steps:
    return "float32", plain_steps(recipe, store, device)


def _measure(
    start: Callable[[Recipe], Steps],
    recipe: Recipe,
    *,
    device: torch.device,
    seconds: float,
    on_step: Callable[[str], None],
) -> dict[str, Any]:
    """A row of the result, with the largest batch that fits: the recipe's, or a half of it, or a half of that.

    Args:
        start: begins the case.
    """
    batch_size = recipe.train.batch_size
    while True:
        tried = recipe.model_copy(update={"train": recipe.train.model_copy(update={"batch_size": batch_size})})
        try:
            dtype, times = _time(start, tried, device, seconds)
            return {"dtype": dtype, "batch_size": batch_size, **asdict(times)}
        except torch.OutOfMemoryError as error:
            if batch_size == 1:
                raise DferError("not even one clip fits in the device's memory", where=str(device)) from error
        finally:
            gc.collect()  # the crops and the model
        batch_size //= 2
        on_step(f"the device's memory is full: batches of {batch_size}")


def _time(
    start: Callable[[Recipe], Steps], recipe: Recipe, device: torch.device, seconds: float
) -> tuple[str, StepTimes]:
    dtype, steps = start(recipe)
    return dtype, time_steps(steps, device, seconds)
