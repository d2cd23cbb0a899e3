"""Models that see each frame of a clip by itself, and then the sequence of its frames' features."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import Annotated

from einops import rearrange
from pydantic import Field
from torch import Tensor

from dfer.model.resnet import RESNET_STAGES, ResNet18, load_resnet_weights
from dfer.model.video_model import DividedModel, LastMap, ModelSettings, require_clips
from dfer.settings import BelowOne


class FrameSettings(ModelSettings):
    """The settings of every model on the features of single frames."""

    stem_width: Annotated[int, Field(ge=1, le=1024)] = Field(
        64, description="channels of the ResNet's first stage; ResNet-18 has 64"
    )
    dropout: BelowOne = Field(0.0, description="dropout inside the part that reads the frames' features, and after it")


class FrameModel(DividedModel):
    """A ResNet-18 on each frame, and a part that reads the features of a clip's frames.

    Attributes:
        stem: frames [N, 3, S, S] to features [N, D].
    """

    backbone_stages = tuple(tuple(f"stem.{part}." for part in stage) for stage in RESNET_STAGES)
    undecayed = ("positions", "token")
    stem: ResNet18

    @abstractmethod
    def read_frames(self, frames: Tensor) -> Tensor:
        """Return the features of clips, [B, D'], from those of their frames, [B, T, D]."""

    def frame_maps(self, clips: Tensor) -> Tensor:
        require_clips(clips)
        frames: Tensor = rearrange(self.stem(clips.flatten(0, 1)), "(b t) d -> b t d", t=clips.shape[1])
        return frames  # B T/repeats D

    def encode(self, maps: Tensor, repeats: int = 1) -> Tensor:
        return self.read_frames(maps.repeat_interleave(repeats, dim=1) if repeats > 1 else maps)  # of B T D

    def last_map(self) -> LastMap:
        return LastMap(self.stem.layer4, "(b t) d h w")

    def load_backbone(self, path: str | Path) -> None:
        load_resnet_weights(self.stem, path)
