"""The models. To add one: a file with its settings and its `VideoModel`, and its line in `MODELS`."""

from __future__ import annotations

from dfer.model.logo_former import LOGO_FORMER_B, LogoFormer, LogoFormerConfig, logo_former_b, logo_former_s
from dfer.model.video_model import ModelEntry, VideoModel
from dfer.model.weights import load_weights

DEFAULT_MODEL = "logo_former_s"
MODELS: dict[str, ModelEntry] = {
    "logo_former_s": ModelEntry(LogoFormer),
    "logo_former_b": ModelEntry(LogoFormer, LOGO_FORMER_B),
}

__all__ = [
    "DEFAULT_MODEL", "MODELS", "LogoFormer", "LogoFormerConfig", "ModelEntry", "VideoModel", "load_weights",
    "logo_former_b", "logo_former_s",
]  # fmt: skip
