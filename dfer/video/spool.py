"""Recordings that come as bytes in order, kept in a temporary file, since videos are read more than once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from dfer.errors import VideoError
from dfer.runtime.files import write_error
from dfer.runtime.formatting import format_bytes
from dfer.video.limits import MAX_SPOOL_VARIABLE, max_spool

STDIN = "-"  # as users name it, and predictions their source
_BLOCK_BYTES = 1 << 18


class Meter:
    """Counts bytes, and refuses those beyond the limit.

    Args:
        where: they come from.
        on_progress: called with the bytes so far, and those in all where they are known.
        total: bytes in all.
    """

    def __init__(
        self, where: str, on_progress: Callable[[int, int | None], None] | None = None, total: int | None = None
    ) -> None:
        self.done = 0
        self._limit, self._where, self._on_progress, self._total = max_spool(), where, on_progress, total
        if total is not None and total > self._limit:
            raise self._too_large()

    def add(self, size: int) -> None:
        """Count bytes.

        Raises:
            VideoError: they are too many.
        """
        self.done += size
        if self.done > self._limit:
            raise self._too_large()
        if self._on_progress:
            self._on_progress(self.done, self._total)

    def _too_large(self) -> VideoError:
        hint = f"fetch it to a file yourself, or set {MAX_SPOOL_VARIABLE} if there is room"
        return VideoError(f"more than {format_bytes(self._limit)}", where=self._where, hint=hint)


def save(
    blocks: Iterable[bytes],
    path: Path,
    *,
    where: str,
    total: int | None = None,
    on_progress: Callable[[int, int | None], None] | None = None,
) -> int:
    """Write blocks to a file, and return the number of bytes.

    Args:
        blocks: what comes.
        path: the file.
        where: it comes from.
        total: bytes in all, if that is known.
        on_progress: called with the bytes so far, and `total`.

    Raises:
        VideoError: it is too large.
        DferError: the file cannot be written.
    """
    meter = Meter(where, on_progress, total)
    try:
        file = path.open("wb")
    except OSError as error:
        raise write_error(path, error) from error
    with file:
        for block in blocks:
            meter.add(len(block))
            try:
                file.write(block)
                file.flush()
            except OSError as error:
                raise write_error(path, error) from error
    return meter.done


def read_blocks(stream: BinaryIO) -> Iterator[bytes]:
    """Yield what comes on a stream until its end.

    Raises:
        VideoError: it cannot be read.
    """
    try:
        while block := stream.read(_BLOCK_BYTES):
            yield block
    except OSError as error:
        raise VideoError("cannot read standard input", where=STDIN) from error
