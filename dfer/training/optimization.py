"""Optimizer, learning-rate schedule and loss, as the recipe asks for them."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from dfer.losses import CompactLoss
from dfer.losses.classification import cross_entropy_costs, focal_costs, ldam_costs, ldam_margins
from dfer.model import LogoFormer
from dfer.recipe import LossSection, OptimSection

STEM_STAGES = ("stem.layer1.", "stem.layer2.", "stem.layer3.")


def build_optimizer(model: LogoFormer, settings: OptimSection) -> torch.optim.Optimizer:
    """AdamW or SGD over groups of parameters: by stage of the stem, decayed or not; the last group is not the stem's.

    Biases, norms and position embeddings do not decay, unless `settings.decayed` is "all". The stem's learning rate is
    scaled, and decays from its last stage to its first.
    """
    groups: dict[tuple[int, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        weight = parameter.ndim > 1 and not name.endswith(("positions", "token"))
        decayed = weight or settings.decayed == "all"
        groups.setdefault((_stage(name), decayed), []).append(parameter)
    top = len(STEM_STAGES) + 1
    described = []
    for (stage, decayed), parameters in sorted(groups.items(), key=lambda item: item[0]):
        scale = 1.0 if stage == top else settings.stem_lr_scale * settings.stem_layer_decay ** (top - 1 - stage)
        described.append(
            {
                "params": parameters,
                "lr": settings.lr * scale,
                "base_lr": settings.lr * scale,  # the schedule scales it
                "weight_decay": settings.weight_decay if decayed else 0.0,
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


def _stage(name: str) -> int:
    """The stage of a parameter: 0 the stem's first convolution, 1 to 3 its layers, 4 all that follows."""
    if not name.startswith("stem."):
        return len(STEM_STAGES) + 1
    return next((number for number, prefix in enumerate(STEM_STAGES, 1) if name.startswith(prefix)), 0)


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


def class_weights(counts: Tensor, settings: LossSection) -> Tensor | None:
    """Weights of the classes, 1 on average over the clips; None for equal ones.

    Args:
        counts: int [C], training clips of each class; a class without any has weight 0.
        settings: which: "balanced" is 1 / frequency, "sqrt" its square root, "effective" 1 / effective number.

    Returns:
        float32 [C].

    Source of "effective": Y. Cui et al., "Class-Balanced Loss Based on Effective Number of Samples", CVPR 2019,
        arXiv 1901.05555.
    """
    if settings.class_weights == "none":
        return None
    n = counts.double()
    if settings.class_weights == "effective":
        beta = settings.effective_beta
        number = (1 - beta**n) / (1 - beta)
    else:
        number = n if settings.class_weights == "balanced" else n.sqrt()
    weights = torch.where(n > 0, 1 / number.clamp(min=1e-9), 0.0)
    return (weights * n.sum() / (weights * n).sum()).float()


class TrainingLoss(nn.Module):
    """The classification loss + λ · compact; `forward` gives the two apart, the compact part already weighted.

    Args:
        settings: which.
        counts: int [C], training clips of each class.
        dim: D.
    """

    def __init__(self, settings: LossSection, *, counts: Tensor, dim: int) -> None:
        super().__init__()
        self.settings = settings
        weights = class_weights(counts, settings)
        self.register_buffer("weights", torch.ones(len(counts)) if weights is None else weights, persistent=False)
        self.register_buffer("margins", ldam_margins(counts, settings.ldam_margin), persistent=False)
        self.compact = CompactLoss(
            weight=settings.compact_weight, form=settings.compact_form, num_classes=len(counts), dim=dim
        )

    def forward(
        self, logits: Tensor, targets: Tensor, features: Tensor, *, batch: Tensor | None = None, epoch: float = 0.0
    ) -> tuple[Tensor, Tensor]:
        """The loss of a batch, or what a part of a batch adds to it: the parts' losses sum to the batch's.

        The center form of the compact loss alone takes each part as a batch of its own, weighted by its clips.

        Args:
            logits: float [B, C].
            targets: probabilities, float [B, C].
            features: float [B, D].
            batch: targets of the whole batch, where these clips are a part of it, [N, C].
            epoch: epochs done, with fractions.

        Returns:
            Two scalars.
        """
        batch = targets if batch is None else batch
        weights = self.get_buffer("weights")
        if epoch < self.settings.reweight_epoch:
            weights = torch.ones_like(weights)
        smoothing = self.settings.label_smoothing
        smooth = (1 - smoothing) * targets + smoothing / targets.shape[1]
        costs = (smooth * weights * self._costs(logits.float())).sum()
        compact = self.compact(logits.float(), targets, features.float()) * (len(targets) / len(batch))
        return costs / (batch * weights).sum(), compact

    def _costs(self, logits: Tensor) -> Tensor:
        if self.settings.name == "focal":
            return focal_costs(logits, self.settings.focal_gamma)
        if self.settings.name == "ldam":
            return ldam_costs(logits, self.get_buffer("margins"), self.settings.ldam_scale)
        return cross_entropy_costs(logits)
