"""Atomic writes: a kill at any moment leaves either the old file or the new one. Also SHA-256 of files."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from dfer.errors import DferError, os_reason

_TEMPORARY = ".*.tmp.*"  # the names that `atomic_path` gives
_unfinished: set[Path] = set()  # what this process is writing


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, renamed over it when the block succeeds and removed when it fails.

    The temporary name keeps the suffix, for writers that choose a format by it.

    Raises:
        DferError: the folder cannot be written or the disk is full.
    """
    temporary = path.parent / f".{path.stem}.{uuid.uuid4().hex[:12]}.tmp{path.suffix}"
    _unfinished.add(temporary)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch(exist_ok=False)
        mode = stat.S_IMODE(temporary.stat().st_mode)  # as the umask leaves it; safetensors replaces the file
        yield temporary
        temporary.chmod(mode)
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    except OSError as error:
        raise write_error(path, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink()
        _unfinished.discard(temporary)


def remove_own_unfinished() -> None:
    """Remove the half-written files of this process, which is about to end."""
    for path in list(_unfinished):
        with suppress(OSError):
            path.unlink()


def remove_unfinished(folder: Path) -> None:
    """Remove the half-written files that a kill left below `folder`; nothing else may be writing there."""
    for path in folder.rglob(_TEMPORARY):
        path.unlink(missing_ok=True)


def create_json(path: Path, value: Any) -> bool:
    """Write `value` to `path` unless the file exists; of several processes that try at once, one succeeds.

    Returns:
        Whether this process did.
    """
    claim = path.with_name(f".{path.stem}.{uuid.uuid4().hex}.tmp{path.suffix}")
    write_json(claim, value)
    try:
        path.hardlink_to(claim)  # unlike a rename, a link never replaces
    except FileExistsError:
        return False
    except OSError:  # a file system without links
        if path.exists():
            return False
        claim.replace(path)
    finally:
        claim.unlink(missing_ok=True)
    return True


def is_unfinished(path: Path) -> bool:
    """Return whether a file is being written, or was when its writer was killed."""
    return path.match(_TEMPORARY)


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` to `path` atomically, creating its folder."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text to `path` atomically, creating its folder."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON to `path` atomically, creating its folder. NaN is refused."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's content."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def write_error(path: Path, error: OSError) -> DferError:
    """Return the error for a failed write, with a hint if the disk is full."""
    hint = "free some space and run the same command again: finished work is kept"
    return DferError(
        f"cannot write: {os_reason(error)}", where=path, hint=hint if error.errno == errno.ENOSPC else None
    )
