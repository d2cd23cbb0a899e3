"""What goes to the terminal: results to stdout, everything else to stderr."""

from __future__ import annotations

import logging
import sys

from rich.console import Console
from rich.text import Text

stdout = Console()
stderr = Console(stderr=True)


class _StderrHandler(logging.Handler):
    """`warning: ...` lines that a progress display above them survives."""

    def emit(self, record: logging.LogRecord) -> None:
        prefix = "" if record.levelno == logging.INFO else f"{record.levelname.lower()}: "
        style = "yellow" if record.levelno >= logging.WARNING else "dim"
        stderr.print(Text(prefix, style) + Text(record.getMessage()), soft_wrap=True)


def configure_logging(*, debug: bool) -> None:
    """Send dfer's messages to stderr; other packages' only when debugging."""
    ours = logging.getLogger("dfer")
    ours.handlers = [_StderrHandler()]
    ours.setLevel(logging.DEBUG if debug else logging.INFO)
    ours.propagate = False
    logging.basicConfig(level=logging.DEBUG if debug else logging.ERROR, stream=sys.stderr)


def print_error(message: str, *, hint: str | None = None) -> None:
    """The error line, and the way out."""
    stderr.print(Text("error: ", "bold red") + Text(message), soft_wrap=True)
    if hint:
        stderr.print(Text("hint: ", "cyan") + Text(hint), soft_wrap=True)


def note(message: str) -> None:
    """One line to stderr on what is going on."""
    stderr.print(Text(message), soft_wrap=True)
