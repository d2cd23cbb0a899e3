"""Errors that a user can act on, and their exit codes.

Every expected failure (bad file, bad recipe key, no checkpoint, full disk) raises a `DferError`, which `dfer.cli.app`
turns into an `error:` line and, if there is a hint, a `hint:` line.
"""

from __future__ import annotations

from pathlib import Path

from dfer.names import printable

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_SIGNAL = 128  # and the signal's number: 130 for Ctrl-C, 143 for SIGTERM, 129 for SIGHUP, as shells have it


class DferError(Exception):
    """An expected failure of the job.

    Args:
        what: the failure, in one line without a full stop.
        where: the file, key or argument concerned; printed in brackets.
        hint: advice on what to do, in one line.
    """

    exit_code = EXIT_FAILED

    def __init__(self, what: str, *, where: str | Path | None = None, hint: str | None = None) -> None:
        self.what = printable(" ".join(what.split()))
        self.where = None if where is None else printable(str(where), keep="")
        self.hint = hint
        super().__init__(str(self))

    def __str__(self) -> str:
        return self.what if self.where is None else f"{self.what} ({self.where})"

    def __reduce__(self) -> tuple[object, ...]:
        # Errors are pickled between processes; by default, __init__ would be called with the joined text.
        return (_rebuild, (type(self), self.what, self.where, self.hint))


class UsageError(DferError):
    """Bad arguments or a bad recipe: nothing was started."""

    exit_code = EXIT_USAGE


class InUseError(DferError):
    """A file or folder that another process is working on."""


class VideoError(DferError):
    """A video, frame folder or image that cannot be read."""


class CheckpointError(DferError):
    """A checkpoint that is missing, damaged, unsafe, or made for something else."""


class DataError(DferError):
    """A raw data set or a store with missing or wrong content."""


def os_reason(error: OSError) -> str:
    """Return the system's reason for a failure, in lower case, as in "no space left on device"."""
    return (error.strerror or str(error)).lower()


def reason_suffix(error: Exception) -> str:
    """Return what a failure says beyond that something is missing or damaged, as ": REASON" to end a message."""
    if isinstance(error, FileNotFoundError):
        return ""
    return f": {os_reason(error)}" if isinstance(error, OSError) else f": {str(error)[:100]}"


def _rebuild(kind: type[DferError], what: str, where: str | None, hint: str | None) -> DferError:
    return kind(what, where=where, hint=hint)
