"""The harness: `pytest -m hostile` gives hundreds of hostile inputs to the real commands, and prints a table."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.hostile.cases import FAULTS, Case
from tests.hostile.checkpoints import hostile_checkpoints
from tests.hostile.interruptions import KINDS, interrupt, jobs
from tests.hostile.material import Material
from tests.hostile.names import hostile_names
from tests.hostile.pool import Pool
from tests.hostile.recipes import hostile_recipes
from tests.hostile.runs import hostile_runs
from tests.hostile.stores import hostile_stores
from tests.hostile.videos import hostile_videos, trapped_videos

Maker = Callable[[Material, Path], Iterator[Case]]
MAKERS: dict[str, Maker] = {
    "checkpoints": hostile_checkpoints,
    "stores": hostile_stores,
    "runs": hostile_runs,
    "recipes": hostile_recipes,
    "names and outputs": hostile_names,
    "videos": hostile_videos,
}
# A few of each group, always the same, for `make test`.
SAMPLE = 6
SAMPLED_VIDEOS = ("joined.mts", "posing.mp4", "one-a-second.mkv", "png-32000.png", "device.mp4", "really-an-mp4.avi")


@pytest.mark.hostile
@pytest.mark.parametrize("group", MAKERS)
def test_hostile_inputs(
    group: str, material: Material, pool: Pool, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    assert_no_fault(list(MAKERS[group](material, tmp_path)), pool, record_property)


def test_a_sample_of_hostile_inputs(
    material: Material, pool: Pool, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """All groups in one test, so that one process makes the sound inputs and starts the servers."""
    sampled = [case for case in trapped_videos(material, tmp_path / "videos") if case.name in SAMPLED_VIDEOS]
    for group, make in MAKERS.items():
        if group != "videos":
            cases = list(make(material, tmp_path / group))
            sampled += cases[:: len(cases) // SAMPLE + 1]
    assert_no_fault(sampled, pool, record_property)


def assert_no_fault(cases: list[Case], pool: Pool, record_property: Callable[[str, object], None]) -> None:
    judged = pool.judge_all(cases)
    for case, column, _ in judged:
        record_property("hostile", (case.group, column))
    faults = [(column, case, said) for case, column, said in judged if column in FAULTS]
    lines = [
        f"{column}: {case.name!a:.80}: dfer {' '.join(case.arguments)!a:.200}: {said}" for column, case, said in faults
    ]
    assert not faults, "\n".join(lines)


@pytest.mark.hostile
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("command", ["preprocess", "train", "predict", "export"])
def test_interruptions(
    command: str,
    kind: str,
    material: Material,
    pool: Pool,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    found = interrupt(jobs(material)[command], kind, tmp_path, pool)
    record_property("interrupted", (f"{command}, {kind}", {column: len(lines) for column, lines in found.items()}))
    faults = [line for column in ("unexpected", "damaged", "hangs") for line in found[column]]
    assert not faults, "\n".join(faults)
