"""The table of `dfer bench train`."""

from __future__ import annotations

import math
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from dfer.report.tables import new_table
from dfer.report.wording import counted

_HEADINGS = (
    "clips\n/s", "epoch\ns", "data\nwait", "step\nms", "main\nGB", "device\nGB", "TFLOP\n/s", "of\npeak",
    "x plain\nloop",
)  # fmt: skip
_FORMATS = {"float32": "fp32", "bfloat16": "bf16"}


def training_bench_table(result: dict[str, Any]) -> RenderableType:
    """Speed, waiting, memory and FLOP/s of each feed, and of the plain loop.

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
        f"batches of {counted(result['batch_size'], 'clip')}",
        f"{store['clips']:,} clips, {store['crops']:,} crops of random content, {store['bytes'] / 1e9:.1f} GB decoded",
        f"peak: the best of large matrix products, TFLOP/s: {measured}",
        "TFLOP/s: a step counts as three forward passes",
    ]
    lines += [
        f"{case['name']}: batches of {case['batch_size']}, more do not fit"
        for case in result["cases"]
        if case["batch_size"] != result["batch_size"]
    ]
    return Group(table, *(Text(line) for line in lines))


def _three_digits(value: float) -> str:
    return f"{value:,.{max(0, 2 - math.floor(math.log10(value)))}f}" if value < 100 else f"{value:,.0f}"


def _gigabytes(size: int | None) -> str:
    if size is None:
        return "?"
    return f"{size / 1e9:.1f}" if size else ""
