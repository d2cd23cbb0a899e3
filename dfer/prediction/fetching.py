"""Inputs that are no files yet: fetched before they are answered, and removed afterwards."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from dfer.errors import UsageError, VideoError
from dfer.prediction.inputs import Input
from dfer.runtime.files import spool_path
from dfer.video.raw import RawForm, parse_raw, wrap_frames
from dfer.video.remote import fetch, is_endless
from dfer.video.spool import STDIN, read_blocks, save

_HINT = "pipe a video into it: COMMAND | dfer predict -"


@contextmanager
def local_file(
    source: Input, *, seconds: float | None = None, on_progress: Callable[[int, int | None], None] | None = None
) -> Iterator[Path]:
    """Yield the file or folder of an input; what lies behind a URL is fetched, and removed after the block.

    Args:
        source: the input.
        seconds: of a stream, how long to record it.
        on_progress: called with the bytes so far, and those in all where they are known.

    Raises:
        VideoError: it cannot be fetched; or, in the block, it cannot be read: the error names the URL, not the copy.
        DferError: the disk is full.
    """
    if not source.url:
        yield source.path
        return
    with spool_path(source.path.name) as path:
        try:
            fetch(source.url, path, seconds=seconds, on_progress=on_progress)
            yield path
        except VideoError as error:
            raise VideoError(error.what, where=source.name, hint=error.hint) from error


@contextmanager
def standard_input(form: RawForm | None) -> Iterator[Path]:
    """Yield the file in which what comes on standard input is kept in the block.

    Args:
        form: of raw frames; None for a video in a container.

    Raises:
        UsageError: standard input is a terminal, or closed.
        VideoError: nothing comes, or too much.
        DferError: the disk is full.
    """
    if sys.stdin is None or sys.stdin.isatty():
        raise UsageError("nothing is piped into standard input", where=STDIN, hint=_HINT)
    with spool_path("stdin.nut" if form else "stdin") as path:
        blocks = read_blocks(sys.stdin.buffer)
        if form is not None:
            wrap_frames(blocks, form, path)
        elif not save(blocks, path, where=STDIN):
            raise VideoError("nothing came on standard input", where=STDIN, hint=_HINT)
        yield path


def check_sources(inputs: Sequence[Input], *, raw: str | None, duration: float | None) -> RawForm | None:
    """Check what the user says of inputs that are no files, and return the form of raw frames on standard input.

    Args:
        inputs: of the command.
        raw: of `dfer.video.raw.parse_raw`; None for a video in a container.
        duration: of a stream, how long to record it.

    Raises:
        UsageError: standard input is named twice, is not named but described, or a stream may have no end.
        VideoError: the frames are too large.
    """
    count = sum(item.is_stdin for item in inputs)
    if count > 1:
        raise UsageError("standard input can be read once", where=STDIN)
    if raw is not None and not count:
        raise UsageError("--raw describes standard input, which is no input", where="--raw", hint="give - as the INPUT")
    endless = next((item for item in inputs if item.url and is_endless(item.url)), None)
    if endless and duration is None:
        hint = "--duration SECONDS records so much of it"
        raise UsageError("a stream may have no end", where=endless.name, hint=hint)
    return None if raw is None else parse_raw(raw)


def keep_standard_input(inputs: list[Input], path: Path) -> list[Input]:
    """Return the inputs with standard input's file in its place."""
    return [replace(item, path=path) if item.is_stdin else item for item in inputs]
