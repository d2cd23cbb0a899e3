"""The model: shapes, padding, flow of information, training and evaluation mode, weights, export."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict
from itertools import product
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dfer.errors import CheckpointError, UsageError
from dfer.model import logo_former as model_module
from dfer.model.logo_former import (
    ATTENTIONS,
    MODELS,
    Dropout,
    GlobalAttention,
    LocalAttention,
    LogoFormer,
    StochasticDepth,
    WindowSum,
    attend,
    load_weights,
    logo_former_b,
    logo_former_s,
)

KINDS = list(ATTENTIONS)
# 64 pixels give a map of 4x4, which the window (2, 3, 3) does not divide: padding is met everywhere.
SMALL: dict[str, Any] = {
    "num_classes": 5,
    "num_frames": 4,
    "image_size": 64,
    "dim": 32,
    "depth": 2,
    "heads": 4,
    "stem_width": 8,
    "window": (2, 3, 3),
}


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def small(**overrides: Any) -> LogoFormer:
    """A small model with weights as large as training makes them: fresh ones say too little to show an error."""
    model = LogoFormer(**{**SMALL, **overrides})
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
    nn.init.normal_(model.spatial_positions)
    nn.init.normal_(model.temporal_positions)
    return model


def clips(batch: int = 2, frames: int = 4, size: int = 64) -> Tensor:
    return torch.randn(batch, frames, 3, size, size)


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
    assert dict(MODELS) == {"logo_former_s": logo_former_s, "logo_former_b": logo_former_b}
    s, b = logo_former_s(stem_width=8, dim=64), logo_former_b(11, 8, (2, 2, 2), "joint", stem_width=8)
    assert (s.config.dim, s.config.depth, s.config.stem_width) == (64, 6, 8)
    assert (b.config.dim, b.config.depth, b.config.heads, b.config.num_classes) == (512, 4, 8, 11)
    assert (b.config.num_frames, b.config.window, b.config.attention) == (8, (2, 2, 2), "joint")


def test_stem_has_torchvisions_names() -> None:
    batch_norm = ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]
    expected = ["conv1.weight", *(f"bn1.{name}" for name in batch_norm)]
    for layer, block in product((1, 2, 3), (0, 1)):
        for number in (1, 2):
            expected.append(f"layer{layer}.{block}.conv{number}.weight")
            expected += [f"layer{layer}.{block}.bn{number}.{name}" for name in batch_norm]
        if layer > 1 and block == 0:
            expected.append(f"layer{layer}.0.downsample.0.weight")
            expected += [f"layer{layer}.0.downsample.1.{name}" for name in batch_norm]
    stem = LogoFormer(num_classes=7, depth=1).stem.state_dict()
    assert sorted(stem) == sorted(expected)
    assert stem["conv1.weight"].shape == (64, 3, 7, 7)
    assert stem["layer3.0.conv1.weight"].shape == (256, 128, 3, 3)
    assert stem["layer3.0.downsample.0.weight"].shape == (256, 128, 1, 1)


def test_config_survives_json_and_builds_the_same_model() -> None:
    model = small(attention="global", pool="class_token", dropout=0.1)
    again = LogoFormer(**json.loads(json.dumps(asdict(model.config))))
    assert again.config == model.config
    load_weights(again, model.state_dict())
    x = clips()
    assert torch.equal(again.eval()(x), model.eval()(x))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        pytest.param({"heads": 5}, r"heads \(5\) must divide dim \(32\)", id="heads"),
        pytest.param({"window": (2, 0, 4)}, "window must be three counts", id="empty-window"),
        pytest.param({"window": (2, 4)}, "window must be three counts", id="flat-window"),
        pytest.param({"attention": "lokal"}, "attention must be one of local_global", id="attention"),
        pytest.param({"pool": "max"}, "pool must be one of mean, class_token", id="pool"),
        pytest.param({"num_classes": 1}, "num_classes must be at least 2", id="one-class"),
        pytest.param({"depth": -1}, "depth must be at least 0", id="no-blocks"),
        pytest.param({"dropout": 1.0}, r"dropout must be in \[0, 1\)", id="dropout"),
        pytest.param({"drop_path": -0.1}, r"drop_path must be in \[0, 1\)", id="drop-path"),
        pytest.param({"mlp_ratio": 0.0}, "mlp_ratio must be above 0", id="mlp"),
        pytest.param({"heads": 5, "depth": -1}, "depth must be .*; heads .* must divide", id="all-at-once"),
    ],
)
def test_settings_that_fit_no_model_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        small(**settings)


def test_layers_check_divisibility_too() -> None:
    with pytest.raises(UsageError, match="must divide"):
        GlobalAttention(dim=30, heads=4, dropout=0.0, window=(1, 1, 1))
    with pytest.raises(UsageError, match="must divide"):
        LocalAttention(dim=30, heads=4, dropout=0.0, window=None)


def test_wrong_axes_are_named() -> None:
    with pytest.raises(ValueError, match=r"expected clips of shape \[B, T, 3, S, S\], got \[2, 3, 4, 64, 64\]"):
        small()(clips().transpose(1, 2))


# ------------------------------------------------------------------------------------ any window, any clip size


@pytest.mark.parametrize("attention", KINDS)
@pytest.mark.parametrize(
    ("window", "frames", "size"),
    [
        pytest.param((2, 2, 2), 4, 64, id="divides"),
        pytest.param((2, 3, 3), 4, 64, id="divides-time-alone"),
        pytest.param((3, 2, 3), 5, 64, id="divides-height-alone"),
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
def test_each_window_is_attended_to_as_if_alone(grid: Tensor, window: tuple[int, int, int]) -> None:
    """What a window at the edge holds is computed without padding when it comes alone, cut to its real tokens."""
    layer = LocalAttention(dim=32, heads=4, dropout=0.0, window=window)
    together = layer(grid)
    for place in windows_of(grid, window):
        torch.testing.assert_close(together[place], layer(grid[place]))


def test_what_lies_in_the_padding_changes_no_output(grid: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    layer = LocalAttention(dim=32, heads=4, dropout=0.0, window=(2, 4, 4))
    clean = layer(grid)
    pad = model_module.pad_to_windows
    filled = []

    def pad_with_rubbish(x: Tensor, window: tuple[int, int, int]) -> Tensor:
        padded = pad(x, window)
        if x.is_floating_point():  # the mask is padded too, and stays what it is
            real = pad(torch.ones_like(x[..., :1]), window).bool()
            padded = torch.where(real, padded, 100 * torch.randn_like(padded))
            filled.append(int((~real).sum()))
        return padded

    monkeypatch.setattr(model_module, "pad_to_windows", pad_with_rubbish)
    assert torch.equal(layer(grid), clean)
    assert filled == [2 * (6 * 8 * 8 - 5 * 7 * 6)]


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


def test_a_summary_is_a_depth_wise_convolution_whose_stride_is_its_kernel(grid: Tensor) -> None:
    window = (2, 4, 3)
    layer = WindowSum(dim=32, window=window)
    nn.init.normal_(layer.weight)
    padded = model_module.pad_to_windows(grid, window).movedim(-1, 1)  # B D T H W
    expected = nn.functional.conv3d(padded, layer.weight, stride=window, groups=32).flatten(2).transpose(1, 2)
    torch.testing.assert_close(layer(grid), expected)


@pytest.mark.parametrize("keys", [model_module.FEW_KEYS, model_module.FEW_KEYS + 1])
@pytest.mark.parametrize("masked", [True, False])
def test_attention_in_training_is_torchs_with_its_gradients(keys: int, masked: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    q = torch.randn(2, 3, 5, 8, dtype=torch.float64, generator=generator)
    k, v = (torch.randn(2, 3, keys, 8, dtype=torch.float64, generator=generator) for _ in range(2))
    mask = torch.rand(2, 1, 1, keys, generator=generator) < 0.7 if masked else None
    gradients = []
    for attention in (attend, nn.functional.scaled_dot_product_attention):
        inputs = [tensor.clone().requires_grad_() for tensor in (q, k, v)]
        answer = attention(*inputs, mask)
        gradients.append([answer, *torch.autograd.grad(answer.square().sum(), inputs)])
    torch.testing.assert_close(*gradients, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(attend(q, k, v, mask), gradients[0][0], rtol=1e-9, atol=1e-9)


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


def test_the_temporal_positions_alone_tell_joint_attention_the_order() -> None:
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
    alone = torch.cat([model(clip[None]) for clip in x])
    torch.testing.assert_close(alone, together)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout_keeps_the_mean_of_what_it_lets_through(rate: float) -> None:
    layer, x = Dropout(rate), torch.ones(501, 401, requires_grad=True)  # no multiple of 4
    torch.manual_seed(0)
    first = layer(x)
    kept = first != 0
    assert kept.double().mean() == pytest.approx(1 - rate, abs=0.005)
    assert torch.allclose(first[kept], torch.tensor(1 / (1 - rate)))
    # Neither neighbours nor the four values of one number hang together.
    signs = kept.flatten().double() - kept.double().mean()
    for distance in (1, 2, 3, 4):
        assert abs(float((signs[distance:] * signs[:-distance]).mean() / signs.square().mean())) < 0.01
    (gradient,) = torch.autograd.grad(first.sum(), x)
    assert torch.equal(gradient, first)
    assert not torch.equal(layer(x), first)
    torch.manual_seed(0)
    assert torch.equal(layer(x), first)
    assert layer.eval()(x) is x


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


# ---------------------------------------------------------------------------------------------------- the weights


def test_positions_are_interpolated_on_loading_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    source, target = small(), small(num_frames=8, image_size=112)
    with torch.no_grad():
        source.temporal_positions.copy_(torch.arange(4.0)[:, None].expand(4, 32))
        source.spatial_positions.fill_(0.5)
    with caplog.at_level(logging.INFO, logger="dfer.model"):
        load_weights(target, source.state_dict())
    assert caplog.messages == [
        "spatial_positions: interpolated from [4, 4] to [7, 7]",
        "temporal_positions: interpolated from [4] to [8]",
    ]
    # A constant map stays constant; frames lie at the middles of equal parts of the clip.
    torch.testing.assert_close(target.spatial_positions, torch.full((7, 7, 32), 0.5))
    expected = torch.tensor([0.0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3.0])
    torch.testing.assert_close(target.temporal_positions[:, 0], expected)


def test_the_same_grid_loads_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    source, target = small(), small()
    with caplog.at_level(logging.INFO, logger="dfer.model"):
        load_weights(target, source.state_dict())
    assert caplog.messages == []
    assert all(torch.equal(a, b) for a, b in zip(source.parameters(), target.parameters(), strict=True))


def test_spatial_positions_keep_rows_and_columns_apart() -> None:
    source, target = small(), small(image_size=112)
    with torch.no_grad():
        source.spatial_positions.copy_(torch.arange(4.0)[:, None, None].expand(4, 4, 32))
    load_weights(target, source.state_dict())
    rows = target.spatial_positions[:, 0, 0]
    torch.testing.assert_close(target.spatial_positions, rows[:, None, None].expand(7, 7, 32))
    assert (rows.diff() > 0).all()


@pytest.mark.parametrize(
    ("other", "message"),
    [
        pytest.param({"depth": 1}, r"missing: blocks\.1\..* and \d+ more", id="fewer-blocks"),
        pytest.param({"depth": 3}, r"unexpected: blocks\.2\.", id="more-blocks"),
        pytest.param({"attention": "local"}, r"missing: blocks\.0\.global_attention\.", id="attention"),
        pytest.param({"num_classes": 7}, r"wrong shape: head\.weight \[7, 32\] instead of \[5, 32\]", id="head"),
        pytest.param({"dim": 16}, r"wrong shape: spatial_positions \[4, 4, 16\]", id="channels"),
        pytest.param({"window": (1, 3, 3)}, r"summarise\.weight \[32, 1, 1, 3, 3\]", id="window"),
    ],
)
def test_any_other_difference_is_an_error_and_changes_nothing(other: dict[str, Any], message: str) -> None:
    model = small()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(CheckpointError, match=message) as caught:
        load_weights(model, small(**other).state_dict(), where="best.safetensors")
    assert "best.safetensors" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_a_checkpoint_of_other_labels_can_be_a_start() -> None:
    source, target = small(num_classes=11), small()
    head = target.head.weight.clone()
    load_weights(target, source.state_dict(), keep_head=True)
    assert torch.equal(target.head.weight, head)
    x = clips()
    assert torch.equal(target.eval().forward_features(x), source.eval().forward_features(x))


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
