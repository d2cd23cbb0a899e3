"""A GRU over a ResNet-18's features of the frames.

    clips -> ResNet-18 on each frame -> GRU, frame after frame -> its last state -> head

Source: K. Cho et al., "Learning Phrase Representations using RNN Encoder-Decoder", EMNLP 2014, arXiv 1406.1078.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field
from torch import Tensor, nn

from dfer.model.frame_model import FrameModel, FrameSettings
from dfer.model.ops import Dropout
from dfer.model.resnet import ResNet18
from dfer.model.video_model import ModelConfig
from dfer.settings import read_settings


class ResNet18GruSettings(FrameSettings):
    """The settings of a `ResNet18Gru`."""

    hidden: Annotated[int, Field(ge=1, le=8192)] = Field(512, description="`resnet18_gru`: channels of its state")
    layers: Annotated[int, Field(ge=1, le=16)] = Field(
        1, description="`resnet18_gru`: GRUs, each on the states of the one before"
    )


class ResNet18GruConfig(ResNet18GruSettings, ModelConfig):
    """The settings of a `ResNet18Gru` and its number of classes."""


class ResNet18Gru(FrameModel):
    """The last state of a GRU that reads the frames in their order: 12.8 M parameters.

    Args:
        settings: those that differ from the defaults, and `num_classes`.

    Raises:
        UsageError: the settings fit no model; every problem is listed.
    """

    settings_class = ResNet18GruSettings

    def __init__(self, **settings: Any) -> None:
        super().__init__()
        self.config = config = read_settings(ResNet18GruConfig, settings, where="model")
        self.stem = ResNet18(width=config.stem_width)
        self.gru = nn.GRU(self.stem.channels, config.hidden, config.layers, batch_first=True)
        self.dropout = Dropout(config.dropout)
        self.head = nn.Linear(config.hidden, config.num_classes)

    def read_frames(self, frames: Tensor) -> Tensor:
        states, _ = self.gru(frames)  # B T hidden
        features: Tensor = self.dropout(states[:, -1])  # B hidden
        return features
