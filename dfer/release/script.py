"""The commands of this package end with one line for an expected error, as those of `dfer` do."""

from __future__ import annotations

import sys
from collections.abc import Callable

from dfer.errors import DferError


def run_script(main: Callable[[], None]) -> None:
    """Run a command; an expected error ends the program with exit code 1, its message, and its hint on a second line.

    Args:
        main: the command.

    Raises:
        SystemExit: the command failed as expected.
    """
    try:
        main()
    except DferError as error:
        sys.exit(f"error: {error}" + (f"\nhint: {error.hint}" if error.hint else ""))
