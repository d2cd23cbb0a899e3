"""The training loop: what a run leaves behind, exact resumption, honest selection."""

from __future__ import annotations

import gc
import json
import math
import shutil
import time
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from dfer.errors import CheckpointError, DataError, DferError, UsageError
from dfer.evaluation.evaluate import evaluate
from dfer.evaluation.plan import plan_evaluation
from dfer.model import LogoFormer
from dfer.model.build import build_model
from dfer.model.checkpoint import load_checkpoint, read_checkpoint_info
from dfer.recipe import Recipe
from dfer.store import Store, open_store, write_info
from dfer.store.manifest import write_manifest
from dfer.training import StepProgress, TrainingObserver, loop, train
from dfer.training.artifacts import FoldFolder
from dfer.training.loop import FoldTrainer
from dfer.training.saving import Saver
from dfer.training.splits import open_stores
from tests.stores import LABELS, small_store, tiny_recipe
from tests.unit.training.group import in_group

CPU = torch.device("cpu")


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


def test_a_class_that_is_only_tested_or_only_trained_is_reported(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Lists of other people may lack a class on one side of a fold."""
    root = shutil.copytree(store.root, tmp_path / "store")
    rows = [replace(row, folds={1: "test" if row.label == 1 else row.folds[1]}) for row in store.rows]
    write_manifest(root / "manifest.csv", [row for row in rows if row.label != 2 or row.folds[1] == "train"])
    recipe = tiny_recipe(root, train={"epochs": 1})
    with caplog.at_level("WARNING", logger="dfer"):
        train(recipe, folds=[1], out=tmp_path / "run", device="cpu")
    assert "sad has test clips but no training clips in fold 1: it cannot be learnt" in caplog.messages
    assert "neutral has training clips but no test clips in fold 1: it is not measured" in caplog.messages


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
    assert_goes_on_to_the_same_bytes(recipe, 2, steps, tmp_path)


def assert_goes_on_to_the_same_bytes(recipe: Recipe, fold: int, steps: int, folder: Path) -> None:
    train(recipe, folds=[fold], out=folder / "undisturbed", device="cpu")
    with pytest.raises(ConnectionAbortedError):
        train(recipe, folds=[fold], out=folder / "killed", device="cpu", observer=StopAfter(steps))
    train(recipe, folds=[fold], out=folder / "killed", device="cpu")
    for name in ("last.safetensors", "best.safetensors"):
        undisturbed = (folder / "undisturbed" / f"fold{fold}" / name).read_bytes()
        assert (folder / "killed" / f"fold{fold}" / name).read_bytes() == undisturbed


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, object]]:
    """Two stores, the second with another order of labels, half the weight and targets for one clip."""
    first, second = (
        small_store(tmp_path_factory.mktemp("data") / name, clips_per_class=size, num_frames=5)
        for name, size in (("a", 10), ("b", 6))
    )
    labels = ["sadness", "anger", "joy"]
    write_info(second.root, replace(second.info, labels=labels))
    rows = [replace(row, label_name=labels[row.label]) for row in second.rows]
    write_manifest(second.root / "manifest.csv", rows)
    targets = second.root.with_name("targets.csv")
    targets.write_text("clip_id,joy,sad\nc1,0.25,0.75\n")
    return [{"path": str(first.root)}, {"path": str(second.root), "weight": 0.5, "targets": str(targets)}]


@pytest.mark.parametrize("steps", [1, 3, 5], ids=lambda n: f"after step {n}")
def test_a_run_on_several_stores_goes_on_to_the_same_bytes(
    several: list[dict[str, object]], tmp_path: Path, steps: int
) -> None:
    recipe = tiny_recipe(Path(), data={"path": several}, train={"save_minutes": 1e-9})
    assert_goes_on_to_the_same_bytes(recipe, 1, steps, tmp_path)


def test_a_run_on_several_stores_says_so(several: list[dict[str, object]], tmp_path: Path) -> None:
    recipe = tiny_recipe(Path(), data={"path": several})
    (record,) = train(recipe, folds=[1], out=tmp_path / "run", device="cpu")
    assert record["labels"] == ["happy", "sad", "neutral", "angry"]
    stores = [open_store(Path(str(store["path"]))) for store in several]
    described = record["data"]["stores"]
    assert [store["fingerprint"] for store in described] == [store.fingerprint() for store in stores]
    assert [(store["name"], store["weight"]) for store in described] == [("a", 1.0), ("b", 0.5)]
    assert "path" not in record["data"]
    for line in (tmp_path / "run" / "fold1" / "metrics.jsonl").read_text().splitlines():
        epoch = json.loads(line)
        assert list(epoch["val"]) == ["a", "b"]
        for figure in ("war", "uar", "loss"):
            assert epoch[f"val_{figure}"] == pytest.approx(sum(of[figure] for of in epoch["val"].values()) / 2)
    info = read_checkpoint_info(tmp_path / "run" / "fold1" / "best.safetensors")
    assert [store["name"] for store in info.data["stores"]] == ["a", "b"]
    Path(str(several[1]["targets"])).write_text("clip_id,joy,sad\nc1,0.5,0.5\n")
    with pytest.raises(UsageError, match="the data have changed"):
        train(recipe, folds=[1], out=tmp_path / "run", device="cpu")


def test_processes_share_the_batches_of_several_stores(
    several: list[dict[str, object]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = tiny_recipe(Path(), data={"path": several}, train={"epochs": 1})
    (alone,) = train(recipe, folds=[1], out=tmp_path / "one", device="cpu")
    joined = open_stores(recipe.data)
    trainers = [FoldTrainer(recipe, joined, 1, tmp_path / "two", device=CPU, resume=False) for _ in range(2)]
    for record in in_group(monkeypatch, 2, lambda rank: trainers[rank].train()):
        assert isinstance(record, dict)
        assert record["last"]["train_loss"] == pytest.approx(alone["last"]["train_loss"], rel=0.05)
        assert list(record["last"]["val"]) == ["a", "b"]
        assert record["last"]["val"] == trainers[0].state.history[-1]["val"]


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("save_minutes", [1e-9, 60.0], ids=["on a timed save", "between saves"])
def test_processes_leave_at_the_same_step(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, save_minutes: float, precision: str
) -> None:
    """One process is asked to stop; the other has a slower clock, and wants to save later."""
    settings: dict[str, object] = {"save_minutes": save_minutes, "precision": precision}
    trainers = [
        FoldTrainer(tiny_recipe(store.root, train=settings), store, 1, tmp_path, device=CPU, resume=False)
        for _ in range(2)
    ]
    trainers[1]._interrupt.requested = True
    monkeypatch.setattr(Saver, "due", property(lambda saver: saver is trainers[0]._saver))
    saved: list[int] = []
    monkeypatch.setattr(FoldTrainer, "_save_state", lambda trainer, **_: saved.append(trainer.state.step))

    def leave(rank: int) -> int:
        with pytest.raises(KeyboardInterrupt):
            trainers[rank].train()
        return trainers[rank].state.step

    assert in_group(monkeypatch, 2, leave) == [2, 2]
    assert saved == [2, 2]


def test_no_process_leaves_before_the_state_is_saved(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainers = [FoldTrainer(tiny_recipe(store.root), store, 1, tmp_path, device=CPU, resume=False) for _ in range(2)]
    trainers[1]._interrupt.requested = True
    state, save = tmp_path / "fold1" / "state.pt", FoldFolder.save_state

    def save_slowly(folder: FoldFolder, *arguments: Any) -> None:
        time.sleep(0.5)
        save(folder, *arguments)

    monkeypatch.setattr(FoldFolder, "save_state", save_slowly)

    def leave(rank: int) -> bool:
        with pytest.raises(KeyboardInterrupt):
            trainers[rank].train()
        return state.exists()

    assert in_group(monkeypatch, 2, leave) == [True, True]


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_processes_read_a_bad_loss_at_the_same_step(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    """Only one of them finds it time to save, which makes it read its losses."""
    recipe = tiny_recipe(store.root, train={"save_minutes": 60.0, "precision": precision})
    trainers = [FoldTrainer(recipe, store, 1, tmp_path, device=CPU, resume=False) for _ in range(2)]
    monkeypatch.setattr(Saver, "due", property(lambda saver: saver is trainers[0]._saver))
    trainers[0].learner.model.head.bias.data.fill_(math.nan)
    steps = [0, 0]

    def fail(rank: int) -> int:
        run = trainers[rank].stepper.run

        def counting(*arguments: Any, **options: Any) -> Any:
            steps[rank] += 1
            return run(*arguments, **options)

        monkeypatch.setattr(trainers[rank].stepper, "run", counting)
        with pytest.raises(DferError, match="the loss is NaN"):
            trainers[rank].train()
        return steps[rank]

    assert in_group(monkeypatch, 2, fail) == [2, 2]


def test_frozen_batch_norm_keeps_its_statistics(store: Store, tmp_path: Path) -> None:
    settings = {"frozen_norm": True, "epochs": 2, "ema_decay": 0.0}
    trainer = FoldTrainer(tiny_recipe(store.root, train=settings), store, 1, tmp_path, device=CPU)
    norm = trainer.learner.model.stem.bn1
    weight, mean, var = norm.weight.clone(), norm.running_mean.clone(), norm.running_var.clone()
    trainer.train()
    assert not torch.equal(norm.weight, weight), "its weights learn"
    assert torch.equal(norm.running_mean, mean)
    assert torch.equal(norm.running_var, var)


def test_a_frozen_stem_has_no_gradients_and_keeps_its_weights(store: Store, tmp_path: Path) -> None:
    recipe = tiny_recipe(store.root, optim={"stem_lr_scale": 0.0}, train={"epochs": 2, "ema_decay": 0.5})
    trainer = FoldTrainer(recipe, store, 1, tmp_path, device=CPU)
    model = trainer.learner.model
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    trainer.train()
    for name, parameter in model.named_parameters():
        frozen = name.startswith("stem.")
        assert (parameter.grad is None) == frozen, name
        assert torch.equal(parameter, before[name]) or not frozen, name
    assert not torch.equal(model.head.weight, before["head.weight"])


def test_a_finished_fold_is_not_trained_again(store: Store, tmp_path: Path) -> None:
    recipe = tiny_recipe(store.root, train={"epochs": 1})
    train(recipe, folds=[1], out=tmp_path / "run", device="cpu")
    before = (tmp_path / "run" / "fold1" / "last.safetensors").stat().st_mtime_ns
    train(recipe, folds=[1], out=tmp_path / "run", device="cpu", observer=StopAfter(1))
    assert (tmp_path / "run" / "fold1" / "last.safetensors").stat().st_mtime_ns == before
    with pytest.raises(ConnectionAbortedError):
        train(recipe, folds=[1], out=tmp_path / "run", device="cpu", resume=False, observer=StopAfter(1))


def test_a_fold_releases_its_crops_before_the_next_one_takes_room(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[weakref.ref[Any]] = []
    alive: list[int] = []
    opened, build = loop.open_loaders, loop.build_learner

    def watched(*arguments: Any, **options: Any) -> Any:
        alive.append(sum(thing() is not None for thing in held))
        loaders = opened(*arguments, **options)
        held.extend(weakref.ref(loader) for loader in loaders[:2])
        return loaders

    def built(*arguments: Any, **options: Any) -> Any:
        alive.append(sum(thing() is not None for thing in held))
        learner = build(*arguments, **options)
        held.append(weakref.ref(learner.model.head.weight))
        return learner

    monkeypatch.setattr(loop, "open_loaders", watched)
    monkeypatch.setattr(loop, "build_learner", built)
    gc.disable()
    try:
        train(tiny_recipe(store.root, train={"epochs": 1}), folds=[1, 2], out=tmp_path, device="cpu")
    finally:
        gc.enable()
    assert alive == [0, 1, 0, 1], "only the weights of the fold that begins"


def test_another_recipe_or_other_data_do_not_resume(store: Store, tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(tiny_recipe(store.root, train={"epochs": 1}), folds=[1], out=run, device="cpu")
    with pytest.raises(UsageError, match=r"optim.lr was 0.003, is 0.5"):
        train(tiny_recipe(store.root, train={"epochs": 1}, optim={"lr": 0.5}), folds=[1], out=run, device="cpu")
    other = small_store(tmp_path / "other", clips_per_class=7)
    changed = tiny_recipe(store.root, train={"epochs": 1})
    with pytest.raises(UsageError, match="data have changed"):
        FoldTrainer(changed, other, 1, run, device=CPU)
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
    trainer = FoldTrainer(recipe, store, 1, tmp_path, device=CPU, observer=Poison(epoch=2))
    trainer.observer.model = trainer.learner.model  # type: ignore[attr-defined]
    with pytest.raises(DferError, match=r"the loss is NaN at epoch 2, step \d") as caught:
        trainer.train()
    assert "clips c" in str(caught.value)
    model, info = load_checkpoint(tmp_path / "fold1" / "last.safetensors")
    assert info.epoch == 1
    assert all(torch.isfinite(value).all() for value in model.state_dict().values())


@pytest.mark.parametrize("what", ["weight", "batch norm", "moving average", "optimizer"])
def test_a_state_in_the_middle_of_an_epoch_is_saved_only_if_it_is_good(
    store: Store, tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loss of a step is computed before its update, and tells nothing of it."""
    recipe = tiny_recipe(store.root, train={"save_minutes": 1e-9})
    trainer = FoldTrainer(recipe, store, 1, tmp_path, device=CPU)
    learner, run, steps = trainer.learner, trainer.stepper.run, 0
    assert learner.average is not None
    average = learner.average

    def poisoned(*arguments: Any, **options: Any) -> Any:
        nonlocal steps
        totals, steps = run(*arguments, **options), steps + 1
        if steps == 3:
            value = {
                "weight": lambda: learner.model.head.bias,
                "batch norm": lambda: learner.model.stem.bn1.running_var,
                "moving average": lambda: next(average.module.parameters()),
                "optimizer": lambda: learner.optimizer.state[learner.model.head.bias]["exp_avg"],
            }[what]()
            value.data.fill_(math.nan)
        return totals

    monkeypatch.setattr(trainer.stepper, "run", poisoned)
    with pytest.raises(DferError, match="NaN or infinite after step 3 of epoch 1"):
        trainer.train()
    state = torch.load(tmp_path / "fold1" / "state.pt", weights_only=True)
    assert state["step"] == 2
    saved = [*state["model"].values(), *state["average"].values()]
    assert all(value.isfinite().all() for value in saved)


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
    trainer = FoldTrainer(recipe, store, 1, tmp_path / "second", device=CPU)
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
