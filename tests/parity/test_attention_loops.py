"""Local and global attention against plain loops over windows, heads and tokens, in float64."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from dfer.model.logo_former import GlobalAttention, Grid, LocalAttention, LogoFormer

DIM, HEADS = 12, 3
CASES = [
    pytest.param((4, 4, 4), (2, 2, 4), id="window-divides"),
    pytest.param((5, 4, 4), (2, 2, 4), id="time-padded"),
    pytest.param((4, 5, 4), (2, 2, 4), id="height-padded"),
    pytest.param((4, 4, 7), (2, 2, 4), id="width-padded"),
    pytest.param((3, 7, 5), (2, 4, 3), id="all-padded"),
    pytest.param((2, 3, 2), (4, 4, 4), id="window-beyond-grid"),
    pytest.param((1, 1, 1), (2, 4, 4), id="one-token"),
]


def softmax_attention(query: Tensor, keys: list[Tensor], values: list[Tensor]) -> Tensor:
    """One head, one query: its softmax-weighted mean of the values."""
    scores = [float(query @ key) / math.sqrt(len(query)) for key in keys]
    weights = [math.exp(score - max(scores)) for score in scores]
    answer = torch.zeros_like(values[0])
    for weight, value in zip(weights, values, strict=True):
        answer += weight / sum(weights) * value
    return answer


def heads_of(vector: Tensor) -> list[Tensor]:
    return list(vector.split(DIM // HEADS))


def attend(query: Tensor, keys: list[Tensor], values: list[Tensor]) -> Tensor:
    per_head = [
        softmax_attention(q, [heads_of(key)[m] for key in keys], [heads_of(value)[m] for value in values])
        for m, q in enumerate(heads_of(query))
    ]
    return torch.cat(per_head)


def tokens_by_window(grid: Grid, window: Grid) -> dict[Grid, list[Grid]]:
    """Which tokens lie in which window: the integer quotients of their indices tell."""
    members: dict[Grid, list[Grid]] = {}
    for t in range(grid[0]):
        for h in range(grid[1]):
            for w in range(grid[2]):
                members.setdefault((t // window[0], h // window[1], w // window[2]), []).append((t, h, w))
    return members


def local_by_loops(layer: LocalAttention, x: Tensor, window: Grid) -> Tensor:
    result = torch.empty_like(x)
    for clip, answers in zip(x, result, strict=True):
        for tokens in tokens_by_window(tuple(clip.shape[:3]), window).values():
            projected = [layer.query_key_value(clip[token]) for token in tokens]
            keys = [vector[DIM : 2 * DIM] for vector in projected]
            values = [vector[2 * DIM :] for vector in projected]
            for token, vector in zip(tokens, projected, strict=True):
                answers[token] = layer.output(attend(vector[:DIM], keys, values))
    return result


def global_by_loops(layer: GlobalAttention, x: Tensor, window: Grid) -> Tensor:
    kernel = layer.summarise.weight  # D 1 t h w
    attention = layer.attention
    result = torch.empty_like(x)
    for clip, answers in zip(x, result, strict=True):
        keys, values = [], []
        for tokens in tokens_by_window(tuple(clip.shape[:3]), window).values():
            total = torch.zeros(DIM, dtype=x.dtype)
            for t, h, w in tokens:
                total += kernel[:, 0, t % window[0], h % window[1], w % window[2]] * clip[t, h, w]
            mean = total.mean()
            variance = ((total - mean) ** 2).mean()
            summary = (total - mean) / torch.sqrt(variance + 1e-5) * layer.norm.weight + layer.norm.bias
            key_value = attention.key_value(summary)
            keys.append(key_value[:DIM])
            values.append(key_value[DIM:])
        for t in range(clip.shape[0]):
            for h in range(clip.shape[1]):
                for w in range(clip.shape[2]):
                    query = attention.query(clip[t, h, w])
                    answers[t, h, w] = attention.output(attend(query, keys, values))
    return result


def randomise(module: nn.Module) -> None:
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.5)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize(("grid", "window"), CASES)
@torch.no_grad()
def test_local_attention(grid: Grid, window: Grid) -> None:
    layer = LocalAttention(dim=DIM, heads=HEADS, dropout=0.0, window=window).double()
    randomise(layer)
    x = torch.randn(2, *grid, DIM, dtype=torch.float64)
    torch.testing.assert_close(layer(x), local_by_loops(layer, x, window), atol=1e-10, rtol=1e-8)


@pytest.mark.parametrize("grid", [pytest.param((4, 4, 4), id="even"), pytest.param((3, 2, 5), id="odd")])
@torch.no_grad()
def test_joint_attention(grid: Grid) -> None:
    layer = LocalAttention(dim=DIM, heads=HEADS, dropout=0.0, window=None).double()
    randomise(layer)
    x = torch.randn(2, *grid, DIM, dtype=torch.float64)
    torch.testing.assert_close(layer(x), local_by_loops(layer, x, grid), atol=1e-10, rtol=1e-8)


@pytest.mark.parametrize(("grid", "window"), CASES)
@torch.no_grad()
def test_global_attention(grid: Grid, window: Grid) -> None:
    layer = GlobalAttention(dim=DIM, heads=HEADS, dropout=0.0, window=window).double()
    randomise(layer)
    x = torch.randn(2, *grid, DIM, dtype=torch.float64)
    torch.testing.assert_close(layer(x), global_by_loops(layer, x, window), atol=1e-10, rtol=1e-8)


@torch.no_grad()
def test_the_whole_transformer() -> None:
    """From the stem's maps to the logits: positions, pre-norm residuals in their order, pool, norm, head."""
    window = (2, 2, 3)
    model = LogoFormer(
        num_classes=4,
        num_frames=3,
        image_size=48,
        dim=DIM,
        depth=2,
        heads=HEADS,
        mlp_ratio=2.0,
        window=window,
        stem_width=4,
    )
    model = model.double().eval()
    for part in (model.project, model.blocks, model.norm, model.head):
        randomise(part)
    nn.init.normal_(model.spatial_positions)
    nn.init.normal_(model.temporal_positions)
    clips = torch.randn(2, 3, 3, 48, 48, dtype=torch.float64)

    x = torch.empty(2, 3, 3, 3, DIM, dtype=torch.float64)
    for b in range(2):
        for t in range(3):
            maps = model.stem(clips[b, t][None])[0]
            for h in range(3):
                for w in range(3):
                    x[b, t, h, w] = model.project(maps[:, h, w])
                    x[b, t, h, w] += model.spatial_positions[h, w] + model.temporal_positions[t]
    for block in model.blocks:
        local, overall, mlp = block.local_attention, block.global_attention, block.mlp
        x = x + local_by_loops(local.layer, local.norm(x), window)
        x = x + global_by_loops(overall.layer, overall.norm(x), window)
        x = x + mlp.layer[3](nn.functional.gelu(mlp.layer[0](mlp.norm(x))))
    features = model.norm(x.reshape(2, 27, DIM).sum(dim=1) / 27)
    torch.testing.assert_close(model.forward_features(clips), features, atol=1e-9, rtol=1e-7)
    torch.testing.assert_close(model(clips), model.head(features), atol=1e-9, rtol=1e-7)
