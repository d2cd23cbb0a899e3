"""Time work on a device, and measure the device's limit."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from statistics import fmean
from typing import Any

import torch

from dfer.runtime.device import used_memory
from dfer.runtime.machine import child_private_bytes, peak_memory_bytes, reset_peak_memory

WARM_UP_STEPS = 2
_PRODUCTS = 10


def time_steps(
    steps: Iterator[tuple[int, float]],
    device: torch.device,
    seconds: float,
    *,
    warm_up: int = WARM_UP_STEPS,
    epoch_clips: int | None = None,
) -> dict[str, Any]:
    """Time steps, at least one, after some of warming up.

    Args:
        steps: yields the number of clips of each step, and the seconds it waited for them; 0 for the end of an epoch.
        device: the device they compute on.
        seconds: no step begins later.
        warm_up: what is yielded first and not measured.
        epoch_clips: clips in an epoch, of whose ends at least one is measured; None if epochs have no end.

    Returns:
        "clips_per_s", to which an epoch's end contributes as in a whole epoch, however long was measured;
        "epoch_end_s", the mean time of such an end; "data_wait", the share of the steps' time spent waiting for clips;
        "step_ms", the rest of that time per step; "steps"; "memory_bytes", the peak of the main memory held by this
        process and the processes it started, None where the system does not report it; "device_memory_bytes", the peak
        of the device's memory held by tensors, 0 for a CPU.
    """
    reset_peak_memory()
    for _ in range(warm_up):
        next(steps)
    wait_for(device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    begun, clips, count, waited, children = time.perf_counter(), 0, 0, 0.0, 0
    ends: list[float] = []
    while time.perf_counter() - begun < seconds or not count or (epoch_clips and not ends):
        asked = time.perf_counter()
        done, wait = next(steps)
        children = max(children, child_private_bytes())
        if not done:
            ends.append(time.perf_counter() - asked)
            continue
        clips, count, waited = clips + done, count + 1, waited + wait
    wait_for(device)
    spent = time.perf_counter() - begun - sum(ends)
    end_s = fmean(ends) if ends else 0.0
    own = peak_memory_bytes()
    return {
        "clips_per_s": 1 / (spent / clips + (end_s / epoch_clips if epoch_clips else 0.0)),
        "epoch_end_s": end_s,
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
