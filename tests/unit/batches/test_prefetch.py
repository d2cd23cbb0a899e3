"""Working a batch ahead."""

from __future__ import annotations

import threading

import pytest
import torch

from dfer.batches.prefetch import one_ahead
from dfer.errors import DataError


def test_the_next_batch_is_worked_on_while_this_one_is_used() -> None:
    worked: list[int] = []
    arrived = threading.Event()

    def work(frames: torch.Tensor) -> torch.Tensor:
        worked.append(int(frames))
        if len(worked) == 2:
            arrived.set()
        return frames * 10

    batches = one_ahead(iter([torch.tensor(n) for n in range(4)]), work)
    assert int(next(batches)) == 0
    assert arrived.wait(5), "nobody works on the next batch"
    assert [int(frames) for frames in batches] == [10, 20, 30]


def test_an_error_of_the_thread_that_works_ahead_arrives() -> None:
    def fail(_frames: torch.Tensor) -> torch.Tensor:
        raise DataError("damaged")

    with pytest.raises(DataError, match="damaged"):
        list(one_ahead(iter([torch.zeros(1)]), fail))
