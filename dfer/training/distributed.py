"""The process group of a training job that `torchrun` started; in a single process, everything here does nothing.

Each process computes its share of every batch. Gradients are summed in one message after the backward pass, so that
any split of a batch gives the gradient of the whole. All processes hold the same weights; the one of rank 0 writes
files.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed
from torch.distributed.rendezvous import rendezvous

from dfer.errors import DferError
from dfer.runtime.device import use_device
from dfer.training.peers import PeerWatch, end_process, lost_process

Value = TypeVar("Value")
# Loading a data set takes minutes, on a slow file system perhaps an hour, and not the same time in all processes.
TIMEOUT = timedelta(hours=4)
_FAILED = "dfer/failed"


def rank() -> int:
    """Return the number of this process, from 0."""
    return distributed.get_rank() if _in_group() else 0


def world_size() -> int:
    """Return the number of processes."""
    return distributed.get_world_size() if _in_group() else 1


def local_world_size() -> int:
    """Return the number of processes on this machine, which share its memory and cores."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", world_size())) if _in_group() else 1


def all_reduce(tensors: Sequence[Tensor]) -> None:
    """Replace each tensor by its sum over all processes, in one message."""
    if world_size() == 1:
        return
    flat = torch.cat([tensor.reshape(-1).float() for tensor in tensors])
    distributed.all_reduce(flat)
    pieces = flat.split([tensor.numel() for tensor in tensors])
    for tensor, piece in zip(tensors, pieces, strict=True):
        tensor.copy_(piece.view_as(tensor))


def total(tensor: Tensor) -> Tensor:
    """Return the sum of a tensor over all processes, in its own number format."""
    summed = tensor.clone()
    if world_size() > 1:
        distributed.all_reduce(summed)
    return summed


def broadcast(value: Value) -> Value:
    """Return the value that the process of rank 0 has."""
    if world_size() == 1:
        return value
    box: list[Any] = [value]
    distributed.broadcast_object_list(box)
    result: Value = box[0]
    return result


def all_gather(value: Value) -> list[Value]:
    """Return the values of all processes, by rank."""
    if world_size() == 1:
        return [value]
    boxes: list[Any] = [None] * world_size()
    distributed.all_gather_object(boxes, value)
    return boxes


def node_memory(size: int) -> Tensor | None:
    """Return memory that the processes of this machine share, uint8 [size]; None where that is not possible.

    It has no name in the file system, so that nothing is left behind however the processes end.
    """
    if local_world_size() == 1 or not hasattr(os, "memfd_create"):
        return None
    place = int(os.environ["LOCAL_RANK"])
    handle = os.memfd_create("dfer-crops") if place == 0 else -1
    try:
        if place == 0:
            os.ftruncate(handle, size)
        path = all_gather(f"/proc/{os.getpid()}/fd/{handle}")[rank() - place]
        memory = torch.from_file(path, shared=True, size=size, dtype=torch.uint8)
        all_gather(None)  # all have it open
    finally:
        if place == 0:
            os.close(handle)
    return memory


@contextmanager
def process_group(device: torch.device) -> Iterator[None]:
    """Join the process group if `torchrun` started this process: over NCCL where each has a GPU, else over gloo.

    A message may take as long as TIMEOUT, so that one process can wait while another one loads its clips. That another
    one has ended is noticed much earlier: at once over gloo, and within `PATIENCE_S` of `peers` over NCCL.

    Raises:
        DferError: another process has ended, or the body raised it. Only one process reports it.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    use_device(device)
    store, number, count = next(rendezvous("env://"))
    # NCCL refuses two processes on one GPU.
    nccl = device.type == "cuda" and int(os.environ.get("LOCAL_WORLD_SIZE", "1")) <= torch.cuda.device_count()
    distributed.init_process_group(
        "nccl" if nccl else "gloo", store=store, rank=number, world_size=count, timeout=TIMEOUT,
        device_id=device if nccl else None,
    )  # fmt: skip
    error_of_all = lost_process(number, count)
    watch = PeerWatch(
        # A connection of its own: on a shared one, it would wait for as long as the others wait for each other.
        store.clone(),
        number,
        count,
        lambda _peer: end_process(error_of_all if _is_first_to_fail(store) else None),
    )
    try:
        yield
        distributed.barrier()
    except BaseException as error:
        watch.stop(leaves=isinstance(error, KeyboardInterrupt))
        if isinstance(error, KeyboardInterrupt):
            raise  # all processes end with this step
        lost = _is_lost_connection(error)
        reports = lost or isinstance(error, DferError)
        if reports and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # torchrun's; the error line must come first
        first = _is_first_to_fail(store)
        if reports and not first:
            raise SystemExit(1) from error  # another process has reported it
        if lost:
            raise error_of_all from error
        raise
    watch.stop(leaves=True)
    distributed.destroy_process_group()


def _in_group() -> bool:
    return distributed.is_available() and distributed.is_initialized()


def _is_lost_connection(error: BaseException) -> bool:
    """True if a message failed because another process has ended; gloo has no exception class of its own."""
    return isinstance(error, distributed.DistError) or (isinstance(error, RuntimeError) and "gloo" in str(error))


def _is_first_to_fail(store: Any) -> bool:
    try:
        return bool(store.add(_FAILED, 1) == 1)
    except (RuntimeError, OSError):  # torchrun has ended too
        return True
