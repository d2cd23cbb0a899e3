"""Locks between processes, which the system releases when their process ends, however it ends.

On Linux they also hold between the hosts of a network file system, where that supports locks.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

import psutil

from dfer.errors import InUseError
from dfer.runtime.filenames import require_possible
from dfer.runtime.files import write_error

logger = logging.getLogger(__name__)

_TRIES = 20  # others hold a lock for a moment when they test whether a file is locked
_PAUSE_S = 0.05


@dataclass(frozen=True)
class Owner:
    """The process that holds a lock.

    Attributes:
        pid: its number.
        host: the machine that it runs on.
        started: when it started, in seconds since 1970 by that machine's clock; a number is used again, but later.
    """

    pid: int
    host: str
    started: float

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


class LockedError(Exception):
    """Another process holds the lock.

    Attributes:
        owner: that process; None if it is not known.
    """

    def __init__(self, owner: Owner | None) -> None:
        super().__init__(owner)
        self.owner = owner

    def as_error(self, doing: str, where: Path) -> InUseError:
        """Return the error for the user.

        Args:
            doing: what the other process does, such as "is training this fold".
            where: what it does that to.
        """
        by = self.owner or "another process"
        stop = f", or stop it: kill {self.owner.pid}" if self.owner else ""
        return InUseError(f"{by} {doing}", where=where, hint=f"wait for it to end{stop}")


def try_lock(handle: int, *, exclusive: bool) -> bool | None:
    """Lock an open file for this process, without waiting.

    Returns:
        Whether it is locked now; None where there are no locks: on some file systems, and on Windows.
    """
    if sys.platform == "win32":
        return None
    import fcntl

    try:
        fcntl.flock(handle, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def lock(handle: int) -> bool | None:
    """Lock an open file for this process alone, and wait a moment if another one tests it; returns as `try_lock`."""
    for _ in range(_TRIES):
        if (locked := try_lock(handle, exclusive=True)) is not False:
            return locked
        time.sleep(_PAUSE_S)
    return False


@contextmanager
def lock_file(path: Path) -> Iterator[None]:
    """Hold a lock by a file, which names this process and is removed afterwards; one that a kill left does not count.

    Raises:
        LockedError: another process holds it.
        DferError: the file cannot be written.
    """
    try:
        require_possible(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        file = _open_locked(path)
    except OSError as error:
        raise write_error(path, error) from error
    try:
        try:
            _write_owner(file)
        except OSError as error:
            raise write_error(path, error) from error
        yield
    finally:
        with suppress(OSError):
            path.unlink()  # before it is unlocked, so that nobody else's is removed
        with suppress(OSError):  # on a full disk, the owner could not be written
            file.close()


def _open_locked(path: Path) -> IO[str]:
    while True:
        file = path.open("a+", encoding="utf-8")
        try:
            locked = lock(file.fileno())
            if locked is False:
                raise LockedError(_read_owner(file))
            if locked is None:
                _require_no_owner(file, path)
            # Its former owner may have removed the file after it was opened here.
            if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
        except BaseException:
            file.close()
            raise
        file.close()


def _require_no_owner(file: IO[str], path: Path) -> None:
    """Judge by the owner that a file names, where there are no locks.

    Raises:
        LockedError: that process is running on this machine.
    """
    owner = _read_owner(file)
    if owner is None:
        return
    if owner.host != socket.gethostname():
        logger.warning("no locks on this file system: make sure that %s has ended (%s)", owner, path)
        return
    with suppress(psutil.Error):
        if abs(psutil.Process(owner.pid).create_time() - owner.started) < 1:
            raise LockedError(owner)


def _read_owner(file: IO[str]) -> Owner | None:
    try:
        file.seek(0)
        return Owner(**json.loads(file.read(4096)))
    except (OSError, ValueError, TypeError):  # it is just being written
        return None


def _write_owner(file: IO[str]) -> None:
    file.seek(0)
    file.truncate()
    owner = Owner(os.getpid(), socket.gethostname(), psutil.Process().create_time())
    file.write(json.dumps(asdict(owner)) + "\n")
    file.flush()
    os.fsync(file.fileno())  # for other hosts
