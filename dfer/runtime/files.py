"""Writing files so that a kill at any moment leaves either the old file or the new one; and their SHA-256."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from dfer.errors import DferError

_TEMPORARY = ".*.tmp.*"  # the names that `atomic_path` gives
_unfinished: set[Path] = set()  # what this process is writing


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, renamed over it when the block succeeds and removed when it fails.

    The temporary name keeps the suffix, for writers that choose a format by it.

    Raises:
        DferError: the folder cannot be written or the disk is full.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.stem}.", suffix=f".tmp{path.suffix}", dir=path.parent)
        os.close(handle)
    except OSError as error:
        raise write_error(path, error) from error
    temporary = Path(name)
    _unfinished.add(temporary)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())
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
    """Remove what this process has half written, before it ends at once."""
    for path in list(_unfinished):
        with suppress(OSError):
            path.unlink()


def remove_unfinished(folder: Path) -> None:
    """Remove what a kill left half-written below `folder`, where nothing else may be writing now."""
    for path in folder.rglob(_TEMPORARY):
        path.unlink(missing_ok=True)


def create_json(path: Path, value: Any) -> bool:
    """Write `value` to `path` unless it is there already; of several processes that try at once, one succeeds.

    Returns:
        Whether it was this one.
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
    """Whether a file has a temporary name: it is being written, or was when its writer was killed."""
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
    """SHA-256 of a file's content, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def write_error(path: Path, error: OSError) -> DferError:
    """The error line for a write that failed: names the file, and the way out where there is one."""
    reason = (error.strerror or str(error)).lower()
    hint = "free some space and run the same command again: what is finished is kept"
    return DferError(f"cannot write: {reason}", where=path, hint=hint if error.errno == 28 else None)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
