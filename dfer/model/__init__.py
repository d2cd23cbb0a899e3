"""The core: LOGO-Former, its checkpoints, and everything that runs on them."""

from dfer.model.logo_former import MODELS, LogoFormer, ModelConfig, load_weights, logo_former_b, logo_former_s

__all__ = ["MODELS", "LogoFormer", "ModelConfig", "load_weights", "logo_former_b", "logo_former_s"]
