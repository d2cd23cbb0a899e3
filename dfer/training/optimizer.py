"""The optimizer of a training: its groups of parameters, and its state when training goes on."""

from __future__ import annotations

import math
from typing import Any

import torch

from dfer.errors import CheckpointError
from dfer.model.video_model import VideoModel
from dfer.model.weights import require_finite, require_same_tensors
from dfer.recipe_sections import OptimSection


def build_optimizer(model: VideoModel, settings: OptimSection) -> torch.optim.Optimizer:
    """Return AdamW or SGD over the model's groups of parameters; the last group has the recipe's own learning rate.

    Biases, norms and position embeddings do not decay, unless `settings.decayed` is "all". The learning rate of the
    backbone is scaled, and decays from its last stage to its first. Scaled by 0, the backbone needs no gradients: they
    are turned off, which saves its backward pass.
    """
    groups = []
    for group in model.parameter_groups(by_decay=settings.decayed == "weights"):
        scale = 1.0 if group.depth == 0 else settings.stem_lr_scale * settings.stem_layer_decay ** (group.depth - 1)
        if scale == 0:
            for parameter in group.parameters:
                parameter.requires_grad_(False)
            continue
        groups.append(
            {
                "params": group.parameters,
                "lr": settings.lr * scale,
                "base_lr": settings.lr * scale,  # the schedule scales it
                "weight_decay": settings.weight_decay if group.decays else 0.0,
            }
        )
    try:
        return _optimizer(settings, groups, fused=True)
    except RuntimeError:  # this device has no fused kernel
        return _optimizer(settings, groups, fused=False)


def _optimizer(settings: OptimSection, groups: list[dict[str, Any]], *, fused: bool) -> torch.optim.Optimizer:
    groups = [dict(group) for group in groups]
    if settings.name == "sgd":
        return torch.optim.SGD(groups, momentum=settings.momentum, fused=fused)
    return torch.optim.AdamW(groups, fused=fused)


def fitting_optimizer_state(optimizer: torch.optim.Optimizer, saved: dict[str, Any]) -> dict[str, Any]:
    """Return an optimizer's saved state if it fits; its settings are the recipe's, but for the learning rates.

    Raises:
        CheckpointError: it is of other parameters, or holds what is NaN or infinite.
    """
    own, parameters = optimizer.state_dict(), [value for group in optimizer.param_groups for value in group["params"]]
    rates = [group["lr"] for group in saved["param_groups"]]
    if len(rates) != len(own["param_groups"]) or not all(isinstance(lr, float) and math.isfinite(lr) for lr in rates):
        raise CheckpointError("the optimizer's learning rates are missing or no numbers")
    for number, values in saved["state"].items():
        shape = parameters[number].shape
        tensors = {f"{name} of parameter {number}": value for name, value in values.items() if value is not None}
        expected = {name: torch.empty(() if name.startswith("step ") else shape, device="meta") for name in tensors}
        require_same_tensors(expected, tensors, where=None)
        require_finite(tensors, where=None)
    groups = [group | {"lr": lr} for group, lr in zip(own["param_groups"], rates, strict=True)]
    return {"state": saved["state"], "param_groups": groups}
