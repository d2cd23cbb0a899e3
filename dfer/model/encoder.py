"""The plain pre-norm transformer encoder that several baselines share, over any sequence of tokens.

Source: A. Dosovitskiy et al., "An Image is Worth 16x16 Words", ICLR 2021, arXiv 2010.11929.
"""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor, nn

from dfer.model.ops import Dropout, attend
from dfer.model.positions import resize_temporal


class SelfAttention(nn.Module):
    """Multi-head self-attention of tokens [B, N, D]; queries, keys and values have no bias."""

    def __init__(self, *, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.query_key_value = nn.Linear(dim, 3 * dim, bias=False)
        self.output = nn.Linear(dim, dim)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = rearrange(self.query_key_value(x), "b n (three m d) -> three b m n d", three=3, m=self.heads)
        y = rearrange(attend(q, k, v), "b m n d -> b n (m d)")  # B N D
        result: Tensor = self.dropout(self.output(y))
        return result


class EncoderLayer(nn.Module):
    """Attention and an MLP, each a pre-norm residual: [B, N, D] to the same.

    Args:
        dim: D.
        heads: they must divide D.
        dropout: after the attention and both layers of the MLP.
    """

    def __init__(self, *, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(dim)
        self.attention = SelfAttention(dim=dim, heads=heads, dropout=dropout)
        self.mlp_norm = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(
            nn.Linear(dim, 2 * dim), nn.GELU(), Dropout(dropout), nn.Linear(2 * dim, dim), Dropout(dropout)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.attention_norm(x))
        x = x + self.mlp(self.mlp_norm(x))
        return x


class TemporalEncoder(nn.Module):
    """A class token reads the features of a clip's frames: [B, T, D] to [B, D].

    For clips of another length, the position embeddings are interpolated.

    Args:
        dim: D.
        num_frames: T of the position embeddings.
        depth: number of layers.
        heads: they must divide D.
        dropout: see `EncoderLayer`.
    """

    def __init__(self, *, dim: int, num_frames: int, depth: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.class_token = nn.Parameter(torch.randn(dim))
        self.positions = nn.Parameter(torch.randn(1 + num_frames, dim))
        self.layers = nn.Sequential(*(EncoderLayer(dim=dim, heads=heads, dropout=dropout) for _ in range(depth)))

    def forward(self, x: Tensor) -> Tensor:
        token = (self.class_token + self.positions[0]).expand(x.shape[0], 1, -1)  # B 1 D
        x = x + resize_temporal(self.positions[1:], (x.shape[1],))  # B T D
        x = torch.cat([token, x], dim=1)  # B 1+T D
        features: Tensor = self.layers(x)[:, 0]  # B D
        return features
