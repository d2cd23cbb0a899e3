"""Copies that nobody waits for."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from dfer.runtime import transfer
from dfer.runtime.transfer import Readback, upload

TENSORS = [
    torch.tensor([[1.5, -2.0], [3.0, 4.0], [5.0, 6.0]]), torch.tensor([True, False, True]),
    torch.tensor([2**62, -1]), torch.empty(0, 4), torch.tensor(7.0), torch.tensor([1, 255], dtype=torch.uint8),
]  # fmt: skip


class StandIn:
    """A device that is called a GPU; its tensors lie in main memory."""

    type = "cuda"


def test_a_cpu_gets_the_tensors_themselves() -> None:
    assert all(ours is theirs for ours, theirs in zip(upload(TENSORS, torch.device("cpu")), TENSORS, strict=True))


def test_tensors_of_all_kinds_come_in_one_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    copied: list[Tensor] = []

    class Packed(Tensor):
        def to(self, _device: object, *, non_blocking: bool) -> Tensor:
            assert non_blocking
            copied.append(self.as_subclass(Tensor).clone())
            return copied[-1]

    def host_empty(shape: list[int], dtype: torch.dtype, **_device: object) -> Tensor:
        return torch.empty(*shape, dtype=dtype).as_subclass(Packed)

    monkeypatch.setattr(transfer, "host_empty", host_empty)
    moved = upload(TENSORS, StandIn())  # type: ignore[arg-type]
    assert len(copied) == 1
    for ours, theirs in zip(moved, TENSORS, strict=True):
        assert ours.dtype == theirs.dtype
        assert torch.equal(ours, theirs)
        assert not ours.numel() or ours.untyped_storage().data_ptr() == copied[0].untyped_storage().data_ptr()


def test_values_are_read_when_they_are_asked_for() -> None:
    assert Readback(torch.tensor([1.0, 2.5])).read() == [1.0, 2.5]
