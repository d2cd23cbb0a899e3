"""The cost of a model: its parameters, and its multiply-adds for one clip."""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode


def count_parameters(model: nn.Module) -> int:
    """Return the number of learnable parameters."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def count_gmacs(model: nn.Module, num_frames: int = 16, image_size: int = 112) -> float:
    """Return the multiply-adds of one clip's forward pass, in 10⁹: what this field's tables call GFLOPs.

    Convolutions and matrix products count, including those of attention and of the windows' padding. Only shapes are
    propagated, on torch's meta device: nothing is computed, and the model is not changed.

    Args:
        model: takes clips [1, num_frames, 3, image_size, image_size].
        num_frames: T, frames of the clip.
        image_size: S, side of the crop in pixels.
    """
    shadow = copy.deepcopy(model).to("meta").eval().requires_grad_(False)
    clips = torch.empty(1, num_frames, 3, image_size, image_size, device="meta")
    counter = FlopCounterMode(display=False)
    # On a CPU the fused attention kernels would count as 0; the plain matrix products are counted.
    with sdpa_kernel(SDPBackend.MATH), counter:
        shadow(clips)
    return counter.get_total_flops() / 2 / 1e9  # a multiply-add is two of torch's FLOPs
