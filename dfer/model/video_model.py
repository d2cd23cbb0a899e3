"""The interface of every model: what training, evaluation and prediction may expect of an architecture."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from torch import Tensor, nn


class ParameterGroup(NamedTuple):
    """Parameters that are optimised alike.

    Attributes:
        depth: 0 for what is new in this model; 1, 2, ... for the stages of its backbone, from the last to the first.
        decays: whether weight decay suits them: not biases, norms, embeddings and learned tokens.
        parameters: in the model's order.
    """

    depth: int
    decays: bool
    parameters: list[nn.Parameter]


class VideoModel(nn.Module, ABC):
    """A classifier of clips.

    Attributes:
        config: its settings; a model built from them has the same state-dict keys and shapes.
        head: features to logits; `model.head(features)` saves a second forward pass where both are needed.
        backbone_stages: prefixes of the names of the backbone's parameters, a group of prefixes per stage, first stage
            first.
        undecayed: endings of the names of matrices that should not decay either, such as position embeddings.
    """

    config: Any
    head: nn.Linear
    backbone_stages: Sequence[tuple[str, ...]] = ()
    undecayed: tuple[str, ...] = ()

    @abstractmethod
    def forward_features(self, clips: Tensor, repeats: int = 1) -> Tensor:
        """Return the features that `head` classifies.

        Args:
            clips: float [B, T, 3, S, S], normalised.
            repeats: number of times that each frame is shown in a row, for clips made of stills.

        Returns:
            Features [B, D].
        """

    def forward(self, clips: Tensor) -> Tensor:
        """Return logits [B, C] of normalised clips, float [B, T, 3, S, S]."""
        logits: Tensor = self.head(self.forward_features(clips))
        return logits

    def parameter_groups(self, *, by_decay: bool = True) -> list[ParameterGroup]:
        """Return all parameters in groups, the deepest stage of the backbone first.

        Args:
            by_decay: separate those that weight decay suits from the others; otherwise all count as decaying.
        """
        groups: dict[tuple[int, bool], list[nn.Parameter]] = {}
        for name, parameter in self.named_parameters():
            decays = not by_decay or (parameter.ndim > 1 and not name.endswith(self.undecayed))
            groups.setdefault((self._depth(name), decays), []).append(parameter)
        ordered: Iterable[tuple[int, bool]] = sorted(groups, key=lambda key: (-key[0], key[1]))
        return [ParameterGroup(depth, decays, groups[depth, decays]) for depth, decays in ordered]

    def _depth(self, name: str) -> int:
        depths = enumerate(reversed(self.backbone_stages), 1)
        return next((depth for depth, prefixes in depths if name.startswith(prefixes)), 0)
