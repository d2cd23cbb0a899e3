"""A model prepared for inference: batch norms folded, and products in the number format that suits the machine."""

from __future__ import annotations

from contextlib import AbstractContextManager
from copy import deepcopy
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from dfer.model.int8 import use_int8
from dfer.model.video_model import DividedModel, VideoModel
from dfer.runtime.device import choose_precision

FLOAT32, BF16, INT8 = "float32", "bf16", "int8"
FORMATS = (FLOAT32, BF16, INT8)

_NORMS = (nn.BatchNorm2d, nn.BatchNorm3d)


class PreparedModel:
    """A copy of a model that computes faster what the model does; it cannot be trained.

    Args:
        model: any model; it stays as it is.
        number_format: of `FORMATS`: that of products. Sums, norms and attention are at least as exact.

    Attributes:
        model: the copy, in evaluation mode.
        number_format: as given; "bf16" in place of "int8" for a model that is not divided by frames.
    """

    def __init__(self, model: VideoModel, number_format: str = FLOAT32) -> None:
        copy = deepcopy(model).eval().requires_grad_(False)
        fold_batch_norms(copy)
        _use_channels_last(copy)
        if number_format == INT8 and isinstance(copy, DividedModel):
            use_int8(copy)
        elif number_format == INT8:
            number_format = BF16
        self.model, self.number_format = copy, number_format
        self._device = next(copy.parameters()).device.type

    @property
    def sees_frames_alone(self) -> bool:
        """Return whether `frame_maps` and `encode` may be called."""
        return isinstance(self.model, DividedModel)

    def frame_maps(self, clips: Tensor) -> Tensor:
        """Return what the backbone makes of each frame; see `DividedModel.frame_maps`."""
        assert isinstance(self.model, DividedModel)
        with self._autocast():
            return self.model.frame_maps(clips)

    def encode(self, maps: Tensor) -> Tensor:
        """Return the features of frames' maps, float32 [B, D]; see `DividedModel.encode`."""
        assert isinstance(self.model, DividedModel)
        with self._autocast():
            return self.model.encode(maps).float()

    def forward_features(self, clips: Tensor) -> Tensor:
        """Return the features of clips, float32 [B, D]; see `VideoModel.forward_features`."""
        with self._autocast():
            return self.model.forward_features(clips).float()

    def _autocast(self) -> AbstractContextManager[None]:
        return torch.autocast(self._device, torch.bfloat16, enabled=self.number_format == BF16)


def choose_format(device: torch.device) -> str:
    """Return the fastest of `FORMATS` that keeps a model's answers on this machine; docs/benchmarks.md has the figures.

    In 8 bits, probabilities change by more than 0.02: only who asks for that gets it.

    Args:
        device: the device to compute on; a GPU computes in float32.
    """
    if device.type != "cpu":
        return FLOAT32
    return BF16 if choose_precision("auto", device) == torch.bfloat16 else FLOAT32


def fold_batch_norms(module: nn.Module) -> None:
    """Make each batch norm part of the convolution before it, in place; `module` is in evaluation mode.

    A norm belongs to the convolution before it in a `Sequential`, or, by name, `bn1` to `conv1`.
    """
    children = dict(module.named_children())
    names = list(children)
    pairs = [(name, name.replace("conv", "bn")) for name in names]
    if isinstance(module, nn.Sequential):
        pairs = list(pairwise(names))
    for first, second in pairs:
        convolution, norm = children.get(first), children.get(second)
        if isinstance(norm, _NORMS):
            owner, name = _last_convolution(module, first, convolution)
            if owner is not None:
                setattr(owner, name, fuse_conv_bn_eval(getattr(owner, name), norm))
                setattr(module, second, nn.Identity())
    for child in module.children():
        fold_batch_norms(child)


def _last_convolution(module: nn.Module, name: str, child: nn.Module | None) -> tuple[nn.Module | None, str]:
    """Return the owner of a child's last convolution and its name there; no owner if the child ends in none."""
    if isinstance(child, (nn.Conv2d, nn.Conv3d)):
        return module, name
    if isinstance(child, nn.Sequential) and len(child):
        return _last_convolution(child, *list(child.named_children())[-1])
    return None, name


def _use_channels_last(model: nn.Module) -> None:
    """Store the weights as convolutions read them, for maps that come channels last."""
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            layer.weight.data = layer.weight.data.contiguous(memory_format=torch.channels_last)
