"""The training benchmark: what it generates and reports; never how fast."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dfer.bench_training import _counts, bench_training, training_bench_rows
from dfer.errors import UsageError
from dfer.store import open_store

SMALL = [
    "model.num_frames=4", "data.segments=2", "model.window=[2, 1, 1]", "model.dim=16", "model.depth=1",
    "model.heads=2", "model.stem_width=8",
]  # fmt: skip


def test_lengths_are_like_dfews() -> None:
    counts = _counts(None, 1.0)
    assert len(counts) == 11_697
    assert np.mean(counts) == pytest.approx(77, rel=0.02)
    assert min(counts) >= 8
    assert max(counts) <= 847
    assert counts == _counts(None, 1.0)


def test_lengths_of_a_file_are_thinned_evenly(tmp_path: Path) -> None:
    path = tmp_path / "counts.csv"
    path.write_text("video_name,num_frames\n" + "".join(f"{n},{n}\n" for n in range(1, 101)))
    assert _counts(path, 1.0) == list(range(1, 101))
    assert _counts(path, 0.1) == list(range(1, 101, 10))
    path.write_text("name,frames\n1,2\n")
    with pytest.raises(UsageError, match=r"column num_frames \(.*counts.csv\)"):
        _counts(path, 1.0)
    with pytest.raises(UsageError, match="share of the clips"):
        bench_training(scale=0)


def test_the_benchmark_reports_every_case(tmp_path: Path) -> None:
    said: list[str] = []
    result = bench_training(
        device="cpu", batch_size=4, image_size=32, seconds=0.2, scale=0.0015, overrides=SMALL,
        feeds=["stream", "memory"], folder=tmp_path / "store", on_case=said.append,
    )  # fmt: skip
    assert json.loads(json.dumps(result)) == result
    assert result["schema"] == "dfer.bench.training/1"
    store = open_store(tmp_path / "store")
    assert len(store.rows) == result["store"]["clips"] == 18
    assert sum(row.num_frames for row in store.rows) == result["store"]["crops"]
    assert [case["name"] for case in result["cases"]] == ["stream", "memory", "plain loop"]
    assert len(said) == 4
    for case in result["cases"]:
        assert case["clips_per_s"] > 0
        assert 0 <= case["data_wait"] < 1
        assert case["memory_bytes"] > 0
        assert case["utilisation"] == pytest.approx(case["flops"] / result["peak_flops"][case["dtype"]])
        assert case["epoch_s"] == pytest.approx(9356 / case["clips_per_s"])
        assert case["relative"] == pytest.approx(case["clips_per_s"] / result["cases"][-1]["clips_per_s"])
    headings, rows = training_bench_rows(result)
    assert all(len(row) == len(headings) for row in rows)
    assert rows[-1][-1] == "1.00"
