"""Running the real program: in this process where that is enough, else in one of its own."""

from __future__ import annotations

import glob
import hashlib
import io
import logging
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dfer.cli.app import run

PATIENCE_S = 120.0


@dataclass(frozen=True)
class Outcome:
    """How a command ended: exit code, stdout and stderr."""

    code: int
    out: str
    err: str

    def lines(self, kind: str) -> list[str]:
        """The lines of stderr that begin with `kind`, such as "error: "."""
        return [line for line in self.err.splitlines() if line.startswith(kind)]

    def succeeded(self) -> Outcome:
        """This outcome, which must be a success without an error line."""
        assert self.code == 0, f"exit code {self.code}\n{self.err}"
        assert not self.lines("error: ")
        return self

    def failed(self, code: int, *words: str, hint: str | None = None) -> Outcome:
        """This outcome, which must be an expected failure: one error line with these words, and at most one hint."""
        assert "Traceback" not in self.err, self.err
        errors, hints = self.lines("error: "), self.lines("hint: ")
        assert len(errors) == 1, self.err
        assert not errors[0].startswith("error: unexpected")  # what nobody has thought of
        for word in words:
            assert word in errors[0]
        assert len(hints) <= 1, self.err
        # What follows the error line is the hint, and nothing else.
        assert [line for line in self.err[self.err.index(errors[0]) :].splitlines() if line] == [*errors, *hints]
        if hint is not None:
            assert hints, "no hint"
            assert hint in hints[0]
        assert self.code == code, f"exit code {self.code}\n{self.err}"
        return self


def dfer(*arguments: object) -> Outcome:
    """Run a command in this process, and leave logging and warnings as they were."""
    out, err = io.StringIO(), io.StringIO()
    logger = logging.getLogger("dfer")
    handlers, level, propagate = logger.handlers, logger.level, logger.propagate
    try:
        with redirect_stdout(out), redirect_stderr(err), warnings.catch_warnings():
            code = run([str(argument) for argument in arguments])
    finally:
        logger.handlers, logger.propagate = handlers, propagate
        logger.setLevel(level)
    return Outcome(code, out.getvalue(), err.getvalue())


def environment(**changes: str) -> dict[str, str]:
    """This process's environment, less what would change an answer, with one thread: small models need no more."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DFER_")}
    return kept | {"OMP_NUM_THREADS": "1"} | changes


def start(*arguments: object, cwd: Path | None = None, **options: Any) -> subprocess.Popen[str]:
    """Start the program in a session of its own, as a terminal would: Ctrl-C reaches its workers too."""
    return subprocess.Popen(
        [sys.executable, "-m", "dfer", *map(str, arguments)],
        cwd=cwd,
        text=True,
        start_new_session=True,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": environment()} | options,
    )


def finish(process: subprocess.Popen[str], patience_s: float = PATIENCE_S) -> Outcome:
    """Wait for the end, also of all workers: they hold the pipes too."""
    try:
        out, err = process.communicate(timeout=patience_s)
    except subprocess.TimeoutExpired as error:
        alive = process.poll() is None
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        left = "the program hangs" if alive else "the program has ended, and its workers live on"
        raise AssertionError(f"{left}: {process.args}") from error
    return Outcome(process.returncode, out, err)


def dfer_process(
    *arguments: object, cwd: Path | None = None, patience_s: float = PATIENCE_S, **options: Any
) -> Outcome:
    """Run a command in a process of its own."""
    return finish(start(*arguments, cwd=cwd, **options), patience_s)


def wait_until(reached: Callable[[], object], process: subprocess.Popen[str]) -> None:
    """Wait for a moment in the program's run; it must come before the program ends."""
    end = time.monotonic() + PATIENCE_S
    while not reached():
        assert process.poll() is None, f"ended too early: {process.communicate()}"
        assert time.monotonic() < end, "the moment never came"
        time.sleep(0.0002)  # a file under its temporary name is there for a millisecond


def recorded(store: Path) -> int:
    """Return how many clips runs of preprocess have finished and written down; a few more crops may be there."""
    journal = store / "progress.jsonl"
    return journal.read_bytes().count(b"\n") if journal.exists() else 0


def count(folder: Path, pattern: str) -> int:
    """Return how many files match a pattern; one that does not begin with a dot leaves hidden files out."""
    return len(glob.glob(pattern, root_dir=folder))  # noqa: PTH207 - pathlib's finds hidden files too


def ctrl_c(process: subprocess.Popen[str]) -> Outcome:
    """Press Ctrl-C: the terminal signals the whole group."""
    os.killpg(process.pid, signal.SIGINT)
    return finish(process)


def kill(process: subprocess.Popen[str]) -> Outcome:
    """kill -9, of the program alone: its workers must end by themselves."""
    process.kill()
    return finish(process)


def tree(folder: Path, *, without: tuple[str, ...] = ()) -> dict[str, str]:
    """Every file below a folder, hidden ones too, with its SHA-256."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in without
    }


def temporaries(folder: Path) -> list[str]:
    """Files that a command began and did not finish."""
    return [str(path) for path in folder.rglob("*") if ".tmp" in path.name]
