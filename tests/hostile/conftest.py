"""The sound inputs, the pool of servers, and the table at the end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.hostile.cases import COLUMNS, tabulate
from tests.hostile.material import Material, make_material
from tests.hostile.pool import Pool, open_pool


@pytest.fixture(scope="session")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    """Sound inputs to spoil."""
    return make_material(tmp_path_factory.mktemp("material"))


@pytest.fixture(scope="session")
def pool() -> Iterator[Pool]:
    """Warm processes that run the cases."""
    with open_pool() as opened:
        yield opened


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the table of all hostile inputs of this run, wherever they ran."""
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, [])]
    found = [value for report in reports for name, value in report.user_properties if name == "hostile"]
    if not found:
        return
    table = tabulate(found)
    table["all"] = {column: sum(row[column] for row in table.values()) for column in COLUMNS}
    terminalreporter.section("hostile inputs")
    terminalreporter.write_line(f"| kind | {' | '.join(COLUMNS)} |\n|---|{'---|' * len(COLUMNS)}")
    for kind, row in table.items():
        terminalreporter.write_line(f"| {kind} | {' | '.join(str(row[column]) for column in COLUMNS)} |")
