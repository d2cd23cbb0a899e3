"""The compact loss: small distances within a class, large ones between classes.

Source: LOGO-Former's "compact loss regularization" (arXiv 2305.03343). The paper's exact formula is not available to
us, only its purpose: minimum intra-class and maximum inter-class distance. We therefore chose two forms, one on the
logits and one on the pooled features; the recipe selects one.

Legend of the shapes: B clips, C classes, D channels of a pooled feature.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, distributed, nn

from dfer.errors import UsageError

CompactForm = Literal["logit", "center"]


class CompactLoss(nn.Module):
    """weight · compact, to be added to the cross-entropy: `cross_entropy + compact_loss(logits, labels, features)`.

    The paper's exact formula is not available to us; both forms follow its stated purpose.

    `logit`: all wrong classes are pushed equally far away, see `logit_compactness`. Soft labels give the expected
    value over their classes.

    `center`: features are pulled to the running centre of their class, and centres pushed apart up to a margin, see
    `CenterCompactness`. Soft labels count as their most probable class, as a clip can move to only one place.

    Args:
        weight: λ, at least 0; with 0 nothing is computed.
        form: "logit" or "center".
        num_classes: C; the center form needs it.
        dim: D; the center form needs it.

    Raises:
        UsageError: a negative weight, an unknown form, or a center form without its sizes.
    """

    def __init__(
        self,
        *,
        weight: float,
        form: CompactForm = "logit",
        num_classes: int | None = None,
        dim: int | None = None,
    ) -> None:
        super().__init__()
        if not (math.isfinite(weight) and weight >= 0):
            raise UsageError(f"weight must be finite and at least 0, got {weight}", where="compact loss")
        if form not in ("logit", "center"):
            raise UsageError(f"form must be logit or center, got {form!r}", where="compact loss")
        self.weight, self.form = weight, form
        self.centers: CenterCompactness | None = None
        if form == "center":
            if num_classes is None or dim is None:
                raise UsageError("the center form needs num_classes and dim", where="compact loss")
            self.centers = CenterCompactness(num_classes=num_classes, dim=dim)

    def forward(self, logits: Tensor, labels: Tensor, features: Tensor | None = None) -> Tensor:
        """Return the weighted loss of a batch.

        Args:
            logits: float [B, C]; B may be 0, in a process that has no clip of its own.
            labels: int64 [B], or probabilities float [B, C].
            features: float [B, D], what the head classified; the center form needs them.

        Returns:
            A scalar, float32 (float64 for float64 input).
        """
        if self.weight == 0:
            return logits.new_zeros(())
        # Autocast would take the sums over clips in half precision.
        with torch.autocast(logits.device.type, enabled=False):
            if self.centers is None:
                return self.weight * logit_compactness(logits, labels) if len(logits) else logits.sum()
            if features is None:
                raise ValueError("the center form needs the pooled features")
            hard = labels.argmax(dim=1) if labels.is_floating_point() else labels
            compact: Tensor = self.centers(features, hard)
            return self.weight * compact

    def extra_repr(self) -> str:
        return f"weight={self.weight:g}, form={self.form}"


def logit_compactness(logits: Tensor, labels: Tensor) -> Tensor:
    """Return how uneven the probabilities of the wrong classes are, averaged over a batch.

    With q the softmax over the C - 1 logits of the wrong classes: ½ Σ_{c≠y} (q_c - 1/(C-1)) · log q_c. That is half
    the symmetric KL divergence between q and the uniform distribution: 0 where they agree, above 0 elsewhere. With
    probabilities as labels, it is the mean over y weighted by them.

    Args:
        logits: float [B, C], C at least 2.
        labels: int64 [B], or probabilities float [B, C].

    Returns:
        A scalar, at least 0; half precision is computed in float32.

    Source: T. Kobayashi, "Large Margin In Softmax Cross-Entropy Loss", BMVC 2019, the regulariser.
    """
    num_classes = logits.shape[1]
    logits = _at_least_float32(logits)
    target = torch.eye(num_classes, dtype=torch.bool, device=logits.device)
    # Row y of each clip leaves class y out. All C rows are computed: C is small, and soft labels need them.
    log_q = F.log_softmax(logits[:, None, :].masked_fill(target, -math.inf), dim=2)  # B C C
    log_q = log_q.masked_fill(target, 0.0)  # before multiplying: 0 · -inf is NaN, in the gradient too
    excess = log_q.exp() - 1 / (num_classes - 1)
    unevenness = 0.5 * (excess * log_q).sum(dim=2)  # B C
    if labels.is_floating_point():
        return (labels * unevenness).sum(dim=1).mean()
    return unevenness.gather(1, labels[:, None]).mean()


def _at_least_float32(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))


class CenterCompactness(nn.Module):
    """The distance of features to their running class centre, plus how far pairs of centres fall short of a margin.

        mean_b ‖f_b - μ_y‖² / D  +  mean_{a≠c} max(0, margin - ‖m_a - μ_c‖ / √D)

    Up to the constant `margin`, the second term is minus the margin-bounded mean distance between centres. μ are
    moving averages and carry no gradient. One centre of each pair is m_a, the mean of this batch's features of class
    a, so that the second term moves the features too. Classes absent from the batch take part as the fixed μ_c of the
    pairs; classes never seen take no part. Nothing is divided by a number of clips that can be 0.

    In training each call moves the centres first; in evaluation they stay. The processes of a group average them, so
    that all hold the same.

    Args:
        num_classes: C.
        dim: D.
        momentum: weight of the old centre in each moving average.
        margin: distance, per √D, beyond which a pair counts as far enough. LayerNorm makes ‖f‖ about √D, so that 1
            is half the largest possible distance.
    """

    centers: Tensor
    seen: Tensor

    def __init__(self, *, num_classes: int, dim: int, momentum: float = 0.9, margin: float = 1.0) -> None:
        super().__init__()
        self.num_classes, self.momentum, self.margin = num_classes, momentum, margin
        self.register_buffer("centers", torch.zeros(num_classes, dim))
        self.register_buffer("seen", torch.zeros(num_classes, dtype=torch.bool))

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of features float [B, D] with labels int64 [B]; a scalar, at least 0."""
        features = _at_least_float32(features)
        members = F.one_hot(labels, self.num_classes).to(features.dtype)  # B C
        counts = members.sum(dim=0)  # C
        sums = members.T @ features  # C D
        if self.training:
            self._move(sums.detach(), counts)
        centers = self.centers.to(features.dtype)

        known = self.seen[labels].to(features.dtype)  # B
        spread = (features - centers[labels]).square().mean(dim=1)  # B
        intra: Tensor = (spread * known).sum() / known.sum().clamp(min=1)

        means = sums / counts.clamp(min=1)[:, None]  # C D
        distance = torch.linalg.vector_norm(means[:, None] - centers, dim=2) / math.sqrt(features.shape[1])
        pairs = ((counts > 0)[:, None] & self.seen).fill_diagonal_(False).to(features.dtype)  # C C
        inter: Tensor = ((self.margin - distance).clamp(min=0) * pairs).sum() / pairs.sum().clamp(min=1)
        return intra + inter

    @torch.no_grad()
    def _move(self, sums: Tensor, counts: Tensor) -> None:
        if distributed.is_available() and distributed.is_initialized():
            total = torch.cat([sums, counts[:, None]], dim=1)
            distributed.all_reduce(total)
            sums, counts = total[:, :-1], total[:, -1]
        present = counts > 0
        means = (sums / counts.clamp(min=1)[:, None]).to(self.centers.dtype)
        moved = torch.where(self.seen[:, None], torch.lerp(means, self.centers, self.momentum), means)
        self.centers.copy_(torch.where(present[:, None], moved, self.centers))
        self.seen |= present
