"""A warm process that forks for every case, so that none of them pays for the imports.

It reads a JSON object per line, runs the command in a child, and writes how that ended as a JSON object. The child is
watched: it is killed when its time is over or its memory too large.
"""

from __future__ import annotations

import atexit
import json
import os
import resource
import signal
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 1e6
WATCH_EVERY_S = 0.02
WAITING = 4  # times as long as a command may compute, it may wait
TICKS = os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Serve until stdin ends."""
    _warm_up()
    for line in sys.stdin:
        sys.stdout.write(json.dumps(_serve(json.loads(line))) + "\n")
        sys.stdout.flush()


def _warm_up() -> None:
    """Import what the commands use; threads are not started, since a fork would lose them."""
    import cv2
    import torch

    import dfer.cli.app
    import dfer.cli.live
    import dfer.evaluation.evaluate
    import dfer.prediction.predictor
    import dfer.preprocessing
    import dfer.reports.evaluation
    import dfer.reports.prediction
    import dfer.training  # noqa: F401

    torch.set_num_threads(1)
    cv2.setNumThreads(1)


def _serve(task: dict[str, Any]) -> dict[str, Any]:
    folder, begun = Path(task["folder"]), time.monotonic()
    logs = {name: folder.parent / f"{folder.name}.{name}" for name in ("out", "err")}
    child = os.fork()
    if child == 0:
        if "file_limit" in task:
            resource.setrlimit(resource.RLIMIT_FSIZE, (int(task["file_limit"]), resource.RLIM_INFINITY))
        _run(task["arguments"], folder, logs)
    hung, peak, status, usage = False, 0.0, 0, None
    while usage is None:
        done, status, spent = os.wait4(child, os.WNOHANG)
        if done:
            usage = spent
            break
        peak = max(peak, _memory_mb(child))
        passed = time.monotonic() - begun
        if passed > task.get("after_s", passed):
            os.kill(child, int(task["signal"]))
            del task["after_s"]
        # On a busy machine a sound command takes long without computing much.
        hung = _computed_s(child) > task["patience_s"] or passed > WAITING * task["patience_s"]
        if hung or peak > task["memory_mb"]:
            _kill_session(child)
            _, status, usage = os.wait4(child, 0)
        time.sleep(WATCH_EVERY_S)
    _kill_session(child)  # workers that outlive the program
    return {
        "code": -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status),
        "hung": hung,
        "peak_mb": max(peak, usage.ru_maxrss / 1e3),
        "seconds": time.monotonic() - begun,
        **{name: path.read_text("utf-8", "backslashreplace")[-1_000_000:] for name, path in logs.items()},
    }


def _run(arguments: list[str], folder: Path, logs: dict[str, Path]) -> None:
    """Run the command in this child, as a program of its own would, and end."""
    os.setsid()
    os.chdir(folder)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(logs[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    code = 70
    try:
        from dfer.cli.app import run

        code = run(arguments)
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)


def _memory_mb(process: int) -> float:
    """Return the resident memory of a process and its descendants."""
    try:
        own = int(Path(f"/proc/{process}/statm").read_text().split()[1]) * PAGE_MB
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    except (OSError, IndexError, ValueError):
        return 0.0
    return own + sum(_memory_mb(int(child)) for child in children)


def _computed_s(process: int) -> float:
    """Return the seconds that a process and those of its children that have ended have computed."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / TICKS


def _kill_session(leader: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


if __name__ == "__main__":
    main()
