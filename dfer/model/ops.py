"""Windows of a grid of tokens, and the forms of attention, dropout and window sums that are fastest on a CPU.

Legend of the shapes: as in `dfer.model.logo_former`.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

Grid = tuple[int, int, int]  # time, height, width


def pad_to_windows(x: Tensor, window: Grid) -> Tensor:
    """Pad a grid [B, T, H, W, D] with zeros at the end of each axis until the window divides it."""
    t, h, w = (-size % length for size, length in zip(x.shape[1:4], window, strict=True))
    return F.pad(x, (0, 0, 0, w, 0, h, 0, t)) if t or h or w else x


def split_windows(x: Tensor, window: Grid) -> Tensor:
    """Return the windows of a grid, padded where they do not divide it: [B, T, H, W, D] to [(B K), n, D]."""
    t, h, w = window
    pattern = "b (nt t) (nh h) (nw w) d -> (b nt nh nw) (t h w) d"
    return rearrange(pad_to_windows(x, window), pattern, t=t, h=h, w=w)


def padding_mask(grid: Grid, window: Grid, *, device: torch.device) -> Tensor | None:
    """Return True for real tokens and False for padding, bool [K, n]; None where the window divides the grid."""
    if not any(size % length for size, length in zip(grid, window, strict=True)):
        return None
    return split_windows(torch.ones(1, *grid, 1, dtype=torch.bool, device=device), window)[:, :, 0]


# With at most this many keys, training in half precision on a CPU uses plain products: there torch's fused attention
# takes about six times as long, and saves hardly any memory.
FEW_KEYS = 128


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return the scaled dot-product attention of each head.

    Args:
        q: queries [..., N, D/M].
        k: keys [..., K, D/M].
        v: values [..., K, D/M].
        mask: True for the keys that count, bool, broadcast to [..., N, K]; None for all.

    Returns:
        The weighted mean of the values for each query, [..., N, D/M].
    """
    is_half = q.dtype in (torch.bfloat16, torch.float16)
    if q.device.type != "cpu" or not (is_half and q.requires_grad) or k.shape[-2] > FEW_KEYS:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    weights: Tensor = scores.softmax(-1, dtype=torch.float32).to(v.dtype)
    return weights @ v


class Dropout(nn.Dropout):
    """torch's dropout; on a CPU, 16 random bits decide on each value, which is five times as fast.

    There the rate is rounded to a multiple of 2⁻¹⁶.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0 or x.device.type != "cpu":
            return super().forward(x)
        bits = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
        kept = bits.view(torch.int16)[: x.numel()].view(x.shape) >= round(self.p * 2**16) - 2**15
        scale: Tensor = kept.to(x.dtype).mul_(1 / (1 - self.p))
        return x * scale


class WindowSum(nn.Module):
    """A weighted sum over each window, channel by channel, [B, T, H, W, D] to [B, K, D]; initially the mean.

    It is a depth-wise convolution whose stride is its kernel, written as a product and a sum: torch's convolution takes
    longer than all attention, above all backward and in bf16. Padding is zero and there is no bias, so it adds nothing.
    """

    def __init__(self, *, dim: int, window: Grid) -> None:
        super().__init__()
        self.window = window
        self.weight = nn.Parameter(torch.full((dim, 1, *window), 1 / math.prod(window)))  # as a convolution's

    def forward(self, x: Tensor) -> Tensor:
        weight = rearrange(self.weight, "d 1 t h w -> (t h w) d")
        sums = (split_windows(x, self.window) * weight).sum(dim=1)  # (B K) D
        return rearrange(sums, "(b k) d -> b k d", b=x.shape[0])
