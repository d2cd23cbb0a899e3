"""Maps over the face: how much each place and step of time speaks for a class, and how much of it the answer uses.

Shape letters: B clips, T frames, (T', H, W) the grid of a model's last map, D its channels, C classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal, get_args

import torch
from einops import rearrange
from torch import Tensor, nn

from dfer.model.video_model import VideoModel

Method = Literal["gradient", "attention"]
METHODS: tuple[Method, ...] = get_args(Method)


def explain_clips(
    model: VideoModel, clips: Tensor, classes: Sequence[int], *, method: Method, mirror: bool = False
) -> Tensor:
    """Return the maps of clips, float32 [B, T', H, W].

    Args:
        model: in evaluation mode.
        clips: float [B, T, 3, S, S], normalised.
        classes: the class to explain in each clip; by attention the map is that of all classes.
        method: see `gradient_maps` and `VideoModel.attention_map`.
        mirror: average with the map of the mirror image, turned back.

    Raises:
        UsageError: the model has no such map.
    """
    maps = _maps(model, clips, classes, method)
    return (maps + _maps(model, clips.flip(-1), classes, method).flip(-1)) / 2 if mirror else maps


def _maps(model: VideoModel, clips: Tensor, classes: Sequence[int], method: Method) -> Tensor:
    if method == "gradient":
        return gradient_maps(model, clips, classes)
    with torch.no_grad():
        return model.attention_map(clips)


def gradient_maps(model: VideoModel, clips: Tensor, classes: Sequence[int]) -> Tensor:
    """Return what each place of the last map adds to a class's logit, to first order: gradient times activation.

    Where the features are the mean of the map, the gradient is the same everywhere and this is Grad-CAM, before it
    sets what speaks against the class to zero.

    Args:
        model: in evaluation mode; its parameters get no gradient.
        clips: float [B, T, 3, S, S], normalised.
        classes: of each clip.

    Returns:
        float32 [B, T', H, W]; negative where it speaks against the class.

    Raises:
        UsageError: the model does not say which map is its last.

    Source: R. Selvaraju et al., "Grad-CAM", ICCV 2017, arXiv 1610.02391; the product place by place: R. Draelos and
    L. Carin, "Use HiResCAM instead of Grad-CAM", 2020, arXiv 2011.08891.
    """
    last = model.last_map()
    held: list[Tensor] = []

    def cut_graph(_layer: nn.Module, _inputs: object, output: Tensor) -> Tensor:
        held.append(output.detach().requires_grad_())
        return held[-1]

    handle = last.layer.register_forward_hook(cut_graph)
    try:
        # cuDNN goes back through a GRU only in training mode.
        with _frozen(model), torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):
            logits = model(clips)
            (gradient,) = torch.autograd.grad(logits[range(len(clips)), list(classes)].sum(), held[-1])
    finally:
        handle.remove()
    product = rearrange(held[-1].detach() * gradient, f"{last.axes} -> b t h w d", b=len(clips), **last.sizes)
    return product.sum(dim=-1).float()


@contextmanager
def _frozen(model: nn.Module) -> Iterator[None]:
    """Keep the parameters out of the graph in the block, so that it begins at the last map."""
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    try:
        for parameter in learning:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in learning:
            parameter.requires_grad_(True)
