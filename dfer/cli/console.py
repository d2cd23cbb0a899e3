"""Output on the terminal: results go to stdout, everything else to stderr."""

from __future__ import annotations

import errno
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.text import Text

from dfer.names import printable
from dfer.runtime.streams import discard


class _Console(Console):
    """A console whose lost reader is an exception to its caller, not the end of the process."""

    def on_broken_pipe(self) -> None:
        """Raise the error that Rich has caught."""
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


_quiet = False

# Square brackets in names and labels are no markup.
stdout = _Console(markup=False, emoji=False)
stderr = _Console(stderr=True, markup=False, emoji=False)


@contextmanager
def _above_bars() -> Iterator[None]:
    """Clear progress bars while a line is printed."""
    if "tqdm" not in sys.modules:  # no bar has been drawn, and the import is slow
        yield
        return
    from tqdm import tqdm

    with tqdm.external_write_mode(file=sys.stderr):
        yield


def _one_line(text: str) -> str:
    """Escape what a name must not do to a terminal or a log, also the beginning of a line such as `error: `."""
    return printable(text, keep="\t")


def _print(text: Text) -> None:
    try:
        with _above_bars():
            stderr.print(text, soft_wrap=True)
    except BrokenPipeError:
        raise
    except OSError:  # the terminal has gone, or the log's disk is full: the work does not depend on it
        discard(sys.stderr.fileno())


class _StderrHandler(logging.Handler):
    """Prints log records as lines such as `warning: ...` without breaking a progress bar."""

    def emit(self, record: logging.LogRecord) -> None:
        if _quiet and record.levelno < logging.WARNING:
            return
        prefix = "" if record.levelno == logging.INFO else f"{record.levelname.lower()}: "
        style = "yellow" if record.levelno >= logging.WARNING else "dim"
        _print(Text(prefix, style) + Text(_one_line(record.getMessage())))


def configure_logging(*, debug: bool) -> None:
    """Send dfer's log messages to stderr, those of other packages only with --debug; `be_quiet` leaves out notes."""
    global _quiet
    _quiet = False
    ours = logging.getLogger("dfer")
    ours.handlers = [_StderrHandler()]
    ours.setLevel(logging.DEBUG if debug else logging.INFO)
    ours.propagate = False
    logging.basicConfig(level=logging.DEBUG if debug else logging.ERROR, stream=sys.stderr)


def print_error(message: str, *, hint: str | None = None) -> None:
    """Print the error line and the hint."""
    _print(Text("error: ", "bold red") + Text(_one_line(message)))
    if hint:
        _print(Text("hint: ", "cyan") + Text(_one_line(hint)))


def note(message: str) -> None:
    """Print a line to stderr, unless the command is quiet."""
    if not _quiet:
        _print(Text(_one_line(message)))


def warn(message: str) -> None:
    """Print a warning to stderr, also where the command is quiet."""
    _print(Text(_one_line(f"warning: {message}")))


def be_quiet() -> None:
    """Leave out progress and notes for the rest of the process."""
    global _quiet
    _quiet = True


def is_quiet() -> bool:
    """Return whether progress and notes are left out."""
    return _quiet
