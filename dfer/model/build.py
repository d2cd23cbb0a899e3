"""The model that a recipe's `model` section asks for."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Union, cast

from pydantic import BeforeValidator, Field, SerializeAsAny, create_model

from dfer.model import DEFAULT_MODEL, MODELS, VideoModel, load_weights
from dfer.model.checkpoint import load_checkpoint
from dfer.model.video_model import ModelSettings
from dfer.runs import find_checkpoint
from dfer.settings import NameIn, PathText, Settings

logger = logging.getLogger(__name__)


class _Named(Settings):
    # A class of its own, so that the name comes first where a section's keys are listed.
    name: Annotated[str, NameIn(MODELS)] = Field(DEFAULT_MODEL, description="the model's architecture and size")


class ModelSection(ModelSettings, _Named):
    """The network. Settings left out, or null, are those of `name`."""

    backbone: PathText | None = Field(
        None, description="file with pretrained weights for the stem, such as ResNet-18's"
    )
    init: PathText | None = Field(
        None,
        description="checkpoint to start from, or `default`; its head is kept where it has the same labels in the same "
        "order",
    )


@cache
def section_class(settings: type[ModelSettings]) -> type[ModelSection]:
    """Return the class of a recipe's `model` section for an architecture with these settings."""
    bases: Any = (ModelSection, settings)  # pydantic's stub wants them all to be sections
    name = settings.__name__.replace("Settings", "Section")
    return cast("type[ModelSection]", create_model(name, __base__=bases, __doc__=ModelSection.__doc__))


def section_classes() -> Iterator[type[ModelSection]]:
    """Yield the class of the `model` section of each architecture."""
    yield from dict.fromkeys(section_class(entry.architecture.settings_class) for entry in MODELS.values())


def read_section(values: Any) -> Any:
    """Return a recipe's `model` section, the preset of its name filled in; anything but a mapping as it is."""
    if not isinstance(values, dict):
        return values
    given = {key: value for key, value in values.items() if value is not None}
    name = given.get("name", DEFAULT_MODEL)
    entry = MODELS.get(name) if isinstance(name, str) else None
    entry = entry or MODELS[DEFAULT_MODEL]  # the section's class reports the name
    return section_class(entry.architecture.settings_class).model_validate({**entry.preset, **given})


# The type of a recipe's `model` section: read as the class of its architecture, and written with all of its keys.
AnyModelSection = Annotated[
    SerializeAsAny[ModelSection],
    BeforeValidator(read_section, json_schema_input_type=Union.__getitem__(tuple(section_classes()))),
]


def build_model(section: ModelSection, labels: Sequence[str]) -> VideoModel:
    """Return the recipe's model, initialised from its backbone or checkpoint where the recipe names one.

    Args:
        section: the recipe's `model` section.
        labels: emotion names, in the order of the logits.

    Raises:
        DferError: the settings fit no model, or a file cannot be loaded.
    """
    settings = section.model_dump(exclude={"name", "backbone", "init"})
    model = MODELS[section.name].build(num_classes=len(labels), **settings)
    if section.init:
        start, info = load_checkpoint(find_checkpoint(section.init))
        keep_head = info.labels != list(labels)
        if keep_head:
            logger.warning("%s has other labels, or another order: the head starts from scratch", section.init)
        load_weights(model, start.state_dict(), where=section.init, keep_head=keep_head)
    if section.backbone:
        model.load_backbone(Path(section.backbone))
    return model
