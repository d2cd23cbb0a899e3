"""A store and a recipe that trains in a moment, and a sweep over them that is done."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dfer.store import Store
from dfer.sweep import SweepPlan, load_sweep, plan_sweep, run_sweep
from tests.stores import small_store, write_tiny_recipe

VARY = {"loss.compact_weight": [0, 0.5]}


@pytest.fixture(scope="session")
def flat(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store of two folds."""
    return small_store(tmp_path_factory.mktemp("data") / "flat", clips_per_class=6, num_frames=6)


@pytest.fixture(scope="session")
def recipe(flat: Store) -> Path:
    """A recipe of one epoch."""
    path = write_tiny_recipe(flat.root.parent / "tiny.yaml", flat.root)
    path.write_text(path.read_text().replace("epochs: 2", "epochs: 1"))
    return path


def planned(recipe: Path, out: Path) -> SweepPlan:
    """A sweep of two cells on two folds with one seed."""
    return plan_sweep(load_sweep(recipe, vary=VARY, folds="all", out=out))


@pytest.fixture(scope="session")
def finished(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of that sweep, done; not to be changed."""
    out = tmp_path_factory.mktemp("sweeps") / "done"
    _, failures = run_sweep(planned(recipe, out))
    assert not failures
    return out


@pytest.fixture
def done(finished: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(finished, tmp_path / "sweep"))
