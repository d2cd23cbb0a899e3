"""Exported models beside torch: size, loading, time per window, and agreement with float32."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from dfer.deployment.clips import read_clips
from dfer.deployment.quantise import Agreement, Crops, answer, quantise
from dfer.model.export import CROPS, PROBABILITIES, Exportable, load_exportable, open_session, write_graph
from dfer.pretrained import pretrained_name
from dfer.runtime.device import describe_machine

SCHEMA = "dfer.bench.export/1"
FLOAT32 = "onnxruntime float32"


@dataclass
class _Case:
    """A form of the model, and the seconds of each run."""

    name: str
    run: Callable[[Tensor], object]
    megabytes: float | None = None
    load_s: float | None = None
    agreement: Agreement | None = None
    spent_s: list[float] = field(default_factory=list)


def bench_exported(
    checkpoint: Path,
    *,
    data: Path | None = None,
    seconds: float = 5.0,
    on_step: Callable[[str], None] = lambda _text: None,
) -> dict[str, Any]:
    """Export a checkpoint in every form to a temporary folder, and answer the same window with each, in turn.

    Args:
        checkpoint: as `export_onnx` takes it.
        data: a store that calibrates and measures int8 models; None for the dynamic form only, not measured.
        seconds: of measuring each form.
        on_step: called with a line on what is done next.

    Returns:
        `dfer.bench.export/1`: see `dfer.reports.prediction_benchmarks.export_bench_table` for its figures.

    Raises:
        DferError: the checkpoint or the store cannot be used, or packages for the export are missing.
    """
    exportable = load_exportable(checkpoint)
    frames = exportable.model.config.num_frames
    calibrating, measuring = ([], []) if data is None else read_clips(data, exportable.info, frames)
    with TemporaryDirectory(prefix="dfer-bench-") as scratch:
        cases = _make_cases(exportable, Path(scratch), calibrating, measuring, on_step)
        on_step("measuring")
        _measure(cases, exportable.random_input(1), seconds)
    baseline = median(cases[0].spent_s)
    return {
        "schema": SCHEMA,
        "machine": describe_machine(),
        "checkpoint": pretrained_name(exportable.checkpoint) or str(exportable.checkpoint),
        "frames": frames,
        "mirror": exportable.mirror,
        "threads": torch.get_num_threads(),
        "clips": len(measuring),
        "cases": [_summary(case, baseline) for case in cases],
    }


def _make_cases(
    exportable: Exportable,
    folder: Path,
    calibrating: list[Crops],
    measuring: list[Crops],
    on_step: Callable[[str], None],
) -> list[_Case]:
    full = folder / "float32.onnx"
    on_step("exporting")
    write_graph(exportable, full, {})
    cases = [_Case("torch", lambda crops: exportable.module(crops)), _open(FLOAT32, full)]
    expected = answer(full, measuring) if measuring else None
    for clips in [[], calibrating] if calibrating else [[]]:
        on_step(f"quantising, {'static' if clips else 'dynamic'}")
        path = folder / f"int8_{len(cases)}.onnx"
        precision = quantise(full, path, clips)
        case = _open(f"onnxruntime {precision}", path)
        case.agreement = None if expected is None else Agreement.of(expected, answer(path, measuring))
        cases.append(case)
    return cases


def _open(name: str, path: Path) -> _Case:
    begun = time.perf_counter()
    session = open_session(path, threads=torch.get_num_threads())
    load_s = time.perf_counter() - begun
    return _Case(
        name, lambda crops: session.run([PROBABILITIES], {CROPS: crops.numpy()}), path.stat().st_size / 1e6, load_s
    )


@torch.inference_mode()
def _measure(cases: list[_Case], crops: Tensor, seconds: float) -> None:
    """Run all forms in turn, so that other work on the machine slows each of them alike."""
    for case in cases:
        case.run(crops)
    while sum(cases[0].spent_s) < seconds:
        for case in cases:
            begun = time.perf_counter()
            case.run(crops)
            case.spent_s.append(time.perf_counter() - begun)


def _summary(case: _Case, baseline_s: float) -> dict[str, Any]:
    spent, agreement = median(case.spent_s), case.agreement
    return {
        "name": case.name,
        "megabytes": case.megabytes,
        "load_s": case.load_s,
        "window_ms": 1000 * spent,
        "relative": baseline_s / spent,
        "runs": len(case.spent_s),
        "same_label": agreement.same if agreement else None,
        "largest_difference": agreement.largest if agreement else None,
        "mean_difference": agreement.mean if agreement else None,
    }
