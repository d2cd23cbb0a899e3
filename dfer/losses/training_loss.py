"""The training loss that a recipe's `loss` section asks for: classification loss + λ · compact loss.

Legend of the shapes: B clips, C classes, D channels of a pooled feature.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from dfer.losses import LOSSES, CompactLoss
from dfer.losses.compact import CompactForm
from dfer.settings import BelowOne, NameIn, NonNegative, Positive, Settings


class LossSection(Settings):
    """The loss `name` + compact_weight * compact."""

    name: Annotated[str, NameIn(LOSSES)] = Field("cross_entropy", description="classification loss")
    focal_gamma: NonNegative = Field(
        2.0, description="focal: how strongly well-classified clips are down-weighted; 0 is cross-entropy"
    )
    ldam_margin: NonNegative = Field(
        0.5, description="LDAM: margin of the rarest class, in logits; the others' follow n^(-1/4)"
    )
    ldam_scale: Positive = Field(
        1.0,
        description="LDAM: factor of the logits. The paper's 30 goes with a head of unit vectors, which this is not",
    )
    soft_labels: bool = Field(
        False, description="train on the shares of the annotators' votes, where the store has votes (FER+)"
    )
    label_smoothing: BelowOne = Field(0.0, description="share of each target spread evenly over all classes")
    class_weights: Literal["none", "balanced", "sqrt", "effective"] = Field(
        "none",
        description="weight of a class: 1 / frequency (`balanced`), its square root, or 1 / effective number of clips; "
        "1 on average over the clips",
    )
    effective_beta: BelowOne = Field(
        0.999, description="`effective` class weights: β of the effective number (1 - β^n) / (1 - β)"
    )
    reweight_epoch: int = Field(
        0, ge=0, description="epochs before `class_weights` take effect (deferred re-weighting)"
    )
    logit_adjustment: Annotated[float, Field(ge=0.0, le=2.0)] = Field(
        0.0,
        description="τ: τ · log(share of the class in the training targets) is added to the logits in the "
        "classification loss, so that they learn rare classes as if they were less rare. 1 is balanced softmax: the "
        "logits are those of equally frequent classes",
    )
    compact_weight: NonNegative = Field(0.1, description="λ of the compact loss; 0 turns it off")
    compact_form: CompactForm = Field(
        "logit", description="whether the compact loss acts on logits or on class centres"
    )


def class_weights(counts: Tensor, settings: LossSection) -> Tensor | None:
    """Return the weights of the classes, 1 on average over the clips; None for equal ones.

    Args:
        counts: [C], training clips of each class, or sums of soft labels; a class without any has weight 0.
        settings: `class_weights` "balanced" is 1 / frequency, "sqrt" its square root, "effective" 1 / effective number.

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


def log_shares(shares: Tensor) -> Tensor:
    """Return the logarithms of classes' shares, [C]; 0 for a class without any, which can be learnt only as absent.

    Such a class then counts as frequent: the loss pushes its logit down, as far below the others as it can.
    """
    return torch.where(shares > 0, shares, 1.0).log()


class TrainingLoss(nn.Module):
    """The classification loss + λ · compact loss; `forward` returns them separately, the second one weighted.

    The classification loss sees the logits + τ · log π, where π is `prior` and τ `settings.logit_adjustment`. The
    logits themselves are then those of a model for the prior π^(1 - τ).

    Args:
        settings: the recipe's `loss` section.
        counts: [C], training clips of each class, or sums of soft labels.
        dim: D; the center form of the compact loss needs it.

    Source of the adjustment: A. K. Menon et al., "Long-tail learning via logit adjustment", ICLR 2021, arXiv
        2007.07314; τ = 1 is J. Ren et al., "Balanced Meta-Softmax", NeurIPS 2020, arXiv 2007.10740.
    """

    counts: Tensor
    weights: Tensor

    def __init__(self, settings: LossSection, *, counts: Tensor, dim: int) -> None:
        super().__init__()
        self.settings = settings
        weights = class_weights(counts, settings)
        self.register_buffer("counts", counts.float(), persistent=False)
        self.register_buffer("weights", torch.ones(len(counts)) if weights is None else weights, persistent=False)
        self.compact = CompactLoss(
            weight=settings.compact_weight, form=settings.compact_form, num_classes=len(counts), dim=dim
        )

    def weights_at(self, epoch: float) -> Tensor:
        """Return the weights of the classes, float32 [C]: all 1 before `reweight_epoch`.

        Args:
            epoch: epochs done, with fractions.
        """
        return self.weights if epoch >= self.settings.reweight_epoch else torch.ones_like(self.weights)

    def prior(self, epoch: float = 0.0) -> Tensor:
        """Return the shares of the classes as the loss weighs them, float32 [C]: their counts times their weights.

        Args:
            epoch: epochs done, with fractions.
        """
        shares = self.counts * self.weights_at(epoch)
        return shares / shares.sum()

    def forward(
        self, logits: Tensor, targets: Tensor, features: Tensor, *, batch: Tensor | None = None, epoch: float = 0.0
    ) -> tuple[Tensor, Tensor]:
        """Return the loss of a batch, or the share that part of a batch contributes: the parts' losses sum to its loss.

        Only the center form of the compact loss takes each part as a batch of its own, weighted by its clips.

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
        weights = self.weights_at(epoch)
        smoothing = self.settings.label_smoothing
        smooth = (1 - smoothing) * targets + smoothing / targets.shape[1]
        adjusted = logits.float()
        if self.settings.logit_adjustment:
            adjusted = adjusted + self._adjustment(epoch)
        per_class = LOSSES[self.settings.name](adjusted, self.settings, self.counts)  # B C
        classification = (smooth * weights * per_class).sum() / (batch * weights).sum()
        compact = self.compact(logits.float(), targets, features.float()) * (len(targets) / len(batch))
        return classification, compact

    def _adjustment(self, epoch: float) -> Tensor:
        adjustment = self.settings.logit_adjustment * log_shares(self.prior(epoch))
        # LDAM multiplies its logits, and would multiply the adjustment with them.
        return adjustment / self.settings.ldam_scale if self.settings.name == "ldam" else adjustment
