"""Tables of `dfer bench preprocess`."""

from __future__ import annotations

from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text


def preprocess_bench_table(result: dict[str, Any]) -> RenderableType:
    """Speeds, landmarks and projected hours.

    Args:
        result: `dfer.bench.preprocess/1`.
    """
    table = Table(title=result["machine"], title_justify="left")
    table.add_column("", no_wrap=True)
    for heading in ("frames/s", "clips/s", "x plain\nloop", "x 1\nworker", "peak MB\na worker", "start\ns"):
        table.add_column(heading, justify="right")
    plain = result["plain_loop"]
    table.add_row("plain loop", f"{plain['frames_per_s']:.1f}", f"{plain['clips_per_s']:.2f}", "1.00", "", "", "")
    for row in result["workers"]:
        table.add_row(
            f"dfer, {row['workers']} worker{'s' if row['workers'] > 1 else ''}",
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
    """A worker's memory over a long video.

    Args:
        result: `dfer.bench.memory/1`.
    """
    table = Table(title=result["machine"], title_justify="left")
    for heading in ("minutes\n1080p", "frames", "crops", "frames/s", "start\nMB", "peak\nMB", "limit\nMB"):
        table.add_column(heading, justify="right")
    table.add_row(
        f"{result['minutes']:g}",
        str(result["frames"]),
        str(result["crops"]),
        f"{result['frames'] / result['seconds']:.1f}",
        *("?" if result[key] is None else f"{result[key] / 1e6:.0f}" for key in ("start_bytes", "peak_bytes")),
        f"{result['limit_bytes'] / 1e6:.0f}",
    )
    return table
