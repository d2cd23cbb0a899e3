"""The harness: `pytest -m hostile` gives hundreds of hostile inputs to the real commands, and prints a table."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.hostile.cases import FAULTS, Case
from tests.hostile.checkpoints import hostile_checkpoints
from tests.hostile.material import Material
from tests.hostile.pool import Pool
from tests.hostile.recipes import hostile_recipes
from tests.hostile.stores import hostile_stores

Maker = Callable[[Material, Path], Iterator[Case]]
MAKERS: dict[str, Maker] = {
    "checkpoints": hostile_checkpoints,
    "stores": hostile_stores,
    "recipes": hostile_recipes,
}


@pytest.mark.hostile
@pytest.mark.parametrize("group", MAKERS)
def test_hostile_inputs(
    group: str, material: Material, pool: Pool, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    judged = pool.judge_all(list(MAKERS[group](material, tmp_path)))
    for case, column, _ in judged:
        record_property("hostile", (case.group, column))
    faults = [
        f"{column}: {case.name}: dfer {' '.join(case.arguments)}: {said}"
        for case, column, said in judged
        if column in FAULTS
    ]
    assert not faults, "\n".join(faults)
