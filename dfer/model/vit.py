"""A plain vision transformer over tubelets of a clip, in the size of VideoMAE's encoder: a slot for pretrained weights.

    clips -> tubelets of 2 frames x 16 x 16 pixels -> tokens + sinusoids -> encoder layers -> mean -> LayerNorm -> head

Source: A. Arnab et al., "ViViT: A Video Vision Transformer", ICCV 2021, arXiv 2103.15691, for the tubelets; Z. Tong et
al., "VideoMAE", NeurIPS 2022, arXiv 2203.12602, for the sizes and the names of the weights.
"""

from __future__ import annotations

import logging
import math
import re
from pathlib import Path
from typing import Annotated, Any

import torch
import torch.nn.functional as F
from einops import rearrange
from pydantic import Field, model_validator
from torch import Tensor, nn

from dfer.model.ops import Dropout, attend
from dfer.model.rollout import roll_out
from dfer.model.video_model import LastMap, ModelConfig, ModelSettings, VideoModel, require_clips
from dfer.model.weights import load_part, read_state_dict
from dfer.settings import BelowOne, read_settings

logger = logging.getLogger(__name__)

FRAMES, SIDE = 2, 16  # of a tubelet


class VitSettings(ModelSettings):
    """The settings of a `Vit`; the defaults are the sizes of ViT-B."""

    dim: Annotated[int, Field(ge=2, le=8192)] = Field(768, description="D, channels of a token")
    depth: Annotated[int, Field(ge=1, le=128)] = Field(12, description="number of layers")
    heads: Annotated[int, Field(ge=1, le=256)] = Field(
        12, description="heads of each attention; they must divide `dim`"
    )
    dropout: BelowOne = Field(0.0, description="dropout after every attention and both layers of an MLP")

    @model_validator(mode="after")
    def _sizes_fit(self) -> VitSettings:
        if self.dim % self.heads or self.dim % 2:
            raise ValueError(f"heads ({self.heads}) and 2 must divide dim ({self.dim})")
        if self.num_frames % FRAMES or self.image_size % SIDE:
            raise ValueError(f"num_frames must be a multiple of {FRAMES} and image_size one of {SIDE}")
        return self


class VitConfig(VitSettings, ModelConfig):
    """The settings of a `Vit` and its number of classes."""


class BiasedAttention(nn.Module):
    """Multi-head self-attention of tokens [B, N, D]; queries and values have a bias, keys have none.

    A bias of the keys would change no weight of the attention.
    """

    def __init__(self, *, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.q_bias = nn.Parameter(torch.zeros(dim))
        self.v_bias = nn.Parameter(torch.zeros(dim))
        self.proj = nn.Linear(dim, dim)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        bias = torch.cat([self.q_bias, torch.zeros_like(self.q_bias), self.v_bias])
        qkv = F.linear(x, self.qkv.weight, bias)  # B N 3D
        q, k, v = rearrange(qkv, "b n (three m d) -> three b m n d", three=3, m=self.heads)
        y = rearrange(attend(q, k, v), "b m n d -> b n (m d)")  # B N D
        result: Tensor = self.dropout(self.proj(y))
        return result


class VitBlock(nn.Module):
    """Attention and an MLP of 4 D, each a pre-norm residual: [B, N, D] to the same."""

    def __init__(self, *, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = BiasedAttention(dim=dim, heads=heads, dropout=dropout)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(dim, 4 * dim), "fc2": nn.Linear(4 * dim, dim)})
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        hidden = self.dropout(F.gelu(self.mlp["fc1"](self.norm2(x))))  # B N 4D
        y: Tensor = x + self.dropout(self.mlp["fc2"](hidden))
        return y


class Vit(VideoModel):
    """A plain vision transformer over tubelets; as `vit_b` 86.2 M parameters.

    It takes clips of any even number of frames and any crop of whole tubelets: the positions are computed.

    Args:
        settings: those that differ from the defaults, and `num_classes`.

    Raises:
        UsageError: the settings fit no model; every problem is listed.
    """

    settings_class = VitSettings
    backbone_stages = (("patch_embed.", "blocks."),)
    config: VitConfig

    def __init__(self, **settings: Any) -> None:
        super().__init__()
        self.config = config = read_settings(VitConfig, settings, where="model")
        tubelet = (FRAMES, SIDE, SIDE)
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv3d(3, config.dim, tubelet, tubelet)})
        self.blocks = nn.ModuleList(
            VitBlock(dim=config.dim, heads=config.heads, dropout=config.dropout) for _ in range(config.depth)
        )
        self.fc_norm = nn.LayerNorm(config.dim, eps=1e-6)
        self.head = nn.Linear(config.dim, config.num_classes)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward_features(self, clips: Tensor, repeats: int = 1) -> Tensor:
        """Return the mean of the tokens after LayerNorm; see `VideoModel`.

        Raises:
            ValueError: the clips are not [B, T, 3, S, S].
        """
        require_clips(clips)
        if repeats > 1:
            clips = clips.repeat_interleave(repeats, dim=1)
        x = self.patch_embed["proj"](rearrange(clips, "b t c h w -> b c t h w"))  # B D T/2 S/16 S/16
        x = rearrange(x, "b d t h w -> b (t h w) d")  # B N D
        x = x + sinusoids(x.shape[1], x.shape[2], x.device).to(x.dtype)
        for block in self.blocks:
            x = block(x)
        features: Tensor = self.fc_norm(x.mean(dim=1))  # B D
        return features

    def last_map(self) -> LastMap:
        side = self.config.image_size // SIDE
        return LastMap(self.blocks[-1], "b (t h w) d", {"h": side, "w": side})

    def roll_out_attention(self, weights: list[Tensor], clips: Tensor) -> Tensor:
        tokens = weights[0].shape[-1]
        share = roll_out(clips.new_full((len(clips), tokens), 1 / tokens), weights)  # B N
        t, h, w = clips.shape[1] // FRAMES, clips.shape[3] // SIDE, clips.shape[4] // SIDE
        return share.view(-1, t, h, w)

    def load_backbone(self, path: str | Path) -> None:
        """Initialise all but the head from a VideoMAE-style file: pretrained (`encoder.`) or fine-tuned weights.

        A decoder, mask token and head are left out; the last norm of a pretrained encoder becomes the one before the
        head.

        Raises:
            CheckpointError: the file is unreadable or unsafe, or its tensors are not those of this size.
        """
        offered = {_our_name(name): tensor for name, tensor in read_state_dict(Path(path)).items()}
        found = {name: tensor for name, tensor in offered.items() if name is not None}
        missing = load_part(
            self,
            found,
            is_part=lambda name: not name.startswith("head."),
            is_optional=lambda name: name.startswith("fc_norm."),
            where=path,
        )
        logger.info("backbone %s: loaded %d tensors; missing %s", path, len(found), ", ".join(missing) or "none")


# What a VideoMAE file holds beside the encoder.
_NOT_ENCODER = re.compile(r"(decoder|encoder_to_decoder|head)\.|mask_token$|pos_embed$")


def _our_name(name: str) -> str | None:
    """Return our name of a tensor in a VideoMAE file; None for one that the encoder does not have."""
    if _NOT_ENCODER.match(name):
        return None
    name = name.removeprefix("encoder.").removeprefix("backbone.")
    return re.sub(r"^norm\.", "fc_norm.", name)


def sinusoids(tokens: int, dim: int, device: torch.device) -> Tensor:
    """Return the position embeddings, float32 [N, D]: sines at even channels and cosines at odd ones.

    Args:
        tokens: N, numbered along the clip's grid.
        dim: D, even.
        device: of the result.

    Source: A. Vaswani et al., "Attention Is All You Need", NeurIPS 2017, arXiv 1706.03762.
    """
    rates = torch.exp(torch.arange(0, dim, 2, device=device) * (-math.log(10_000) / dim))
    angles = torch.arange(tokens, device=device)[:, None] * rates  # N D/2
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)
