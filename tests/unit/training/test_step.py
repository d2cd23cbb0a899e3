"""A step: in parts as in one, its learning rate and its targets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from dfer.batches.sampling import split_batch
from dfer.losses.training_loss import TrainingLoss
from dfer.model import LogoFormer
from dfer.recipe import Recipe
from dfer.recipe_sections import OptimSection
from dfer.store.manifest import ManifestRow
from dfer.training.batch_norm import share_batch_norm
from dfer.training.optimizer import build_optimizer
from dfer.training.setup import Learner
from dfer.training.step import Stepper, lr_factor
from tests.stores import tiny_recipe
from tests.unit.training.group import in_group

CPU = torch.device("cpu")


def stepper(recipe: Recipe, dtype: torch.dtype = torch.float32) -> Stepper:
    """Steps of a model whose batch norm has fixed statistics: it does not see which clips are computed together."""
    torch.manual_seed(0)
    sizes = {"num_frames": 4, "image_size": 32, "dim": 16, "depth": 1, "heads": 2, "stem_width": 8}
    model = LogoFormer(num_classes=3, window=(2, 1, 1), **sizes)  # type: ignore[arg-type]
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()
    loss = TrainingLoss(recipe.loss, counts=torch.tensor([5, 3, 9]), dim=16)
    learner = Learner(model, loss, build_optimizer(model, recipe.optim), None)
    return Stepper(recipe, learner, device=CPU, dtype=dtype, fold=1)


def gradients_of_a_step(recipe: Recipe, size: int) -> tuple[Tensor, Tensor]:
    step = stepper(recipe)
    frames = torch.randint(0, 256, (size, 4, 48, 48, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    split = split_batch(size, recipe.optim.accumulate, step.augment.unit, rank=0, world_size=1)
    rows = [ManifestRow(f"{n}", n % 3, "happy", "ok", {}) for n in range(size)]
    totals = step.run(rows, [(clips, frames[clips]) for clips in split], epoch=1, step=2, steps=5)
    return gradients(step), totals


def gradients(step: Stepper) -> Tensor:
    return torch.cat([parameter.grad.flatten() for parameter in step._parameters if parameter.grad is not None])


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


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16], ids=["float32", "bf16"])
@pytest.mark.parametrize("form", ["logit", "center"])
def test_a_process_without_clips_changes_nothing(
    precision: torch.dtype, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its stand-in clips count neither in batch norm nor in the centres of classes."""
    recipe = tiny_recipe(Path(), model={"dropout": 0.0, "drop_path": 0.0}, loss={"compact_form": form})
    frames = torch.randint(0, 256, (3, 4, 48, 48, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    rows = [ManifestRow(f"{n}", n, "happy", "ok", {}) for n in range(3)]

    def run(step: Stepper, parts: list[tuple[slice, Tensor]]) -> tuple[Tensor, ...]:
        share_batch_norm(step.model.train())
        totals = step.run(rows, parts, epoch=1, step=2, steps=5)
        buffers = torch.cat([value.flatten().float() for value in step.model.buffers()])
        centers = torch.cat([torch.zeros(1), *(value.flatten() for value in step.learner.loss.compact.buffers())])
        return gradients(step), totals, buffers, centers

    own = [(slice(0, 3), frames)]
    for other in ([(slice(3, 3), frames[:1])], [(slice(3, 3), 255 - frames)]):
        work = [(stepper(recipe, precision), own), (stepper(recipe, precision), other)]
        with monkeypatch.context() as patch:
            one, two = in_group(patch, 2, lambda rank, work=work: run(*work[rank]))
        assert isinstance(one, tuple), one
        assert isinstance(two, tuple), two
        for found, expected in zip(one, run(stepper(recipe, precision), own), strict=True):
            assert found.isfinite().all()
            torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4 if precision == torch.float32 else 2e-2)
        assert all(torch.equal(found, same) for found, same in zip(one[:3], two[:3], strict=True))
        assert not two[3].any(), "what the process adds to the centres"


def test_an_attempt_whether_a_batch_fits_compiles_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[int] = []

    def compile_it(function: Any, **_options: Any) -> Any:
        return lambda clips: compiled.append(len(clips)) or function(clips)

    monkeypatch.setattr(torch, "compile", compile_it)
    step = stepper(tiny_recipe(Path(), train={"compile": "on"}))
    for clips in (2, 3):
        step.probe(clips, 48)
    assert not compiled
    frames = torch.zeros(2, 4, 48, 48, 3, dtype=torch.uint8)
    rows = [ManifestRow(f"{n}", n, "happy", "ok", {}) for n in range(2)]
    step.run(rows, [(slice(0, 2), frames)], epoch=0, step=0, steps=1)
    assert compiled == [2]


@pytest.mark.parametrize(
    ("settings", "epoch", "expected"),
    [
        pytest.param({"schedule": "cosine", "final_lr_fraction": 0.0}, 0.0, 1.0, id="cosine begins at 1"),
        pytest.param({"schedule": "cosine", "final_lr_fraction": 0.0}, 5.0, 0.5, id="cosine is half way"),
        pytest.param({"schedule": "cosine", "final_lr_fraction": 0.1}, 10.0, 0.1, id="cosine ends at its floor"),
        pytest.param({"schedule": "cosine", "warmup_epochs": 2}, 1.0, 0.5, id="warm-up is linear"),
        pytest.param({"schedule": "step", "step_epochs": 4}, 3.99, 1.0, id="before the first step"),
        pytest.param({"schedule": "step", "step_epochs": 4}, 4.0, 0.1, id="after the first step"),
        pytest.param({"schedule": "step", "step_epochs": 4}, 8.5, 0.01, id="after the second step"),
    ],
)
def test_learning_rate_schedule(settings: dict[str, object], epoch: float, expected: float) -> None:
    assert lr_factor(OptimSection(**settings), epoch, 10) == pytest.approx(expected)  # type: ignore[arg-type]


def test_the_memory_of_a_step_grows_with_what_is_computed_at_a_time() -> None:
    """And estimating it changes nothing."""

    def needed(**sections: dict[str, object]) -> int:
        step = stepper(tiny_recipe(Path(), **sections))
        before = {name: value.clone() for name, value in step.model.state_dict().items()}
        found = step.needed_bytes(48)
        assert all(torch.equal(value, before[name]) for name, value in step.model.state_dict().items())
        return found

    one, four = needed(train={"batch_size": 1}), needed(train={"batch_size": 4})
    clip = (four - one) / 3
    kept_by_stem = 4 * 4 * (2 * 16 * 16 + 10 * 8 * 8) * 8  # at least: maps of 8 channels, float32, of four frames
    assert clip > kept_by_stem
    assert needed(train={"batch_size": 8}, optim={"accumulate": 2}) == four
