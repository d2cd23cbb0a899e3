"""The losses that a recipe chooses from. To add one: a function of per-class losses, and its line in `LOSSES`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from torch import Tensor

from dfer.losses.classification import cross_entropy_per_class, focal_per_class, ldam_margins, ldam_per_class
from dfer.losses.compact import CompactLoss
from dfer.registry import Registry

if TYPE_CHECKING:
    from dfer.losses.training_loss import LossSection

# (logits [B, C], the recipe's `loss` section, training clips of each class [C]) -> per-class losses [B, C]
PerClassLoss = Callable[[Tensor, "LossSection", Tensor], Tensor]

LOSSES: Registry[PerClassLoss] = Registry(
    "loss",
    Callable,
    {
        "cross_entropy": lambda logits, *_: cross_entropy_per_class(logits),
        "focal": lambda logits, settings, _: focal_per_class(logits, settings.focal_gamma),
        "ldam": lambda logits, settings, counts: ldam_per_class(
            logits, ldam_margins(counts, settings.ldam_margin), settings.ldam_scale
        ),
    },
)

__all__ = ["LOSSES", "CompactLoss"]
