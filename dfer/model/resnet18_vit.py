"""A vision transformer over a ResNet-18's features of the frames.

    clips -> ResNet-18 on each frame -> class token + frames, with positions -> encoder layers -> class token -> head

The published ResNet18-ViT is known to us by its results only (see `dfer published dfew`): its sizes here are those of
Former-DFER's temporal transformer, from which this model differs in having no spatial one.

Source: A. Dosovitskiy et al., "An Image is Worth 16x16 Words", ICLR 2021, arXiv 2010.11929.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator
from torch import Tensor, nn

from dfer.model.encoder import TemporalEncoder
from dfer.model.frame_model import FrameModel, FrameSettings
from dfer.model.resnet import ResNet18
from dfer.model.video_model import ModelConfig
from dfer.settings import read_settings


class ResNet18VitSettings(FrameSettings):
    """The settings of a `ResNet18Vit`."""

    depth: Annotated[int, Field(ge=1, le=128)] = Field(3, description="layers of the temporal transformer")
    heads: Annotated[int, Field(ge=1, le=256)] = Field(
        8, description="heads of each attention; they must divide the channels, 8 times `stem_width`"
    )

    @model_validator(mode="after")
    def _heads_divide_channels(self) -> ResNet18VitSettings:
        if 8 * self.stem_width % self.heads:
            raise ValueError(f"heads ({self.heads}) must divide 8 times stem_width ({8 * self.stem_width})")
        return self


class ResNet18VitConfig(ResNet18VitSettings, ModelConfig):
    """The settings of a `ResNet18Vit` and its number of classes."""


class ResNet18Vit(FrameModel):
    """A class token that reads the frames by attention: 17.5 M parameters.

    Args:
        settings: those that differ from the defaults, and `num_classes`.

    Raises:
        UsageError: the settings fit no model; every problem is listed.
    """

    settings_class = ResNet18VitSettings

    def __init__(self, **settings: Any) -> None:
        super().__init__()
        self.config = config = read_settings(ResNet18VitConfig, settings, where="model")
        self.stem = ResNet18(width=config.stem_width)
        dim = self.stem.channels
        self.temporal = TemporalEncoder(
            dim=dim,
            num_frames=config.num_frames,
            depth=config.depth,
            heads=config.heads,
            dropout=config.dropout,
        )
        self.head = nn.Linear(dim, config.num_classes)

    def read_frames(self, frames: Tensor) -> Tensor:
        features: Tensor = self.temporal(frames)  # B D
        return features
