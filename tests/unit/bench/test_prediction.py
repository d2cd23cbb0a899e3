"""`dfer bench predict`: every runtime predicts the same video, beside a plain Former-DFER."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dfer.bench.memory import write_video
from dfer.bench.prediction import bench_prediction
from dfer.errors import DferError, UsageError
from dfer.reports.prediction_benchmarks import prediction_bench_table
from tests.checkpoints import write_checkpoint
from tests.results import printed


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bench") / "crops.mp4"
    rng = np.random.default_rng(0)
    write_video(iter(rng.integers(0, 256, (20, 32, 32, 3), np.uint8)), path, fps=10)
    return path


def test_runtimes_are_measured_beside_the_plain_model_and_real_time(video: Path, tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path / "a.safetensors")
    result = bench_prediction(
        video,
        checkpoint=checkpoint,
        detector="none",
        runtimes=["float32", "bf16"],
        faces=[1, 2],
        repeat=2,
        seconds=0.01,
    )
    exact, rounded = result["runtimes"]
    assert (result["duration"], result["size_hw"], result["memory"]) == (2.0, [32, 32], None)
    assert exact["same_labels"] == {"1": 1.0, "2": 1.0}
    assert exact["largest_difference"] == {"1": 0.0, "2": 0.0}
    assert 0 < rounded["largest_difference"]["1"] < 0.1
    for row in (exact, rounded):
        assert row["relative"] == pytest.approx(row["clips_per_s"] / result["plain"]["clips_per_s"])
        assert row["relative"] > 1, "a tiny model is faster than Former-DFER"
        assert set(row["real_time"]) == set(row["core_s"]) == {"1", "2"}
        assert min(row["real_time"].values()) > 0
    start = result["start"]
    assert start["process_s"] > start["import_s"] + start["load_s"] + start["open_s"] > 0
    shown = printed(prediction_bench_table(result), 80)
    assert "…" not in shown
    assert "Former-DFER, plain" in shown
    assert "to the first frame" in shown


def test_memory_is_watched_over_a_long_video(video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("memory", "prediction"):
        monkeypatch.setattr(f"dfer.bench.{module}.SIZE_HW", (96, 128))
    checkpoint = write_checkpoint(tmp_path / "a.safetensors")
    chosen = {"checkpoint": checkpoint, "detector": "none", "runtimes": ["float32"], "faces": [1]}
    result = bench_prediction(video, **chosen, repeat=1, seconds=0.01, minutes=0.2)
    memory = result["memory"]
    assert memory["minutes"] == pytest.approx(10 / 60)
    assert memory["size_hw"] == [96, 128]
    assert memory["faces"] == 1
    assert len(memory["quarters"]["recognise"]) == 4
    assert 0 < memory["start_bytes"] < max(memory["quarters"]["recognise"]) <= memory["peak_bytes"]
    assert memory["time_left_error"] is None or memory["time_left_error"] >= 0
    memory["time_left_error"] = 0.14
    shown = printed(prediction_bench_table(result), 100)
    assert "memory over 0 min of 1080p" in shown
    assert "wrong by 14% at most" in shown


def test_bad_input_is_one_line(tmp_path: Path, video: Path) -> None:
    checkpoint = write_checkpoint(tmp_path / "a.safetensors")
    with pytest.raises(UsageError, match="unknown runtime 'gpu'"):
        bench_prediction(video, checkpoint=checkpoint, detector="none", runtimes=["gpu"])
    with pytest.raises(DferError, match="no face found"):
        bench_prediction(video, checkpoint=checkpoint, detector="centerface", runtimes=["float32"], seconds=0.01)
