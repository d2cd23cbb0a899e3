"""A small LOGO-Former for tests, and clips for it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from dfer.model import LogoFormer

# 64 pixels give a map of 4x4, which the window (2, 3, 3) does not divide: padding is met everywhere.
SMALL: dict[str, Any] = {
    "num_classes": 5,
    "num_frames": 4,
    "image_size": 64,
    "dim": 32,
    "depth": 2,
    "heads": 4,
    "stem_width": 8,
    "window": (2, 3, 3),
}


def small(**overrides: Any) -> LogoFormer:
    """A small model with weights as large as training makes them: fresh ones say too little to show an error."""
    model = LogoFormer(**{**SMALL, **overrides})
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
    nn.init.normal_(model.spatial_positions)
    nn.init.normal_(model.temporal_positions)
    return model


def clips(batch: int = 2, frames: int = 4, size: int = 64) -> Tensor:
    return torch.randn(batch, frames, 3, size, size)
