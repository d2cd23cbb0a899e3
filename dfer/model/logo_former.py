"""LOGO-Former: local and global spatio-temporal attention over the face maps of a clip. The whole model.

Source: F. Ma, B. Sun, S. Li, "LOGO-Former: Local-Global Spatio-Temporal Transformer for Dynamic Facial
Expression Recognition", ICASSP 2023, arXiv 2305.03343. Written from the paper's description alone, with no code
of the authors. Parts that others introduced: the ResNet-18 stem (He et al., CVPR 2016, arXiv 1512.03385),
stochastic depth (Huang et al., ECCV 2016, arXiv 1603.09382), class attention (Touvron et al., ICCV 2021,
arXiv 2103.17239).

    clips -> stem: a face map per frame -> tokens + positions -> depth x (local, global, MLP) -> pool -> head

Legend of the shapes that stand beside the lines:
    B clips   T frames   S side of the crop   C classes   D channels of a token   M heads
    H, W rows and columns of a map, S / 16 rounded up; (T, H, W) is the grid of tokens
    t, h, w tokens of one window, n = t·h·w of them   K windows in the grid
"""

from __future__ import annotations

import logging
import math
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from dfer.errors import UsageError
from dfer.model.video_model import VideoModel
from dfer.model.weights import require_same_tensors

logger = logging.getLogger(__name__)

Grid = tuple[int, int, int]  # time, height, width
AttentionKind = Literal["local_global", "local", "global", "joint"]
PoolKind = Literal["mean", "class_token"]

STEM_STRIDE = 16
# Of the position embeddings at the start. The convolutions' borders tell a token where it is in the face, but nothing
# else tells it when: at 0.02 the order of frames drowns in appearance and is learned late or never (measured on
# classes that differ in order alone: at chance after 30 epochs, against 100 % at 0.5).
SPATIAL_STD = 0.02
TEMPORAL_STD = 0.5


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """All settings of a `LogoFormer`, as checkpoints store them: `LogoFormer(**asdict(config))` is the same model.

    Raises:
        UsageError: settings that fit no model; all of them are listed.
    """

    num_classes: int
    num_frames: int
    image_size: int
    dim: int
    depth: int
    heads: int
    mlp_ratio: float
    window: Grid
    attention: AttentionKind
    pool: PoolKind
    dropout: float
    drop_path: float
    stem_width: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "window", tuple(self.window))  # JSON and YAML give a list
        counts = ("num_frames", "image_size", "dim", "heads", "stem_width")
        checks = {f"{name} must be at least 1": getattr(self, name) >= 1 for name in counts}
        checks["depth must be at least 0"] = self.depth >= 0
        checks |= {
            f"num_classes must be at least 2, got {self.num_classes}": self.num_classes >= 2,
            f"heads ({self.heads}) must divide dim ({self.dim})": self.heads < 1 or not self.dim % self.heads,
            f"mlp_ratio must be above 0, got {self.mlp_ratio}": self.mlp_ratio > 0,
            f"window must be three counts (time, height, width), got {list(self.window)}": (
                len(self.window) == 3 and min(self.window) >= 1
            ),
            f"attention must be one of {', '.join(ATTENTIONS)}, got {self.attention!r}": (self.attention in ATTENTIONS),
            f"pool must be one of {', '.join(POOLS)}, got {self.pool!r}": self.pool in POOLS,
            f"dropout must be in [0, 1), got {self.dropout}": 0 <= self.dropout < 1,
            f"drop_path must be in [0, 1), got {self.drop_path}": 0 <= self.drop_path < 1,
        }
        if problems := [problem for problem, fine in checks.items() if not fine]:
            raise UsageError("; ".join(problems), where="model")


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut; parameter names as torchvision's."""

    def __init__(self, *, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Module | None = None
        if stride > 1:
            shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = self.bn2(self.conv2(y))
        y += x if self.downsample is None else self.downsample(x)
        return F.relu(y, inplace=True)


class Stem(nn.Module):
    """ResNet-18 up to and including layer3; state-dict keys as torchvision's.

    Args:
        width: channels of layer1; 64 is ResNet-18. layer2 and layer3 have twice and four times as many.
    """

    def __init__(self, *, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.layer1 = self._layer(width, width, stride=1)
        self.layer2 = self._layer(width, 2 * width, stride=2)
        self.layer3 = self._layer(2 * width, 4 * width, stride=2)

    @staticmethod
    def _layer(inputs: int, outputs: int, *, stride: int) -> nn.Sequential:
        return nn.Sequential(
            BasicBlock(inputs=inputs, outputs=outputs, stride=stride),
            BasicBlock(inputs=outputs, outputs=outputs, stride=1),
        )

    def forward(self, frames: Tensor) -> Tensor:
        # Channels last: faster convolutions, and a map's channels become a token's without a copy.
        x = frames.contiguous(memory_format=torch.channels_last)  # (B T) 3 S S
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)  # (B T) width S/2 S/2
        x = F.max_pool2d(x, 3, stride=2, padding=1)  # (B T) width S/4 S/4
        x = self.layer1(x)  # (B T) width S/4 S/4
        x = self.layer2(x)  # (B T) 2·width S/8 S/8
        maps: Tensor = self.layer3(x)  # (B T) 4·width H W
        return maps


def pad_to_windows(x: Tensor, window: Grid) -> Tensor:
    """Fill a grid [B, T, H, W, D] up with zeros, at the end of each axis, until the window divides it."""
    t, h, w = (-size % length for size, length in zip(x.shape[1:4], window, strict=True))
    return F.pad(x, (0, 0, 0, w, 0, h, 0, t)) if t or h or w else x


def cut_windows(x: Tensor, window: Grid) -> Tensor:
    """The windows of a grid, padded where they do not divide it: [B, T, H, W, D] to [(B K), n, D]."""
    t, h, w = window
    cut = "b (nt t) (nh h) (nw w) d -> (b nt nh nw) (t h w) d"
    return rearrange(pad_to_windows(x, window), cut, t=t, h=h, w=w)


def padding_mask(grid: Grid, window: Grid, *, device: torch.device) -> Tensor | None:
    """Which tokens of each window are real, bool [K, n]; None where the window divides the grid: all are."""
    if not any(size % length for size, length in zip(grid, window, strict=True)):
        return None
    return cut_windows(torch.ones(1, *grid, 1, dtype=torch.bool, device=device), window)[:, :, 0]


# Up to so many keys, and while training on a CPU, plain products: torch's fused attention takes up to six times as
# long there, backward and in bf16, and saves no memory worth the name.
FEW_KEYS = 128


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """Scaled dot-product attention of each head.

    Args:
        q: queries [..., N, D/M].
        k: keys [..., K, D/M].
        v: values [..., K, D/M].
        mask: which keys count, bool, broadcast to [..., N, K]; None for all.

    Returns:
        The values' means, weighted for each query, [..., N, D/M].
    """
    if q.device.type != "cpu" or not q.requires_grad or k.shape[-2] > FEW_KEYS:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    weights: Tensor = scores.softmax(-1, dtype=torch.promote_types(scores.dtype, torch.float32)).to(v.dtype)
    return weights @ v


class Dropout(nn.Dropout):
    """torch's dropout; on a CPU a number of 64 random bits decides over four values, which is five times as fast.

    There the rate is rounded to a multiple of 2⁻¹⁶.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0 or x.device.type != "cpu":
            return super().forward(x)
        bits = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
        kept = bits.view(torch.int16)[: x.numel()].view(x.shape) >= round(self.p * 2**16) - 2**15
        scale: Tensor = kept.to(x.dtype).mul_(1 / (1 - self.p))
        return x * scale


class LocalAttention(nn.Module):
    """Multi-head self-attention inside each window of the grid [B, T, H, W, D] alone.

    A grid that the window does not divide is padded and the padding masked, so that it changes no output.

    Args:
        window: tokens of a window; None for one window over the whole grid: attention over all tokens.

    Source: LOGO-Former's local attention; without a window, the joint attention it is compared to.
    """

    def __init__(self, *, dim: int, heads: int, dropout: float, window: Grid | None) -> None:
        super().__init__()
        _require_divides(heads, dim)
        self.heads, self.window = heads, window
        self.query_key_value = nn.Linear(dim, 3 * dim)
        self.output = nn.Linear(dim, dim)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        B, T, H, W, _ = x.shape
        t, h, w = self.window or (T, H, W)
        t, h, w = min(t, T), min(h, H), min(w, W)  # beyond the grid there is only padding

        qkv = cut_windows(self.query_key_value(x), (t, h, w))  # (B K) n 3D
        q, k, v = rearrange(qkv, "k n (three m d) -> three k m n d", three=3, m=self.heads)  # (B K) M n D/M
        mask = padding_mask((T, H, W), (t, h, w), device=x.device)  # K n
        if mask is not None:
            mask = mask.repeat(B, 1)[:, None, None, :]  # (B K) 1 1 n
        y = attend(q, k, v, mask)  # (B K) M n D/M
        to_grid = "(b nt nh nw) m (t h w) d -> b (nt t) (nh h) (nw w) (m d)"
        y = rearrange(y, to_grid, nt=-(-T // t), nh=-(-H // h), nw=-(-W // w), t=t, h=h, w=w)  # B T⁺ H⁺ W⁺ D
        y = y[:, :T, :H, :W].contiguous()  # B T H W D; of a view, linear layers make slow batches of small products
        result: Tensor = self.dropout(self.output(y))
        return result


class CrossAttention(nn.Module):
    """Multi-head attention of queries [B, N, D] to a memory [B, K, D]."""

    def __init__(self, *, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        _require_divides(heads, dim)
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


class WindowSum(nn.Module):
    """A weighted sum over each window, channel by channel, [B, T, H, W, D] to [B, K, D]; at first the mean.

    It is a depth-wise convolution whose stride is its kernel, written as a product and a sum: torch's own takes longer
    than all attention, most of all backward and in bf16. Padding is zero and there is no bias: it adds nothing.
    """

    def __init__(self, *, dim: int, window: Grid) -> None:
        super().__init__()
        self.window = window
        self.weight = nn.Parameter(torch.full((dim, 1, *window), 1 / math.prod(window)))  # as a convolution's

    def forward(self, x: Tensor) -> Tensor:
        weight = rearrange(self.weight, "d 1 t h w -> (t h w) d")
        sums = (cut_windows(x, self.window) * weight).sum(dim=1)  # (B K) D
        return rearrange(sums, "(b k) d -> b k d", b=x.shape[0])


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


def _local(config: ModelConfig) -> nn.Module:
    return LocalAttention(dim=config.dim, heads=config.heads, dropout=config.dropout, window=config.window)


def _global(config: ModelConfig) -> nn.Module:
    return GlobalAttention(dim=config.dim, heads=config.heads, dropout=config.dropout, window=config.window)


def _joint(config: ModelConfig) -> nn.Module:
    return LocalAttention(dim=config.dim, heads=config.heads, dropout=config.dropout, window=None)


def _mlp(config: ModelConfig) -> nn.Module:
    hidden = int(config.dim * config.mlp_ratio)
    return nn.Sequential(
        nn.Linear(config.dim, hidden),
        nn.GELU(),
        Dropout(config.dropout),
        nn.Linear(hidden, config.dim),
        Dropout(config.dropout),
    )


# The attention layers that a block holds, in their order.
ATTENTIONS: dict[AttentionKind, dict[str, Callable[[ModelConfig], nn.Module]]] = {
    "local_global": {"local_attention": _local, "global_attention": _global},
    "local": {"local_attention": _local},
    "global": {"global_attention": _global},
    "joint": {"joint_attention": _joint},
}


def build_block(config: ModelConfig, *, drop_path: float) -> nn.Sequential:
    """One block, [B, T, H, W, D] to the same: its attention layers, then the MLP, each a pre-norm residual."""
    layers = {**ATTENTIONS[config.attention], "mlp": _mlp}
    return nn.Sequential(
        OrderedDict(
            (name, Residual(build(config), dim=config.dim, drop_path=drop_path)) for name, build in layers.items()
        )
    )


class MeanPool(nn.Module):
    """The mean of all tokens, [B, T, H, W, D] to [B, D]."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=(1, 2, 3))


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


POOLS: dict[PoolKind, Callable[[ModelConfig], nn.Module]] = {
    "mean": lambda _: MeanPool(),
    "class_token": lambda c: ClassTokenPool(dim=c.dim, heads=c.heads, dropout=c.dropout),
}


class LogoFormer(VideoModel):
    """LOGO-Former. The sizes given as defaults are those of `logo_former_s`.

    It takes clips of any length and crop size: where their grid differs from the position embeddings' own, which
    `num_frames` and `image_size` decide, the embeddings are interpolated.

    Args:
        num_classes: C, at least 2.
        num_frames: T, frames of a clip.
        image_size: S, side of the crop in pixels.
        dim: D, channels of a token; `heads` must divide it.
        depth: number of blocks; 0 is the stem alone, for pretraining it.
        heads: heads of every attention.
        mlp_ratio: hidden channels of the MLP, relative to `dim`.
        window: tokens of a window (time, height, width); it need not divide the grid.
        attention: what a block holds: local and global attention, one of the two, or attention over all tokens.
        pool: how the tokens become one feature: their mean, or a class token that queries them.
        dropout: after the position embeddings, every attention and both layers of an MLP; in training alone.
        drop_path: stochastic depth of the last block; it rises linearly from 0 at the first.
        stem_width: channels of the stem's first stage; 64 is ResNet-18.

    Attributes:
        config: the settings above.
        head: features to logits; `model.head(features)` saves a second forward pass where both are needed.

    Raises:
        UsageError: settings that fit no model.
    """

    config: ModelConfig
    backbone_stages = (("stem.conv1.", "stem.bn1."), ("stem.layer1.",), ("stem.layer2.",), ("stem.layer3.",))
    undecayed = ("positions", "token")

    def __init__(
        self,
        *,
        num_classes: int,
        num_frames: int = 16,
        image_size: int = 112,
        dim: int = 256,
        depth: int = 6,
        heads: int = 8,
        mlp_ratio: float = 4.0,
        window: Grid = (2, 4, 4),
        attention: AttentionKind = "local_global",
        pool: PoolKind = "mean",
        dropout: float = 0.0,
        drop_path: float = 0.0,
        stem_width: int = 64,
    ) -> None:
        super().__init__()
        self.config = ModelConfig(
            num_classes=num_classes,
            num_frames=num_frames,
            image_size=image_size,
            dim=dim,
            depth=depth,
            heads=heads,
            mlp_ratio=mlp_ratio,
            window=window,
            attention=attention,
            pool=pool,
            dropout=dropout,
            drop_path=drop_path,
            stem_width=stem_width,
        )
        side = -(-image_size // STEM_STRIDE)
        self.stem = Stem(width=stem_width)
        self.project = nn.Linear(4 * stem_width, dim)
        self.spatial_positions = nn.Parameter(torch.empty(side, side, dim))
        self.temporal_positions = nn.Parameter(torch.empty(num_frames, dim))
        self.dropout = Dropout(dropout)
        drop_paths = torch.linspace(0, drop_path, depth).tolist() if depth != 1 else [drop_path]
        self.blocks = nn.Sequential(*(build_block(self.config, drop_path=rate) for rate in drop_paths))
        self.pool = POOLS[pool](self.config)
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, num_classes)

        self.apply(_initialise)
        nn.init.trunc_normal_(self.spatial_positions, std=SPATIAL_STD)
        nn.init.trunc_normal_(self.temporal_positions, std=TEMPORAL_STD)

    def forward_features(self, clips: Tensor, repeats: int = 1) -> Tensor:
        """The pooled features of clips, after the last LayerNorm: what `head` classifies.

        Args:
            clips: float [B, T, 3, S, S], normalised.
            repeats: how often each frame is shown in a row; the stem sees it once, so stills as clips cost less.

        Returns:
            Features [B, D].
        """
        if clips.ndim != 5 or clips.shape[2] != 3:
            raise ValueError(f"expected clips of shape [B, T, 3, S, S], got {list(clips.shape)}")
        T = clips.shape[1] * repeats
        x = self.stem(clips.flatten(0, 1))  # (B T/repeats) 4·width H W
        x = self.project(rearrange(x, "(b t) c h w -> b t h w c", t=clips.shape[1]))  # B T/repeats H W D
        if repeats > 1:
            x = x.repeat_interleave(repeats, dim=1)  # B T H W D
        x = x + resize_spatial(self.spatial_positions, x.shape[2:4])  # + H W D
        x = x + resize_temporal(self.temporal_positions, T)[:, None, None]  # + T 1 1 D
        x = self.blocks(self.dropout(x))  # B T H W D
        features: Tensor = self.norm(self.pool(x))  # B D
        return features


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def _require_divides(heads: int, dim: int) -> None:
    if dim % heads:
        raise UsageError(f"heads ({heads}) must divide dim ({dim})", where="model")


def logo_former_s(
    num_classes: int = 7,
    num_frames: int = 16,
    window: Grid = (2, 4, 4),
    attention: AttentionKind = "local_global",
    **overrides: Any,
) -> LogoFormer:
    """The size with the paper's compute: D 256, 6 blocks; 9.2 M parameters, 10.2 GMACs for 16x112x112.

    Args:
        overrides: any other argument of `LogoFormer`.
    """
    sizes = {"dim": 256, "depth": 6, "heads": 8, "mlp_ratio": 4.0, **overrides}
    return LogoFormer(num_classes=num_classes, num_frames=num_frames, window=window, attention=attention, **sizes)


def logo_former_b(
    num_classes: int = 7,
    num_frames: int = 16,
    window: Grid = (2, 4, 4),
    attention: AttentionKind = "local_global",
    **overrides: Any,
) -> LogoFormer:
    """The dimensions of the code that the authors published for MindSpore: D 512, 4 blocks; 20 M, 17.5 GMACs.

    Args:
        overrides: any other argument of `LogoFormer`.
    """
    sizes = {"dim": 512, "depth": 4, "heads": 8, "mlp_ratio": 4.0, **overrides}
    return LogoFormer(num_classes=num_classes, num_frames=num_frames, window=window, attention=attention, **sizes)


MODELS: dict[str, Callable[..., LogoFormer]] = {
    "logo_former_s": logo_former_s,
    "logo_former_b": logo_former_b,
}


def resize_spatial(positions: Tensor, size_hw: Sequence[int]) -> Tensor:
    """Spatial position embeddings [H, W, D] for another map size, bicubic."""
    if positions.shape[:2] == tuple(size_hw):
        return positions
    channels_first = rearrange(positions, "h w d -> 1 d h w")
    return rearrange(F.interpolate(channels_first, tuple(size_hw), mode="bicubic"), "1 d h w -> h w d")


def resize_temporal(positions: Tensor, num_frames: int) -> Tensor:
    """Temporal position embeddings [T, D] for another number of frames, linear: either spans the whole clip."""
    if positions.shape[0] == num_frames:
        return positions
    channels_first = rearrange(positions, "t d -> 1 d t")
    return rearrange(F.interpolate(channels_first, num_frames, mode="linear"), "1 d t -> t d")


def load_weights(
    model: LogoFormer, state_dict: Mapping[str, Tensor], *, where: str | None = None, keep_head: bool = False
) -> None:
    """Load a checkpoint's weights: all of them, or none.

    Position embeddings of another grid are interpolated, and the log says so.

    Args:
        where: the file, for the error message.
        keep_head: leave the model's own head as it is, to start from a checkpoint with other labels.

    Raises:
        CheckpointError: tensors are missing, unexpected or of another shape.
    """
    own, found = model.state_dict(), dict(state_dict)
    for name, resize in _RESIZE.items():
        if name in found and _is_other_grid(found[name], own[name]):
            before, after = list(found[name].shape[:-1]), list(own[name].shape[:-1])
            logger.info("%s: interpolated from %s to %s", name, before, after)
            found[name] = resize(found[name].float(), own[name].shape)
    if keep_head:
        found |= {name: tensor for name, tensor in own.items() if name.startswith("head.")}
    require_same_tensors(own, found, where=where)
    model.load_state_dict(found, strict=True)


_RESIZE: dict[str, Callable[[Tensor, torch.Size], Tensor]] = {
    "spatial_positions": lambda positions, shape: resize_spatial(positions, shape[:2]),
    "temporal_positions": lambda positions, shape: resize_temporal(positions, shape[0]),
}


def _is_other_grid(found: Tensor, own: Tensor) -> bool:
    same_kind = found.ndim == own.ndim and found.shape[-1] == own.shape[-1] and found.numel() > 0
    return same_kind and found.shape != own.shape
