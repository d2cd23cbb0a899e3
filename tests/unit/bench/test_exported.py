"""`dfer bench export`: every form is measured on the same window."""

from __future__ import annotations

from pathlib import Path

from dfer.bench.exported import bench_exported
from dfer.reports.prediction_benchmarks import export_bench_table
from tests.checkpoints import write_checkpoint
from tests.results import printed
from tests.stores import small_store


def test_every_form_is_measured(tmp_path: Path) -> None:
    store = small_store(tmp_path / "stripes", clips_per_class=3)
    checkpoint = write_checkpoint(tmp_path / "a.safetensors")
    result = bench_exported(checkpoint, data=store.root, seconds=0.01)
    torch, full, *int8 = result["cases"]
    assert [case["name"] for case in result["cases"]] == [
        "torch", "onnxruntime float32", "onnxruntime int8 (dynamic)", "onnxruntime int8 (static)",
    ]  # fmt: skip
    assert torch["relative"] == 1
    assert result["clips"] == 4
    for case in int8:
        assert case["megabytes"] < full["megabytes"] / 2
        assert case["window_ms"] > 0
        assert 0 < case["mean_difference"] <= case["largest_difference"] < 0.1
        assert case["same_label"] >= 0.75
    shown = printed(export_bench_table(result), 80)
    assert "…" not in shown
    assert "over 4 clips" in shown
    assert "int8 (static)" in shown
