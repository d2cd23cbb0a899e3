"""Classification losses, per class: the loss of a clip if that class were the true one.

Legend of the shapes: B clips, C classes.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def cross_entropy_per_class(logits: Tensor) -> Tensor:
    """Return -log q_c, float [B, C], of logits float [B, C]; q is their softmax."""
    return -F.log_softmax(logits, dim=1)


def focal_per_class(logits: Tensor, gamma: float) -> Tensor:
    """Return (1 - q_c)^gamma · -log q_c, float [B, C]: cross-entropy with less weight on well-classified clips.

    Args:
        logits: float [B, C].
        gamma: at least 0; 0 is cross-entropy.

    Source: T.-Y. Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017, arXiv 1708.02002.
    """
    log_q = F.log_softmax(logits, dim=1)
    # Below gamma 1 the power has an infinite gradient at 0, which is reached when q_c rounds to 1.
    wrong = (-torch.expm1(log_q)).clamp(min=torch.finfo(logits.dtype).tiny)
    return wrong**gamma * -log_q


def ldam_per_class(logits: Tensor, margins: Tensor, scale: float) -> Tensor:
    """Return -log q_c, float [B, C], each with the class's margin subtracted from its logit first.

    Args:
        logits: float [B, C].
        margins: float [C], see `ldam_margins`.
        scale: factor of all logits. The paper's 30 is meant for a head with normalised weights; ours is linear.

    Source: K. Cao et al., "Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss", NeurIPS 2019,
        arXiv 1906.07413.
    """
    lowered = logits[:, None, :] - torch.diag(margins.to(logits.dtype))  # B C C: row c lowers class c
    return -F.log_softmax(scale * lowered, dim=2).diagonal(dim1=1, dim2=2)


def ldam_margins(counts: Tensor, largest: float) -> Tensor:
    """Return the margin of each class, float32 [C]: proportional to n_c^(-1/4), `largest` for the rarest.

    Args:
        counts: [C], training clips of each class, or sums of soft labels; a class without any, which is never the true
            one, has margin 0.
        largest: the margin of the rarest class.
    """
    present = counts > 0
    rarest = torch.where(present, counts, torch.inf).min()
    return torch.where(present, largest * (rarest / counts.clamp(min=1e-9)) ** 0.25, 0.0).float()
