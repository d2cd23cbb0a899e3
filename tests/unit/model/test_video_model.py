"""The interface of every architecture: its groups of parameters."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from dfer.model import LogoFormer


@pytest.fixture(params=["mean", "class_token"])
def model(request: pytest.FixtureRequest) -> LogoFormer:
    sizes: dict[str, Any] = {"num_frames": 4, "image_size": 32, "dim": 16, "depth": 1, "heads": 2, "stem_width": 8}
    return LogoFormer(num_classes=3, pool=request.param, **sizes)


@pytest.mark.parametrize("by_decay", [True, False])
def test_groups_hold_every_parameter_once_by_stage_and_decay(model: LogoFormer, by_decay: bool) -> None:
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    depths = {"stem.layer3": 1, "stem.layer2": 2, "stem.layer1": 3, "stem.conv1": 4, "stem.bn1": 4}
    seen = []
    for group in model.parameter_groups(by_decay=by_decay):
        for parameter in group.parameters:
            name = names[id(parameter)]
            seen.append(name)
            assert group.depth == depths.get(".".join(name.split(".")[:2]), 0), name
            is_matrix = parameter.ndim > 1 and not name.endswith(("positions", "token"))
            assert group.decays == (is_matrix or not by_decay), name
    assert sorted(seen) == sorted(names.values())


def test_groups_run_from_the_first_stage_to_what_follows_the_backbone(model: LogoFormer) -> None:
    order = [(group.depth, group.decays) for group in model.parameter_groups()]
    assert order == [(depth, decays) for depth in (4, 3, 2, 1, 0) for decays in (False, True)]


def test_mirrored_features_give_the_mean_of_both_logits(model: LogoFormer) -> None:
    clips = torch.randn(2, 4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        model.eval()
        plain, mirrored = model(clips), model(clips.flip(4))
        assert torch.equal(model.head(model.clip_features(clips, mirror=False)), plain)
        assert torch.allclose(model.head(model.clip_features(clips, mirror=True)), (plain + mirrored) / 2, atol=1e-6)
        assert not torch.allclose(plain, mirrored, atol=1e-5)
