"""Checkpoints: weights in safetensors, with all that `predict` needs to prepare frames as training did.

Loading executes nothing (safetensors holds only numbers) and is strict: a missing or unexpected weight is an error.
"""

from __future__ import annotations

import errno
import json
import math
import os
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypedDict

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from dfer.errors import CheckpointError, DferError
from dfer.model import MODELS, VideoModel, load_weights
from dfer.model.pixels import PIXEL_MEAN, PIXEL_STD
from dfer.pretrained import pretrained_name
from dfer.records import Selection
from dfer.runtime.files import atomic_path

CHECKPOINT_FORMAT = "dfer.checkpoint/1"
_KEY = "dfer"  # of the metadata entry


class CalibratedPrior(TypedDict):
    """The share of each label, and the temperature that was fitted under these shares."""

    shares: dict[str, float]
    temperature: float


@dataclass(frozen=True)
class CheckpointInfo:
    """The settings that a checkpoint carries.

    Attributes:
        model_name: a key of `dfer.model.MODELS`.
        model_config: the model's settings and number of classes, as keywords of its class.
        labels: emotion names in the order of the logits.
        alignment: how faces were aligned; see `dfer.faces.align.alignment_settings`.
        crop_size: side of the aligned crops, pixels, before they are resized to the model's input.
        segments: equal parts of a clip, each giving the same number of frames.
        clip_s: median duration of a training clip, seconds, over which prediction spreads the model's frames.
        data: name, fingerprint, fold and detector of the training data; in published weights also "described", a
            phrase about them.
        notice: a warning to show with every prediction, or "".
        selection: "last", "best on validation" or "best on test".
        epoch: epochs trained.
        metrics: by name, at that epoch.
        dfer_version: the program that wrote it.
        pixel_mean: of red, green and blue, subtracted from pixels in [0, 1].
        pixel_std: of red, green and blue, that pixels are divided by.
        format: of these settings.
        temperature: divides the logits before the softmax; see `dfer.model.calibration`.
        licence: of the weights, or "".
        prior: share of each label among the targets in training; None in checkpoints of earlier versions.
        class_weights: of each label in the loss; None for equal ones.
        logit_adjustment: τ of the loss; see `dfer.model.priors` on the prior that the logits stand for.
        priors: by name the priors that it was calibrated under; "default" is the one that it answers under.
        mirror: whether the features of a clip are the mean of its own and its mirror image's.
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
    prior: dict[str, float] | None = None
    class_weights: dict[str, float] | None = None
    logit_adjustment: float = 0.0
    priors: dict[str, CalibratedPrior] = field(default_factory=dict)
    mirror: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.temperature < math.inf:
            raise ValueError(f"temperature must be above 0, got {self.temperature}")
        for shares in (self.prior, self.class_weights, *(prior["shares"] for prior in self.priors.values())):
            _require_shares(shares, self.labels)
        if not 0 <= self.logit_adjustment <= 2:
            raise ValueError(f"logit_adjustment must be 0 to 2, got {self.logit_adjustment}")
        for name, prior in self.priors.items():
            if not 0 < prior["temperature"] < math.inf:
                raise ValueError(f"the temperature of {name} must be above 0, got {prior['temperature']}")

    def trained_on(self) -> str:
        """Return a phrase about the training data."""
        fold = f", fold {self.data['fold']}" if self.data.get("fold") else ""
        data = self.data.get("described") or f"{self.data.get('name', 'unknown data')}{fold}"
        text = f"trained on {data}, {self.selection}"
        return f"{text}; {self.notice}" if self.notice else text


def _require_shares(shares: dict[str, float] | None, labels: list[str]) -> None:
    if shares is None:
        return
    if set(shares) != set(labels):
        raise ValueError(f"shares of {sorted(shares)}, not of the labels")
    if not all(0 <= share < math.inf for share in shares.values()) or not any(shares.values()):
        raise ValueError("shares must be numbers of at least 0, and not all 0")


def describe_checkpoint(path: Path, info: CheckpointInfo) -> str:
    """Return one line that names the checkpoint and what it was trained on."""
    name = pretrained_name(path)
    which = f"the {name} weights" if name else str(path)
    return f"{which}: {info.model_name} {info.trained_on()}"


def save_checkpoint(path: Path, state: dict[str, torch.Tensor], info: CheckpointInfo) -> None:
    """Write weights and settings atomically.

    Args:
        path: ending in .safetensors.
        state: the model's state dict.
        info: the settings that go with them.
    """
    tensors = {name: value.detach().cpu().contiguous() for name, value in state.items()}
    with atomic_path(path) as temporary:
        try:
            save_file(tensors, temporary, metadata={_KEY: json.dumps(asdict(info), sort_keys=True)})
        except SafetensorError as error:  # how it reports a full disk
            raise _os_error(error) from error


def read_checkpoint_info(path: Path) -> CheckpointInfo:
    """Return the settings of a checkpoint without reading its weights.

    Raises:
        CheckpointError: there is none, or dfer did not write it.
    """
    return _open(path)[0]


def load_checkpoint(path: Path, device: str | torch.device = "cpu") -> tuple[VideoModel, CheckpointInfo]:
    """Return the model of a checkpoint, float32 and in evaluation mode, and the checkpoint's settings.

    Raises:
        CheckpointError: the file is missing, damaged, not written by dfer, or does not fit its own settings.
    """
    info, tensors = _open(path, weights=True)
    if info.pixel_mean != list(PIXEL_MEAN) or info.pixel_std != list(PIXEL_STD):
        raise CheckpointError("the checkpoint was trained with another pixel normalisation", where=path)
    if info.model_name not in MODELS:
        raise CheckpointError(f"its model {info.model_name!r} is not one of this dfer: {', '.join(MODELS)}", where=path)
    try:
        model = MODELS[info.model_name].build(**info.model_config)
    except (TypeError, DferError) as error:
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
        raise CheckpointError("safetensors, but not written by dfer: it does not name its labels", where=path)
    try:
        values = json.loads(text)
        if values.get("format") != CHECKPOINT_FORMAT:
            raise CheckpointError(f"unknown checkpoint format {values.get('format')!r}", where=path)
        return CheckpointInfo(**values), tensors
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise CheckpointError("damaged checkpoint settings", where=path) from error


def _os_error(error: SafetensorError) -> OSError:
    """Return the operating system's error that safetensors reports as text."""
    number = re.search(r"os error (\d+)", str(error))
    code = int(number[1]) if number else errno.EIO
    return OSError(code, os.strerror(code))
