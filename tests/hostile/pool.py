"""Runs cases on a few warm servers at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import TypeVar

from tests.hostile.cases import MEMORY_MB, PATIENCE_S, Case, Ending, judge

Item = TypeVar("Item")
Result = TypeVar("Result")
JOBS = int(os.environ.get("DFER_HOSTILE_JOBS", "2"))
LOG = os.environ.get("DFER_HOSTILE_LOG")  # a file that gets a line as soon as a case is judged
CHECKOUT = Path(__file__).resolve().parents[2]


class Server:
    """A warm process; see `tests.hostile.server`."""

    def __init__(self) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("DFER_")}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.hostile.server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=CHECKOUT,
            env=kept | {"OMP_NUM_THREADS": "1", "COLUMNS": "160", "PYTHONPATH": str(CHECKOUT)},
            text=True,
        )

    def run(self, case: Case) -> Ending:
        """Run the command of a case to its end."""
        task = {"arguments": case.arguments, "folder": str(case.folder), **case.disturbance}
        limits = {"patience_s": PATIENCE_S, "memory_mb": MEMORY_MB}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(task | limits) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, f"the server has ended at {case.name}"
        return Ending(**json.loads(answer))

    def close(self) -> None:
        """End the process; it has nothing to lose, and to end by itself takes it seconds."""
        self._process.kill()
        self._process.communicate()


class Pool:
    """A few servers."""

    def __init__(self, servers: Sequence[Server]) -> None:
        self._free: SimpleQueue[Server] = SimpleQueue()
        self._count = len(servers)
        for server in servers:
            self._free.put(server)

    def judge_all(self, cases: Iterable[Case]) -> list[tuple[Case, str, str]]:
        """Return each case with its column of the table and what there is to say about it."""
        return self.each(self._judge, cases)

    def each(self, function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
        """Return a function's results, as many at a time as there are servers."""
        with ThreadPoolExecutor(self._count) as threads:
            return list(threads.map(function, items))

    def run(self, case: Case) -> Ending:
        """Run the command of a case on the next server that is free."""
        server = self._free.get()
        try:
            return server.run(case)
        finally:
            self._free.put(server)

    def _judge(self, case: Case) -> tuple[Case, str, str]:
        case.folder.mkdir(parents=True)
        case.prepare(case.folder)
        for name, content in case.earlier.items():
            if not (case.folder / name).exists():
                (case.folder / name).write_bytes(content)
        column, said = judge(case, self.run(case))
        if LOG:
            with Path(LOG).open("a") as log:
                log.write(f"{column}\t{case.group}\t{case.name!a:.100}\t{said!a:.300}\n")
        return case, column, said


@contextmanager
def open_pool(jobs: int) -> Iterator[Pool]:
    """Start servers, and end them with the block."""
    servers = [Server() for _ in range(jobs)]
    try:
        yield Pool(servers)
    finally:
        for server in servers:
            server.close()
