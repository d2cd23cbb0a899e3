"""Saving by time and in the background."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from dfer.errors import DferError
from dfer.store import Store
from dfer.training.artifacts import FoldFolder
from dfer.training.loop import FoldTrainer
from dfer.training.observer import TrainingObserver
from tests.stores import small_store, tiny_recipe
from tests.unit.training.group import in_group

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return small_store(tmp_path_factory.mktemp("data") / "tiny", clips_per_class=10)


def trainer(store: Store, folder: Path, observer: TrainingObserver | None = None, **train: object) -> FoldTrainer:
    recipe = tiny_recipe(store.root, train=train)
    return FoldTrainer(recipe, store, 1, folder, device=CPU, observer=observer)


@pytest.fixture
def saved(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, str]]:
    """The epochs of the states that were saved, and the threads that did it."""
    found: list[tuple[int, str]] = []
    save = FoldFolder.save_state

    def save_state(folder: FoldFolder, tensors: Any, state: Any) -> None:
        found.append((state.epoch, threading.current_thread().name))
        save(folder, tensors, state)

    monkeypatch.setattr(FoldFolder, "save_state", save_state)
    return found


def test_the_state_is_saved_by_time_and_at_the_end(store: Store, tmp_path: Path, saved: list[tuple[int, str]]) -> None:
    trainer(store, tmp_path, epochs=4, save_minutes=60.0).train()
    assert [epoch for epoch, _ in saved] == [4]
    assert saved[0][1].startswith("saving"), "no step waits for the disk"
    assert len((tmp_path / "fold1" / "metrics.jsonl").read_text().splitlines()) == 4
    assert (tmp_path / "fold1" / "best.safetensors").exists()


def test_what_is_saved_is_not_changed_by_the_steps_that_follow(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first save is held up until training is two epochs further."""
    go_on, save = threading.Event(), FoldFolder.save_state

    def slow_save(folder: FoldFolder, tensors: Any, state: Any) -> None:
        if state.epoch == 1:
            assert go_on.wait(30)
            assert torch.equal(tensors["model"]["head.weight"], weights[1])
            assert len(state.history) == 1
        save(folder, tensors, state)

    monkeypatch.setattr(FoldFolder, "save_state", slow_save)
    weights: dict[int, torch.Tensor] = {}

    class Watch(TrainingObserver):
        def on_epoch(self, record: dict[str, Any]) -> None:
            weights[record["epoch"]] = running.learner.model.head.weight.detach().clone()
            running._saver._seconds = 3600.0
            if record["epoch"] == 3:
                go_on.set()

    running = trainer(store, tmp_path, Watch(), epochs=4, save_minutes=60.0)
    running._saver._seconds = 0.0
    monkeypatch.setattr(running, "_train_epoch", _without_saves(running))
    running.train()
    assert not torch.equal(weights[1], weights[3])


def _without_saves(running: FoldTrainer) -> Any:
    """Return an epoch's steps in which it is never time to save."""
    train_epoch = running._train_epoch

    def steps(loader: Any) -> Any:
        seconds, running._saver._seconds = running._saver._seconds, 3600.0
        yield from train_epoch(loader)
        running._saver._seconds = seconds

    return steps


def test_a_save_that_fails_ends_the_run(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise DferError("no space left on device")

    monkeypatch.setattr(FoldFolder, "save_state", full)
    with pytest.raises(DferError, match="no space left"):
        trainer(store, tmp_path, epochs=2, save_minutes=1e-9).train()


def test_the_checkpoint_of_a_finished_epoch_outlives_an_error(store: Store, tmp_path: Path) -> None:
    class Fails(TrainingObserver):
        def on_epoch(self, record: dict[str, Any]) -> None:
            if record["epoch"] == 2:
                raise ConnectionAbortedError

    with pytest.raises(ConnectionAbortedError):
        trainer(store, tmp_path, Fails(), epochs=4, save_minutes=60.0).train()
    lines = (tmp_path / "fold1" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2]
    assert (tmp_path / "fold1" / "last.safetensors").exists()


def test_a_save_that_another_process_wanted_restarts_its_clock(
    store: Store, tmp_path: Path, saved: list[tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise it would ask for one at each step from then on."""
    trainers = [trainer(store, tmp_path, epochs=2, save_minutes=60.0, batch_size=3) for _ in range(2)]
    trainers[1]._saver._saved_at -= 3601
    in_group(monkeypatch, 2, lambda rank: trainers[rank].train())
    assert [epoch for epoch, _ in saved] == [0, 2], "in the first epoch, and at the end"
