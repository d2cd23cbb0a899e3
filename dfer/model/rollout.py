"""Attention rollout: the share that each token has in a result, followed from layer to layer down to the first.

Each function takes the shares of a layer's outputs and returns those of its inputs. The weights are averaged over the
heads and with the identity, which stands for the residual; MLPs and norms leave a token's share as it is.

Legend of the shapes: as in `dfer.model.logo_former`.

Source: S. Abnar and W. Zuidema, "Quantifying Attention Flow in Transformers", ACL 2020. That a window summary passes
its share on to its tokens, by the size of its weights, is our extension to LOGO-Former's global attention.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dfer.model.ops import Grid, WindowSum, by_window


def roll_out(share: Tensor, layers: Sequence[Tensor]) -> Tensor:
    """Follow self-attention over all tokens through several layers.

    Args:
        share: of each token after the last layer, [B, N].
        layers: their weights, [B, M, N, N], the first layer first.

    Returns:
        The share of each token before the first layer, [B, N].
    """
    for weights in reversed(layers):
        share = (share + torch.einsum("bq,bqk->bk", share, weights.mean(dim=1))) / 2
    return share


def roll_out_windows(share: Tensor, weights: list[Tensor], window: Grid | None) -> Tensor:
    """Follow a layer of local attention.

    Args:
        share: of each token after it, [B, T, H, W].
        weights: of each size of its windows, [K, M, n, n], after those of the layers before, which are left in it.
        window: tokens of a window; None for one over the whole grid.

    Returns:
        The share of each token before it, [B, T, H, W].
    """
    size = window or (share.shape[1], share.shape[2], share.shape[3])
    sizes: list[torch.Size] = []

    def count(windows: Tensor) -> Tensor:
        sizes.append(windows.shape)
        return windows

    by_window(share[..., None], size, count)
    own = weights[-len(sizes) :]
    del weights[-len(sizes) :]

    def pass_on(windows: Tensor) -> Tensor:
        passed = torch.einsum("kq,kqn->kn", windows.flatten(1), own.pop(0).mean(dim=1))
        return passed.view(windows.shape)

    return (share + by_window(share[..., None], size, pass_on)[..., 0]) / 2


def roll_out_summaries(share: Tensor, weights: Tensor, summarise: WindowSum) -> Tensor:
    """Follow a layer of global attention, in which every token queries the summaries of the windows.

    Args:
        share: of each token after it, [B, T, H, W].
        weights: [B, M, (T H W), K].
        summarise: gives the summaries.

    Returns:
        The share of each token before it, [B, T, H, W].
    """
    T, H, W = share.shape[1:]
    size = summarise.weight.detach().abs().mean(dim=(0, 1))  # of the window

    def part_of_window(windows: Tensor) -> Tensor:
        parts = size[: windows.shape[1], : windows.shape[2], : windows.shape[3], None]
        shares: Tensor = parts / parts.sum()
        spread: Tensor = shares.expand(windows.shape)
        return spread

    parts = by_window(share[..., None], summarise.window, part_of_window)[..., 0]  # B T H W
    count = [-(-axis // length) for axis, length in zip((T, H, W), summarise.window, strict=True)]
    by_token = torch.einsum("bq,bqk->bk", share.flatten(1), weights.mean(dim=1)).unflatten(1, count)
    for axis, length in enumerate(summarise.window, start=1):
        by_token = by_token.repeat_interleave(length, dim=axis)
    before: Tensor = (share + by_token[:, :T, :H, :W] * parts) / 2
    return before
