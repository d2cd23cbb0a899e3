"""The models. To add one: a file with its settings and its `VideoModel`, and its line in `MODELS`."""

from __future__ import annotations

from dfer.model.former_dfer import FormerDfer
from dfer.model.logo_former import LOGO_FORMER_B, LogoFormer, LogoFormerConfig, logo_former_b, logo_former_s
from dfer.model.r2plus1d_18 import R2Plus1d18
from dfer.model.resnet18_gru import ResNet18Gru
from dfer.model.resnet18_mean import ResNet18Mean
from dfer.model.resnet18_vit import ResNet18Vit
from dfer.model.video_model import ModelEntry, VideoModel
from dfer.model.vit import Vit
from dfer.model.weights import load_weights
from dfer.registry import Registry

DEFAULT_MODEL = "logo_former_s"
MODELS: Registry[ModelEntry] = Registry(
    "model",
    ModelEntry,
    {
        "logo_former_s": ModelEntry(LogoFormer),
        "logo_former_b": ModelEntry(LogoFormer, LOGO_FORMER_B),
        "former_dfer": ModelEntry(FormerDfer),
        "resnet18_vit": ModelEntry(ResNet18Vit),
        "resnet18_gru": ModelEntry(ResNet18Gru),
        "resnet18_mean": ModelEntry(ResNet18Mean),
        "r2plus1d_18": ModelEntry(R2Plus1d18),
        "vit_b": ModelEntry(Vit),
    },
)

__all__ = [
    "DEFAULT_MODEL", "MODELS", "LogoFormer", "LogoFormerConfig", "ModelEntry", "VideoModel", "load_weights",
    "logo_former_b", "logo_former_s",
]  # fmt: skip
