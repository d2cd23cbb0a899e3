"""The losses that a recipe chooses from."""

from dfer.losses.compact import CompactLoss

__all__ = ["CompactLoss"]
