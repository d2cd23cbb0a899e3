"""Convolutions and linear layers with 8-bit products, by the kernels of oneDNN that come with torch.

Weights are rounded once, channel by channel. Inputs are rounded at each call to 256 levels over their own range, so
that no calibration is needed and a model of any training can be prepared. All else stays float32.

The kernels are those of torch's compiler; they take no gradient.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn

from dfer.model.resnet import BasicBlock, ResNetStem
from dfer.runtime.machine import cpu_flags

# Smaller layers gain nothing, and rounding costs them more.
MIN_CHANNELS = 32
_LEVELS = 255
_INSTRUCTIONS = {"avx512_vnni", "avx_vnni"}


@cache
def int8_available() -> bool:
    """Return whether this processor multiplies 8-bit numbers in hardware and this torch has the kernels for it."""
    if not cpu_flags() & _INSTRUCTIONS:
        return False
    try:
        with torch.inference_mode():
            linear, convolution = nn.Linear(32, 32), nn.Conv2d(32, 32, 3, padding=1)
            one = Int8Linear(linear)(torch.ones(2, 32)) - linear(torch.ones(2, 32))
            two = Int8Conv(convolution)(torch.ones(1, 32, 4, 4)) - convolution(torch.ones(1, 32, 4, 4))
            return bool(max(one.abs().max(), two.abs().max()) < 0.1)
    except (RuntimeError, AttributeError, TypeError):  # other versions of torch call them otherwise
        return False


class Int8Linear(nn.Module):
    """A linear layer, [..., D] to [..., E], float32.

    Args:
        linear: the layer whose weights it has.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        weight, self._scales = _round_weight(linear.weight.detach())
        self._weight = torch.ops.onednn.qlinear_prepack(weight, None)
        self._zeros = torch.zeros(len(weight), dtype=torch.int32)
        self._bias = None if linear.bias is None else linear.bias.detach().clone()
        self.out_features = linear.out_features

    def forward(self, x: Tensor) -> Tensor:
        rounded, scale, zero = _round(x.reshape(-1, x.shape[-1]), *_range(x))
        weight = (self._weight, self._scales, self._zeros, self._bias)
        y: Tensor = torch.ops.onednn.qlinear_pointwise(
            rounded, scale, zero, *weight, 1.0, 0, torch.float32, "none", [], ""
        )
        return y.view(*x.shape[:-1], self.out_features)


class Int8Conv(nn.Module):
    """A convolution of maps in two dimensions, [N, C, H, W] to [N, D, H, W], float32, channels last.

    Args:
        convolution: the layer whose weights it has.
        then: "none", or "relu" to apply it to the result.
    """

    def __init__(self, convolution: nn.Conv2d, *, then: str = "none") -> None:
        super().__init__()
        layer = convolution
        self._sizes = (list(layer.stride), list(map(int, layer.padding)), list(layer.dilation), layer.groups)
        weight, self._scales = _round_weight(layer.weight.detach())
        self._weight = torch.ops.onednn.qconv_prepack(weight, self._scales, 1.0, 0, *self._sizes, None)
        self._zeros = torch.zeros(len(weight), dtype=torch.int32)
        self._bias = torch.zeros(len(weight)) if layer.bias is None else layer.bias.detach().clone()
        self._then = then

    def forward(self, x: Tensor, onto: Tensor | None = None) -> Tensor:
        """Return the convolution, on top of other maps if there are any, before `then`.

        Args:
            x: [N, C, H, W].
            onto: [N, D, H, W], which may be overwritten.
        """
        nhwc = x.permute(0, 2, 3, 1)  # in the order of the memory: one run of numbers
        rounded, scale, zero = _round(nhwc, *_range(nhwc))
        common = (rounded.permute(0, 3, 1, 2), scale, zero, self._weight, self._scales, self._zeros)
        shape = (self._bias, *self._sizes, 1.0, 0, torch.float32)
        kernel = torch.ops.onednn.qconv2d_pointwise
        if onto is None:
            y: Tensor = kernel(*common, *shape, self._then, [], "")
            return y
        then = None if self._then == "none" else self._then
        y = kernel.binary(*common, onto, *shape, 1.0, 0, "sum", 1.0, then, [], "")
        return y


class Int8Block(nn.Module):
    """A `BasicBlock` whose batch norms are folded.

    Args:
        block: the block.
    """

    def __init__(self, block: BasicBlock) -> None:
        super().__init__()
        self.conv1 = Int8Conv(block.conv1, then="relu")
        self.conv2 = Int8Conv(block.conv2, then="relu")
        shortcut = block.downsample
        self.shortcut = None if shortcut is None else Int8Conv(shortcut[0])  # type: ignore[index]

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv1(x)
        y = self.conv2(y, onto=x if self.shortcut is None else self.shortcut(x))
        return y


def use_int8(model: nn.Module, *, keep: tuple[str, ...] = ("head",)) -> None:
    """Replace a folded model's convolutions and its linear layers, in place; those of few channels stay as they are.

    Args:
        model: as `dfer.model.prepared.fold_batch_norms` leaves it.
        keep: names of linear layers that are not replaced.
    """
    for name, child in list(model.named_children()):
        if isinstance(child, nn.Conv2d):
            if isinstance(model, ResNetStem) and child.out_channels >= MIN_CHANNELS:
                setattr(model, name, Int8Conv(child, then="relu"))
        elif isinstance(child, BasicBlock):
            if child.conv1.in_channels >= MIN_CHANNELS:
                setattr(model, name, Int8Block(child))
        elif isinstance(child, nn.Linear):
            if name not in keep and min(child.in_features, child.out_features) >= MIN_CHANNELS:
                setattr(model, name, Int8Linear(child))
        else:
            use_int8(child, keep=keep)


def _round_weight(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return a weight [D, ...] as int8, and the scale of each of its rows, [D]."""
    rows = weight.flatten(1)
    scales = rows.abs().amax(1).clamp_min(1e-12) / 127
    rounded = torch.round(rows / scales[:, None]).to(torch.int8)
    return rounded.view(weight.shape), scales


def _range(x: Tensor) -> tuple[float, float]:
    """Return the least and the largest value; 0 lies between them, or is one of them."""
    low, high = torch.aminmax(x)
    return min(low.item(), 0.0), max(high.item(), 0.0)


def _round(x: Tensor, low: float, high: float) -> tuple[Tensor, float, int]:
    """Return values as uint8, and the scale and the zero point that they have."""
    scale = max((high - low) / _LEVELS, 1e-12)
    zero = round(-low / scale)
    # As int8 first, which torch converts to eight times as fast; flipping the highest bit adds 128.
    shifted = torch.add(_constant(float(zero - 128)), x, alpha=1 / scale).round_().clamp_(-128, 127)
    return shifted.to(torch.int8).view(torch.uint8).bitwise_xor_(128), scale, zero


def _constant(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float32)
