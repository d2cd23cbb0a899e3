"""A process group of threads: what each rank does runs at once, with messages between them, in one process."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import pytest
import torch
from torch import Tensor

from dfer.training import distributed

Result = TypeVar("Result")


def in_group(monkeypatch: pytest.MonkeyPatch, ranks: int, work: Callable[[int], Result]) -> list[Result | Exception]:
    """Return what `work` returned or raised in each rank; a rank that raises lets down those that wait for it."""
    here, barrier, box = threading.local(), threading.Barrier(ranks, timeout=20), dict[int, Any]()

    def all_gather(value: Any) -> list[Any]:
        box[here.rank] = value
        barrier.wait()
        values = [box[rank] for rank in range(ranks)]
        barrier.wait()
        return values

    def all_reduce(tensors: list[Tensor]) -> None:
        for tensor, *parts in zip(tensors, *all_gather([tensor.clone() for tensor in tensors]), strict=True):
            tensor.copy_(torch.stack(parts).sum(0))

    monkeypatch.setattr(distributed, "rank", lambda: here.rank)
    monkeypatch.setattr(distributed, "world_size", lambda: ranks)
    monkeypatch.setattr(distributed, "all_gather", all_gather)
    monkeypatch.setattr(distributed, "broadcast", lambda value: all_gather(value)[0])
    monkeypatch.setattr(distributed, "all_reduce", all_reduce)
    monkeypatch.setattr(distributed, "total", lambda tensor: torch.stack(all_gather(tensor)).sum(0))

    def run(rank: int) -> Result | Exception:
        here.rank = rank
        try:
            return work(rank)
        except (Exception, KeyboardInterrupt) as error:
            barrier.abort() if not isinstance(error, KeyboardInterrupt) else None
            return error  # type: ignore[return-value]

    with ThreadPoolExecutor(ranks) as pool:
        return list(pool.map(run, range(ranks)))
