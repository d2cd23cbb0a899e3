"""What ends a run early: full memory, with advice on what would fit, and a loss that diverges."""

from __future__ import annotations

import copy
import gc
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from dfer.errors import DferError
from dfer.store import Store
from dfer.training.loop import FoldTrainer
from dfer.training.stopping import PATIENCE, DivergenceWatch, largest_fitting, out_of_memory
from tests.stores import small_store, tiny_recipe

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return small_store(tmp_path_factory.mktemp("data") / "tiny", clips_per_class=6)


@pytest.mark.parametrize("room", [0, 1, 2, 3, 31, 100])
def test_the_largest_batch_that_fits_is_found_to_an_eighth(room: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gc, "collect", lambda: 0)  # it takes long with all that the tests have loaded
    tried: list[int] = []

    def trial(clips: int) -> None:
        tried.append(clips)
        if clips > room:
            raise torch.OutOfMemoryError

    found = largest_fitting(trial, 128)
    assert found <= room
    assert found >= min(room, 128) * 7 // 8 - 1 or found == room
    assert len(tried) <= 8


def test_a_full_device_says_what_would_fit(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = tiny_recipe(store.root, train={"batch_size": 8})
    trainer = FoldTrainer(recipe, store, 1, tmp_path, device=CPU)
    model = trainer.learner.model
    features = model.forward_features

    def small_device(clips: Tensor) -> Tensor:
        if len(clips) > 3:
            raise torch.OutOfMemoryError("full")
        return features(clips)

    monkeypatch.setattr(model, "forward_features", small_device)  # not what may be compiled
    monkeypatch.setattr(trainer.stepper, "_features", small_device)
    before = copy.deepcopy(dict(trainer.learner.model.named_parameters()))
    with pytest.raises(
        DferError, match=r"out of memory at batch size 8, 8 clips at a time; 3 at a time fit \(cpu\)"
    ) as caught:
        trainer.train()
    assert caught.value.hint == "train.batch_size=3, or the same batch in parts: optim.accumulate=3"
    assert all(torch.equal(value, before[name]) for name, value in trainer.learner.model.named_parameters())

    parts = tiny_recipe(store.root, train={"batch_size": 8}, optim={"accumulate": 3})
    fitting = FoldTrainer(parts, store, 1, tmp_path / "parts", device=CPU)
    monkeypatch.setattr(fitting.stepper, "_features", small_device)
    fitting.train()  # the hint is good


def test_a_device_on_which_nothing_fits() -> None:
    def trial(_clips: int) -> None:
        raise torch.OutOfMemoryError

    error = out_of_memory(trial, batch=4, accumulate=1, world_size=1, where="cuda")
    assert "not even one clip fits" in str(error)
    several = out_of_memory(None, batch=64, accumulate=1, world_size=4, where="cuda:1")
    assert several.hint == "train.batch_size=32, or the same batch in parts: optim.accumulate=2"


def diverged_at(losses: list[float]) -> int | None:
    """The first step that counts as diverged."""
    watch = DivergenceWatch(7)
    return next((step for step, loss in enumerate(losses) if watch.diverged(loss)), None)


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        pytest.param([2.0] * 50 + [40.0] * 50, 50 + PATIENCE - 1, id="far off and staying there"),
        pytest.param([2.0] * 50 + [math.nan], 50, id="not a number"),
        pytest.param([2.0] * 50 + [math.inf], 50, id="infinite"),
        pytest.param([2.0] * 50 + [40.0] * (PATIENCE - 1) + [2.0] * 50, None, id="a bad while"),
        pytest.param([0.001] * 300 + [1.0] * 100, None, id="still better than guessing"),
        pytest.param([30.0] * 300, None, id="high from the start"),
        pytest.param(list(np.linspace(2, 60, 2000)), None, id="a slow rise"),
    ],
)
def test_divergence_is_seen_late_rather_than_wrongly(losses: list[float], expected: int | None) -> None:
    assert diverged_at(losses) == expected


def test_a_loss_that_runs_away_ends_the_run(store: Store, tmp_path: Path) -> None:
    recipe = tiny_recipe(store.root, train={"epochs": 40, "batch_size": 2})
    trainer = FoldTrainer(recipe, store, 1, tmp_path, device=CPU)
    run, steps = trainer.stepper.run, 0

    def runs_away(*arguments: Any, **options: Any) -> Any:
        nonlocal steps
        totals, steps = run(*arguments, **options), steps + 1
        if steps > 10:
            totals[0] = 1000.0
        return totals

    trainer.stepper.run = runs_away  # type: ignore[method-assign]
    with pytest.raises(DferError, match=r"the loss is 1e\+03 in step after step at epoch \d+, step \d+ \(clips c"):
        trainer.train()
    assert steps < 10 + PATIENCE + 3
