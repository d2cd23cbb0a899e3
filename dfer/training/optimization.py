"""Optimizer, learning-rate schedule and loss, as the recipe asks for them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dfer.losses import CompactLoss
from dfer.model import LogoFormer
from dfer.recipe import LossSection, OptimSection


def build_optimizer(model: LogoFormer, settings: OptimSection) -> torch.optim.Optimizer:
    """AdamW or SGD over four groups: stem or not, decayed or not.

    Biases, norms and position embeddings are not decayed; the stem's learning rate is scaled.
    """
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        stem = name.startswith("stem.")
        decayed = parameter.ndim > 1 and not name.endswith(("positions", "token"))
        groups.setdefault((stem, decayed), []).append(parameter)
    described = [
        {
            "params": parameters,
            "lr": settings.lr * (settings.stem_lr_scale if stem else 1.0),
            "weight_decay": settings.weight_decay if decayed else 0.0,
        }
        for (stem, decayed), parameters in sorted(groups.items(), key=lambda item: item[0])
    ]
    for group in described:
        group["base_lr"] = group["lr"]  # the schedule scales it
    if settings.name == "sgd":
        return torch.optim.SGD(described, momentum=settings.momentum)
    return torch.optim.AdamW(described)


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


def class_weights(labels: Sequence[int], num_classes: int, kind: str) -> Tensor | None:
    """Weights of the classes in cross-entropy, 1 on average over the clips; None for equal ones.

    Args:
        labels: of the training clips.
        num_classes: C.
        kind: "none", "balanced" (1 / frequency) or "sqrt" (its square root).
    """
    if kind == "none":
        return None
    counts = np.bincount(np.asarray(labels, np.int64), minlength=num_classes).astype(np.float64)
    weights = np.where(counts > 0, 1 / np.maximum(counts, 1) ** (1.0 if kind == "balanced" else 0.5), 0.0)
    return torch.tensor(weights * counts.sum() / (weights * counts).sum(), dtype=torch.float32)


class TrainingLoss(nn.Module):
    """Cross-entropy + λ · compact; `forward` gives the two apart, the compact part already weighted."""

    def __init__(self, settings: LossSection, *, num_classes: int, dim: int, weights: Tensor | None) -> None:
        super().__init__()
        self.smoothing = settings.label_smoothing
        self.register_buffer("weights", weights)
        self.compact = CompactLoss(
            weight=settings.compact_weight, form=settings.compact_form, num_classes=num_classes, dim=dim
        )

    def forward(self, logits: Tensor, labels: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
        """Args: logits float [B, C], labels int64 [B], features float [B, D]. Returns: two scalars."""
        entropy = F.cross_entropy(
            logits.float(), labels, weight=self.get_buffer("weights") if self.weights is not None else None,
            label_smoothing=self.smoothing,
        )  # fmt: skip
        return entropy, self.compact(logits.float(), labels, features.float())
