"""R(2+1)D-18: a ResNet-18 over space and time, each convolution split into one over space and one over time.

    clips -> stem -> 4 stages of 2 blocks, the last 3 at half the size and half the frames -> mean -> head

Source: D. Tran et al., "A Closer Look at Spatiotemporal Convolutions for Action Recognition", CVPR 2018, arXiv
1711.11248. State-dict keys as torchvision's, whose stem has 45 channels between its two convolutions.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated, Any

import torch.nn.functional as F
from einops import rearrange
from pydantic import Field
from torch import Tensor, nn

from dfer.model.ops import Dropout
from dfer.model.video_model import LastMap, ModelConfig, ModelSettings, VideoModel, require_clips
from dfer.model.weights import load_part, read_state_dict
from dfer.settings import BelowOne, read_settings

logger = logging.getLogger(__name__)

_STAGES = ("stem.", "layer1.", "layer2.", "layer3.", "layer4.")
_STEM_MIDDLE = 45  # of 64


class R2Plus1d18Settings(ModelSettings):
    """The settings of an `R2Plus1d18`."""

    stem_width: Annotated[int, Field(ge=1, le=1024)] = Field(64, description="channels of the first stage")
    dropout: BelowOne = Field(0.0, description="dropout before the head")


class R2Plus1d18Config(R2Plus1d18Settings, ModelConfig):
    """The settings of an `R2Plus1d18` and its number of classes."""


class SplitConv(nn.Sequential):
    """A convolution over space, then one over time, [B, inputs, T, H, W] to [B, outputs, T/stride, H/stride, W/stride].

    Args:
        inputs: channels.
        middle: channels between the two.
        outputs: channels.
        stride: of both.
    """

    def __init__(self, *, inputs: int, middle: int, outputs: int, stride: int = 1) -> None:
        super().__init__(
            nn.Conv3d(inputs, middle, (1, 3, 3), (1, stride, stride), padding=(0, 1, 1), bias=False),
            nn.BatchNorm3d(middle),
            nn.ReLU(inplace=True),
            nn.Conv3d(middle, outputs, (3, 1, 1), (stride, 1, 1), padding=(1, 0, 0), bias=False),
        )


class SplitBlock(nn.Module):
    """Two split convolutions and a shortcut, with as many parameters as full ones of 3x3x3 would have."""

    def __init__(self, *, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        middle = 27 * inputs * outputs // (9 * inputs + 3 * outputs)
        first = SplitConv(inputs=inputs, middle=middle, outputs=outputs, stride=stride)
        second = SplitConv(inputs=outputs, middle=middle, outputs=outputs)
        self.conv1 = nn.Sequential(first, nn.BatchNorm3d(outputs), nn.ReLU(inplace=True))
        self.conv2 = nn.Sequential(second, nn.BatchNorm3d(outputs))
        self.downsample: nn.Module | None = None
        if stride > 1:
            shortcut = nn.Conv3d(inputs, outputs, 1, stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm3d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv2(self.conv1(x)) + (x if self.downsample is None else self.downsample(x))
        return F.relu(y, inplace=True)


class R2Plus1d18(VideoModel):
    """R(2+1)D-18: 31.3 M parameters, 40.5 GMACs for 16x112x112.

    Args:
        settings: those that differ from the defaults, and `num_classes`.

    Raises:
        UsageError: the settings fit no model; every problem is listed.
    """

    settings_class = R2Plus1d18Settings
    backbone_stages = tuple((stage,) for stage in _STAGES)

    def __init__(self, **settings: Any) -> None:
        super().__init__()
        self.config = config = read_settings(R2Plus1d18Config, settings, where="model")
        width = config.stem_width
        middle = max(1, _STEM_MIDDLE * width // 64)
        self.stem = nn.Sequential(
            nn.Conv3d(3, middle, (1, 7, 7), (1, 2, 2), padding=(0, 3, 3), bias=False),
            nn.BatchNorm3d(middle),
            nn.ReLU(inplace=True),
            nn.Conv3d(middle, width, (3, 1, 1), padding=(1, 0, 0), bias=False),
            nn.BatchNorm3d(width),
            nn.ReLU(inplace=True),
        )
        self.layer1 = _stage(width, width, stride=1)
        self.layer2 = _stage(width, 2 * width, stride=2)
        self.layer3 = _stage(2 * width, 4 * width, stride=2)
        self.layer4 = _stage(4 * width, 8 * width, stride=2)
        self.dropout = Dropout(config.dropout)
        self.head = nn.Linear(8 * width, config.num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward_features(self, clips: Tensor, repeats: int = 1) -> Tensor:
        """Return the mean over space and time of the last stage's maps; see `VideoModel`.

        Raises:
            ValueError: the clips are not [B, T, 3, S, S].
        """
        require_clips(clips)
        if repeats > 1:
            clips = clips.repeat_interleave(repeats, dim=1)
        x = self.stem(rearrange(clips, "b t c h w -> b c t h w"))  # B width T S/2 S/2
        x = self.layer1(x)  # B width T S/2 S/2
        x = self.layer2(x)  # B 2·width T/2 S/4 S/4
        x = self.layer3(x)  # B 4·width T/4 S/8 S/8
        x = self.layer4(x)  # B 8·width T/8 S/16 S/16
        features: Tensor = self.dropout(x.mean(dim=(2, 3, 4)))  # B 8·width
        return features

    def last_map(self) -> LastMap:
        return LastMap(self.layer4, "b d t h w")

    def load_backbone(self, path: str | Path) -> None:
        """Initialise all but the head from a file of R(2+1)D-18 weights, such as torchvision's of Kinetics.

        Raises:
            CheckpointError: the file is unreadable or unsafe, or its tensors are not those of an R(2+1)D-18.
        """
        found = {name: tensor for name, tensor in read_state_dict(Path(path)).items() if name.startswith(_STAGES)}
        load_part(self, found, is_part=lambda name: name.startswith(_STAGES), where=path)
        logger.info("backbone %s: loaded %d tensors", path, len(found))


def _stage(inputs: int, outputs: int, *, stride: int) -> nn.Sequential:
    return nn.Sequential(
        SplitBlock(inputs=inputs, outputs=outputs, stride=stride), SplitBlock(inputs=outputs, outputs=outputs, stride=1)
    )
