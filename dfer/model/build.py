"""The model that a recipe's `model` section asks for."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from dfer.model import MODELS, load_weights
from dfer.model.backbone import load_backbone
from dfer.model.checkpoint import load_checkpoint
from dfer.model.logo_former import LogoFormer
from dfer.runs import find_checkpoint
from dfer.settings import Count, Settings

logger = logging.getLogger(__name__)


class ModelSection(Settings):
    """The network. Sizes left out are those of `name`."""

    name: Literal["logo_former_s", "logo_former_b"] = "logo_former_s"
    num_frames: Count = 16
    image_size: Annotated[int, Field(ge=32, le=512)] = 112
    window: Annotated[tuple[Count, Count, Count], Field(strict=False)] = Field(
        (2, 4, 4), description="tokens of a local window: time, height, width"
    )
    attention: Literal["local_global", "local", "global", "joint"] = "local_global"
    pool: Literal["mean", "class_token"] = "mean"
    dim: Count | None = None
    depth: Annotated[int, Field(ge=0)] | None = Field(None, description="blocks; 0 is the stem alone")
    heads: Count | None = None
    stem_width: Count | None = Field(None, description="channels of the first stage; ResNet-18 has 64")
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    drop_path: Annotated[float, Field(ge=0.0, lt=1.0)] = Field(0.0, description="stochastic depth of the last block")
    backbone: str | None = Field(None, description="file with ResNet-18 weights for the stem")
    init: str | None = Field(None, description="checkpoint to start from, or `default`; its head may have other labels")


def build_model(settings: ModelSection, labels: Sequence[str]) -> LogoFormer:
    """The recipe's model, initialised from its backbone or checkpoint where it names one.

    Raises:
        DferError: the sizes fit no model, or a file cannot be loaded.
    """
    given = settings.model_dump(exclude={"name", "backbone", "init"}, exclude_none=True)
    model = MODELS[settings.name](num_classes=len(labels), **given)
    if settings.init:
        start, info = load_checkpoint(find_checkpoint(settings.init))
        keep_head = info.labels != list(labels)
        if keep_head:
            logger.warning("%s has other labels, or another order: the head starts from scratch", settings.init)
        load_weights(model, start.state_dict(), where=settings.init, keep_head=keep_head)
    if settings.backbone:
        load_backbone(model, Path(settings.backbone))
    return model
