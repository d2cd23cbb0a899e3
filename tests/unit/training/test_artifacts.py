"""The folder of a fold: a state of an earlier version goes on; TensorBoard events if the package is installed."""

from __future__ import annotations

import importlib.util
import logging
from pathlib import Path

import pytest
import torch

from dfer.errors import UsageError
from dfer.recipe import Recipe
from dfer.training.artifacts import FoldFolder, TrainingState
from dfer.training.events import has_tensorboard, write_events
from tests.stores import small_store

RECORD = {"epoch": 3, "train_loss": 1.5, "val_war": 0.25, "lr": 1e-3, "epoch_s": 4.0}


@pytest.fixture(autouse=True)
def _forget() -> None:
    has_tensorboard.cache_clear()


def test_without_the_package_it_is_logged_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with caplog.at_level(logging.INFO, logger="dfer"):
        write_events(tmp_path, RECORD)
        write_events(tmp_path, RECORD)
    assert [record.getMessage() for record in caplog.records] == [
        "no TensorBoard events: pip install 'dfer[tensorboard]' for them; metrics.jsonl has the figures"
    ]
    assert list(tmp_path.iterdir()) == []


def test_every_epoch_gets_its_figures(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="TensorBoard is optional: pip install 'dfer[tensorboard]'")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for epoch in (1, 2, 2, 3):  # the second one twice: the first time, the run was killed right afterwards
        write_events(tmp_path, RECORD | {"epoch": epoch, "val_war": epoch / 4})
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert sorted(events.Tags()["scalars"]) == ["accuracy/WAR", "learning_rate", "loss/train"]
    assert [(event.step, event.value) for event in events.Scalars("accuracy/WAR")] == [(1, 0.25), (2, 0.5), (3, 0.75)]


def test_a_state_from_before_a_key_existed_goes_on(tmp_path: Path) -> None:
    store = small_store(tmp_path / "data", clips_per_class=1)

    def folder(**model: object) -> FoldFolder:
        recipe = Recipe.model_validate({"name": "x", "data": {"path": str(store.root)}, "model": model})
        return FoldFolder(tmp_path, recipe, store, 1, store.rows)

    folder().save_state({}, TrainingState(epoch=1, history=[{"epoch": 1}]))
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    del state["recipe"]["model"]["mlp_ratio"]
    state["recipe"]["model"]["dim"] = None  # how sizes left to the name were once written
    torch.save(state, tmp_path / "state.pt")
    loaded = folder().load_state()
    assert loaded is not None
    assert loaded["epoch"] == 1
    with pytest.raises(UsageError, match=r"another recipe: model.mlp_ratio was 4.0, is 2.0"):
        folder(mlp_ratio=2.0).load_state()
