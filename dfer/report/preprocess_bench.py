"""Tables of `dfer bench preprocess`."""

from __future__ import annotations

from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from dfer.report.wording import counted


def preprocess_bench_table(result: dict[str, Any]) -> RenderableType:
    """Speeds, landmarks and projected hours.

    Args:
        result: `dfer.bench.preprocess/1`.
    """
    table = Table(title=result["machine"], title_justify="left")
    table.add_column("", no_wrap=True)
    for heading in ("frames/s", "clips/s", "x plain\nloop", "x 1\ncore", "peak MB\na worker", "start\ns"):
        table.add_column(heading, justify="right")
    plain = result["plain_loop"]
    table.add_row("plain loop", f"{plain['frames_per_s']:.1f}", f"{plain['clips_per_s']:.2f}", "1.00", "", "", "")
    for row in result["workers"]:
        table.add_row(
            f"{counted(row['workers'], 'worker')}, {counted(row['cores'], 'core')}",
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
    return Group(table, *(Text(line) for line in lines))


def memory_table(result: dict[str, Any]) -> RenderableType:
    """A worker's memory over a long video, or over many small clips.

    Args:
        result: `dfer.bench.memory/1`.
    """
    height, width = result["size_hw"]
    table = Table(title=result["machine"], title_justify="left", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    each = "" if result["clips"] == 1 else " each"
    table.add_row(counted(result["clips"], "clip"), f"{60 * result['minutes']:,.1f} s of {width}x{height}{each}")
    table.add_row("frames", f"{result['frames']:,}")
    table.add_row("crops", f"{result['crops']:,}")
    table.add_row("frames/s", f"{result['frames'] / result['seconds']:.1f}")
    for moment, key in (("before", "start"), ("after the first clip", "first"), ("peak", "peak"), ("limit", "limit")):
        value = result[f"{key}_bytes"]
        table.add_row(f"memory {moment}", "?" if value is None else f"{value / 1e6:,.0f} MB")
    return table
