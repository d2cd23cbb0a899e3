"""A training step on a GPU that is not there: what crosses the bus, and what Python waits for."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from rich.console import Console
from torch import Tensor

from dfer.batches.augment import Augmenter
from dfer.bench.fake_gpu import DEVICE, fake_gpu
from dfer.bench.step_trace import trace_step
from dfer.recipe import load_recipe, shipped_recipes
from dfer.reports.benchmarks import step_table

MIXED = ["augment.mixup=0.4", "augment.cutmix=1.0", "optim.accumulate=2", "model.depth=1"]
STILLS = [
    "augment.motion=0.1", "augment.light=0.2", "augment.tint=0.1", "augment.sharpness=0.5", "augment.cover=0.2",
    "augment.onset=0.3", "loss.name=ldam", "loss.compact_form=center", "loss.class_weights=sqrt", "model.depth=1",
]  # fmt: skip


def trace(*overrides: str) -> dict[str, Any]:
    return trace_step(load_recipe(shipped_recipes() / "dfew.yaml", ["train.batch_size=4", *overrides]))


@pytest.mark.parametrize(
    "overrides", [pytest.param([], id="dfew"), pytest.param(MIXED, id="mixed"), pytest.param(STILLS, id="stills")]
)
def test_a_step_brings_one_copy_takes_one_back_and_waits_for_nothing(overrides: list[str]) -> None:
    traced = trace(*overrides)
    assert len(traced["copies_in"]) == 1
    assert traced["copies_out"] == [4 * 4], "losses, and whether to stop or save"
    assert traced["synchronisations"] == []
    if not overrides:
        parts = {part["name"]: part for part in traced["parts"]}
        assert {"augmentation", "stem", "local_attention", "mlp", "optimizer", "moving average"} <= set(parts)
        assert sum(part["flops"] for part in parts.values()) == pytest.approx(6 * 10.14e9, rel=0.05)
        console = Console(width=80, no_color=True)
        with console.capture() as capture:
            console.print(step_table(traced))
        assert "copies to the GPU 1 (" in capture.get()


def test_a_constant_made_in_each_step_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    augment = Augmenter.augment

    def wasteful(self: Augmenter, frames: Tensor, draw: Any) -> Tensor:
        clips = augment(self, frames, draw)
        return clips[torch.tensor([0, 1, 2, 3])] * torch.tensor([2.0]).to(clips.device)

    monkeypatch.setattr(Augmenter, "augment", wasteful)
    assert len(trace("model.depth=0")["copies_in"]) == 3


def test_a_value_that_python_asks_for_is_an_error() -> None:
    with fake_gpu(), pytest.raises(Exception, match="local_scalar_dense"):
        torch.ones(3, device=DEVICE).sum().item()


def test_the_gradients_have_the_shapes_of_autograds_own() -> None:
    def gradients(device: torch.device) -> list[torch.Size]:
        layer = torch.nn.Linear(3, 2, device=device)
        scale = torch.ones(1, 2, device=device, requires_grad=True)
        (layer(torch.ones(5, 3, device=device)) * scale).relu().sum().backward()
        found = [layer.weight.grad, layer.bias.grad, scale.grad]
        return [gradient.shape for gradient in found if gradient is not None]

    with fake_gpu():
        fake = gradients(DEVICE)
    assert fake == gradients(torch.device("cpu"))
