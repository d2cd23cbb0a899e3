"""The tables of `dfer bench`."""

from __future__ import annotations

import pytest

from dfer.reports.benchmarks import bench_table
from tests.results import (
    printed,
)

BENCH = {
    "machine": "two cores, torch 2.13.0",
    "batch_size": 4,
    "models": [
        {
            "name": "logo_former_s",
            "attention": "local_global",
            "parameters": 9_187_000,
            "gmacs": 10.2,
            "gmacs_64_frames": 41.6,
            "forward_float32": 6.1,
            "forward_bf16": 10.9,
            "training": 2.5,
            "relative": 1.0,
        }
    ],
}


@pytest.mark.parametrize("width", [80, 120])
def test_bench_table_fits(width: int) -> None:
    text = printed(bench_table(BENCH), width)
    assert "…" not in text
    assert all(figure in text for figure in ("9.19", "10.20", "41.6", "6.10", "10.90", "2.50", "1.00"))
