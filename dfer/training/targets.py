"""The targets of training clips: their labels, or the shares of the annotators' votes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from dfer.store.manifest import ManifestRow


def class_targets(rows: Sequence[ManifestRow], num_classes: int, *, soft: bool) -> Tensor:
    """Return the target probabilities of clips, float [B, C].

    Args:
        rows: the clips.
        num_classes: C.
        soft: use the shares of the annotators' votes, where they are known, in place of the label. Probabilities from
            a file of targets are used in any case.
    """
    targets = F.one_hot(torch.tensor([row.label for row in rows]), num_classes).float()
    for number, row in enumerate(rows):
        if shares := row.target(soft=soft):
            target = torch.tensor(shares, dtype=torch.float32)
            targets[number] = target / target.sum()
    return targets
