"""Atomic writes: a kill at any moment leaves either the old file or the new one. Also SHA-256 of files.

A target that is no regular file is never replaced by one. A link is followed. A pipe, a device or an open descriptor
such as /dev/stdout gets the content written to it, once it is complete, where the user named it as the output; in
place of a file of a store, a run or a report, it is refused: the content would be lost, or wait for a reader.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import stat
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import gettempdir
from typing import Any

from dfer.errors import DferError, os_reason
from dfer.runtime.filenames import require_possible
from dfer.runtime.reading import NOT_REGULAR, open_regular
from dfer.runtime.streams import is_stream, open_stream

_TEMPORARY = re.compile(r"\..*\.[0-9a-f]+\.tmp(\.[^.]*)?", re.DOTALL)  # the names that `atomic_path` gives
_PLAIN = re.compile(r"[^\w.-]")
_NAME_BYTES = 140  # of a temporary name; some encrypted file systems allow no more than 143
_unfinished: set[Path] = set()  # what this process is writing


@contextmanager
def atomic_path(path: Path, *, suffix: str = "", to_stream: bool = False) -> Iterator[Path]:
    """Yield a temporary path, whose content is at `path` when the block has succeeded; a failure leaves nothing.

    It lies beside `path`, or beside the file that a link leads to, and keeps the suffix, for writers that choose a
    format by it. The content of a pipe or device is collected in the folder of temporary files.

    Args:
        path: the target.
        suffix: of the temporary path of a pipe or device, whose own name has none.
        to_stream: whether a pipe or device gets the content.

    Raises:
        DferError: the folder cannot be written, the disk is full, or the target is a pipe or device.
        BrokenPipeError: the reader of a pipe has gone.
    """
    with reported(path):
        stream = _is_stream(path, accepted=to_stream)
        target = path if stream else _followed(path)
    folder = Path(gettempdir()) if stream else target.parent
    temporary = folder / _temporary_name(target, suffix if stream else "")
    _unfinished.add(temporary)
    try:
        with reported(path):
            folder.mkdir(parents=True, exist_ok=True)
            temporary.touch(0o600 if stream else 0o666, exist_ok=False)
            mode = stat.S_IMODE(temporary.stat().st_mode)  # as the umask leaves it; safetensors replaces the file
            yield temporary
            if stream:
                with temporary.open("rb") as content, open_stream(path) as out:
                    shutil.copyfileobj(content, out)
                return
            temporary.chmod(mode)
            with temporary.open("rb") as written:
                os.fsync(written.fileno())
            temporary.replace(target)
    finally:
        with suppress(OSError):
            temporary.unlink()
        _unfinished.discard(temporary)


@contextmanager
def spool_path(name: str) -> Iterator[Path]:
    """Yield the path of a new file in the folder of temporary files, which is removed after the block.

    Args:
        name: of what the file will hold; it keeps the suffix.

    Raises:
        DferError: it cannot be created.
    """
    path = Path(gettempdir()) / _temporary_name(Path(_PLAIN.sub("_", name)), "")
    _unfinished.add(path)
    try:
        with reported(path):
            path.touch(0o600, exist_ok=False)
        yield path
    finally:
        with suppress(OSError):
            path.unlink()
        _unfinished.discard(path)


def _is_stream(path: Path, *, accepted: bool) -> bool:
    """Return whether a target is a pipe or device.

    Raises:
        OSError: it is, and is not accepted as one; or no file can have its name.
    """
    require_possible(path)
    if not is_stream(path):
        return False
    if not accepted:
        raise OSError(errno.EINVAL, NOT_REGULAR)
    return True


@contextmanager
def reported(path: Path) -> Iterator[None]:
    """Raise what fails in the block, while `path` is written, as a DferError; but a reader that has gone as it is."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise write_error(path, error) from error


def _followed(path: Path) -> Path:
    """Return the file that a chain of links leads to, whether or not it exists."""
    if not path.is_symlink():
        return path
    target = Path(os.path.realpath(path))
    if target.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    return target


def _temporary_name(path: Path, suffix: str) -> str:
    suffix = suffix or (path.suffix if len(os.fsencode(path.suffix)) <= 16 else "")
    ending = f".{uuid.uuid4().hex[:12]}.tmp{suffix}"
    stem = os.fsencode(path.stem)[: _NAME_BYTES - len(os.fsencode(ending))].decode(errors="ignore")
    return f".{stem}{ending}"


def require_places(folder: Path, files: Iterable[str], folders: Iterable[str] = ()) -> None:
    """Refuse a folder where something else lies in the places of the files that will be written.

    Args:
        folder: it need not exist.
        files: names that are free, or regular files or links to one.
        folders: names that are free, or folders.

    Raises:
        DferError: names the first that is not; or the folder cannot be entered.
    """
    for names, kind, is_right in ((files, "regular file", stat.S_ISREG), (folders, "folder", stat.S_ISDIR)):
        for name in names:
            path = folder / name
            with reported(path):
                require_possible(path)
                with suppress(FileNotFoundError, NotADirectoryError):
                    if not is_right(path.stat().st_mode):
                        hint = "remove it, or choose another folder"
                        raise DferError(f"cannot write: not a {kind}", where=path, hint=hint)


def companion_path(path: Path, ending: str, *, hidden: bool = False) -> Path:
    """Return the path of a file that belongs to another and lies beside it, or beside the file that a link leads to.

    Args:
        path: the file that it belongs to, which need not exist.
        ending: is appended to the name, such as ".lock"; a long name is cut, and a part of its SHA-256 takes its place.
        hidden: whether it gets a dot in front.

    Raises:
        DferError: the path is a loop of links.
    """
    with reported(path):
        target = _followed(path)
    name = os.fsencode(target.name)
    room = _NAME_BYTES - len(os.fsencode(ending)) - hidden
    if len(name) > room:
        digest = f"~{hashlib.sha256(name).hexdigest()[:12]}"
        name = os.fsencode(name[: room - len(digest)].decode(errors="ignore") + digest)
    return target.with_name(f"{'.' if hidden else ''}{os.fsdecode(name)}{ending}")


def remove_own_unfinished() -> None:
    """Remove the half-written files of this process, which is about to end."""
    for path in list(_unfinished):
        with suppress(OSError):
            path.unlink()


def remove_unfinished(folder: Path) -> None:
    """Remove the half-written files that a kill left below `folder`; nothing else may be writing there."""
    for path in filter(is_unfinished, folder.rglob(".*")):
        path.unlink(missing_ok=True)


def create_json(path: Path, value: Any) -> bool:
    """Write `value` to `path` unless the file exists; of several processes that try at once, one succeeds.

    Returns:
        Whether this process did.
    """
    with reported(path):
        require_possible(path)
    claim = path.with_name(_temporary_name(path, ""))
    _unfinished.add(claim)
    try:
        write_json(claim, value)
        path.hardlink_to(claim)  # unlike a rename, a link never replaces
    except FileExistsError:
        return False
    except OSError:  # a file system without links
        if path.exists():
            return False
        claim.replace(path)
    finally:
        with suppress(OSError):  # it would hide why the file could not be written
            claim.unlink()
        _unfinished.discard(claim)
    return True


def is_unfinished(path: Path) -> bool:
    """Return whether a file is being written, or was when its writer was killed."""
    return _TEMPORARY.fullmatch(path.name) is not None


def write_bytes(path: Path, data: bytes, *, to_stream: bool = False) -> None:
    """Write `data` to `path` atomically, creating its folder; with `to_stream`, a pipe or device gets it as it is."""
    with reported(path):
        if _is_stream(path, accepted=to_stream):
            with open_stream(path) as out:
                out.write(data)
            return
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str, *, to_stream: bool = False) -> None:
    r"""Write UTF-8 text to `path` atomically, creating its folder.

    Bytes of file names that are not UTF-8 become escapes such as `\udcff`, which JSON and YAML read as what they were.
    """
    write_bytes(path, text.encode(errors="backslashreplace"), to_stream=to_stream)


def write_json(path: Path, value: Any, *, to_stream: bool = False) -> None:
    """Write `value` as indented JSON to `path` atomically, creating its folder. NaN is refused."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    write_text(path, f"{text}\n", to_stream=to_stream)


def is_same_file(one: Path, other: Path) -> bool:
    """Return whether two paths are one file or folder: by links of either kind, and by case where a disk ignores it."""
    try:
        return one.samefile(other)
    except (OSError, ValueError):  # one of them does not exist
        return resolved(one) == resolved(other)


def is_inside(path: Path, folder: Path) -> bool:
    """Return whether a path, which need not exist, is a folder or lies in it."""
    return any(is_same_file(place, folder) for place in (path, *resolved(path).parents))


def resolved(path: Path) -> Path:
    """Return an absolute path without links, or as it is where links lead nowhere and where no file can have it."""
    try:
        return path.resolve()
    except (OSError, RuntimeError, ValueError):  # a loop of links, or a name that no file can have
        return path.absolute()


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a regular file's content."""
    digest = hashlib.sha256()
    with open_regular(path) as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def write_error(path: Path, error: OSError) -> DferError:
    """Return the error for a failed write, with a hint if the disk is full."""
    hint = "free some space and run the same command again: finished work is kept"
    return DferError(
        f"cannot write: {os_reason(error)}", where=path, hint=hint if error.errno == errno.ENOSPC else None
    )
