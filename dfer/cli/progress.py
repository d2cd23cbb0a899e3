"""Progress on stderr: a bar on a terminal, a line now and then in a log file."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any

from tqdm import tqdm

from dfer.cli.console import note

LOG_EVERY_S = 30.0


class Progress:
    """Counts things done.

    Args:
        what: the work, such as "preprocess".
        unit: what is counted, such as "clips".
    """

    def __init__(self, what: str, unit: str) -> None:
        self._what, self._unit = what, unit
        self._bar: tqdm[Any] | None = None
        self._done, self._total, self._extra = 0, 0, ""
        self._begun = self._logged = time.monotonic()

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def advance(self, count: int, total: int, extra: str = "") -> None:
        """So many more of `total` are done; `extra` stands at the end of the line."""
        self.set(self._done + count, total, extra)

    def set(self, done: int, total: int, extra: str = "") -> None:
        """So many of `total` are done."""
        step, self._done, self._total, self._extra = done - self._done, done, total, extra
        if sys.stderr.isatty():
            if self._bar is None:
                self._bar = tqdm(total=total, desc=self._what, unit=f" {self._unit}", leave=False, dynamic_ncols=True)
            self._bar.set_postfix_str(extra, refresh=False)
            self._bar.update(step)
        elif time.monotonic() - self._logged >= LOG_EVERY_S:
            self._log()

    def _log(self) -> None:
        self._logged = time.monotonic()
        rate = self._done / max(1e-9, self._logged - self._begun)
        left = (self._total - self._done) / max(rate, 1e-9)
        ending = f", {self._extra}" if self._extra else ""
        note(f"{self._what}: {self._done} of {self._total} {self._unit}, {rate:.1f}/s, {left:.0f} s left{ending}")
