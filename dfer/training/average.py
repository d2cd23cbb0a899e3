"""The moving average of a model's weights."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy

import torch
from torch import Tensor, nn

from dfer.model.video_model import VideoModel


class MovingAverage:
    """average + (1 - decay) * (model - average) after each step, of weights and buffers; the first step is copied.

    It computes what torch's `AveragedModel` does, and its state has the same names, but no device is waited for.

    Attributes:
        module: the model with the averaged weights.

    Args:
        model: its weights are where the average begins.
        decay: above 0, below 1.
    """

    def __init__(self, model: VideoModel, decay: float) -> None:
        self.module = deepcopy(model)
        self._decay, self._steps = decay, 0

    @torch.no_grad()
    def update(self, model: VideoModel) -> None:
        """Take the weights after a step."""
        own, new = _split(self.module), _split(model)
        if self._steps == 0:
            for ours, theirs in zip(own, new, strict=True):
                if ours:  # a model without batch norm has no counters
                    torch._foreach_copy_(ours, theirs)
        else:
            torch._foreach_lerp_(own[0], new[0], 1 - self._decay)
            _average_counters(own[1], new[1], self._decay)
        self._steps += 1

    def state_dict(self) -> dict[str, Tensor]:
        """Return the averaged weights, and the number of steps as `n_averaged`."""
        weights = {f"module.{name}": value for name, value in self.module.state_dict().items()}
        return {"n_averaged": torch.tensor(self._steps), **weights}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore what `state_dict` returned."""
        self._steps = int(state["n_averaged"])
        prefix = "module."
        weights = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
        self.module.load_state_dict(weights)


def _split(model: nn.Module) -> tuple[list[Tensor], list[Tensor]]:
    """Return the weights and float buffers of a model, and its counters."""
    tensors = [*model.parameters(), *model.buffers()]
    return [x for x in tensors if x.is_floating_point()], [x for x in tensors if not x.is_floating_point()]


def _average_counters(own: list[Tensor], new: list[Tensor], decay: float) -> None:
    """Batch norm's counters, which change nothing, are averaged and rounded down too."""
    if own:
        averaged = torch.stack(own) * decay + torch.stack(new) * (1 - decay)
        torch._foreach_copy_(own, list(averaged.unbind()))
