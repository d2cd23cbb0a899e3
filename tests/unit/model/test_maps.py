"""The models' last feature maps, and the rollout of their attention."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
import torch
from einops import rearrange

from dfer.errors import UsageError
from dfer.model import MODELS, VideoModel
from dfer.model.ops import attend, record_attention
from dfer.model.rollout import roll_out_windows
from tests.unit.model.small import clips
from tests.unit.model.small import small as small_logo_former
from tests.unit.model.test_baselines import small as small_baseline

WITH_ATTENTION = ("logo_former_s", "logo_former_b", "former_dfer", "vit_b")


def small(name: str, **settings: Any) -> VideoModel:
    model = small_logo_former(**settings) if name.startswith("logo_former") else small_baseline(name, **settings)
    return model.eval()


def clips_for(model: VideoModel, batch: int = 2) -> torch.Tensor:
    torch.manual_seed(0)
    return clips(batch, model.config.num_frames, model.config.image_size)


@pytest.mark.parametrize("name", MODELS)
def test_the_last_map_is_what_the_features_come_from(name: str) -> None:
    model = small(name)
    layer, axes, sizes = model.last_map()
    outputs: list[torch.Tensor] = []
    handle = layer.register_forward_hook(lambda _layer, _inputs, output: outputs.append(output))
    model.forward_features(clips_for(model))
    handle.remove()
    (output,) = outputs
    grid = rearrange(output, f"{axes} -> b t h w d", b=2, **sizes)
    assert grid.shape[0] == 2
    assert model.config.num_frames % grid.shape[1] == 0
    handle = layer.register_forward_hook(lambda _layer, _inputs, output: torch.zeros_like(output))
    one, other = model.forward_features(clips_for(model))
    handle.remove()
    assert torch.allclose(one, other), "without the map nothing tells clips apart"


def shares(model: VideoModel, inputs: torch.Tensor) -> torch.Tensor:
    with record_attention() as weights:
        model.forward_features(inputs)
    return model.roll_out_attention(weights, inputs)


@pytest.mark.parametrize("name", MODELS)
def test_shares_by_attention_sum_to_one_or_there_are_none(name: str) -> None:
    model = small(name)
    inputs = clips_for(model)
    if name not in WITH_ATTENTION:
        with pytest.raises(UsageError, match="has no attention to places of the face"):
            model.attention_map(inputs)
        return
    share = shares(model, inputs)
    assert torch.allclose(share.sum(dim=(1, 2, 3)), torch.ones(2), atol=1e-5)
    assert (share >= 0).all()
    maps = model.attention_map(inputs)
    assert maps.shape == share.shape
    alone = torch.cat([model.attention_map(clip[None]) for clip in inputs])
    assert torch.allclose(maps, alone, atol=1e-4)


def test_a_stem_by_itself_has_no_attention() -> None:
    model = small("logo_former_s", depth=0)
    with pytest.raises(UsageError, match="has no attention"):
        model.attention_map(clips_for(model))


def test_equal_weights_give_a_map_that_is_the_same_everywhere() -> None:
    """Although the windows do not divide the grid, so that the shares by themselves differ."""
    model = small("logo_former_s", attention="local_global")
    for name, parameter in model.named_parameters():
        if "query" in name:
            torch.nn.init.zeros_(parameter)
    inputs = clips_for(model)
    assert shares(model, inputs).std() > 1e-4
    assert torch.allclose(model.attention_map(inputs), torch.ones(2, 4, 4, 4), atol=1e-4)


@pytest.mark.parametrize("pool", ["mean", "class_token"])
@pytest.mark.parametrize("attention", ["global", "joint"])
def test_the_rollout_is_the_product_of_the_layers_matrices(attention: str, pool: str) -> None:
    """Against the matrices written out, with each window's tokens found one by one."""
    model = small_logo_former(attention=attention, pool=pool).eval()
    inputs = clips_for(model, batch=1)
    share = shares(model, inputs)
    with record_attention() as recorded:
        model(inputs)
    total = torch.full((1, 64), 1 / 64)
    if pool == "class_token":
        total = recorded.pop().mean(dim=1)[0]
    for block in reversed(model.blocks):
        weights = recorded.pop().mean(dim=1)[0]
        matrix = weights
        if attention == "global":
            size = block.global_attention.layer.summarise.weight.abs().mean(dim=(0, 1))
            matrix = torch.zeros(64, 64)
            for number, (t, h, w) in enumerate(product((0, 2), (0, 3), (0, 3))):
                members = list(product(range(t, t + 2), range(h, min(h + 3, 4)), range(w, min(w + 3, 4))))
                parts = torch.stack([size[a - t, b - h, c - w] for a, b, c in members])
                for (a, b, c), part in zip(members, parts / parts.sum(), strict=True):
                    matrix[:, 16 * a + 4 * b + c] = weights[:, number] * part
        total = total @ (matrix + torch.eye(64)) / 2
    assert not recorded
    assert torch.allclose(share.flatten(), total.flatten(), atol=1e-6)


def test_recorded_weights_are_those_of_the_attention() -> None:
    q, k, v = torch.randn(3, 2, 4, 5, 8).unbind()
    with record_attention() as weights:
        y = attend(q, k, v)
    attend(q, k, v)
    (only,) = weights
    assert torch.allclose(only @ v, y, atol=1e-6)


def test_local_attention_passes_shares_within_windows_only() -> None:
    """The gradient of the shares' sources: a window's share after a layer is its share before."""
    share = torch.rand(1, 4, 4, 4)
    sizes = [(4, 18), (4, 6), (4, 6), (4, 2)]  # two in time; 3 or 1 rows, 3 or 1 columns
    weights = [torch.rand(k // 2, 2, n, n).softmax(-1) for k, n in sizes]
    before = roll_out_windows(share, [torch.ones(1), *weights], (2, 3, 3))
    for t, h, w in product((slice(0, 2), slice(2, 4)), (slice(0, 3), slice(3, 4)), (slice(0, 3), slice(3, 4))):
        assert torch.allclose(before[:, t, h, w].sum(), share[:, t, h, w].sum(), atol=1e-5)
    assert not torch.allclose(before, share)
