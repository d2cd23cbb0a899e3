"""Former-DFER: a transformer over the places of each face map, then one over the frames.

    clips -> ResNet-18 to layer3 -> spatial transformer on each map -> layer4, mean -> temporal transformer -> head

Source: Z. Zhao, Q. Liu, "Former-DFER: Dynamic Facial Expression Recognition Transformer", ACM Multimedia 2021. The
sizes are those of the authors' published code.
"""

from __future__ import annotations

from typing import Annotated, Any

import torch
from einops import rearrange
from pydantic import Field, model_validator
from torch import Tensor, nn

from dfer.model.encoder import EncoderLayer, TemporalEncoder
from dfer.model.frame_model import FrameModel, FrameSettings
from dfer.model.positions import resize_spatial
from dfer.model.resnet import STEM_STRIDE, ResNet18, ResNetStem
from dfer.model.rollout import roll_out
from dfer.model.video_model import ModelConfig
from dfer.settings import read_settings


class FormerDferSettings(FrameSettings):
    """The settings of a `FormerDfer`."""

    spatial_depth: Annotated[int, Field(ge=1, le=128)] = Field(
        1, description="`former_dfer`: layers of the spatial transformer"
    )
    temporal_depth: Annotated[int, Field(ge=1, le=128)] = Field(
        3, description="`former_dfer`: layers of the temporal transformer"
    )
    heads: Annotated[int, Field(ge=1, le=256)] = Field(
        8, description="heads of each attention; they must divide the channels, 4 and 8 times `stem_width`"
    )

    @model_validator(mode="after")
    def _heads_divide_channels(self) -> FormerDferSettings:
        if 4 * self.stem_width % self.heads:
            raise ValueError(f"heads ({self.heads}) must divide 4 times stem_width ({4 * self.stem_width})")
        return self


class FormerDferConfig(FormerDferSettings, ModelConfig):
    """The settings of a `FormerDfer` and its number of classes."""


class SpatialFormer(ResNet18):
    """A ResNet-18 whose third stage's maps pass a transformer over their places: [N, 3, S, S] to [N, 8·width].

    Args:
        width: channels of the first stage.
        side: of the maps, S / 16 rounded up.
        depth: layers of the transformer.
        heads: of each attention.
        dropout: see `EncoderLayer`.
    """

    def __init__(self, *, width: int, side: int, depth: int, heads: int, dropout: float) -> None:
        super().__init__(width=width)
        dim = 4 * width
        self.positions = nn.Parameter(torch.randn(side, side, dim))
        self.spatial = nn.Sequential(*(EncoderLayer(dim=dim, heads=heads, dropout=dropout) for _ in range(depth)))

    def forward(self, frames: Tensor) -> Tensor:
        maps = ResNetStem.forward(self, frames)  # N 4·width H W
        positions = resize_spatial(self.positions, maps.shape[2:])  # H W 4·width
        tokens = rearrange(maps, "n d h w -> n (h w) d") + positions.flatten(0, 1)
        maps = rearrange(self.spatial(tokens), "n (h w) d -> n d h w", h=maps.shape[2])
        return self.last_stage(maps)  # N 8·width


class FormerDfer(FrameModel):
    """Former-DFER: 18 M parameters, 8.3 GMACs for 16x112x112.

    Args:
        settings: those that differ from the defaults, and `num_classes`.

    Raises:
        UsageError: the settings fit no model; every problem is listed.
    """

    settings_class = FormerDferSettings
    config: FormerDferConfig

    def __init__(self, **settings: Any) -> None:
        super().__init__()
        self.config = config = read_settings(FormerDferConfig, settings, where="model")
        self.stem = SpatialFormer(
            width=config.stem_width,
            side=-(-config.image_size // STEM_STRIDE),
            depth=config.spatial_depth,
            heads=config.heads,
            dropout=config.dropout,
        )
        dim = self.stem.channels
        self.temporal = TemporalEncoder(
            dim=dim,
            num_frames=config.num_frames,
            depth=config.temporal_depth,
            heads=config.heads,
            dropout=config.dropout,
        )
        self.head = nn.Linear(dim, config.num_classes)

    def read_frames(self, frames: Tensor) -> Tensor:
        features: Tensor = self.temporal(frames)  # B D
        return features

    def roll_out_attention(self, weights: list[Tensor], clips: Tensor) -> Tensor:
        """Return the shares of the spatial transformer's places, times those of the frames; see `VideoModel`.

        The convolutions between the two transformers, which mix neighbouring places, are left out.
        """
        depth, batch, frames = self.config.spatial_depth, len(clips), clips.shape[1]
        class_token = clips.new_zeros(batch, 1 + frames)
        class_token[:, 0] = 1
        by_frame = roll_out(class_token, weights[depth:])[:, 1:]  # B T
        by_frame = by_frame / by_frame.sum(dim=1, keepdim=True)
        places = weights[0].shape[-1]
        by_place = roll_out(clips.new_full((batch * frames, places), 1 / places), weights[:depth])  # (B T) (H W)
        side = -(-clips.shape[-1] // STEM_STRIDE)
        maps = rearrange(by_place, "(b t) (h w) -> b t h w", b=batch, w=side)
        return maps * by_frame[:, :, None, None]
