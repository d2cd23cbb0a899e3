"""LOGO-Former: local and global spatio-temporal attention over the face maps of a clip. The whole model.

Source: F. Ma, B. Sun, S. Li, "LOGO-Former: Local-Global Spatio-Temporal Transformer for Dynamic Facial
Expression Recognition", ICASSP 2023, arXiv 2305.03343. Written from the paper's description only, without the
authors' code. Parts that others introduced: the ResNet-18 stem (`dfer.model.resnet`), stochastic depth (Huang et al.,
ECCV 2016, arXiv 1603.09382), class attention (Touvron et al., ICCV 2021, arXiv 2103.17239).

    clips -> stem: a face map per frame -> tokens + positions -> depth x (local, global, MLP) -> pool -> head

Legend of the shapes that stand beside the lines:
    B clips   T frames   S side of the crop   C classes   D channels of a token   M heads
    H, W rows and columns of a map, S / 16 rounded up; (T, H, W) is the grid of tokens
    t, h, w tokens of one window   K windows, in the grid or, where they are attended to, in all clips
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from einops import rearrange
from pydantic import Field, model_validator
from torch import Tensor, nn

from dfer.model.ops import Dropout, Grid, WindowSum, attend, by_window
from dfer.model.positions import resize_spatial, resize_temporal
from dfer.model.resnet import STEM_STAGES, STEM_STRIDE, ResNetStem, load_resnet_weights
from dfer.model.rollout import roll_out_summaries, roll_out_windows
from dfer.model.video_model import DividedModel, LastMap, ModelConfig, ModelSettings, require_clips
from dfer.settings import BelowOne, read_settings

logger = logging.getLogger(__name__)

AttentionKind = Literal["local_global", "local", "global", "joint"]
Side = Annotated[int, Field(ge=1, le=1024)]  # of a window, tokens
PoolKind = Literal["mean", "class_token"]

# Standard deviations of the initial position embeddings. The convolutions' borders tell a token where it is in the
# face, but nothing else tells it when: at 0.02 the order of frames drowns in appearance and is learned late or never
# (measured on classes that differ only in order: at chance after 30 epochs, against 100 % at 0.5).
SPATIAL_STD = 0.02
TEMPORAL_STD = 0.5


class LogoFormerSettings(ModelSettings):
    """The settings of a `LogoFormer`; the defaults are the sizes of `logo_former_s`."""

    dim: Annotated[int, Field(ge=1, le=8192)] = Field(256, description="D, channels of a token; 512 in `logo_former_b`")
    depth: Annotated[int, Field(ge=0, le=128)] = Field(
        6, description="number of blocks, 4 in `logo_former_b`; 0 is only the stem, to pretrain it on stills"
    )
    heads: Annotated[int, Field(ge=1, le=256)] = Field(8, description="heads of each attention; they must divide `dim`")
    mlp_ratio: Annotated[float, Field(gt=0.0, le=32.0)] = Field(
        4.0, description="hidden channels of the MLP, relative to `dim`"
    )
    window: Annotated[tuple[Side, Side, Side], Field(strict=False)] = Field(
        (2, 4, 4), description="tokens of a window: time, height, width; it need not divide the grid of tokens"
    )
    attention: AttentionKind = Field(
        "local_global", description="what a block holds; `joint` is attention over all tokens"
    )
    pool: PoolKind = Field("mean", description="mean over all tokens, or a class token that queries them")
    dropout: BelowOne = Field(
        0.0, description="dropout after the position embeddings, every attention and both layers of an MLP"
    )
    drop_path: BelowOne = Field(
        0.0, description="stochastic depth of the last block; it rises linearly from 0 at the first"
    )
    stem_width: Annotated[int, Field(ge=1, le=1024)] = Field(
        64, description="channels of the stem's first stage; ResNet-18 has 64"
    )

    @model_validator(mode="after")
    def _heads_divide_dim(self) -> LogoFormerSettings:
        if self.dim % self.heads:
            raise ValueError(f"heads ({self.heads}) must divide dim ({self.dim})")
        return self


class LogoFormerConfig(LogoFormerSettings, ModelConfig):
    """The settings of a `LogoFormer` and its number of classes: `LogoFormer(config)` is the same model again."""


class LocalAttention(nn.Module):
    """Multi-head self-attention of the grid [B, T, H, W, D], each window by itself.

    Where the window does not divide the grid, the windows at its edge are smaller.

    Args:
        window: tokens of a window; None for one window over the whole grid: attention over all tokens.

    Source: LOGO-Former's local attention; without a window, the joint attention it is compared to.
    """

    def __init__(self, *, dim: int, heads: int, dropout: float, window: Grid | None) -> None:
        super().__init__()
        self.heads, self.window = heads, window
        self.query_key_value = nn.Linear(dim, 3 * dim)
        self.output = nn.Linear(dim, dim)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        T, H, W = x.shape[1:4]
        y = by_window(x, self.window or (T, H, W), self._attend)  # B T H W D
        # Of a view, linear layers make slow batches of small products.
        result: Tensor = self.dropout(self.output(y.contiguous()))
        return result

    def _attend(self, windows: Tensor) -> Tensor:
        _, t, h, w, _ = windows.shape  # K t h w D
        qkv = self.query_key_value(windows.flatten(1, 3))
        q, k, v = rearrange(qkv, "k n (three m d) -> three k m n d", three=3, m=self.heads)
        return rearrange(attend(q, k, v), "k m (t h w) d -> k t h w (m d)", t=t, h=h, w=w)


class CrossAttention(nn.Module):
    """Multi-head attention of queries [B, N, D] to a memory [B, K, D]."""

    def __init__(self, *, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(dim, dim)
        self.key_value = nn.Linear(dim, 2 * dim)
        self.output = nn.Linear(dim, dim)
        self.dropout = Dropout(dropout)

    def forward(self, queries: Tensor, memory: Tensor) -> Tensor:
        q = rearrange(self.query(queries), "b n (m d) -> b m n d", m=self.heads)  # B M N D/M
        k, v = rearrange(self.key_value(memory), "b k (two m d) -> two b m k d", two=2, m=self.heads)
        y = attend(q, k, v)  # B M N D/M
        result: Tensor = self.dropout(self.output(rearrange(y, "b m n d -> b n (m d)")))  # B N D
        return result


class GlobalAttention(nn.Module):
    """Every token of the grid [B, T, H, W, D] queries one summary token of each window.

    A summary is a weighted sum over its window, channel by channel (a depth-wise convolution whose stride is its
    kernel), then LayerNorm.

    Source: LOGO-Former's global attention.
    """

    def __init__(self, *, dim: int, heads: int, dropout: float, window: Grid) -> None:
        super().__init__()
        self.summarise = WindowSum(dim=dim, window=window)
        self.norm = nn.LayerNorm(dim)
        self.attention = CrossAttention(dim=dim, heads=heads, dropout=dropout)

    def forward(self, x: Tensor) -> Tensor:
        summaries = self.summarise(x)  # B K D
        y: Tensor = self.attention(x.flatten(1, 3), self.norm(summaries))  # B (T H W) D
        return y.view(x.shape)  # B T H W D


class StochasticDepth(nn.Module):
    """In training, leaves a residual branch out for a random share of the clips, and scales it up for the rest."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return x
        keep = x.new_empty(x.shape[0], *[1] * (x.ndim - 1)).bernoulli_(1 - self.rate)
        return x * (keep / (1 - self.rate))

    def extra_repr(self) -> str:
        return f"rate={self.rate:.3g}"


class Residual(nn.Module):
    """x + layer(LayerNorm(x)), with stochastic depth."""

    def __init__(self, layer: nn.Module, *, dim: int, drop_path: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.layer = layer
        self.drop_path = StochasticDepth(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        branch: Tensor = self.drop_path(self.layer(self.norm(x)))
        return x + branch


def _local(config: LogoFormerConfig) -> nn.Module:
    return LocalAttention(dim=config.dim, heads=config.heads, dropout=config.dropout, window=config.window)


def _global(config: LogoFormerConfig) -> nn.Module:
    return GlobalAttention(dim=config.dim, heads=config.heads, dropout=config.dropout, window=config.window)


def _joint(config: LogoFormerConfig) -> nn.Module:
    return LocalAttention(dim=config.dim, heads=config.heads, dropout=config.dropout, window=None)


def _mlp(config: LogoFormerConfig) -> nn.Module:
    hidden = int(config.dim * config.mlp_ratio)
    return nn.Sequential(
        nn.Linear(config.dim, hidden),
        nn.GELU(),
        Dropout(config.dropout),
        nn.Linear(hidden, config.dim),
        Dropout(config.dropout),
    )


# The attention layers that a block holds, in their order.
ATTENTIONS: dict[AttentionKind, dict[str, Callable[[LogoFormerConfig], nn.Module]]] = {
    "local_global": {"local_attention": _local, "global_attention": _global},
    "local": {"local_attention": _local},
    "global": {"global_attention": _global},
    "joint": {"joint_attention": _joint},
}


def build_block(config: LogoFormerConfig, *, drop_path: float) -> nn.Sequential:
    """Return one block, [B, T, H, W, D] to the same: its attention layers, then the MLP, each a pre-norm residual."""
    layers = {**ATTENTIONS[config.attention], "mlp": _mlp}
    return nn.Sequential(
        OrderedDict(
            (name, Residual(build(config), dim=config.dim, drop_path=drop_path)) for name, build in layers.items()
        )
    )


class MeanPool(nn.Module):
    """The mean of all tokens, [B, T, H, W, D] to [B, D], at least in float32."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=(1, 2, 3), dtype=torch.promote_types(x.dtype, torch.float32))


class ClassTokenPool(nn.Module):
    """A learned token queries all tokens once, after the blocks, [B, T, H, W, D] to [B, D].

    It enters this late because a token that lies in no window has no place in local attention.

    Source: class attention, Touvron et al., ICCV 2021, arXiv 2103.17239.
    """

    def __init__(self, *, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.empty(1, 1, dim))
        self.norm = nn.LayerNorm(dim)
        self.attention = CrossAttention(dim=dim, heads=heads, dropout=dropout)
        nn.init.trunc_normal_(self.token, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        token = self.token.expand(x.shape[0], -1, -1)  # B 1 D
        answer: Tensor = self.attention(token, self.norm(x.flatten(1, 3)))  # B 1 D
        return (token + answer)[:, 0]


POOLS: dict[PoolKind, Callable[[LogoFormerConfig], nn.Module]] = {
    "mean": lambda _: MeanPool(),
    "class_token": lambda c: ClassTokenPool(dim=c.dim, heads=c.heads, dropout=c.dropout),
}


class LogoFormer(DividedModel):
    """LOGO-Former: `LogoFormer(config)`, or `LogoFormer(num_classes=7, ...)` with any of the settings as keywords.

    It takes clips of any length and crop size: where their grid differs from the position embeddings' own, which
    `num_frames` and `image_size` decide, the embeddings are interpolated.

    Args:
        config: all settings; see `LogoFormerSettings`.
        settings: instead of a config, those that differ from the defaults.

    Raises:
        UsageError: the settings fit no model; every problem is listed.
    """

    settings_class = LogoFormerSettings
    backbone_stages = tuple(tuple(f"stem.{part}." for part in stage) for stage in STEM_STAGES)
    undecayed = ("positions", "token")
    config: LogoFormerConfig

    def __init__(self, config: LogoFormerConfig | None = None, **settings: Any) -> None:
        super().__init__()
        self.config = config = config or read_settings(LogoFormerConfig, settings, where="model")
        side = -(-config.image_size // STEM_STRIDE)
        self.stem = ResNetStem(width=config.stem_width)
        self.project = nn.Linear(self.stem.channels, config.dim)
        self.spatial_positions = nn.Parameter(torch.empty(side, side, config.dim))
        self.temporal_positions = nn.Parameter(torch.empty(config.num_frames, config.dim))
        self.dropout = Dropout(config.dropout)
        last = config.drop_path
        rates = torch.linspace(0, last, config.depth, device="cpu").tolist() if config.depth != 1 else [last]
        self.blocks = nn.Sequential(*(build_block(config, drop_path=rate) for rate in rates))
        self.pool = POOLS[config.pool](config)
        self.norm = nn.LayerNorm(config.dim)
        self.head = nn.Linear(config.dim, config.num_classes)

        self.apply(_initialise)
        nn.init.trunc_normal_(self.spatial_positions, std=SPATIAL_STD)
        nn.init.trunc_normal_(self.temporal_positions, std=TEMPORAL_STD)

    def frame_maps(self, clips: Tensor) -> Tensor:
        require_clips(clips)
        maps = self.stem(clips.flatten(0, 1))  # (B T) 4·width H W
        by_clip: Tensor = rearrange(maps, "(b t) c h w -> b t c h w", b=clips.shape[0])
        return by_clip

    def encode(self, maps: Tensor, repeats: int = 1) -> Tensor:
        T = maps.shape[1] * repeats
        # Of tokens that do not lie in one piece, torch multiplies each by a copy of the weights of its own.
        tokens = rearrange(maps, "b t c h w -> b t h w c").contiguous()
        x = self.project(tokens)  # B T/repeats H W D
        if repeats > 1:
            x = x.repeat_interleave(repeats, dim=1)  # B T H W D
        # In the number format of the tokens: float32 positions would make all that follows float32.
        x = x + resize_spatial(self.spatial_positions, x.shape[2:4]).to(x.dtype)  # + H W D
        x = x + resize_temporal(self.temporal_positions, (T,))[:, None, None].to(x.dtype)  # + T 1 1 D
        x = self.blocks(self.dropout(x))  # B T H W D
        features: Tensor = self.norm(self.pool(x))  # B D
        return features

    def last_map(self) -> LastMap:
        return LastMap(self.blocks, "b t h w d")

    def roll_out_attention(self, weights: list[Tensor], clips: Tensor) -> Tensor:
        if not len(self.blocks):
            return super().roll_out_attention(weights, clips)
        B, T, _, S, _ = clips.shape
        side, left = -(-S // STEM_STRIDE), list(weights)
        share = clips.new_full((B, T, side, side), 1 / (T * side * side))  # of each token in the features
        if isinstance(self.pool, ClassTokenPool):
            share = left.pop().mean(dim=1).view(share.shape)
        for block in reversed(self.blocks):
            for residual in reversed(list(block.children())):
                if isinstance(residual.layer, GlobalAttention):
                    share = roll_out_summaries(share, left.pop(), residual.layer.summarise)
                elif isinstance(residual.layer, LocalAttention):
                    share = roll_out_windows(share, left, residual.layer.window)
        return share

    def load_backbone(self, path: str | Path) -> None:
        load_resnet_weights(self.stem, path)

    def fit_weights(self, found: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return a checkpoint's weights with its position embeddings interpolated to this model's grid."""
        fitted = dict(found)
        for name, resize in (("spatial_positions", resize_spatial), ("temporal_positions", resize_temporal)):
            own = getattr(self, name)
            if name in found and _is_other_grid(found[name], own):
                logger.info("%s: interpolated from %s to %s", name, [*found[name].shape[:-1]], [*own.shape[:-1]])
                fitted[name] = resize(found[name].float(), own.shape[:-1])
        return fitted


def _is_other_grid(found: Tensor, own: Tensor) -> bool:
    same_kind = found.ndim == own.ndim and found.shape[-1] == own.shape[-1] and found.numel() > 0
    return same_kind and found.shape != own.shape


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def logo_former_s(num_classes: int = 7, **settings: Any) -> LogoFormer:
    """Return the size with the paper's compute: D 256, 6 blocks; 9.2 M parameters, 10.1 GMACs for 16x112x112.

    Args:
        num_classes: C.
        settings: any of `LogoFormerSettings`.
    """
    return LogoFormer(num_classes=num_classes, **settings)


# The dimensions of the code that the authors published for MindSpore: 20 M parameters, 17.5 GMACs for 16x112x112.
LOGO_FORMER_B = {"dim": 512, "depth": 4}


def logo_former_b(num_classes: int = 7, **settings: Any) -> LogoFormer:
    """Return the size of the authors' published code: D 512, 4 blocks; see `logo_former_s`."""
    return LogoFormer(num_classes=num_classes, **{**LOGO_FORMER_B, **settings})
