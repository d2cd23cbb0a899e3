"""Speed, parameters and GMACs of the models on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from dfer.bench.timing import wait_for
from dfer.errors import UsageError
from dfer.model import DEFAULT_MODEL, MODELS
from dfer.model.complexity import count_gmacs, count_parameters
from dfer.runtime.device import choose_device, describe_machine

NUM_CLASSES = 7
# Attention over all tokens, measured beside the default model's own.
REFERENCE = {"attention": "joint"}


def bench_models(
    names: Sequence[str] = (),
    *,
    device: str = "auto",
    batch_size: int = 4,
    seconds: float = 5.0,
    on_case: Callable[[str], None] = lambda _name: None,
) -> dict[str, Any]:
    """Measure every model, and joint attention in comparison with local and global attention.

    Args:
        names: of `MODELS`; none means all.
        device: "auto", "cpu" or "cuda".
        batch_size: clips per batch.
        seconds: time per measurement.
        on_case: called with a line about the next measurement.

    Returns:
        "machine", "batch_size", and "models": a row per model with "name", "attention", "parameters", "gmacs",
        "gmacs_64_frames", "forward_float32", "forward_bf16", "training" (clips/s) and "relative" (forward speed
        relative to the first row).

    Raises:
        UsageError: there is no such model.
    """
    chosen = choose_device(device)
    rows: list[dict[str, Any]] = []
    cases: list[tuple[str, dict[str, Any]]] = []
    for name in names or MODELS:
        _require_model(name)
        cases += [(name, {}), *([(name, REFERENCE)] if name == DEFAULT_MODEL else [])]
    for name, settings in cases:
        on_case(", ".join([name, *(f"{key} {value}" for key, value in settings.items())]))
        rows.append(_bench_model(name, settings, chosen, batch_size, seconds))
    for row in rows:
        row["relative"] = row["forward_float32"] / rows[0]["forward_float32"]
    return {
        "schema": "dfer.bench/1",
        "machine": describe_machine(chosen),
        "batch_size": batch_size,
        "seconds": seconds,
        "models": rows,
    }


def _require_model(name: str) -> None:
    if name not in MODELS:
        raise UsageError(f"no model {name!r}", where="--model", hint=f"models: {', '.join(MODELS)}")


def _bench_model(
    name: str, settings: dict[str, Any], device: torch.device, batch_size: int, seconds: float
) -> dict[str, Any]:
    model = MODELS[name].build(num_classes=NUM_CLASSES, **settings)
    config = model.config
    row: dict[str, Any] = {
        "name": name,
        "attention": getattr(config, "attention", ""),
        "parameters": count_parameters(model),
        "gmacs": count_gmacs(model, config.num_frames, config.image_size),
        "gmacs_64_frames": count_gmacs(model, 64, config.image_size),
    }
    model.to(device)
    clips = torch.randn(batch_size, config.num_frames, 3, config.image_size, config.image_size, device=device)
    labels = torch.arange(batch_size, device=device) % NUM_CLASSES
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    cases: dict[str, Callable[[], None]] = {
        "forward_float32": lambda: _forward(model, clips, bf16=False),
        "forward_bf16": lambda: _forward(model, clips, bf16=True),
        "training": lambda: _step(model, optimizer, clips, labels),
    }
    return row | {case: batch_size * _rate(work, seconds, device) for case, work in cases.items()}


@torch.inference_mode()
def _forward(model: nn.Module, clips: torch.Tensor, *, bf16: bool) -> None:
    model.eval()
    with torch.autocast(clips.device.type, torch.bfloat16, enabled=bf16):
        model(clips)


def _step(model: nn.Module, optimizer: torch.optim.Optimizer, clips: torch.Tensor, labels: torch.Tensor) -> None:
    model.train()
    with torch.autocast(clips.device.type, torch.bfloat16):
        logits = model(clips)
    optimizer.zero_grad(set_to_none=True)
    nn.functional.cross_entropy(logits.float(), labels).backward()
    optimizer.step()


def _rate(work: Callable[[], None], seconds: float, device: torch.device) -> float:
    """Return calls per second, after one call to warm up."""
    work()
    wait_for(device)
    begun, calls = time.perf_counter(), 0
    while (spent := time.perf_counter() - begun) < seconds:
        work()
        wait_for(device)
        calls += 1
    return calls / spent
