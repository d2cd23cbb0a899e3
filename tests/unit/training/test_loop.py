"""The training loop: what a run leaves behind, exact resumption, honest selection."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from dfer.errors import CheckpointError, DataError, DferError, UsageError
from dfer.evaluation.evaluate import evaluate, plan_evaluation
from dfer.model import LogoFormer
from dfer.model.build import build_model
from dfer.model.checkpoint import load_checkpoint, read_checkpoint_info
from dfer.store import Store, open_store
from dfer.store.manifest import write_manifest
from dfer.training import StepProgress, TrainingObserver, distributed, train
from dfer.training.loop import FoldTrainer
from tests.stores import LABELS, small_store, tiny_recipe


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return small_store(tmp_path_factory.mktemp("data") / "tiny", clips_per_class=16)


class StopAfter(TrainingObserver):
    """Ends the run by an exception after a number of steps, as a kill would: whatever was not saved is lost."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def on_step(self, progress: StepProgress) -> None:  # noqa: ARG002
        self.left -= 1
        if self.left == 0:
            raise ConnectionAbortedError


def test_a_run_leaves_what_the_contract_says_and_learns(store: Store, tmp_path: Path) -> None:
    recipe = tiny_recipe(store.root, train={"epochs": 12, "ema_decay": 0.0})
    (record,) = train(recipe, folds=[1], out=tmp_path / "run", device="cpu")
    folder = tmp_path / "run" / "fold1"
    assert sorted(path.name for path in folder.iterdir() if path.name != "tensorboard") == [
        "best.safetensors", "curves.png", "last.safetensors", "metrics.jsonl", "recipe.yaml", "run.json", "state.pt",
    ]  # fmt: skip
    history = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in history] == list(range(1, 13))
    assert history[-1]["train_loss"] < 0.85 * history[0]["train_loss"]
    for line in history:
        assert 0 <= line["data_wait"] < 1
        assert line["step_ms"] > 0
    best = max(history, key=lambda line: (line["val_war"], line["val_uar"], -line["val_loss"]))
    assert record["best"]["epoch"] == best["epoch"]
    info = read_checkpoint_info(folder / "best.safetensors")
    assert (info.labels, info.epoch, info.selection) == (LABELS, best["epoch"], "best on validation")
    assert read_checkpoint_info(folder / "last.safetensors").epoch == 12
    for key in ("git", "seed", "device", "packages", "data"):
        assert key in record
    assert record["data"]["fingerprint"] == store.fingerprint()
    result = evaluate(plan_evaluation(run=tmp_path / "run"))
    assert result.folds[0].war > 0.7  # chance is a third


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(store: Store, tmp_path: Path) -> None:
    def weights(name: str, seed: int) -> bytes:
        train(tiny_recipe(store.root, train={"seed": seed}), folds=[1], out=tmp_path / name, device="cpu")
        return (tmp_path / name / "fold1" / "last.safetensors").read_bytes()

    assert weights("a", 0) == weights("b", 0)
    assert weights("c", 1) != weights("a", 0)


@pytest.mark.parametrize("form", ["logit", "center"])
@pytest.mark.parametrize("steps", [1, 2, 4, 6], ids=lambda n: f"after step {n}")
def test_a_stopped_run_goes_on_to_the_same_bytes(store: Store, tmp_path: Path, steps: int, form: str) -> None:
    """Killed in the middle of an epoch, at its end, or in the next one."""
    recipe = tiny_recipe(store.root, loss={"compact_form": form}, train={"save_minutes": 1e-9})
    train(recipe, folds=[2], out=tmp_path / "undisturbed", device="cpu")
    with pytest.raises(ConnectionAbortedError):
        train(recipe, folds=[2], out=tmp_path / "killed", device="cpu", observer=StopAfter(steps))
    train(recipe, folds=[2], out=tmp_path / "killed", device="cpu")
    for name in ("last.safetensors", "best.safetensors"):
        undisturbed = (tmp_path / "undisturbed" / "fold2" / name).read_bytes()
        assert (tmp_path / "killed" / "fold2" / name).read_bytes() == undisturbed


def test_processes_stop_at_the_same_step_though_only_one_of_them_saves(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What two processes do in turn, each asked to stop in its first step; messages between them are left out."""
    monkeypatch.setattr(distributed, "world_size", lambda: 2)
    monkeypatch.setattr(distributed, "all_reduce", lambda _tensors: None)
    monkeypatch.setattr(distributed, "broadcast", lambda value: value)
    monkeypatch.setattr(distributed, "all_gather", lambda value: [value, value])
    monkeypatch.setattr(distributed, "total", torch.clone)
    recipe, stopped_at = tiny_recipe(store.root, train={"save_minutes": 1e-9}), []
    for rank in (0, 1):
        monkeypatch.setattr(distributed, "rank", lambda rank=rank: rank)
        trainer = FoldTrainer(recipe, store, 1, tmp_path, device=torch.device("cpu"), resume=False)
        trainer._interrupt.requested = True
        with pytest.raises(KeyboardInterrupt):
            trainer.train()
        stopped_at.append(trainer.state.step)
    assert stopped_at == [2, 2]


def test_a_finished_fold_is_not_trained_again(store: Store, tmp_path: Path) -> None:
    recipe = tiny_recipe(store.root, train={"epochs": 1})
    train(recipe, folds=[1], out=tmp_path / "run", device="cpu")
    before = (tmp_path / "run" / "fold1" / "last.safetensors").stat().st_mtime_ns
    train(recipe, folds=[1], out=tmp_path / "run", device="cpu", observer=StopAfter(1))
    assert (tmp_path / "run" / "fold1" / "last.safetensors").stat().st_mtime_ns == before
    with pytest.raises(ConnectionAbortedError):
        train(recipe, folds=[1], out=tmp_path / "run", device="cpu", resume=False, observer=StopAfter(1))


def test_another_recipe_or_other_data_do_not_resume(store: Store, tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(tiny_recipe(store.root, train={"epochs": 1}), folds=[1], out=run, device="cpu")
    with pytest.raises(UsageError, match=r"optim.lr was 0.003, is 0.5"):
        train(tiny_recipe(store.root, train={"epochs": 1}, optim={"lr": 0.5}), folds=[1], out=run, device="cpu")
    other = small_store(tmp_path / "other", clips_per_class=7)
    changed = tiny_recipe(store.root, train={"epochs": 1})
    with pytest.raises(UsageError, match="data have changed"):
        FoldTrainer(changed, other, 1, run, device=torch.device("cpu"))
    (run / "fold1" / "state.pt").write_bytes(b"rubbish")
    with pytest.raises(CheckpointError, match="damaged training state"):
        train(tiny_recipe(store.root, train={"epochs": 1}), folds=[1], out=run, device="cpu")


def test_selection_on_the_test_fold_is_marked(store: Store, tmp_path: Path) -> None:
    recipe = tiny_recipe(store.root, train={"epochs": 1, "select": "test"})
    train(recipe, folds=[1], out=tmp_path / "run", device="cpu")
    assert read_checkpoint_info(tmp_path / "run" / "fold1" / "best.safetensors").selection == "best on test"
    result = evaluate(plan_evaluation(run=tmp_path / "run"))
    assert result.folds[0].selection == "best on test"
    assert any("test fold" in note for note in result.notes)


def test_without_a_validation_split_only_last_is_kept(store: Store, tmp_path: Path) -> None:
    recipe = tiny_recipe(store.root, data={"val_fraction": 0.0}, train={"epochs": 1})
    train(recipe, folds=[1], out=tmp_path, device="cpu")
    assert not (tmp_path / "fold1" / "best.safetensors").exists()
    assert evaluate(plan_evaluation(run=tmp_path)).folds[0].selection == "last"


def test_a_diverging_loss_stops_and_keeps_the_last_good_state(store: Store, tmp_path: Path) -> None:
    recipe = tiny_recipe(store.root, train={"epochs": 3, "ema_decay": 0.0})
    trainer = FoldTrainer(recipe, store, 1, tmp_path, device=torch.device("cpu"), observer=Poison(epoch=2))
    trainer.observer.model = trainer.learner.model  # type: ignore[attr-defined]
    with pytest.raises(DferError, match=r"the loss is NaN at epoch 2, step \d") as caught:
        trainer.train()
    assert "clips c" in str(caught.value)
    model, info = load_checkpoint(tmp_path / "fold1" / "last.safetensors")
    assert info.epoch == 1
    assert all(torch.isfinite(value).all() for value in model.state_dict().values())


class Poison(TrainingObserver):
    """Makes the weights NaN in the middle of an epoch."""

    model: LogoFormer

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_step(self, progress: StepProgress) -> None:
        if progress.epoch == self.epoch:
            self.model.head.bias.data.fill_(float("nan"))


def test_starting_from_a_checkpoint(store: Store, tmp_path: Path) -> None:
    train(tiny_recipe(store.root, train={"epochs": 1}), folds=[1], out=tmp_path / "first", device="cpu")
    start = tmp_path / "first" / "fold1" / "last.safetensors"
    recipe = tiny_recipe(store.root, model={"init": str(start), "num_frames": 8}, train={"epochs": 1})
    trainer = FoldTrainer(recipe, store, 1, tmp_path / "second", device=torch.device("cpu"))
    weights, _ = load_checkpoint(start)
    assert torch.equal(trainer.learner.model.stem.conv1.weight, weights.stem.conv1.weight)
    assert trainer.learner.model.temporal_positions.shape[0] == 8


def test_another_label_order_does_not_inherit_the_head(store: Store, tmp_path: Path) -> None:
    train(tiny_recipe(store.root, train={"epochs": 1}), folds=[1], out=tmp_path / "first", device="cpu")
    settings = tiny_recipe(store.root, model={"init": str(tmp_path / "first/fold1/last.safetensors")}).model
    weights, _ = load_checkpoint(tmp_path / "first" / "fold1" / "last.safetensors")
    same, other = build_model(settings, LABELS), build_model(settings, LABELS[::-1])
    assert torch.equal(same.head.weight, weights.head.weight)
    assert not torch.equal(other.head.weight, weights.head.weight)
    assert torch.equal(other.project.weight, weights.project.weight)


def test_a_fold_without_readable_clips_says_so(tmp_path: Path) -> None:
    store = small_store(tmp_path / "data", clips_per_class=2)
    rows = [replace(row, status="missing", num_frames=0) for row in store.rows]
    write_manifest(store.root / "manifest.csv", rows)
    with pytest.raises(DataError, match="no training clip"):
        train(tiny_recipe(store.root), folds=[1], out=tmp_path / "run", device="cpu")
    assert open_store(store.root).rows[0].status == "missing"
