"""Joining a process group, and noticing that another process has ended."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import torch
from torch.distributed import HashStore

from dfer.errors import DferError
from dfer.training import distributed, peers
from dfer.training.peers import PeerWatch, end_process, lost_process


class Lost:
    """Which rank a watch reported."""

    def __init__(self) -> None:
        self.peer: int | None = None
        self.reported = threading.Event()

    def __call__(self, peer: int) -> None:
        self.peer = peer
        self.reported.set()


def watch(store: Any, rank: int, lost: Callable[[int], None]) -> PeerWatch:
    return PeerWatch(store, rank, 2, lost, patience_s=0.5, interval_s=0.02)


def test_a_process_that_falls_silent_is_noticed() -> None:
    store, lost = HashStore(), Lost()
    mine, other = watch(store, 0, lost), watch(store, 1, Lost())
    assert not lost.reported.wait(1.5), "the other one is alive"
    other.stop(leaves=False)
    assert lost.reported.wait(10)
    assert lost.peer == 1
    mine.stop(leaves=False)


def test_a_process_that_leaves_is_not_missed() -> None:
    store, lost = HashStore(), Lost()
    mine, other = watch(store, 0, lost), watch(store, 1, Lost())
    other.stop(leaves=True)
    assert not lost.reported.wait(1.5)
    mine.stop(leaves=True)
    mine._thread.join(5)
    assert not mine._thread.is_alive()


def test_a_launcher_that_is_gone_is_noticed() -> None:
    class Gone:
        def add(self, _key: str, _amount: int) -> int:
            raise RuntimeError("Broken pipe")

    lost = Lost()
    ended = watch(Gone(), 0, lost)
    assert lost.reported.wait(10)
    ended.stop(leaves=True)


def test_the_process_ends_with_one_error(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    codes: list[int] = []
    monkeypatch.setattr(os, "_exit", codes.append)
    monkeypatch.setattr(peers.logger, "propagate", True)
    caplog.set_level(logging.INFO, peers.logger.name)
    end_process(None)
    assert not caplog.records
    end_process(lost_process(1, 2))
    assert [record.getMessage() for record in caplog.records] == [
        "another process of this training job has ended (seen by rank 1 of 2)",
        "hint: run the same command again: it continues from the last saved state",
    ]
    assert codes == [1, 1]


@pytest.fixture
def group(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A group over NCCL that is not there; what it was begun with, and the GPU in use."""
    found: dict[str, Any] = {}
    store = HashStore()

    def begin(backend: str, **options: Any) -> None:
        found.update(options, backend=backend)

    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(distributed, "rendezvous", lambda _url: iter([(store, 1, 2)]))
    for name, value in {
        "init_process_group": begin, "barrier": lambda: None, "destroy_process_group": lambda: None,
    }.items():  # fmt: skip
        monkeypatch.setattr(torch.distributed, name, value)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: found.update(current=device))
    return found


def test_a_process_joins_with_its_gpu_and_waits_for_others_that_load(
    group: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    device = torch.device("cuda", 1)
    with distributed.process_group(device):
        pass
    assert (group["backend"], group["device_id"], group["current"]) == ("nccl", device, device)
    assert group["timeout"] >= timedelta(hours=1)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    with distributed.process_group(device):
        pass
    assert (group["backend"], group["device_id"]) == ("gloo", None), "two processes on each GPU"
    monkeypatch.delenv("LOCAL_WORLD_SIZE")
    with distributed.process_group(torch.device("cpu")):
        pass
    assert (group["backend"], group["device_id"]) == ("gloo", None)


def test_one_of_several_processes_reports_the_error(group: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed.signal, "signal", lambda *_handler: None)
    assert not group
    with pytest.raises(DferError, match="diverged"), distributed.process_group(torch.device("cpu")):
        raise DferError("training diverged")
    with pytest.raises(SystemExit), distributed.process_group(torch.device("cpu")):
        raise DferError("training diverged")
    with pytest.raises(KeyboardInterrupt), distributed.process_group(torch.device("cpu")):
        raise KeyboardInterrupt
