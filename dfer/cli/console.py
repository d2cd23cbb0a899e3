"""What goes to the terminal: results to stdout, everything else to stderr."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.text import Text

stdout = Console()
stderr = Console(stderr=True)


@contextmanager
def _above_bars() -> Iterator[None]:
    """Where a line can be printed while progress bars are on the screen."""
    if "tqdm" not in sys.modules:  # no bar has been drawn, and importing it takes time
        yield
        return
    from tqdm import tqdm

    with tqdm.external_write_mode(file=sys.stderr):
        yield


def _say(text: Text) -> None:
    with _above_bars():
        stderr.print(text, soft_wrap=True)


class _StderrHandler(logging.Handler):
    """`warning: ...` lines that a progress display above them survives."""

    def emit(self, record: logging.LogRecord) -> None:
        prefix = "" if record.levelno == logging.INFO else f"{record.levelname.lower()}: "
        style = "yellow" if record.levelno >= logging.WARNING else "dim"
        _say(Text(prefix, style) + Text(record.getMessage()))


def configure_logging(*, debug: bool) -> None:
    """Send dfer's messages to stderr; other packages' only when debugging."""
    ours = logging.getLogger("dfer")
    ours.handlers = [_StderrHandler()]
    ours.setLevel(logging.DEBUG if debug else logging.INFO)
    ours.propagate = False
    logging.basicConfig(level=logging.DEBUG if debug else logging.ERROR, stream=sys.stderr)


def print_error(message: str, *, hint: str | None = None) -> None:
    """The error line, and the way out."""
    _say(Text("error: ", "bold red") + Text(message))
    if hint:
        _say(Text("hint: ", "cyan") + Text(hint))


def note(message: str) -> None:
    """One line to stderr on what is going on."""
    _say(Text(message))
