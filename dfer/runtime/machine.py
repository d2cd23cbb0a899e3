"""The cores, memory and processor that this process may use."""

from __future__ import annotations

import ctypes
import math
import multiprocessing
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from dfer.runtime import cgroup

# Of glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4


def usable_cores() -> int:
    """Return the CPU cores this process may use: in a container or a job, often fewer than the machine has."""
    cores = psutil.cpu_count() or 1
    if sys.platform != "darwin":  # which has no affinity
        cores = len(psutil.Process().cpu_affinity())
    quota = cgroup.cpu_quota()
    return cores if quota is None else min(cores, max(1, math.ceil(quota)))


@contextmanager
def limit_cores(count: int) -> Iterator[None]:
    """Let processes started in the block use only `count` of this one's cores, where the system supports that."""
    if sys.platform == "darwin":
        yield
        return
    this = psutil.Process()
    allowed = this.cpu_affinity()
    this.cpu_affinity(allowed[:count])
    try:
        yield
    finally:
        this.cpu_affinity(allowed)


def free_memory_bytes() -> int:
    """Return the memory available without swapping, within the limit of the container or job."""
    available = int(psutil.virtual_memory().available)
    headroom = cgroup.memory_headroom_bytes()
    return available if headroom is None else min(available, headroom)


def used_memory_bytes() -> int:
    """Return the physical memory that this process holds now."""
    return int(psutil.Process().memory_info().rss)


def keep_freed_memory() -> bool:
    """Let this process keep the memory that it frees, for the next time it needs it; return whether that is possible.

    glibc gives large blocks back to the system at once. A training step on a CPU asks for the same ones again, and the
    system clears each page anew, which took 4 % of a step.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is None:
        return False
    return bool(mallopt(_M_MMAP_MAX, 0) and mallopt(_M_TRIM_THRESHOLD, 2**31 - 1))


def peak_memory_bytes(pid: int | None = None) -> int | None:
    """Return the most physical memory a process has held so far, by default this one; None outside Linux.

    psutil has no such figure, and `getrusage` includes what the parent held before the process began.
    """
    return _status_bytes("VmHWM", pid)


def _status_bytes(name: str, pid: int | None = None) -> int | None:
    """Return a figure that Linux keeps of a process, by default of this one; None elsewhere."""
    with suppress(OSError):
        for line in Path(f"/proc/{'self' if pid is None else pid}/status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
    return None


def reset_peak_memory() -> None:
    """Let `peak_memory_bytes` of this process start again from what it holds now, where the system supports that."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def limit_memory(num_bytes: int) -> None:
    """Let this process take no more than this much memory beyond what it has; elsewhere than on Linux, do nothing.

    What it shares with other processes does not count. An allocation that would exceed the limit fails.
    """
    if sys.platform != "linux":
        return
    import resource

    held = _status_bytes("VmData")
    assert held is not None  # on Linux
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    limit = held + num_bytes
    resource.setrlimit(resource.RLIMIT_DATA, (limit if most == resource.RLIM_INFINITY else min(limit, most), most))


def child_peaks_bytes() -> list[int]:
    """Return `peak_memory_bytes` of this process's workers, of those that have one."""
    peaks = [peak_memory_bytes(child.pid) for child in multiprocessing.active_children()]
    return [peak for peak in peaks if peak is not None]


def child_private_bytes() -> int:
    """Return the memory that only this process's workers hold; forked ones share the rest with it."""
    total = 0
    for child in multiprocessing.active_children():
        with suppress(psutil.Error):  # it has ended meanwhile
            total += psutil.Process(child.pid).memory_full_info().uss
    return total


def load_average() -> float:
    """Return the number of processes that wanted a core, on average over the last minute."""
    return psutil.getloadavg()[0]


def cpu_name() -> str:
    """Return the processor's name."""
    return _cpu_info("model name") or platform.processor() or platform.machine()


def cpu_flags() -> set[str]:
    """Return the processor's features under Linux's names; empty elsewhere."""
    return set((_cpu_info("flags") or _cpu_info("Features")).split())


def _cpu_info(key: str) -> str:
    """Return the first value of a key in Linux's description of the processors, or ""."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == key:
                return value.strip()
    return ""
