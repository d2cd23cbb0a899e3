"""The mean of a ResNet-18's features over the frames: a baseline that knows no time at all.

    clips -> ResNet-18 on each frame -> mean over the frames -> head

Source: K. He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, arXiv 1512.03385.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from dfer.model.frame_model import FrameModel, FrameSettings
from dfer.model.ops import Dropout
from dfer.model.resnet import ResNet18
from dfer.model.video_model import ModelConfig
from dfer.settings import read_settings


class ResNet18MeanSettings(FrameSettings):
    """The settings of a `ResNet18Mean`."""


class ResNet18MeanConfig(ResNet18MeanSettings, ModelConfig):
    """The settings of a `ResNet18Mean` and its number of classes."""


class ResNet18Mean(FrameModel):
    """The mean of the frames' features, which no order of the frames changes: 11.2 M parameters.

    Args:
        settings: those that differ from the defaults, and `num_classes`.

    Raises:
        UsageError: the settings fit no model; every problem is listed.
    """

    settings_class = ResNet18MeanSettings

    def __init__(self, **settings: Any) -> None:
        super().__init__()
        self.config = config = read_settings(ResNet18MeanConfig, settings, where="model")
        self.stem = ResNet18(width=config.stem_width)
        self.dropout = Dropout(config.dropout)
        self.head = nn.Linear(self.stem.channels, config.num_classes)

    def read_frames(self, frames: Tensor) -> Tensor:
        features: Tensor = self.dropout(frames.mean(dim=1))  # B D
        return features
