"""The tables of `dfer bench`."""

from __future__ import annotations

import math
from typing import Any

from rich.table import Table

from dfer.drawing.tables import new_table, with_notes
from dfer.runtime.formatting import pluralize


def bench_table(result: dict[str, Any]) -> Table:
    """Return parameters, GMACs and speeds of the models.

    Args:
        result: of `dfer.bench.bench_models`.
    """
    table = new_table(result["machine"])
    table.add_column("model", no_wrap=True)
    table.add_column("attention", no_wrap=True)
    for heading in ("params\nM", "GMACs\n16 fr.", "GMACs\n64 fr.", "fp32", "bf16", "train"):
        table.add_column(heading, justify="right")
    table.add_column("fp32\nrel.", justify="right", style="bold")
    for row in result["models"]:
        table.add_row(
            row["name"],
            row["attention"],
            f"{row['parameters'] / 1e6:.2f}",
            f"{row['gmacs']:.2f}",
            f"{row['gmacs_64_frames']:.1f}",
            *(f"{row[key]:.2f}" for key in ("forward_float32", "forward_bf16", "training")),
            f"{row['relative']:.2f}",
        )
    batch = pluralize(result["batch_size"], "clip")
    return with_notes(table, [f"fp32, bf16, train: clips/s, {batch} at a time; 1 GMAC is 2 GFLOPs"])


def preprocess_bench_table(result: dict[str, Any]) -> Table:
    """Return speeds, landmarks and projected hours.

    Args:
        result: `dfer.bench.preprocess/1`.
    """
    table = new_table(result["machine"])
    table.add_column("", no_wrap=True)
    for heading in ("frames/s", "clips/s", "x plain\nloop", "x 1\ncore", "peak MB\na worker", "start\ns"):
        table.add_column(heading, justify="right")
    plain = result["plain_loop"]
    table.add_row("plain loop", f"{plain['frames_per_s']:.1f}", f"{plain['clips_per_s']:.2f}", "1.00", "", "", "")
    for row in result["workers"]:
        table.add_row(
            f"{pluralize(row['workers'], 'worker')}, {pluralize(row['cores'], 'core')}",
            f"{row['frames_per_s']:.1f}",
            f"{row['clips_per_s']:.2f}",
            f"{row['ratio_to_plain_loop']:.2f}",
            f"{row['speed_up']:.2f}",
            "" if row["peak_bytes"] is None else f"{row['peak_bytes'] / 1e6:.0f}",
            f"{row['start_s']:.1f}",
        )
    lines = [f"{len(result['videos'])} videos, {sum(video['frames'] for video in result['videos'])} frames"]
    marks = result["landmarks"]
    if marks["frames"]:
        lines.append(
            f"landmarks: {marks['median']:.2%} of the inter-ocular distance from detection in every frame (median), "
            f"{marks['share_near']:.0%} of {marks['frames']} frames within {marks['near']:.0%}"
        )
    lines += [
        f"{name}: {work['hours']:.1f} h for {work['clips']:,} clips, {work['frames']:,} frames"
        for name, work in result["projected_hours"].items()
    ]
    return with_notes(table, lines)


def memory_table(result: dict[str, Any]) -> Table:
    """Return a worker's memory over a long video, or over many small clips.

    Args:
        result: `dfer.bench.memory/1`.
    """
    height, width = result["size_hw"]
    table = new_table(result["machine"])
    table.show_header = False
    table.add_column()
    table.add_column(justify="right")
    each = "" if result["clips"] == 1 else " each"
    table.add_row(pluralize(result["clips"], "clip"), f"{60 * result['minutes']:,.1f} s of {width}x{height}{each}")
    table.add_row("frames", f"{result['frames']:,}")
    table.add_row("crops", f"{result['crops']:,}")
    table.add_row("frames/s", f"{result['frames'] / result['seconds']:.1f}")
    for moment, key in (("before", "start"), ("after the first clip", "first"), ("peak", "peak"), ("limit", "limit")):
        value = result[f"{key}_bytes"]
        table.add_row(f"memory {moment}", "?" if value is None else f"{value / 1e6:,.0f} MB")
    return with_notes(table, [])


def feed_table(result: dict[str, Any]) -> Table:
    """Return the speed of reading and decoding clips, and its limit by Python's lock.

    Args:
        result: `dfer.bench.feed/1`.
    """
    table = new_table(result["machine"])
    table.add_column("", no_wrap=True)
    for heading in ("clips/s", "ms of a core\na clip"):
        table.add_column(heading, justify="right")
    for case in result["cases"]:
        table.add_row(pluralize(case["workers"], "thread"), f"{case['clips_per_s']:.0f}", f"{case['core_ms']:.3f}")
    core_ms, locked_ms = result["cases"][0]["core_ms"], result["locked_ms"]
    table.add_row("a whole core", f"{1000 / core_ms:.0f}", f"{core_ms:.3f}")
    table.add_row("Python alone", f"{1000 / locked_ms:.0f}", f"{locked_ms:.3f}")
    lines = [
        f"{result['clips']:,} random clips, {result['num_frames']} crops of {result['image_size']} pixels of each",
        "a whole core: by the time that the processor worked for one thread, whatever else it did",
        "Python alone, without reading and decoding: no number of threads is faster, as one at a time runs it",
    ]
    return with_notes(table, lines)


def step_table(result: dict[str, Any]) -> Table:
    """Return bytes and FLOPs of each part of a step, the copies and what Python waits for.

    Args:
        result: `dfer.bench.step/1`.
    """
    table = new_table(f"{result['recipe']}, {pluralize(result['batch_size'], 'clip')}, {result['precision']}")
    table.add_column("part", no_wrap=True)
    for heading in ("MB a clip", "fused", "GFLOP\na clip"):
        table.add_column(heading, justify="right")
    parts = sorted(result["parts"], key=lambda part: -part["bytes"])
    total = {"name": "all", **{key: sum(part[key] for part in parts) for key in ("bytes", "fused_bytes", "flops")}}
    for part in [*parts, total]:
        flops = f"{part['flops'] / 1e9:.2f}" if part["flops"] else ""
        table.add_row(part["name"], f"{part['bytes'] / 1e6:.1f}", f"{part['fused_bytes'] / 1e6:.1f}", flops)
    copies = (f"{len(sizes)} ({sum(sizes):,} bytes)" for sizes in (result["copies_in"], result["copies_out"]))
    lines = [
        "traced with fake tensors, not measured; fused: as if a compiler fused all that it can",
        f"copies to the GPU {next(copies)}, from it {next(copies)}",
        f"operators that Python waits for: {', '.join(result['synchronisations']) or 'none'}",
    ]
    return with_notes(table, lines)


_HEADINGS = (
    "clips\n/s", "epoch\ns", "data\nwait", "step\nms", "main\nGB", "device\nGB", "TFLOP\n/s", "of\npeak",
    "x plain\nloop",
)  # fmt: skip
_FORMATS = {"float32": "fp32", "bfloat16": "bf16"}


def training_bench_table(result: dict[str, Any]) -> Table:
    """Return speed, waiting time, memory and FLOP/s of each loader, and of the plain loop.

    Args:
        result: `dfer.bench.training/1`.
    """
    table = new_table(result["machine"])
    table.add_column("clips from", no_wrap=True)
    for heading in _HEADINGS:
        table.add_column(heading, justify="right", style="bold" if heading == _HEADINGS[0] else "")
    for case in result["cases"]:
        table.add_row(
            f"{case['name']}, {_FORMATS[case['dtype']]}",
            _three_digits(case["clips_per_s"]),
            _three_digits(case["epoch_s"]),
            f"{case['data_wait']:.1%}",
            f"{case['step_ms']:.0f}",
            _gigabytes(case["memory_bytes"]),
            _gigabytes(case["device_memory_bytes"]),
            f"{case['flops'] / 1e12:.3g}",
            f"{case['utilisation']:.0%}",
            f"{case['relative']:.2f}",
        )
    store, peaks = result["store"], result["peak_flops"]
    measured = ", ".join(f"{_FORMATS[dtype]} {peaks[dtype] / 1e12:.3g}" for dtype in sorted(peaks))
    lines = [
        "epoch: DFEW's fold 1 at this speed",
        f"{result['model']}, {result['image_size']} pixels, {result['gmacs']:.2f} GMACs, "
        f"batches of {pluralize(result['batch_size'], 'clip')}",
        f"{store['clips']:,} clips, {store['crops']:,} crops of random content, {store['bytes'] / 1e9:.1f} GB decoded",
        f"peak: the best of large matrix products, TFLOP/s: {measured}",
        "TFLOP/s: a step counts as three forward passes",
    ]
    lines += [
        f"{case['name']}: batches of {case['batch_size']}, more do not fit"
        for case in result["cases"]
        if case["batch_size"] != result["batch_size"]
    ]
    return with_notes(table, lines)


def _three_digits(value: float) -> str:
    return f"{value:,.{max(0, 2 - math.floor(math.log10(value)))}f}" if value < 100 else f"{value:,.0f}"


def _gigabytes(size: int | None) -> str:
    if size is None:
        return "?"
    return f"{size / 1e9:.1f}" if size else ""
