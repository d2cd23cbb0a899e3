"""Functions compiled by torch where that works."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache
from typing import Generic, TypeVar

import torch
from typing_extensions import ParamSpec

logger = logging.getLogger(__name__)

Given = ParamSpec("Given")
Result = TypeVar("Result")


class Compiled(Generic[Given, Result]):
    """A function compiled at its first call; if that fails, the function itself, after one warning.

    Args:
        function: of tensors, such as a method of the model. The model is not wrapped, so that the names in checkpoints
            stay.
    """

    def __init__(self, function: Callable[Given, Result]) -> None:
        self._function = function
        # One graph per size is faster than one for all, and there are few sizes: a full batch and the last one.
        self._compiled: Callable[Given, Result] | None = torch.compile(function, dynamic=False)

    def __call__(self, *given: Given.args, **options: Given.kwargs) -> Result:
        if self._compiled is not None:
            try:
                return self._compiled(*given, **options)
            except torch.OutOfMemoryError:
                raise
            except Exception as error:  # compilers fail in many ways; if the model is at fault, it fails again below
                reason = (str(error).splitlines() or [type(error).__name__])[0]
                _warn_once(reason)
                self._compiled = None
        return self._function(*given, **options)


@cache
def _warn_once(reason: str) -> None:
    """Say that compiling failed: for training and for validation alike, so only once."""
    logger.warning("torch.compile failed, training continues without it: %s", reason)
