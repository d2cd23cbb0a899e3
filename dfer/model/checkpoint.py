"""Checkpoints: weights in safetensors, and beside them all that `predict` needs to prepare frames as training did.

Loading executes nothing (safetensors holds numbers alone) and is strict: a missing or unexpected weight is an error.
"""

from __future__ import annotations

import errno
import json
import math
import os
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from dfer.errors import CheckpointError, DferError
from dfer.model.logo_former import LogoFormer, load_weights
from dfer.model.pixels import PIXEL_MEAN, PIXEL_STD
from dfer.pretrained import pretrained_name
from dfer.records import Selection
from dfer.runtime.files import atomic_path

CHECKPOINT_FORMAT = "dfer.checkpoint/1"
_KEY = "dfer"  # of the metadata entry


@dataclass(frozen=True)
class CheckpointInfo:
    """What a checkpoint says of itself.

    Attributes:
        model_name: such as "logo_former_s".
        model_config: arguments of `LogoFormer`.
        labels: emotion names in the order of the logits.
        alignment: how faces were aligned; see `dfer.faces.align.alignment_settings`.
        crop_size: side of the aligned crops, pixels, before they are resized to the model's input.
        segments: parts a clip is cut into when frames are chosen.
        clip_s: seconds that a training clip lasted (median): what prediction spreads the model's frames over.
        data: name, fingerprint, fold and detector of the training data; in published weights also "described", a
            phrase on what they are.
        notice: what everyone who sees its answers must be told, or "".
        selection: "last", "best on validation" or "best on test".
        epoch: epochs trained.
        metrics: figures at that epoch.
        dfer_version: the program that wrote it.
        temperature: what logits are divided by to give probabilities; see `dfer.model.calibration`.
        licence: of the weights, or "".
    """

    model_name: str
    model_config: dict[str, Any]
    labels: list[str]
    alignment: dict[str, Any]
    crop_size: int
    segments: int
    clip_s: float
    data: dict[str, Any]
    notice: str
    selection: Selection
    epoch: int
    metrics: dict[str, float]
    dfer_version: str
    pixel_mean: list[float] = field(default_factory=lambda: list(PIXEL_MEAN))
    pixel_std: list[float] = field(default_factory=lambda: list(PIXEL_STD))
    format: str = CHECKPOINT_FORMAT
    temperature: float = 1.0
    licence: str = ""

    def __post_init__(self) -> None:
        if not 0 < self.temperature < math.inf:
            raise ValueError(f"a temperature is above 0, not {self.temperature}")

    def trained_on(self) -> str:
        """One phrase on what the model has seen."""
        fold = f", fold {self.data['fold']}" if self.data.get("fold") else ""
        data = self.data.get("described") or f"{self.data.get('name', 'unknown data')}{fold}"
        text = f"trained on {data}, {self.selection}"
        return f"{text}; {self.notice}" if self.notice else text


def describe_checkpoint(path: Path, info: CheckpointInfo) -> str:
    """One line on which checkpoint this is, and what it was trained on."""
    name = pretrained_name(path)
    which = f"the {name} weights" if name else str(path)
    return f"{which}: {info.model_name} {info.trained_on()}"


def save_checkpoint(path: Path, state: dict[str, torch.Tensor], info: CheckpointInfo) -> None:
    """Write weights and settings atomically.

    Args:
        path: ending in .safetensors.
        state: the model's state dict.
        info: what goes with it.
    """
    tensors = {name: value.detach().cpu().contiguous() for name, value in state.items()}
    with atomic_path(path) as temporary:
        try:
            save_file(tensors, temporary, metadata={_KEY: json.dumps(asdict(info), sort_keys=True)})
        except SafetensorError as error:  # its way of saying that the disk is full
            raise _os_error(error) from error


def read_checkpoint_info(path: Path) -> CheckpointInfo:
    """What a checkpoint says of itself, without reading its weights.

    Raises:
        CheckpointError: there is none, or it is not one of ours.
    """
    return _open(path)[0]


def load_checkpoint(path: Path, device: str | torch.device = "cpu") -> tuple[LogoFormer, CheckpointInfo]:
    """The model, float32 and in evaluation mode, and its settings.

    Raises:
        CheckpointError: the file is missing, damaged, not a checkpoint of ours, or does not fit its own settings.
    """
    info, tensors = _open(path, weights=True)
    if info.pixel_mean != list(PIXEL_MEAN) or info.pixel_std != list(PIXEL_STD):
        raise CheckpointError("the checkpoint was trained with another pixel normalisation", where=path)
    try:
        model = LogoFormer(**(info.model_config | {"window": tuple(info.model_config["window"])}))
    except (TypeError, ValueError, KeyError, DferError) as error:
        raise CheckpointError(f"its model settings do not fit this dfer: {error}", where=path) from error
    load_weights(model, tensors, where=str(path))
    return model.to(device).eval(), info


def _open(path: Path, *, weights: bool = False) -> tuple[CheckpointInfo, dict[str, torch.Tensor]]:
    try:
        with safe_open(path, framework="pt") as stored:
            text = (stored.metadata() or {}).get(_KEY)
            tensors = {name: stored.get_tensor(name) for name in stored.keys()} if weights else {}  # noqa: SIM118
    except FileNotFoundError as error:
        raise CheckpointError("no such checkpoint", where=path) from error
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            "not a safetensors checkpoint, or a damaged one",
            where=path,
            hint="dfer reads the .safetensors files that `dfer train` writes; other formats could execute code",
        ) from error
    if text is None:
        raise CheckpointError("safetensors, but not written by dfer: it does not say its labels", where=path)
    try:
        values = json.loads(text)
        if values.get("format") != CHECKPOINT_FORMAT:
            raise CheckpointError(f"unknown checkpoint format {values.get('format')!r}", where=path)
        return CheckpointInfo(**values), tensors
    except (ValueError, TypeError, AttributeError) as error:
        raise CheckpointError("damaged checkpoint settings", where=path) from error


def _os_error(error: SafetensorError) -> OSError:
    """The system's error that safetensors reports as text."""
    number = re.search(r"os error (\d+)", str(error))
    code = int(number[1]) if number else errno.EIO
    return OSError(code, os.strerror(code))
