"""A step: in parts as in one, compiled or not, its losses, and what happens where memory or the loss give way."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from dfer.errors import DferError
from dfer.losses.training_loss import TrainingLoss
from dfer.model import LogoFormer
from dfer.recipe import OptimSection, Recipe
from dfer.store import Store
from dfer.store.manifest import ManifestRow
from dfer.training import FoldTrainer
from dfer.training.compiled import Compiled
from dfer.training.distributed import Peers
from dfer.training.divergence import PATIENCE, DivergenceWatch
from dfer.training.learner import Learner
from dfer.training.memory import largest_fitting, out_of_memory
from dfer.training.optimization import build_optimizer
from dfer.training.step import Stepper, class_targets, compiles
from tests.stores import small_store
from tests.unit.training.test_loop import tiny_recipe

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return small_store(tmp_path_factory.mktemp("data") / "tiny", clips_per_class=6)


# ---- parts of a batch


def stepper(recipe: Recipe, peers: Peers | None = None) -> Stepper:
    """A model whose batch norm is still: with fixed statistics it does not see which clips are computed together."""
    torch.manual_seed(0)
    sizes = {"num_frames": 4, "image_size": 32, "dim": 16, "depth": 1, "heads": 2, "stem_width": 8}
    model = LogoFormer(num_classes=3, window=(2, 1, 1), **sizes)  # type: ignore[arg-type]
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()
    loss = TrainingLoss(recipe.loss, counts=torch.tensor([5, 3, 9]), dim=16)
    learner = Learner(model, loss, build_optimizer(model, recipe.optim), None)
    return Stepper(recipe, learner, device=CPU, dtype=torch.float32, fold=1, peers=peers or Peers())


def gradients_of_a_step(recipe: Recipe, size: int) -> tuple[Tensor, Tensor]:
    step = stepper(recipe)
    frames = torch.randint(0, 256, (size, 4, 48, 48, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    batches = iter([frames[part.clips] for part in step.parts(size)])
    rows = [ManifestRow(f"{n}", n % 3, "happy", "ok", {}) for n in range(size)]
    outcome = step.run(batches, rows, epoch=1, step=2, steps=5, stop=False)
    return torch.cat([parameter.grad.flatten() for parameter in step._parameters if parameter.grad is not None]), (
        outcome.totals
    )


@pytest.mark.parametrize("parts", [2, 3, 7])
@pytest.mark.parametrize(
    "sections",
    [
        pytest.param({}, id="plain"),
        pytest.param({"loss": {"class_weights": "balanced", "label_smoothing": 0.1}}, id="weighted and smoothed"),
        pytest.param({"augment": {"mixup": 0.4, "cutmix": 1.0}, "loss": {"class_weights": "sqrt"}}, id="mixed"),
        pytest.param({"loss": {"name": "ldam"}, "augment": {"erase": 0.5}}, id="ldam"),
    ],
)
def test_a_batch_in_parts_gives_the_gradient_of_the_whole(parts: int, sections: dict[str, dict[str, object]]) -> None:
    still = {"model": {"dropout": 0.0, "drop_path": 0.0}, **sections}
    whole, losses = gradients_of_a_step(tiny_recipe(Path(), **still), 7)
    split = {**still, "optim": {"accumulate": parts}, "train": {"batch_size": 7}}
    pieces, summed = gradients_of_a_step(tiny_recipe(Path(), **split), 7)
    assert whole.abs().max() > 1e-3
    assert torch.allclose(whole, pieces, rtol=1e-3, atol=1e-5)
    assert torch.allclose(losses, summed, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("mixup", [0.0, 0.4])
@pytest.mark.parametrize("accumulate", [1, 2, 3])
@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("size", [1, 2, 5, 8])
def test_processes_share_every_clip_in_equally_many_parts(size: int, count: int, accumulate: int, mixup: float) -> None:
    recipe = tiny_recipe(
        Path(), augment={"mixup": mixup}, optim={"accumulate": accumulate}, train={"batch_size": max(size, accumulate)}
    )
    shares = [stepper(recipe, Peers(rank, count, count)).parts(size) for rank in range(count)]
    counted = [clip for parts in shares for part in parts if part.counts for clip in range(size)[part.clips]]
    assert counted == list(range(size))
    assert len({len(parts) for parts in shares}) == 1
    assert all(range(size)[part.clips] for parts in shares for part in parts), "a part without a clip cannot be run"
    if mixup:
        assert all(part.clips.start % 2 == 0 for parts in shares for part in parts)


# ---- optimizer


def test_the_stem_learns_slower_from_stage_to_stage() -> None:
    model = LogoFormer(num_classes=3, num_frames=4, image_size=32, dim=16, depth=1, heads=2, stem_width=8)
    optimizer = build_optimizer(model, OptimSection(lr=1.0, stem_lr_scale=0.5, stem_layer_decay=0.5))
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    rates = {names[id(parameter)]: group["lr"] for group in optimizer.param_groups for parameter in group["params"]}
    expected = {"stem.layer3": 0.5, "stem.layer2": 0.25, "stem.layer1": 0.125, "stem.conv1": 0.0625, "stem.bn1": 0.0625}
    for name, rate in rates.items():
        assert rate == expected.get(".".join(name.split(".")[:2]), 1.0), name
    assert optimizer.param_groups[-1]["lr"] == 1.0
    assert optimizer.param_groups[0]["fused"]


# ---- torch.compile


@pytest.mark.parametrize(
    ("setting", "device", "peers", "expected"),
    [
        ("auto", "cpu", 1, False), ("auto", "cuda", 1, True), ("auto", "cuda", 8, False),
        ("on", "cpu", 1, True), ("off", "cuda", 1, False),
    ],
)  # fmt: skip
def test_what_is_compiled(setting: str, device: str, peers: int, expected: bool) -> None:
    assert compiles(setting, torch.device(device), Peers(0, peers, peers)) == expected


def test_a_compiler_that_fails_costs_one_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, store: Store, tmp_path: Path
) -> None:
    """And the same bytes: it fails before anything is drawn."""

    def broken(_function: Callable[[Tensor], Tensor], **_options: object) -> Callable[[Tensor], Tensor]:
        def compiled(_clips: Tensor) -> Tensor:
            raise RuntimeError("no C++ compiler\nat all")

        return compiled

    monkeypatch.setattr(torch, "compile", broken)
    outcomes = []
    for setting in ("off", "on"):
        recipe = tiny_recipe(store.root, train={"epochs": 1, "compile": setting})
        trainer = FoldTrainer(recipe, store, 1, tmp_path / setting, device=CPU)
        trainer.train()
        outcomes.append(trainer.model.state_dict())
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        "torch.compile failed, training goes on without it: no C++ compiler"
    ]
    for name, value in outcomes[0].items():
        assert torch.equal(value, outcomes[1][name]), name


def test_full_memory_is_not_a_compilers_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_clips: Tensor) -> Tensor:
        raise torch.OutOfMemoryError("full")

    monkeypatch.setattr(torch, "compile", lambda _function, **_options: full)
    with pytest.raises(torch.OutOfMemoryError):
        Compiled(lambda clips: clips)(torch.zeros(1))


# ---- memory


@pytest.mark.parametrize("room", [0, 1, 2, 3, 31, 100])
def test_the_largest_batch_that_fits_is_found_to_an_eighth(room: int) -> None:
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
    features = trainer.stepper._features

    def small_device(clips: Tensor) -> Tensor:
        if len(clips) > 3:
            raise torch.OutOfMemoryError("full")
        return features(clips)

    monkeypatch.setattr(trainer.stepper, "_features", small_device)
    before = copy.deepcopy(dict(trainer.model.named_parameters()))
    with pytest.raises(
        DferError, match=r"memory is full at batch 8, 8 clips at a time; 3 at a time fit \(cpu\)"
    ) as caught:
        trainer.train()
    assert caught.value.hint == "train.batch_size=3, or the same batch in parts: optim.accumulate=3"
    assert all(torch.equal(value, before[name]) for name, value in trainer.model.named_parameters())

    parts = tiny_recipe(store.root, train={"batch_size": 8}, optim={"accumulate": 3})
    fitting = FoldTrainer(parts, store, 1, tmp_path / "parts", device=CPU)
    monkeypatch.setattr(fitting.stepper, "_features", small_device)
    fitting.train()  # the hint is good


def test_a_device_on_which_nothing_fits() -> None:
    def trial(_clips: int) -> None:
        raise torch.OutOfMemoryError

    error = out_of_memory(trial, batch=4, accumulate=1, peers=1, where="cuda")
    assert "not even one clip fits" in str(error)
    several = out_of_memory(None, batch=64, accumulate=1, peers=4, where="cuda:1")
    assert several.hint == "train.batch_size=32, or the same batch in parts: optim.accumulate=2"


# ---- divergence


def sees(losses: list[float]) -> int | None:
    """The first step that counts as diverged."""
    watch = DivergenceWatch(7)
    return next((step for step, loss in enumerate(losses) if watch.sees(loss)), None)


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
    assert sees(losses) == expected


def test_a_loss_that_runs_away_ends_the_run(store: Store, tmp_path: Path) -> None:
    recipe = tiny_recipe(store.root, train={"epochs": 40, "batch_size": 2})
    trainer = FoldTrainer(recipe, store, 1, tmp_path, device=CPU)
    run, steps = trainer.stepper.run, 0

    def runs_away(*arguments: Any, **options: Any) -> Any:
        nonlocal steps
        outcome, steps = run(*arguments, **options), steps + 1
        if steps > 10:
            outcome.totals[0] = 1000.0
        return outcome

    trainer.stepper.run = runs_away  # type: ignore[method-assign]
    with pytest.raises(DferError, match=r"the loss is 1e\+03 in step after step at epoch \d+, step \d+ \(clips c"):
        trainer.train()
    assert steps < 10 + PATIENCE + 3


def test_soft_labels_are_the_shares_of_the_votes() -> None:
    rows = [
        ManifestRow("voted", 1, "sad", "ok", {}, votes=(0, 6, 2)),
        ManifestRow("unknown", 2, "neutral", "ok", {}),
        ManifestRow("slips", 0, "happy", "ok", {}, votes=(0, 0, 0)),
    ]
    soft = class_targets(rows, 3, soft=True)
    assert soft.tolist() == [[0.0, 0.75, 0.25], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    assert class_targets(rows, 3, soft=False).argmax(1).tolist() == [1, 2, 0]
