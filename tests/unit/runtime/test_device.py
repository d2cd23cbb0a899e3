"""The device: how much of its memory is free."""

from __future__ import annotations

import pytest
import torch

from dfer.runtime.device import free_device_memory


def test_memory_that_torch_keeps_for_later_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a fold whose crops are gone: 80 GB, of which torch has kept 60 and tensors use 5."""
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _device: (20, 80))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _device: 60)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _device: 5)
    assert free_device_memory(torch.device("cuda", 1)) == 75
    assert free_device_memory(torch.device("cpu")) == 0
