"""The interface of every model: its settings, its registry entry, and the methods that other packages call."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from dfer.errors import UsageError
from dfer.model.ops import record_attention
from dfer.settings import MAX_CLASSES, Settings


class ModelSettings(Settings):
    """The settings that every model has. An architecture adds its own in a derived class."""

    num_frames: Annotated[int, Field(ge=1, le=1024)] = Field(16, description="frames of a clip that the model sees")
    image_size: Annotated[int, Field(ge=32, le=512)] = Field(112, description="side of the input, pixels")


class ModelConfig(ModelSettings):
    """A model's settings with the number of classes, which a recipe leaves to the data: what a checkpoint stores."""

    num_classes: Annotated[int, Field(ge=2, le=MAX_CLASSES)] = Field(description="number of emotions")


class ParameterGroup(NamedTuple):
    """Parameters that are optimised alike.

    Attributes:
        depth: 0 for the part that starts from scratch; 1, 2, ... for the stages of the backbone, last stage first.
        decays: whether weight decay applies: not to biases, norms, embeddings and learned tokens.
        parameters: in the model's order.
    """

    depth: int
    decays: bool
    parameters: list[nn.Parameter]


class LastMap(NamedTuple):
    """The last feature map of a model: what its features are still computed from place by place.

    Attributes:
        layer: the module that gives it, once in a forward pass.
        axes: of its output, as einops writes them: b clips, t steps of time, h rows, w columns, d channels.
        sizes: of the axes that the output does not tell, for clips of the model's own size.
    """

    layer: nn.Module
    axes: str
    sizes: Mapping[str, int] = {}


class VideoModel(nn.Module, ABC):
    """A classifier of clips, built as `VideoModel(config)` or `VideoModel(num_classes=7, num_frames=16, ...)`.

    Attributes:
        settings_class: the settings that a recipe's `model` section may hold.
        backbone_stages: prefixes of the names of the backbone's parameters, stage by stage, first stage first.
        undecayed: endings of the names of matrices that weight decay should leave out, such as position embeddings.
        config: the model's settings; a model built from them has the same state-dict keys and shapes.
        head: features to logits; `model.head(features)` saves a second forward pass where both are needed.
    """

    settings_class: ClassVar[type[ModelSettings]]
    backbone_stages: ClassVar[Sequence[tuple[str, ...]]] = ()
    undecayed: ClassVar[tuple[str, ...]] = ()
    config: ModelConfig
    head: nn.Linear

    @abstractmethod
    def forward_features(self, clips: Tensor, repeats: int = 1) -> Tensor:
        """Return the features that `head` classifies.

        Args:
            clips: float [B, T, 3, S, S], normalised.
            repeats: number of times that each frame is shown in a row, for clips made of stills.

        Returns:
            Features [B, D].
        """

    def clip_features(self, clips: Tensor, repeats: int = 1, *, mirror: bool) -> Tensor:
        """Return the features of clips, [B, D], or the means of theirs and their mirror images'.

        As the head is linear, the logits of mean features are the mean of the two logits.

        Args:
            clips: float [B, T, 3, S, S], normalised.
            repeats: number of times that each frame is shown in a row.
            mirror: take the mean, for twice the computation.
        """
        features = self.forward_features(clips, repeats)
        return (features + self.forward_features(clips.flip(-1), repeats)) / 2 if mirror else features

    def forward(self, clips: Tensor) -> Tensor:
        """Return logits [B, C] of normalised clips, float [B, T, 3, S, S]."""
        logits: Tensor = self.head(self.forward_features(clips))
        return logits

    def load_backbone(self, path: str | Path) -> None:
        """Initialise the backbone from a file of weights.

        Raises:
            CheckpointError: the file is unreadable or unsafe, or its tensors are not those of the backbone.
            UsageError: the model has no backbone.
        """
        raise UsageError(f"{type(self).__name__} has no backbone to load", where=path)

    def last_map(self) -> LastMap:
        """Return the last feature map, which `dfer explain` shows.

        Raises:
            UsageError: the model does not say which it is.
        """
        raise UsageError(f"{type(self).__name__} has no map of the face to explain: it defines no last_map()")

    def attention_map(self, clips: Tensor) -> Tensor:
        """Return how much of each place the features hold by the weights of the attention, [B, T', H, W].

        The weights of the layers are multiplied from the features down to the first grid of tokens, each averaged over
        its heads and with the identity, for the residual. The result is given as a multiple of what equal weights would
        give: the middle of a grid has a larger share than its border whatever a model has learned.

        Args:
            clips: float [B, T, 3, S, S], normalised.

        Raises:
            UsageError: the model has no attention to places of the face.

        Source: attention rollout, S. Abnar and W. Zuidema, "Quantifying Attention Flow in Transformers", ACL 2020.
        """
        with record_attention() as weights:
            self.forward_features(clips)
        equal = [torch.full_like(layer, 1 / layer.shape[-1]) for layer in weights]
        return self.roll_out_attention(weights, clips) / self.roll_out_attention(equal, clips)

    def roll_out_attention(self, weights: list[Tensor], clips: Tensor) -> Tensor:  # noqa: ARG002 - of the interface
        """Return the share of each place in the features, [B, T', H, W], which sum to 1; see `dfer.model.rollout`.

        Args:
            weights: of the attention layers in a forward pass, the first one first.
            clips: float [B, T, 3, S, S], that was seen in it.

        Raises:
            UsageError: the model has no attention to places of the face.
        """
        raise UsageError(
            f"{type(self).__name__} has no attention to places of the face", hint="explain it with --method gradient"
        )

    def fit_weights(self, found: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return a checkpoint's weights, those that depend on the size of the clips fitted to this model's."""
        return dict(found)

    def parameter_groups(self, *, by_decay: bool = True) -> list[ParameterGroup]:
        """Return all parameters in groups, the first stage of the backbone first.

        Args:
            by_decay: separate the parameters that weight decay applies to; otherwise it applies to all.
        """
        groups: dict[tuple[int, bool], list[nn.Parameter]] = {}
        for name, parameter in self.named_parameters():
            decays = not by_decay or (parameter.ndim > 1 and not name.endswith(self.undecayed))
            groups.setdefault((self._depth(name), decays), []).append(parameter)
        ordered = sorted(groups.items(), key=lambda item: (-item[0][0], item[0][1]))
        return [ParameterGroup(depth, decays, parameters) for (depth, decays), parameters in ordered]

    def _depth(self, name: str) -> int:
        depths = enumerate(reversed(self.backbone_stages), 1)
        return next((depth for depth, prefixes in depths if name.startswith(prefixes)), 0)


class DividedModel(VideoModel):
    """A model whose backbone, which holds all batch norms, sees each frame by itself.

    Several processes exchange messages in their batch norms, which `torch.compile` cannot hold in a graph; `encode`
    can be compiled.
    """

    @abstractmethod
    def frame_maps(self, clips: Tensor) -> Tensor:
        """Return what the backbone makes of each frame, [B, T, ...].

        Args:
            clips: float [B, T, 3, S, S], normalised.
        """

    @abstractmethod
    def encode(self, maps: Tensor, repeats: int = 1) -> Tensor:
        """Return the features that `head` classifies, [B, D].

        Args:
            maps: of `frame_maps`.
            repeats: number of times that each frame is shown in a row, for clips made of stills.
        """

    def forward_features(self, clips: Tensor, repeats: int = 1) -> Tensor:
        """Return the features that `head` classifies; the backbone sees a frame that is shown in a row once."""
        return self.encode(self.frame_maps(clips), repeats)


def require_clips(clips: Tensor) -> None:
    """Check the shape of a model's input.

    Raises:
        ValueError: it is not [B, T, 3, S, S].
    """
    if clips.ndim != 5 or clips.shape[2] != 3:
        raise ValueError(f"expected clips of shape [B, T, 3, S, S], got {list(clips.shape)}")


class ModelEntry(NamedTuple):
    """An entry of the registry of models.

    Attributes:
        architecture: its class.
        preset: the settings in which it differs from the architecture's defaults.
    """

    architecture: type[VideoModel]
    preset: Mapping[str, Any] = {}

    def build(self, *, num_classes: int, **settings: Any) -> VideoModel:
        """Return a model of this entry's sizes.

        Args:
            num_classes: C.
            settings: of the architecture, instead of the preset's and its defaults.

        Raises:
            UsageError: the settings fit no model.
        """
        return self.architecture(num_classes=num_classes, **{**self.preset, **settings})
