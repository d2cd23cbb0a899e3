"""Time work on a device, and measure the device's limit."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Any

import torch

from dfer.runtime.device import used_memory
from dfer.runtime.machine import child_private_bytes, peak_memory_bytes, reset_peak_memory

WARM_UP_STEPS = 2
_PRODUCTS = 10


def time_steps(steps: Iterator[tuple[int, float]], device: torch.device, seconds: float) -> dict[str, Any]:
    """Time steps, at least one, after two steps of warming up.

    Args:
        steps: yields the number of clips of each step, and the seconds it waited for them.
        device: the device they compute on.
        seconds: no step begins later.

    Returns:
        "clips_per_s"; "data_wait", the share of the time spent waiting for clips; "step_ms", the rest of the time per
        step; "steps"; "memory_bytes", the peak of the main memory held by this process and the processes it started,
        None where the system does not report it; "device_memory_bytes", the peak of the device's memory held by
        tensors, 0 for a CPU.
    """
    reset_peak_memory()
    for _ in range(WARM_UP_STEPS):
        next(steps)
    wait_for(device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    begun, clips, count, waited, children = time.perf_counter(), 0, 0, 0.0, 0
    while time.perf_counter() - begun < seconds or not count:
        done, wait = next(steps)
        clips, count, waited = clips + done, count + 1, waited + wait
        children = max(children, child_private_bytes())
    wait_for(device)
    spent = time.perf_counter() - begun
    own = peak_memory_bytes()
    return {
        "clips_per_s": clips / spent,
        "data_wait": waited / spent,
        "step_ms": 1000 * (spent - waited) / count,
        "steps": count,
        "memory_bytes": None if own is None else own + children,
        "device_memory_bytes": used_memory(device) if device.type == "cuda" else 0,
    }


def measure_peak_flops(device: torch.device, dtype: torch.dtype) -> float:
    """Return the FLOP/s of the fastest of several large matrix products, an estimate of the device's peak."""
    side = 8192 if device.type == "cuda" else 1024
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    best = math.inf
    for _ in range(_PRODUCTS):
        wait_for(device)
        begun = time.perf_counter()
        a @ b
        wait_for(device)
        best = min(best, time.perf_counter() - begun)
    return 2 * side**3 / best


def wait_for(device: torch.device) -> None:
    """Block until the device has done all queued work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
