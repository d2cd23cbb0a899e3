"""Memory that a process shares with its children."""

from __future__ import annotations

import mmap
import os
import sys
from collections.abc import Callable


class SharedMemory:
    """Memory that belongs to an open file of Linux without a name: unlike /dev/shm, it has no limit of its own.

    It may be an argument of a process that is spawned. It is freed when the last process ends that has it.

    Args:
        handle: of the file.
    """

    def __init__(self, handle: int) -> None:
        self._handle = handle

    @classmethod
    def create(cls) -> SharedMemory | None:
        """Return new memory of no size, or None where the system has none."""
        if sys.platform != "linux":
            return None
        try:
            return cls(os.memfd_create("dfer"))
        except OSError:
            return None

    def resize(self, size: int) -> None:
        """Set the size, in bytes. What was mapped before may no longer be used."""
        os.ftruncate(self._handle, size)

    def map(self) -> mmap.mmap:
        """Return all of the memory as it is now, for reading and writing."""
        return mmap.mmap(self._handle, 0)

    def __reduce__(self) -> tuple[Callable[..., SharedMemory], tuple[object, ...]]:
        from multiprocessing.reduction import DupFd

        return _attach, (DupFd(self._handle),)


def _attach(handle: object) -> SharedMemory:
    return SharedMemory(handle.detach())  # type: ignore[attr-defined]
