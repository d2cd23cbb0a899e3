"""The training benchmark: what it generates and reports; never how fast."""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console

from dfer.bench import training
from dfer.bench.random_store import clip_lengths
from dfer.bench.training import bench_training
from dfer.errors import UsageError
from dfer.reports.benchmarks import training_bench_table
from dfer.store import open_store
from dfer.training import loop
from dfer.training.loop import FoldTrainer
from dfer.training.step import Stepper

SMALL = [
    "model.num_frames=4", "data.segments=2", "model.window=[2, 1, 1]", "model.dim=16", "model.depth=1",
    "model.heads=2", "model.stem_width=8",
]  # fmt: skip


def test_lengths_are_like_dfews() -> None:
    lengths = clip_lengths(None, 1.0)
    assert len(lengths) == 11_697
    assert np.mean(lengths) == pytest.approx(77, rel=0.02)
    assert min(lengths) >= 8
    assert max(lengths) <= 847
    assert lengths == clip_lengths(None, 1.0)


def test_lengths_of_a_file_are_thinned_evenly(tmp_path: Path) -> None:
    path = tmp_path / "counts.csv"
    path.write_text("video_name,num_frames\n" + "".join(f"{n},{n}\n" for n in range(1, 101)))
    assert clip_lengths(path, 1.0) == list(range(1, 101))
    assert clip_lengths(path, 0.1) == list(range(1, 101, 10))


@pytest.mark.parametrize(
    ("text", "scale", "message"),
    [
        pytest.param("name,frames\n1,2\n", 1.0, r"column num_frames \(.*counts.csv\)", id="another column"),
        pytest.param("num_frames\nmany\n", 1.0, "column num_frames", id="words"),
        pytest.param("num_frames\n5\n0\n", 1.0, "fewer than two clips", id="one clip"),
        pytest.param("num_frames\n5\n5\n", 0.0, "share of the clips", id="nothing of it"),
        pytest.param("num_frames\n5\n5\n", 1.5, "share of the clips", id="more than all"),
    ],
)
def test_lengths_that_are_none(tmp_path: Path, text: str, scale: float, message: str) -> None:
    path = tmp_path / "counts.csv"
    path.write_text(text)
    with pytest.raises(UsageError, match=message):
        clip_lengths(path, scale)


def test_the_benchmark_reports_every_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(training, "load_average", lambda: 3.2)
    result = bench_training(
        device="cpu", batch_size=4, image_size=32, seconds=0.2, scale=0.0015, overrides=SMALL,
        feeds=["stream", "memory"], folder=tmp_path / "store", on_step=said.append,
    )  # fmt: skip
    assert json.loads(json.dumps(result)) == result
    assert result["schema"] == "dfer.bench.training/1"
    store = open_store(tmp_path / "store")
    assert len(store.rows) == result["store"]["clips"] == 18
    assert sum(row.num_frames for row in store.rows) == result["store"]["crops"]
    assert (result["batch_size"], result["image_size"]) == (4, 32)
    assert result["gmacs"] < 0.1, "of the model that was measured"
    assert [case["name"] for case in result["cases"]] == ["stream", "memory", "plain loop"]
    assert said[0] == "other work is using this machine (load 3.2): speeds will be too low, and their ratios off"
    assert result["load_before"] == 3.2
    assert len(said) == 6
    for case in result["cases"]:
        assert case["clips_per_s"] > 0
        assert 0 <= case["data_wait"] < 1
        assert case["memory_bytes"] > 0
        assert case["utilisation"] == pytest.approx(case["flops"] / result["peak_flops"][case["dtype"]])
        assert case["epoch_s"] == pytest.approx(9356 / case["clips_per_s"])
        assert case["relative"] == pytest.approx(case["clips_per_s"] / result["cases"][-1]["clips_per_s"])


def test_the_benchmark_times_what_training_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Losses are read, states saved, epochs validated and recorded, and their time is part of the speed."""
    done: Counter[str] = Counter()

    def count(name: str, delay_s: float) -> None:
        original = getattr(FoldTrainer, name)

        def counted(self: FoldTrainer, *arguments: Any) -> Any:
            done[name] += 1
            time.sleep(delay_s)
            return original(self, *arguments)

        monkeypatch.setattr(FoldTrainer, name, counted)

    for name, delay_s in (("_read_losses", 0.02), ("_finish_epoch", 0.5)):
        count(name, delay_s)
    validated: list[int] = []
    validate = loop.validate

    def counted_validation(model: Any, loader: Any, rows: Any, store: Any, **how: Any) -> dict[str, Any]:
        validated.append(len(rows))
        return validate(model, loader, rows, store, **how)

    monkeypatch.setattr(loop, "validate", counted_validation)
    result = bench_training(
        device="cpu", batch_size=4, image_size=32, seconds=0.1, scale=0.003, feeds=["memory"],
        folder=tmp_path / "store", overrides=[*SMALL, "train.save_minutes=60", "data.val_fraction=0.3"],
    )  # fmt: skip
    case, plain = result["cases"]
    assert done["_finish_epoch"] == len(validated) >= 2
    assert validated[0] > 0
    assert done["_read_losses"] >= case["steps"]
    assert case["step_ms"] > 20
    assert case["epoch_end_s"] >= 0.5
    assert plain["epoch_end_s"] == 0
    trained = sum("train" in row.folds.values() for row in open_store(tmp_path / "store").rows) - validated[0]
    assert case["clips_per_s"] < trained / case["epoch_end_s"]


def test_a_batch_that_does_not_fit_is_halved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Stepper.run

    def small_device(self: Stepper, rows: Any, parts: Any, **place: Any) -> Any:
        if len(rows) > 2:
            raise torch.OutOfMemoryError
        return run(self, rows, parts, **place)

    monkeypatch.setattr(Stepper, "run", small_device)
    said: list[str] = []
    result = bench_training(
        device="cpu", batch_size=8, image_size=32, seconds=0.1, scale=0.0015, overrides=SMALL, feeds=["stream"],
        on_step=said.append,
    )  # fmt: skip
    assert [case["batch_size"] for case in result["cases"]] == [2, 8]
    assert [line for line in said if "memory" in line and "trying" in line] == [
        "out of memory: trying batches of 4", "out of memory: trying batches of 2",
    ]  # fmt: skip


@pytest.mark.parametrize("width", [80, 120])
def test_the_table_fits_and_says_what_was_measured(width: int) -> None:
    case = {
        "clips_per_s": 2143.2, "epoch_s": 4.365, "data_wait": 0.013, "step_ms": 117.9, "steps": 250,
        "memory_bytes": 5_200_000_000, "device_memory_bytes": 61_300_000_000, "flops": 1.31e14, "utilisation": 0.18,
        "batch_size": 256,
    }  # fmt: skip
    plain = {
        **case,
        "clips_per_s": 9.87,
        "epoch_s": 948.0,
        "memory_bytes": None,
        "device_memory_bytes": 0,
        "batch_size": 128,
    }
    result = {
        "machine": "a machine", "model": "logo_former_s", "gmacs": 10.18, "image_size": 112, "batch_size": 256,
        "store": {"clips": 11_697, "crops": 901_736, "bytes": 33_934_000_000, "scale": 1.0},
        "peak_flops": {"bfloat16": 7.2e14, "float32": 5.1e13},
        "cases": [
            {"name": "device", "dtype": "bfloat16", **case, "relative": 217.15},
            {"name": "plain loop", "dtype": "float32", **plain, "relative": 1.0},
        ],
    }  # fmt: skip
    console = Console(width=width, no_color=True)
    with console.capture() as capture:
        console.print(training_bench_table(result))
    text = capture.get()
    assert "…" not in text
    said = (
        "2,143", "4.37", "1.3%", "118", "5.2", "61.3", "131", "18%", "217.15", "9.87", "948", "?", "33.9 GB", "720",
        "plain loop: batches of 128",
    )  # fmt: skip
    assert all(figure in text for figure in said), text
