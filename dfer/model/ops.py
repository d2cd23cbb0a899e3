"""Windows of a grid of tokens, and the forms of attention, dropout and window sums that are fastest on a CPU.

Legend of the shapes: as in `dfer.model.logo_former`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

Grid = tuple[int, int, int]  # time, height, width


def by_window(x: Tensor, window: Grid, function: Callable[[Tensor], Tensor]) -> Tensor:
    """Apply a function to each window of a grid by itself.

    A window that reaches beyond the grid is cut to what is there. Padding would have to be masked, and gives a map of
    7 x 7 in windows of 4 x 4 a third more tokens.

    Args:
        x: the grid [B, T, H, W, D].
        window: tokens of a window.
        function: windows of one size, [K, t, h, w, D], to [K, t, h, w, E], or to one result each, [K, 1, 1, 1, E].

    Returns:
        The results in the order of the grid: [B, T, H, W, E], or one of each window.
    """
    for axis, length in enumerate(window, start=1):
        size = x.shape[axis]
        whole = size // length * length
        if 0 < whole < size:
            parts = x.split([whole, size - whole], dim=axis)
            return torch.cat([by_window(part, window, function) for part in parts], dim=axis)
    t, h, w = (min(length, size) for length, size in zip(window, x.shape[1:4], strict=True))
    nt, nh, nw = x.shape[1] // t, x.shape[2] // h, x.shape[3] // w
    results = function(rearrange(x, "b (nt t) (nh h) (nw w) d -> (b nt nh nw) t h w d", t=t, h=h, w=w))
    return rearrange(results, "(b nt nh nw) t h w d -> b (nt t) (nh h) (nw w) d", nt=nt, nh=nh, nw=nw)


# With at most this many keys, attention in half precision on a CPU uses plain products. In training, torch's fused
# attention takes about six times as long there, and saves hardly any memory; without gradients, 1.6 times.
FEW_KEYS, FEW_KEYS_WITHOUT_GRADIENTS = 128, 32


_recordings: list[list[Tensor]] = []


@contextmanager
def record_attention() -> Iterator[list[Tensor]]:
    """Give a list that gets the weights of each attention in the block, float [..., M, N, K], in their order."""
    record: list[Tensor] = []
    _recordings.append(record)
    try:
        yield record
    finally:
        _recordings[:] = [other for other in _recordings if other is not record]


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Return the scaled dot-product attention of each head.

    Args:
        q: queries [..., N, D/M].
        k: keys [..., K, D/M].
        v: values [..., K, D/M].

    Returns:
        The weighted mean of the values for each query, [..., N, D/M].
    """
    for record in _recordings:
        record.append(_attention_weights(q, k))
    is_half = q.dtype in (torch.bfloat16, torch.float16)
    few = FEW_KEYS if q.requires_grad else FEW_KEYS_WITHOUT_GRADIENTS
    if q.device.type != "cpu" or not is_half or k.shape[-2] > few:
        return F.scaled_dot_product_attention(q, k, v)
    return _attention_weights(q, k).to(v.dtype) @ v


def _attention_weights(q: Tensor, k: Tensor) -> Tensor:
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
    weights: Tensor = scores.softmax(-1, dtype=torch.float32)
    return weights


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
    longer than all attention, above all backward and in bf16. At the edge of the grid it sums the tokens that are
    there, as the convolution of a grid padded with zeros does.
    """

    def __init__(self, *, dim: int, window: Grid) -> None:
        super().__init__()
        self.window = window
        self.weight = nn.Parameter(torch.full((dim, 1, *window), 1 / math.prod(window)))  # as a convolution's

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight[:, 0].movedim(0, -1)  # t h w D

        def add(windows: Tensor) -> Tensor:  # K t h w D
            _, t, h, w, _ = windows.shape
            return (windows * weight[:t, :h, :w]).sum(dim=(1, 2, 3), keepdim=True)

        return by_window(x, self.window, add).flatten(1, 3)
