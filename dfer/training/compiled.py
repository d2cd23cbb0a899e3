"""torch.compile with a way back."""

from __future__ import annotations

import logging
from collections.abc import Callable

import torch
from torch import Tensor

logger = logging.getLogger(__name__)


class Compiled:
    """A function of a tensor, compiled at its first call; where that fails, the function itself, after one warning.

    Args:
        function: a method of the model. The model is not wrapped: the names in checkpoints stay.
    """

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        self._function = function
        # A size compiled by itself is faster than one for all, and there are two: a full batch and the last one.
        self._compiled: Callable[[Tensor], Tensor] | None = torch.compile(function, dynamic=False)

    def __call__(self, clips: Tensor) -> Tensor:
        if self._compiled is not None:
            try:
                return self._compiled(clips)
            except torch.OutOfMemoryError:
                raise
            except Exception as error:  # compilers fail in any way; were it the model, it fails again below
                reason = (str(error).splitlines() or [type(error).__name__])[0]
                logger.warning("torch.compile failed, training goes on without it: %s", reason)
                self._compiled = None
        return self._function(clips)
