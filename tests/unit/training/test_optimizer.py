"""The optimizer's groups of parameters."""

from __future__ import annotations

from typing import Any

import pytest

from dfer.model import LogoFormer
from dfer.recipe_sections import OptimSection
from dfer.training.optimizer import build_optimizer


@pytest.mark.parametrize("decayed", ["weights", "all"])
@pytest.mark.parametrize("pool", ["mean", "class_token"])
def test_biases_norms_and_positions_decay_only_if_asked_to_and_the_stem_is_slower(decayed: Any, pool: Any) -> None:
    model = LogoFormer(num_classes=3, num_frames=4, image_size=32, dim=16, depth=1, heads=2, stem_width=8, pool=pool)
    optimizer = build_optimizer(model, OptimSection(lr=1.0, weight_decay=0.1, stem_lr_scale=0.5, decayed=decayed))
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    seen = set()
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            name = names[id(parameter)]
            seen.add(name)
            assert group["lr"] == (0.5 if name.startswith("stem.") else 1.0), name
            is_weight = parameter.ndim > 1 and not name.endswith(("positions", "token"))
            assert group["weight_decay"] == (0.1 if is_weight or decayed == "all" else 0.0), name
    assert seen == set(names.values())


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
