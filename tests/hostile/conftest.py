"""The sound inputs, the pool of servers, and the table at the end."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from tests.hostile import interruptions
from tests.hostile.cases import COLUMNS, tabulate
from tests.hostile.material import Material, make_material
from tests.hostile.pool import JOBS, Pool, open_pool


@pytest.fixture(scope="session")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    """Sound inputs to spoil."""
    return make_material(tmp_path_factory.mktemp("material"))


@pytest.fixture(scope="session")
def pool() -> Iterator[Pool]:
    """Warm processes that run the cases."""
    with open_pool(1 if "PYTEST_XDIST_WORKER" in os.environ else JOBS) as opened:
        yield opened


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the tables of all hostile inputs and interruptions of this run, wherever they ran."""
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, [])]
    properties = [item for report in reports for item in report.user_properties]
    inputs = tabulate(value for name, value in properties if name == "hostile")
    _print(terminalreporter, "hostile inputs", inputs, COLUMNS)
    interrupted = dict(value for name, value in properties if name == "interrupted")
    _print(terminalreporter, "interruptions", interrupted, interruptions.COLUMNS)


def _print(reporter: Any, title: str, table: dict[str, dict[str, int]], columns: tuple[str, ...]) -> None:
    if not table:
        return
    reporter.section(title)
    reporter.write_line(f"| kind | {' | '.join(columns)} |\n|---|{'---|' * len(columns)}")
    total = {column: sum(row[column] for row in table.values()) for column in columns}
    for kind, row in {**table, "all": total}.items():
        reporter.write_line(f"| {kind} | {' | '.join(str(row[column]) for column in columns)} |")
