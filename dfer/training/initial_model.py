"""The model a run starts from."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from dfer.model import MODELS, LogoFormer, load_weights
from dfer.model.backbone import load_backbone
from dfer.model.checkpoint import load_checkpoint
from dfer.recipe import ModelSection
from dfer.runs import find_checkpoint

logger = logging.getLogger(__name__)


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
