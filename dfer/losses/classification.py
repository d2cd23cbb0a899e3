"""Classification losses, per class: what each class would cost if it were the true one.

Legend of the shapes: B clips, C classes.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def cross_entropy_costs(logits: Tensor) -> Tensor:
    """What each class would cost if it were the true one, -log q_c; float [B, C] of logits float [B, C]."""
    return -F.log_softmax(logits, dim=1)


def focal_costs(logits: Tensor, gamma: float) -> Tensor:
    """As `cross_entropy_costs`, with less weight on what is answered well: (1 - q_c)^gamma · -log q_c.

    Args:
        logits: float [B, C].
        gamma: at least 0; 0 is cross-entropy.

    Source: T.-Y. Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017, arXiv 1708.02002.
    """
    log_q = F.log_softmax(logits, dim=1)
    # The power's gradient at 0 is infinite for gamma below 1, where the answer is certain.
    wrong = (-torch.expm1(log_q)).clamp(min=torch.finfo(logits.dtype).tiny)
    return wrong**gamma * -log_q


def ldam_costs(logits: Tensor, margins: Tensor, scale: float) -> Tensor:
    """As `cross_entropy_costs`, after the true class's logit lost its class's margin.

    Args:
        logits: float [B, C].
        margins: float [C], see `ldam_margins`.
        scale: factor of all logits. The paper's 30 goes with a head of unit vectors; this model's is linear.

    Source: K. Cao et al., "Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss", NeurIPS 2019,
        arXiv 1906.07413.
    """
    lowered = logits[:, None, :] - torch.diag(margins.to(logits.dtype))  # B C C: row c lowers class c
    return -F.log_softmax(scale * lowered, dim=2).diagonal(dim1=1, dim2=2)


def ldam_margins(counts: Tensor, largest: float) -> Tensor:
    """The margin of each class, float32 [C]: proportional to n_c^(-1/4), `largest` for the rarest.

    Args:
        counts: int [C], training clips of each class; a class without any has no margin, being never the true one.
        largest: the margin of the rarest class.
    """
    present = counts > 0
    if not present.any():
        return torch.zeros(len(counts))
    rarest = counts[present].min()
    return torch.where(present, largest * (rarest / counts.clamp(min=1).float()) ** 0.25, 0.0)
