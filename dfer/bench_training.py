"""Speed of training on this machine, at the true lengths of a data set's clips, beside a plain PyTorch loop.

The store is generated: as many clips and frames as the data set has, or a fraction of them, with random content. The
engine's own parts are measured (feed, augmentation, step), with each feed that the machine has room for.
"""

from __future__ import annotations

import csv
import itertools
import math
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from dfer.batches import FeedKind, choose_feed, crop_bytes, in_batches, on_device, training_plan
from dfer.complexity import count_gmacs
from dfer.device import choose_device, describe_machine, free_device_memory, used_memory
from dfer.errors import UsageError
from dfer.faces.align import alignment_settings
from dfer.labels import DFEW_LABELS
from dfer.machine import usable_cores, used_memory_bytes
from dfer.model import MODELS
from dfer.plain_loop import plain_steps
from dfer.recipe import Recipe, load_recipe
from dfer.store import (
    CropRecord,
    DatasetInfo,
    ManifestRow,
    Store,
    clip_path,
    open_store,
    write_clip,
    write_info,
    write_manifest,
)
from dfer.training import FoldTrainer
from dfer.training.distributed import Peers
from dfer.training.feeds import open_feeds
from dfer.version import __version__

DFEW_CLIPS, DFEW_FOLD_1 = 11_697, 9_356
MEAN_FRAMES, MOST_FRAMES = 77, 847  # of DFEW's clips
TRAINING_FACTOR = 3  # a backward pass costs two forward passes
WARM_UP_STEPS = 2


def bench_training(
    *,
    device: str = "auto",
    batch_size: int = 256,
    model: str = "logo_former_s",
    image_size: int = 112,
    seconds: float = 30.0,
    scale: float = 1.0,
    frame_counts: Path | None = None,
    feeds: Sequence[FeedKind] | None = None,
    overrides: Sequence[str] = (),
    folder: Path | None = None,
    on_case: Callable[[str], None] = lambda _line: None,
) -> dict[str, Any]:
    """Measure training by recipes/dfew.yaml.

    Args:
        device: "auto", "cpu" or "cuda".
        batch_size: clips in a batch.
        model: "logo_former_s" or "logo_former_b".
        image_size: S, also the side of the stored crops.
        seconds: for each case, after two steps for warming up.
        scale: share of the data set's clips to generate.
        frame_counts: CSV with a column `num_frames`, a row per clip; None for lengths like DFEW's, drawn from a seed.
        feeds: which to measure; None for the streamed one and the fastest that fits.
        overrides: further changes of the recipe, KEY=VALUE.
        folder: where the store is generated, and left; None for a temporary one.
        on_case: called with a line on what is done next.

    Returns:
        `dfer.bench.training/1`: "machine", "store", "peak_flops", "gmacs", "cases": a row each with "name",
        "clips_per_s", "epoch_s" (DFEW's fold 1 at this speed), "data_wait" (share of the time), "step_ms" (the rest),
        "memory_bytes" (main, the most seen), "device_memory_bytes", "flops", "utilisation" (of the peak), "relative"
        (speed relative to the plain loop, the last row).

    Raises:
        DferError: no such device or model, or a count file that cannot be read.
    """
    chosen = choose_device(device)
    if not 0 < scale <= 1:
        raise UsageError(f"a share of the clips is above 0 and at most 1, not {scale:g}", where="--scale")
    counts = _counts(frame_counts, scale)
    with tempfile.TemporaryDirectory(prefix="dfer-bench-") as temporary:
        root = folder or Path(temporary) / "store"
        on_case(f"generating {len(counts):,} clips, {sum(counts):,} crops of {image_size} pixels")
        store = _generate_store(root, counts, image_size)
        changes = [
            f"data.path={root}", "data.val_fraction=0", f"model.name={model}", f"model.image_size={image_size}",
            f"train.batch_size={batch_size}", *overrides,
        ]  # fmt: skip
        recipe = load_recipe(Path("recipes/dfew.yaml"), changes)
        cases = []
        for kind in feeds or _feeds(store, chosen):
            on_case(f"the engine, clips from: {kind}")
            cases.append(_measure_engine(recipe, store, chosen, kind, seconds, Path(temporary)))
        on_case("a plain float32 loop over DataLoader and PIL")
        plain = {"name": "plain loop", "dtype": "float32"}
        cases.append(plain | _timed(plain_steps(recipe, store, chosen), chosen, seconds))
    size = recipe.model
    gmacs = count_gmacs(MODELS[model](num_classes=7, image_size=image_size), size.num_frames, image_size)
    peaks = {dtype: _peak_flops(chosen, getattr(torch, dtype)) for dtype in {case["dtype"] for case in cases}}
    for case in cases:
        case["flops"] = case["clips_per_s"] * gmacs * 2e9 * TRAINING_FACTOR
        case["utilisation"] = case["flops"] / peaks[case["dtype"]]
        case["epoch_s"] = DFEW_FOLD_1 / case["clips_per_s"]
        case["relative"] = case["clips_per_s"] / cases[-1]["clips_per_s"]
    return {
        "schema": "dfer.bench.training/1",
        "machine": describe_machine(chosen),
        "model": model,
        "gmacs": gmacs,
        "batch_size": batch_size,
        "seconds": seconds,
        "store": {"clips": len(counts), "crops": sum(counts), "bytes": crop_bytes(store, store.rows), "scale": scale},
        "peak_flops": peaks,
        "cases": cases,
    }


def training_bench_rows(result: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Headings and rows of a table of `bench_training`'s result."""
    headings = [
        "feed", "format", "clips/s", "DFEW epoch s", "data wait", "step ms", "memory GB", "device GB", "TFLOP/s",
        "of peak", "relative",
    ]  # fmt: skip
    rows = [
        [
            case["name"],
            case["dtype"],
            f"{case['clips_per_s']:.1f}",
            f"{case['epoch_s']:.1f}",
            f"{case['data_wait']:.1%}",
            f"{case['step_ms']:.0f}",
            f"{case['memory_bytes'] / 1e9:.1f}",
            f"{case['device_memory_bytes'] / 1e9:.1f}",
            f"{case['flops'] / 1e12:.3g}",
            f"{case['utilisation']:.0%}",
            f"{case['relative']:.2f}",
        ]
        for case in result["cases"]
    ]
    return headings, rows


# ---- the store


def _counts(path: Path | None, scale: float) -> list[int]:
    """Frames of each clip: a share of the file's, evenly chosen, or drawn."""
    if path is None:
        rng = np.random.default_rng(0)
        drawn = rng.lognormal(0.0, 0.6, max(2, round(DFEW_CLIPS * scale)))
        return [int(n) for n in (drawn * MEAN_FRAMES / drawn.mean()).round().clip(8, MOST_FRAMES)]
    try:
        with path.open(newline="") as file:
            counts = [int(row["num_frames"]) for row in csv.DictReader(file)]
    except (OSError, KeyError, ValueError) as error:
        raise UsageError("no CSV with a column num_frames", where=path) from error
    counts = [count for count in counts if count > 0]
    wanted = max(2, round(len(counts) * scale))
    if len(counts) < wanted:
        raise UsageError("no clips in this file", where=path)
    return [counts[number * len(counts) // wanted] for number in range(wanted)]


def _generate_store(root: Path, counts: Sequence[int], size: int) -> Store:
    """A store of one fold, four fifths of it to train on; smooth random crops, as large as JPEGs of faces are."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (64, max(2, size // 4), max(2, size // 4), 3), np.uint8)
    crops = [np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC)) for image in coarse]
    alignment = alignment_settings(size)
    write_info(root, DatasetInfo("bench", list(DFEW_LABELS), 1, size, alignment, "none", "random", __version__))

    def write(number: int) -> ManifestRow:
        count, label = counts[number], number % len(DFEW_LABELS)
        record = CropRecord(list(range(count)), [n / 25 for n in range(count)], [[0.0] * 4] * count, [True] * count)
        chosen = (crops[(number + 7 * n) % len(crops)] for n in range(count))
        digest = write_clip(clip_path(root, f"{number}"), chosen, record)
        folds = {1: "test" if number % 5 == 4 else "train"}
        return ManifestRow(f"{number}", label, DFEW_LABELS[label], "ok", folds, count, 25.0, sha256=digest)

    with ThreadPoolExecutor(usable_cores()) as pool:
        write_manifest(root / "manifest.csv", list(pool.map(write, range(len(counts)))))
    return open_store(root)


def _feeds(store: Store, device: torch.device) -> list[FeedKind]:
    room = free_device_memory(device)
    fastest = choose_feed(crop_bytes(store, store.rows), memory_bytes=math.inf, device_bytes=0.6 * room)
    return ["stream", fastest]


# ---- the engine


def _measure_engine(
    recipe: Recipe, store: Store, device: torch.device, kind: FeedKind, seconds: float, folder: Path
) -> dict[str, Any]:
    recipe = recipe.model_copy(update={"train": recipe.train.model_copy(update={"feed": kind})})
    trainer = FoldTrainer(recipe, store, 1, folder / kind, device=device, resume=False)
    rows = trainer.train_rows
    lengths = [row.num_frames for row in rows]
    feeds = open_feeds(
        store, rows, [], recipe.train, device=device, peers=Peers(), on_load=lambda _done, _total: None
    )  # fmt: skip
    trainer.model.train()

    def steps() -> Iterator[tuple[int, float]]:
        """Clips and waiting time of one step after the other, epoch after epoch."""
        for epoch in itertools.count():
            plan = training_plan(lengths, recipe.model.num_frames, recipe.data.segments, [epoch])
            batches = in_batches(plan, recipe.train.batch_size)
            parts = [batch[part.clips] for batch in batches for part in trainer.stepper.parts(len(batch))]
            frames = on_device(feeds.train.batches(parts), device)
            for number, batch in enumerate(batches):
                chosen = [rows[clip] for clip, _ in batch]
                outcome = trainer.stepper.run(frames, chosen, epoch=0, step=number, steps=len(batches), stop=False)
                yield len(batch), outcome.waited_s

    dtype = "bfloat16" if trainer.dtype == torch.bfloat16 else "float32"
    return {"name": kind, "dtype": dtype, **_timed(steps(), device, seconds)}


def _timed(steps: Iterator[tuple[int, float]], device: torch.device, seconds: float) -> dict[str, Any]:
    for _ in range(WARM_UP_STEPS):
        next(steps)
    _wait_for(device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    begun, clips, count, waited, memory = time.perf_counter(), 0, 0, 0.0, 0
    while time.perf_counter() - begun < seconds or not count:
        done, wait = next(steps)
        clips, count, waited = clips + done, count + 1, waited + wait
        memory = max(memory, used_memory_bytes())
    _wait_for(device)
    spent = time.perf_counter() - begun
    return {
        "clips_per_s": clips / spent,
        "data_wait": waited / spent,
        "step_ms": 1000 * (spent - waited) / count,
        "steps": count,
        "memory_bytes": memory,
        "device_memory_bytes": used_memory(device) if device.type == "cuda" else 0,
    }


# ---- the machine's limit


def _peak_flops(device: torch.device, dtype: torch.dtype) -> float:
    """FLOP/s of the best of some large matrix products."""
    side = 8192 if device.type == "cuda" else 1024
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    best = math.inf
    for _ in range(10):
        _wait_for(device)
        begun = time.perf_counter()
        a @ b
        _wait_for(device)
        best = min(best, time.perf_counter() - begun)
    return 2 * side**3 / best


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
