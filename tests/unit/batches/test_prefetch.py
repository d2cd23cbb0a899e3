"""Working a batch ahead."""

from __future__ import annotations

import threading
from contextlib import nullcontext
from typing import Any

import pytest
import torch

from dfer.batches import prefetch as module
from dfer.batches.prefetch import prefetch


def test_a_run_copies_to_its_own_gpu_over_one_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU that is not there: torch.cuda is replaced, and tensors stay where they are."""
    streams: list[FakeStream] = []
    current: dict[str, Any] = {}
    waited: list[object] = []

    class FakeStream:
        def __init__(self, device: torch.device) -> None:
            streams.append(self)
            self.device = device

        def record_event(self) -> object:
            return "copied"

    class Computing:
        def wait_event(self, event: object) -> None:
            waited.append(event)

    class FakeTensor:
        def to(self, device: torch.device, *, non_blocking: bool) -> FakeTensor:
            assert current[threading.current_thread().name] == torch.device("cuda", 1), "copied by way of GPU 0"
            assert device == torch.device("cuda", 1)
            assert non_blocking
            return self

        def record_stream(self, _stream: object) -> None:
            pass

    def set_device(device: torch.device) -> None:
        current[threading.current_thread().name] = device

    module._upload_stream.cache_clear()
    monkeypatch.setattr(torch.cuda, "Stream", FakeStream)
    monkeypatch.setattr(torch.cuda, "stream", lambda _stream: nullcontext())
    monkeypatch.setattr(torch.cuda, "current_stream", lambda _device: Computing())
    monkeypatch.setattr(torch.cuda, "set_device", set_device)
    for _epoch in range(3):
        batches: Any = iter([FakeTensor(), FakeTensor()])
        assert len(list(prefetch(batches, torch.device("cuda", 1)))) == 2
    module._upload_stream.cache_clear()
    assert len(streams) == 1
    assert waited == ["copied"] * 6, "what computes must wait for the copy, not the process"
    assert threading.current_thread().name not in current
