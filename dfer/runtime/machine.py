"""What this machine has: cores, memory, processor. Needs no package."""

from __future__ import annotations

import multiprocessing
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def usable_cores() -> int:
    """CPU cores this process may use; fewer than the machine's in a container or a job."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def only_cores(count: int) -> Iterator[None]:
    """Processes started in the block use so many of this one's cores; where the system cannot do that, all of them."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    usable = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(usable)[:count])
    try:
        yield
    finally:
        os.sched_setaffinity(0, usable)


def free_memory_bytes() -> int:
    """Memory that can be had without swapping; 4 GB where the system does not say."""
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 4 << 30


def peak_memory_bytes(pid: int | None = None) -> int | None:
    """The most physical memory a process has held so far, this one by default; None where it cannot be told.

    Not `getrusage`, which counts what the parent held before the process began.
    """
    try:
        for line in Path(f"/proc/{'self' if pid is None else pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return None


def forget_peak_memory() -> None:
    """Let `peak_memory_bytes` of this process begin anew with what it holds now; where the system lets it."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def child_peaks_bytes() -> list[int]:
    """`peak_memory_bytes` of the worker processes of this one, as far as it can be told."""
    peaks = [peak_memory_bytes(child.pid) for child in multiprocessing.active_children()]
    return [peak for peak in peaks if peak is not None]


def child_private_bytes() -> int:
    """Memory that the worker processes of this one hold for themselves: forked ones share the rest with it."""
    return sum(_private_bytes(child.pid) for child in multiprocessing.active_children())


def _private_bytes(pid: int | None) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Private_"))


def used_memory_bytes() -> int:
    """Main memory that this process holds now; 0 where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, AttributeError):
        return 0


def load_average() -> float | None:
    """How many processes wanted a core in the last minute; None where the system does not say."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def cpu_name() -> str:
    """The processor's name."""
    for line in _cpu_info():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def cpu_flags() -> set[str]:
    """What the processor can do, as Linux names it; empty elsewhere."""
    for line in _cpu_info():
        if line.startswith(("flags", "Features")):
            return set(line.partition(":")[2].split())
    return set()


def _cpu_info() -> list[str]:
    try:
        return Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return []
