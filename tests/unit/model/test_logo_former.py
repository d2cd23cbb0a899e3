"""LOGO-Former: shapes, padding, flow of information, training and evaluation mode, export."""

from __future__ import annotations

import json
from itertools import product
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dfer.errors import UsageError
from dfer.model import MODELS, logo_former
from dfer.model.logo_former import (
    ATTENTIONS,
    GlobalAttention,
    LocalAttention,
    LogoFormer,
    StochasticDepth,
    logo_former_b,
    logo_former_s,
)
from dfer.model.weights import load_weights
from tests.unit.model.small import SMALL, clips, small

KINDS = list(ATTENTIONS)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


# ------------------------------------------------------------------------------------------- the public surface


def test_the_contract_holds() -> None:
    model = logo_former_s(num_classes=7, num_frames=16, window=(2, 4, 4), attention="local_global").eval()
    x = clips(2, 16, 112)
    with torch.inference_mode():
        features, logits = model.forward_features(x), model(x)
        assert torch.equal(model.head(features), logits)
    assert features.shape == (2, 256)
    assert logits.shape == (2, 7)


def test_the_two_sizes_and_their_overrides() -> None:
    s, b = logo_former_s(stem_width=8, dim=64), logo_former_b(11, num_frames=8, attention="joint", stem_width=8)
    assert (s.config.dim, s.config.depth, s.config.stem_width) == (64, 6, 8)
    assert (b.config.dim, b.config.depth, b.config.heads, b.config.num_classes) == (512, 4, 8, 11)
    assert (b.config.num_frames, b.config.window, b.config.attention) == (8, (2, 4, 4), "joint")


@pytest.mark.parametrize("name", ["logo_former_s", "logo_former_b"])
def test_a_registered_name_builds_what_its_function_does(name: str) -> None:
    by_name = MODELS[name].build(num_classes=3, stem_width=8)
    assert by_name.config == getattr(logo_former, name)(3, stem_width=8).config


def test_config_survives_json_and_builds_the_same_model() -> None:
    model = small(attention="global", pool="class_token", dropout=0.1)
    again = LogoFormer(**json.loads(json.dumps(model.config.model_dump())))
    assert again.config == LogoFormer(model.config).config == model.config
    load_weights(again, model.state_dict())
    x = clips()
    assert torch.equal(again.eval()(x), model.eval()(x))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        pytest.param({"heads": 5}, r"heads \(5\) must divide dim \(32\)", id="heads"),
        pytest.param({"window": (2, 0, 4)}, "window.1: input should be greater than or equal to 1, got 0", id="empty"),
        pytest.param({"window": (2, 4)}, "window: value 3 is missing", id="flat-window"),
        pytest.param({"attention": "lokal"}, "attention: input should be 'local_global'.*'lokal'", id="attention"),
        pytest.param({"pool": "max"}, "pool: input should be 'mean' or 'class_token', got 'max'", id="pool"),
        pytest.param({"num_classes": 1}, "num_classes: .* greater than or equal to 2, got 1", id="one-class"),
        pytest.param({"depth": -1}, "depth: .* greater than or equal to 0", id="no-blocks"),
        pytest.param({"dropout": 1.0}, "dropout: .* less than 1", id="dropout"),
        pytest.param({"drop_path": -0.1}, "drop_path: .* greater than or equal to 0", id="drop-path"),
        pytest.param({"mlp_ratio": 0.0}, "mlp_ratio: .* greater than 0", id="mlp"),
        pytest.param({"dim": 16.5}, "dim: input should be a valid integer.*got 16.5", id="ill-typed"),
        pytest.param({"dpeth": 2}, r"unknown key 'dpeth' \(did you mean 'depth'\?\)", id="misspelt"),
        pytest.param({"heads": 0, "depth": -1}, "depth: .*; heads: ", id="all-at-once"),
    ],
)
def test_settings_that_fit_no_model_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        small(**settings)


def test_wrong_axes_are_named() -> None:
    with pytest.raises(ValueError, match=r"expected clips of shape \[B, T, 3, S, S\], got \[2, 3, 4, 64, 64\]"):
        small()(clips().transpose(1, 2))


# ------------------------------------------------------------------------------------ any window, any clip size


@pytest.mark.parametrize("attention", KINDS)
@pytest.mark.parametrize(
    ("window", "frames", "size"),
    [
        pytest.param((2, 2, 2), 4, 64, id="divides"),
        pytest.param((2, 3, 3), 4, 64, id="divides-only-time"),
        pytest.param((3, 2, 3), 5, 64, id="divides-only-height"),
        pytest.param((1, 1, 1), 4, 64, id="single-tokens"),
        pytest.param((9, 9, 9), 4, 64, id="beyond-the-grid"),
        pytest.param((2, 3, 3), 1, 64, id="one-frame"),
        pytest.param((2, 3, 3), 9, 64, id="more-frames"),
        pytest.param((2, 3, 3), 4, 100, id="larger-crop"),
        pytest.param((2, 3, 3), 3, 33, id="smaller-odd-crop"),
        pytest.param((2, 3, 3), 2, 16, id="one-token-a-frame"),
    ],
)
def test_any_window_length_and_crop(attention: Any, window: tuple[int, int, int], frames: int, size: int) -> None:
    model = small(attention=attention, window=window, depth=1)
    logits = model(clips(2, frames, size))
    assert logits.shape == (2, 5)
    assert logits.isfinite().all()
    logits.sum().backward()
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    assert all(gradient.isfinite().all() for gradient in gradients)


def test_crops_need_not_be_square() -> None:
    assert small().eval()(torch.randn(2, 4, 3, 48, 80)).shape == (2, 5)


@pytest.mark.parametrize(
    ("frames", "size"),
    [pytest.param(8, 64, id="frames"), pytest.param(4, 96, id="crop"), pytest.param(7, 50, id="both")],
)
def test_positions_stretch_at_use_as_they_do_on_loading(frames: int, size: int) -> None:
    model, stretched = small(), small(num_frames=frames, image_size=size)
    load_weights(stretched, model.state_dict())
    x = clips(2, frames, size)
    torch.testing.assert_close(model.eval()(x), stretched.eval()(x))


# ------------------------------------------------------------------------------------------------- the attention


@pytest.fixture
def grid() -> Tensor:
    return torch.randn(2, 5, 7, 6, 32)


def cuts(size: int, length: int) -> list[slice]:
    return [slice(start, start + length) for start in range(0, size, length)]


def windows_of(grid: Tensor, window: tuple[int, int, int]) -> list[tuple[slice, ...]]:
    axes = zip(grid.shape[1:4], window, strict=True)
    return [(slice(None), *place) for place in product(*(cuts(size, length) for size, length in axes))]


@pytest.mark.parametrize("window", [(2, 4, 4), (5, 3, 6), (3, 7, 5), (8, 8, 8)], ids=str)
def test_each_window_is_attended_to_by_itself(grid: Tensor, window: tuple[int, int, int]) -> None:
    layer = LocalAttention(dim=32, heads=4, dropout=0.0, window=window)
    together = layer(grid)
    for place in windows_of(grid, window):
        torch.testing.assert_close(together[place], layer(grid[place]))


def test_windows_at_the_edge_are_summarised_by_their_real_tokens(grid: Tensor) -> None:
    window = (2, 4, 4)
    layer = GlobalAttention(dim=32, heads=4, dropout=0.0, window=window)
    nn.init.normal_(layer.summarise.weight)
    kernel = layer.summarise.weight[:, 0].movedim(0, -1)  # t h w D
    sums = []
    for place in windows_of(grid, window):
        tokens = grid[place]
        _, t, h, w, _ = tokens.shape
        sums.append((tokens * kernel[:t, :h, :w]).sum(dim=(1, 2, 3)))
    summaries = layer.norm(torch.stack(sums, dim=1))
    expected = layer.attention(grid.flatten(1, 3), summaries).view(grid.shape)
    torch.testing.assert_close(layer(grid), expected, atol=1e-5, rtol=1e-4)


def test_a_summary_starts_out_as_the_mean_of_its_window(grid: Tensor) -> None:
    layer = small(window=(2, 4, 4)).blocks[0].global_attention.layer
    summary = layer.summarise(grid[:, :2, :4, :4])[:, 0]
    torch.testing.assert_close(summary, grid[:, :2, :4, :4].mean(dim=(1, 2, 3)))


def test_joint_attention_is_one_window_over_everything(grid: Tensor) -> None:
    joint = LocalAttention(dim=32, heads=4, dropout=0.0, window=None)
    local = LocalAttention(dim=32, heads=4, dropout=0.0, window=(5, 7, 6))
    local.load_state_dict(joint.state_dict())
    assert torch.equal(joint(grid), local(grid))


@pytest.mark.parametrize(
    ("attention", "reaches"),
    [("local", False), ("global", True), ("local_global", True), ("joint", True)],
)
def test_how_far_one_block_carries_information(attention: Any, reaches: bool, grid: Tensor) -> None:
    block = small(attention=attention, window=(2, 4, 4)).blocks[0]
    grid.requires_grad_()
    block(grid)[:, 0, 0, 0].square().sum().backward()
    assert grid.grad is not None
    inside, outside = grid.grad[:, :2, :4, :4], grid.grad[:, 2:]
    assert inside.abs().max() > 0
    assert bool(outside.abs().max() > 0) is reaches


def test_a_block_holds_what_its_kind_says() -> None:
    names = {kind: list(dict(small(attention=kind).blocks[0].named_children())) for kind in KINDS}
    assert names == {
        "local_global": ["local_attention", "global_attention", "mlp"],
        "local": ["local_attention", "mlp"],
        "global": ["global_attention", "mlp"],
        "joint": ["joint_attention", "mlp"],
    }


@pytest.mark.parametrize("attention", KINDS)
def test_the_order_of_the_frames_matters(attention: Any) -> None:
    model, x = small(attention=attention).eval(), clips()
    assert (model(x) - model(x.flip(1))).abs().max() > 1e-3


def test_joint_attention_knows_the_order_only_from_temporal_positions() -> None:
    model, x = small(attention="joint").eval(), clips()
    nn.init.zeros_(model.temporal_positions)
    torch.testing.assert_close(model(x), model(x.flip(1)))


def test_class_token_answers_from_all_tokens() -> None:
    model = small(pool="class_token").eval()
    x = torch.randn(2, 4, 4, 4, 32, requires_grad=True)
    model.pool(x).square().sum().backward()
    assert x.grad is not None
    assert (x.grad.abs().amax(dim=-1) > 0).all()


# ----------------------------------------------------------------------------------- training and evaluation mode


@pytest.mark.parametrize("pool", ["mean", "class_token"])
@pytest.mark.parametrize("attention", KINDS)
def test_evaluation_is_the_same_in_any_batch(attention: Any, pool: Any) -> None:
    model = small(attention=attention, pool=pool, dropout=0.5, drop_path=0.5).eval()
    x = clips(6)
    together = model(x)
    assert torch.equal(model(x), together)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    torch.testing.assert_close(model(x[order]), together[order])
    one_by_one = torch.cat([model(clip[None]) for clip in x])
    torch.testing.assert_close(one_by_one, together)


@pytest.mark.parametrize("name", ["dropout", "drop_path"])
def test_training_is_random_and_evaluation_is_not(name: str) -> None:
    model = small(**{name: 0.5})
    x = clips(4)
    grid = model.project(model.stem(x.flatten(0, 1)).movedim(1, -1)).unflatten(0, (4, 4))
    assert not torch.allclose(model.blocks(grid), model.blocks(grid))
    assert torch.equal(model.eval().blocks(grid), model.blocks(grid))


def test_stochastic_depth_rises_linearly_to_the_last_block() -> None:
    model = small(depth=5, drop_path=0.2)
    rates = [[m.rate for m in block.modules() if isinstance(m, StochasticDepth)] for block in model.blocks]
    for block, expected in zip(rates, [0.0, 0.05, 0.1, 0.15, 0.2], strict=True):
        assert block == pytest.approx([expected] * 3)
    assert small(depth=1, drop_path=0.2).blocks[0].mlp.drop_path.rate == 0.2


def test_stochastic_depth_drops_whole_clips_and_keeps_the_mean() -> None:
    layer = StochasticDepth(0.25).train()
    y = layer(torch.ones(4000, 2, 3))
    assert (y == y[:, :1, :1]).all()
    torch.testing.assert_close(y.unique(), torch.tensor([0.0, 1 / 0.75]))
    assert y.mean().item() == pytest.approx(1.0, abs=0.03)


@pytest.mark.parametrize("pool", ["mean", "class_token"])
@pytest.mark.parametrize("attention", KINDS)
def test_every_parameter_learns(attention: Any, pool: Any) -> None:
    model = small(attention=attention, pool=pool)
    F.cross_entropy(model(clips()), torch.tensor([1, 3])).backward()
    idle = [
        name
        for name, parameter in model.named_parameters()
        if parameter.grad is None or not parameter.grad.abs().max() > 0
    ]
    assert idle == []


@pytest.mark.parametrize("attention", KINDS)
def test_a_small_model_learns_one_batch_by_heart(attention: Any) -> None:
    model = LogoFormer(**{**SMALL, "attention": attention, "image_size": 32, "num_classes": 4})
    x, labels = clips(8, 4, 32), torch.arange(8) % 4
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(40):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), labels)
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.05
    assert torch.equal(model(x).argmax(dim=1), labels)


def test_half_precision_agrees_with_single() -> None:
    model = small().eval()
    x = clips()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = model(x)
    single = model(x)
    assert (half.float() - single).abs().max() < 0.05 * single.abs().max()


def test_channels_last_weights_and_input_change_nothing() -> None:
    model, x = small().eval(), clips()
    expected = model(x)
    model.stem.to(memory_format=torch.channels_last)
    channels_last = x.movedim(2, -1).contiguous().movedim(-1, 2)
    torch.testing.assert_close(model(channels_last), expected)


# --------------------------------------------------------------------------------------------------------- export


@pytest.mark.parametrize("attention", KINDS)
def test_the_graph_depends_on_no_data_and_takes_any_batch(attention: Any) -> None:
    model = small(attention=attention, depth=1, pool="class_token").eval()
    program = torch.export.export(model, (clips(2),), dynamic_shapes=({0: torch.export.Dim("batch")},))
    x = clips(5)
    torch.testing.assert_close(program.module()(x), model(x))


@pytest.mark.filterwarnings("ignore")
def test_onnx_gives_the_same_logits() -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    model = small(depth=1).eval()
    nn.init.normal_(model.head.weight)
    batch = {0: torch.export.Dim("batch")}
    program = torch.onnx.export(model, (clips(2),), dynamo=True, dynamic_shapes=(batch,), verbose=False)
    assert program is not None
    session = onnxruntime.InferenceSession(program.model_proto.SerializeToString(), providers=["CPUExecutionProvider"])
    x = clips(3)
    (logits,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    torch.testing.assert_close(torch.from_numpy(logits), model(x), atol=1e-4, rtol=1e-4)
