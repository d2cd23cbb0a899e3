"""The screens of --live: a window, or the terminal where there is no display."""

from __future__ import annotations

import os
import sys
import time
from types import TracebackType
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from rich.console import Group
from rich.live import Live
from rich.text import Text

from dfer.cli.console import stderr
from dfer.cli.options import ViewKind
from dfer.drawing.terminal import half_blocks
from dfer.errors import UsageError

_TERMINAL_EVERY_S = 0.12  # a terminal takes a while to draw a picture
_TITLE = "dfer predict --live: q ends"


class Screen(Protocol):
    """Shows frames as they come. Use it as a context manager."""

    def __enter__(self) -> Screen: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def is_ready(self) -> bool:
        """Return whether it can show another frame now."""

    def show(self, frame_rgb: NDArray[np.uint8], line: str) -> bool:
        """Show a frame and a line of text; return whether the user has asked to end."""


class NoScreen:
    """Shows nothing."""

    def __enter__(self) -> NoScreen:
        return self

    def __exit__(self, *_: object) -> None:
        """Leave nothing behind."""

    def is_ready(self) -> bool:
        """Spare the drawing."""
        return False

    def show(self, _frame_rgb: NDArray[np.uint8], _line: str) -> bool:
        """Show nothing."""
        return False


class WindowScreen:
    """A window of OpenCV, which q or Esc closes."""

    def __init__(self) -> None:
        self._is_open = False

    def __enter__(self) -> WindowScreen:
        return self

    def __exit__(self, *_: object) -> None:
        import cv2

        if self._is_open:
            cv2.destroyAllWindows()
            cv2.waitKey(1)  # lets the window close

    def is_ready(self) -> bool:
        """Return True: a window takes every frame."""
        return True

    def show(self, frame_rgb: NDArray[np.uint8], line: str) -> bool:
        """Show a frame, with the line as the window's title."""
        import cv2

        if not self._is_open:
            cv2.namedWindow(_TITLE, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)
            cv2.resizeWindow(_TITLE, frame_rgb.shape[1], frame_rgb.shape[0])
            self._is_open = True
        cv2.imshow(_TITLE, frame_rgb[..., ::-1])
        cv2.setWindowTitle(_TITLE, f"{_TITLE} · {line}")
        key = cv2.waitKey(1) & 0xFF
        return key in (ord("q"), 27) or cv2.getWindowProperty(_TITLE, cv2.WND_PROP_VISIBLE) < 1


class TerminalScreen:
    """The terminal behind stderr, in half blocks."""

    def __init__(self) -> None:
        self._live = Live(console=stderr, auto_refresh=False, screen=True)
        self._shown_s = float("-inf")

    def __enter__(self) -> TerminalScreen:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def is_ready(self) -> bool:
        """Return whether the last frame was not drawn just now."""
        return time.monotonic() - self._shown_s >= _TERMINAL_EVERY_S

    def show(self, frame_rgb: NDArray[np.uint8], line: str) -> bool:
        """Show a frame above the line."""
        self._shown_s = time.monotonic()
        picture = half_blocks(frame_rgb, stderr.width, max(1, stderr.height - 2))
        text = Text(f"{line} · Ctrl-C ends", no_wrap=True, overflow="ellipsis")
        self._live.update(Group(picture, text), refresh=True)
        return False


def choose_screen(view: ViewKind) -> Screen:
    """Return where to show a stream.

    Args:
        view: the user's choice; by default a window if there is a display, else the terminal.

    Raises:
        UsageError: it cannot be shown there.
    """
    if view is ViewKind.window or (view is ViewKind.auto and _has_display()):
        if not _has_display():
            hint = "--view terminal shows it here"
            raise UsageError("there is no display to open a window on", where="--view", hint=hint)
        return WindowScreen()
    if not stderr.is_terminal or stderr.is_dumb_terminal:
        hint = "leave --live out: the answers are written all the same"
        raise UsageError("there is neither a display nor a terminal to show the stream", where="--live", hint=hint)
    return TerminalScreen()


def _has_display() -> bool:
    return sys.platform in ("win32", "darwin") or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
