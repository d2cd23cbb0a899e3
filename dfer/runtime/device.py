"""The device and number format to compute with, and a description of the machine."""

from __future__ import annotations

import os

import torch

from dfer.errors import UsageError
from dfer.runtime.formatting import pluralize
from dfer.runtime.machine import cpu_flags, cpu_name, usable_cores, used_memory_bytes


def choose_device(name: str = "auto") -> torch.device:
    """Return the device to compute on.

    Args:
        name: "auto" (a GPU if there is one), "cpu" or "cuda"; under `torchrun`, each process gets its own GPU, or
            shares one where there are more processes than GPUs.

    Raises:
        UsageError: "cuda" was requested and there is none.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise UsageError("no CUDA device found", where="--device cuda", hint="`dfer doctor` shows what torch finds")
    if name == "cuda" and "LOCAL_RANK" in os.environ:
        return torch.device("cuda", int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count())
    return torch.device(name)


def use_device(device: torch.device) -> None:
    """Make a GPU the current one of this thread, which begins with GPU 0; pinning memory takes room on that one."""
    if device.type == "cuda" and device.index is not None:
        torch.cuda.set_device(device)


def choose_precision(name: str, device: torch.device) -> torch.dtype:
    """Return the number format of training's autocast.

    Args:
        name: "float32", "bf16", or "auto": bf16 if the device computes in it natively, else float32.
        device: the device to compute on.
    """
    if name != "auto":
        return torch.bfloat16 if name == "bf16" else torch.float32
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    native = cpu_flags() & {"avx512_bf16", "amx_bf16", "bf16"}
    return torch.bfloat16 if native else torch.float32


def free_device_memory(device: torch.device) -> int:
    """Return the free memory of a GPU, in bytes; 0 for a CPU, which has no memory of its own.

    Blocks that torch has kept from tensors that are gone count as free: it gives them to the next ones.
    """
    if device.type != "cuda":
        return 0
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + kept


def used_memory(device: torch.device) -> int:
    """Return the bytes in use: the peak of all tensors on a GPU, or this process's main memory now."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else used_memory_bytes()


def describe_machine(device: torch.device | None = None) -> str:
    """Return one line for records and tables: GPU or processor, cores, version of torch."""
    if device is not None and device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)}, torch {torch.__version__}"
    return f"{cpu_name()}, {pluralize(usable_cores(), 'core')}, torch {torch.__version__}"
