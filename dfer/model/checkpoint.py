"""Checkpoints: weights in safetensors, with all that `predict` needs to prepare frames as training did.

Loading executes nothing (safetensors holds only numbers) and is strict: a missing or unexpected weight is an error.
"""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar

import torch
from pydantic import ConfigDict, Field, GetPydanticSchema, with_config
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from typing_extensions import TypedDict

from dfer.errors import CheckpointError, DferError, os_reason
from dfer.model import MODELS, VideoModel, load_weights
from dfer.model.pixels import PIXEL_MEAN, PIXEL_STD
from dfer.model.weights import WithoutDraws, require_finite, require_same_tensors
from dfer.pretrained import pretrained_name
from dfer.records import Selection
from dfer.runtime.files import atomic_path
from dfer.runtime.reading import MAX_JSON_BYTES, open_regular, parse_json
from dfer.settings import (
    MAX_CLASSES,
    STRICT,
    STRICT_AND_OPEN,
    CropSize,
    FoldNumber,
    Labels,
    Name,
    Note,
    read_record,
    show_value,
    unknown_key,
)

CHECKPOINT_FORMAT = "dfer.checkpoint/1"
MAX_HEADER_BYTES = 10_000_000  # names and shapes of the tensors, and the settings: some 50 kB
_KEY = "dfer"  # of the metadata entry
_DAMAGED = "damaged checkpoint settings"
_DTYPES = {"F32": torch.float32, "F64": torch.float64, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64}

ColourTriple = Annotated[list[Annotated[float, Field(ge=0.0, le=1.0)]], Field(min_length=3, max_length=3)]
Shares = Annotated[dict[str, Annotated[float, Field(ge=0.0)]], Field(max_length=MAX_CLASSES)]

Temperature = Annotated[float, Field(ge=1e-3, le=1e3)]


@with_config(STRICT)
class CalibratedPrior(TypedDict):
    """The share of each label, and the temperature that was fitted under these shares."""

    shares: Shares
    temperature: Temperature


@with_config(STRICT_AND_OPEN)
class TrainingData(TypedDict, total=False):
    """The data that a checkpoint was trained on."""

    name: Name
    fingerprint: Name
    fold: FoldNumber | None
    detector: Name | list[Name]
    described: Note


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
        data: name, fingerprint, fold and detector (or a list of them) of the training data; in published weights also
            "described", a phrase about them.
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

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    model_name: Name
    model_config: dict[str, Any]
    labels: Labels
    alignment: dict[str, Any]
    crop_size: CropSize
    segments: Annotated[int, Field(ge=1, le=10_000)]
    clip_s: Annotated[float, Field(gt=0.0, le=86_400.0)]
    data: Annotated[dict[str, Any], GetPydanticSchema(lambda _, handler: handler(TrainingData))]
    notice: Note
    selection: Selection
    epoch: Annotated[int, Field(ge=0, le=10_000_000)]
    metrics: Annotated[dict[Name, float], Field(max_length=1000)]
    dfer_version: Name
    pixel_mean: ColourTriple = field(default_factory=lambda: list(PIXEL_MEAN))
    pixel_std: ColourTriple = field(default_factory=lambda: list(PIXEL_STD))
    format: Name = CHECKPOINT_FORMAT
    temperature: Temperature = 1.0
    licence: Note = ""
    prior: Shares | None = None
    class_weights: Shares | None = None
    logit_adjustment: Annotated[float, Field(ge=0.0, le=2.0)] = 0.0
    priors: Annotated[dict[Name, CalibratedPrior], Field(max_length=100)] = field(default_factory=dict)
    mirror: bool = False

    def __post_init__(self) -> None:
        for shares in (self.prior, self.class_weights, *(prior["shares"] for prior in self.priors.values())):
            _require_shares(shares, self.labels)

    def contradiction(self) -> str | None:
        """Return what contradicts something else in these settings, or None."""
        classes, frames = (self.model_config.get(key) for key in ("num_classes", "num_frames"))
        side = self.alignment.get("size")
        if classes not in (None, len(self.labels)):
            return f"{len(self.labels)} labels for a model of {show_value(classes)} classes"
        if isinstance(frames, int) and frames % self.segments:
            return f"{self.segments} segments do not divide the model's {show_value(frames)} frames"
        if side not in (None, self.crop_size):
            return f"crop_size is {self.crop_size}, alignment.size {show_value(side)}"
        return None

    def trained_on(self) -> str:
        """Return a phrase about the training data."""
        fold = f", fold {self.data['fold']}" if self.data.get("fold") else ""
        data = self.data.get("described") or f"{self.data.get('name', 'unknown data')}{fold}"
        text = f"trained on {data}, {self.selection}"
        return f"{text}; {self.notice}" if self.notice else text

    def detector_warning(self, detector: str) -> str | None:
        """Return a warning if faces were found with another detector than in training; None if not, or not known."""
        known = self.data.get("detector") or []
        trained_with: list[str] = known if isinstance(known, list) else [known]
        if not trained_with or detector in trained_with:
            return None
        return f"faces were found with {detector}, in training with {' and '.join(trained_with)}"


def _require_shares(shares: dict[str, float] | None, labels: list[str]) -> None:
    if shares is None:
        return
    if set(shares) != set(labels):
        raise ValueError(f"shares of {show_value(sorted(shares))}, not of the labels")
    if not any(shares.values()):
        raise ValueError("shares must not all be 0")


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

    Raises:
        CheckpointError: the settings are out of the bounds of what can be read again.
        DferError: the file cannot be written.
    """
    read_record(CheckpointInfo, asdict(info), what="cannot save these settings", where=path, error=CheckpointError)
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
    with _opened(path) as stored:
        text = (stored.metadata() or {}).get(_KEY)
    if text is None:
        raise CheckpointError("safetensors, but not written by dfer: it does not name its labels", where=path)
    return _parse_info(text, path)


def load_checkpoint(path: Path, device: str | torch.device = "cpu") -> tuple[VideoModel, CheckpointInfo]:
    """Return the model of a checkpoint, float32 and in evaluation mode, and the checkpoint's settings.

    Nothing is built before the settings, and the shapes in the file's header, are known to fit.

    Raises:
        CheckpointError: the file is missing, damaged, not written by dfer, or does not fit its own settings.
    """
    info = read_checkpoint_info(path)
    if info.pixel_mean != list(PIXEL_MEAN) or info.pixel_std != list(PIXEL_STD):
        raise CheckpointError("the checkpoint was trained with another pixel normalisation", where=path)
    with torch.device("meta"), WithoutDraws():  # shapes without memory
        outline = _build(info, path)
    with _opened(path) as stored:
        names = list(stored.keys())
        shapes = {name: _outline(stored.get_slice(name)) for name in names}
        require_same_tensors(outline.state_dict(), shapes, where=path)
        tensors = {name: stored.get_tensor(name) for name in names}
    require_finite(tensors, where=path)
    with WithoutDraws():
        model = _build(info, path)
    load_weights(model, tensors, where=str(path))
    return model.to(device).eval(), info


def _build(info: CheckpointInfo, path: Path) -> VideoModel:
    entry = MODELS.get(info.model_name)
    if entry is None:
        what = f"its model {info.model_name!r:.80} is not one of this dfer: {', '.join(MODELS)}"
        raise CheckpointError(what, where=path, hint="if a plugin brings it, name that: --plugin FILE")
    known = ["num_classes", *entry.architecture.settings_class.model_fields]
    unknown = [unknown_key(key, known) for key in info.model_config if key not in known]
    try:
        if unknown:
            raise CheckpointError(unknown[0])
        return entry.build(**info.model_config)
    except (TypeError, DferError) as error:
        raise CheckpointError(f"its model settings do not fit this dfer: {error}", where=path) from error


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Open a safetensors file, and report what is wrong with it in one way."""
    try:
        with open_regular(path) as file:
            header_bytes = int.from_bytes(file.read(8), "little")
        if header_bytes > MAX_HEADER_BYTES:
            raise ValueError(f"a header of {header_bytes:,} bytes")
        with safe_open(path, framework="pt") as stored:
            yield stored
    except FileNotFoundError as error:
        raise CheckpointError("no such checkpoint", where=path) from error
    except (SafetensorError, OSError, RuntimeError, ValueError) as error:
        reason = f": {os_reason(error)}" if isinstance(error, OSError) and error.errno else ""
        raise CheckpointError(
            f"not a safetensors checkpoint, or a damaged one{reason}",
            where=path,
            hint="dfer reads the .safetensors files that `dfer train` writes; other formats could execute code",
        ) from error


def _outline(stored: Any) -> torch.Tensor:
    """Return a stored tensor without its content; a type that dfer does not write is taken for bool."""
    dtype = _DTYPES.get(stored.get_dtype(), torch.bool)
    return torch.empty(stored.get_shape(), dtype=dtype, device="meta")


def _parse_info(text: str, path: Path) -> CheckpointInfo:
    try:
        if len(text) > MAX_JSON_BYTES:
            raise ValueError(f"{len(text):,} letters")
        values = parse_json(text)
        if not isinstance(values, Mapping):
            raise ValueError("not a mapping")
    except ValueError as error:
        raise CheckpointError(f"{_DAMAGED}: {str(error)[:100]}", where=path) from error
    if values.get("format", CHECKPOINT_FORMAT) != CHECKPOINT_FORMAT:
        raise CheckpointError(f"unknown checkpoint format {values['format']!r:.40}", where=path)
    info = read_record(CheckpointInfo, values, what=_DAMAGED, where=path, error=CheckpointError)
    if contradiction := info.contradiction():
        raise CheckpointError(f"{_DAMAGED}: {contradiction}", where=path)
    return info


def _os_error(error: SafetensorError) -> OSError:
    """Return the operating system's error that safetensors reports as text."""
    number = re.search(r"os error (\d+)", str(error))
    code = int(number[1]) if number else errno.EIO
    return OSError(code, os.strerror(code))
