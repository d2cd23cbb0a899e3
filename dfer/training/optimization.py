"""Optimizer and learning-rate schedule, as the recipe asks for them."""

from __future__ import annotations

import math
from typing import Any

import torch

from dfer.model.video_model import VideoModel
from dfer.recipe import OptimSection


def build_optimizer(model: VideoModel, settings: OptimSection) -> torch.optim.Optimizer:
    """Return AdamW or SGD over the model's groups of parameters; the last group has the recipe's own learning rate.

    Biases, norms and position embeddings do not decay, unless `settings.decayed` is "all". The learning rate of the
    backbone is scaled, and decays from its last stage to its first.
    """
    described = []
    for group in model.parameter_groups(by_decay=settings.decayed == "weights"):
        scale = 1.0 if group.depth == 0 else settings.stem_lr_scale * settings.stem_layer_decay ** (group.depth - 1)
        described.append(
            {
                "params": group.parameters,
                "lr": settings.lr * scale,
                "base_lr": settings.lr * scale,  # the schedule scales it
                "weight_decay": settings.weight_decay if group.decays else 0.0,
            }
        )
    try:
        return _optimizer(settings, described, fused=True)
    except RuntimeError:  # this device has no fused kernel
        return _optimizer(settings, described, fused=False)


def _optimizer(settings: OptimSection, groups: list[dict[str, Any]], *, fused: bool) -> torch.optim.Optimizer:
    groups = [dict(group) for group in groups]
    if settings.name == "sgd":
        return torch.optim.SGD(groups, momentum=settings.momentum, fused=fused)
    return torch.optim.AdamW(groups, fused=fused)


def lr_factor(settings: OptimSection, epoch: float, epochs: int) -> float:
    """The learning rate relative to the recipe's.

    Args:
        settings: the schedule.
        epoch: epochs done, with fractions.
        epochs: of the whole run.
    """
    if epoch < settings.warmup_epochs:
        return max(epoch / settings.warmup_epochs, 1e-3)
    if settings.schedule == "step":
        return float(settings.step_gamma ** (int(epoch) // settings.step_epochs))
    progress = min(1.0, (epoch - settings.warmup_epochs) / max(1e-9, epochs - settings.warmup_epochs))
    floor = settings.final_lr_fraction
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * progress))
