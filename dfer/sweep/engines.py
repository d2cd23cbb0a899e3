"""Engines: do the runs of a sweep one after another in this process, or several at a time in processes of their own.

See `on_ray` for a cluster. All engines do the same with a run.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from functools import partial
from typing import Any

import torch

from dfer.errors import DferError, UsageError
from dfer.plugins import load_plugins, loaded_sources
from dfer.runtime.machine import free_memory_bytes, usable_cores
from dfer.runtime.workers import WorkerDiedError, run_tasks
from dfer.sweep.plan import SweepRun
from dfer.sweep.work import failure_of, train_and_test
from dfer.training import TrainingObserver

# Yields each run when it has ended, with the reason if it failed; stopped early, it lets running ones save their state.
Outcomes = Generator[tuple[SweepRun, DferError | None], None, None]
Engine = Callable[[Sequence[SweepRun]], Outcomes]

SAVING_S = 60.0  # for a step to end and the state to be saved


def run_inline(
    runs: Sequence[SweepRun],
    *,
    device: str = "auto",
    observer: TrainingObserver | None = None,
    on_start: Callable[[SweepRun], None] = lambda _run: None,
) -> Outcomes:
    """Do runs one after another in this process.

    Args:
        runs: of a plan.
        device: "auto", "cpu" or "cuda".
        observer: of each training.
        on_start: called with each run before it begins.
    """
    for run in runs:
        on_start(run)
        try:
            train_and_test(run, device=device, observer=observer)
        except Exception as error:
            yield run, failure_of(run, error)
        else:
            yield run, None


def run_in_processes(
    runs: Sequence[SweepRun],
    *,
    workers: int = 0,
    device: str = "auto",
    gpus_per_run: float = 1.0,
    cores_per_run: int = 0,
) -> Outcomes:
    """Do several runs at a time, each in a process of its own: one that crashes costs a run.

    Args:
        runs: of a plan.
        workers: runs at a time; 0: as many as the GPUs have room for, without GPUs one per core.
        device: "auto", "cpu" or "cuda".
        gpus_per_run: share of a GPU that each run gets, of its memory too.
        cores_per_run: threads of each run; 0: the cores divided by the runs.
    """
    gpus = [] if device == "cpu" else visible_gpus()
    room = gpu_places(gpus, gpus_per_run)
    at_once = max(1, min(workers or len(room) or usable_cores(), len(runs)))
    if room and at_once > len(room):
        raise UsageError(
            f"{at_once} runs at a time do not fit {len(gpus)} GPUs", where="--workers", hint="lower --gpus-per-run"
        )
    threads = cores_per_run or max(1, usable_cores() // at_once)

    def place(number: int) -> tuple[Any, ...]:
        return threads, room[number] if room else None, gpus_per_run, loaded_sources()

    shared = [share_machine(run, at_once, threads, shares_gpu=bool(room) and gpus_per_run < 1) for run in runs]
    finished = run_tasks(
        partial(work_or_leave, device=device),
        shared,
        workers=at_once,
        initializer=start_worker,
        initargs=place,
        grace_s=SAVING_S,
    )
    with closing(finished):
        for run, future in finished:
            error = future.exception()
            if isinstance(error, WorkerDiedError):
                hint = "if it was killed for lack of memory, run fewer at a time"
                error = DferError(f"its process died ({error})", where=run.folder, hint=hint)
            yield run, None if error is None else failure_of(run, error)  # type: ignore[arg-type]


def share_machine(run: SweepRun, at_once: int, threads: int, *, shares_gpu: bool) -> SweepRun:
    """Return a run that takes its share of cores and memory only, where its recipe leaves that open.

    Args:
        run: the run.
        at_once: runs at a time on this machine.
        threads: cores for each.
        shares_gpu: whether several runs share a GPU; their crops then stay in main memory.
    """
    train = dict(run.recipe["train"])
    train["workers"] = train["workers"] or threads
    if at_once > 1:
        train["memory_gb"] = train["memory_gb"] or round(free_memory_bytes() / 3e9 / at_once, 3)
    if shares_gpu and train["feed"] == "auto":
        train["feed"] = "memory"
    return SweepRun(run.cell, run.seed, run.fold, run.run, {**run.recipe, "train": train}, run.data)


def visible_gpus() -> list[str]:
    """Return the names, for CUDA_VISIBLE_DEVICES, of the GPUs that this process sees."""
    count = torch.cuda.device_count()
    named = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    return named[:count] if named else list(map(str, range(count)))


def gpu_places(gpus: Sequence[str], share: float) -> list[str]:
    """Return the GPU of each run at a time, GPUs in turn, where each takes a share of one."""
    return [gpu for _ in range(int(1 / share + 1e-6)) for gpu in gpus]


def start_worker(threads: int, gpu: str | None, share: float, plugins: Sequence[str]) -> None:
    """Prepare this process for its runs.

    Args:
        threads: to compute with.
        gpu: name of its GPU, None without one.
        share: of the GPU's memory.
        plugins: the sources of those to load.
    """
    load_plugins(plugins)
    torch.set_num_threads(threads)
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
        if share < 1 and torch.cuda.is_available():
            torch.cuda.set_per_process_memory_fraction(share)


def work_or_leave(run: SweepRun, *, device: str) -> None:
    """Do a run in a worker process, which ends when it is asked to stop, once the state is saved."""
    try:
        train_and_test(run, device=device)
    except KeyboardInterrupt:
        raise SystemExit(1) from None
