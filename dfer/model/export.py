"""Checkpoint -> ONNX, checked against onnxruntime."""

from __future__ import annotations

import json
import logging
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from dfer.errors import DferError, UsageError
from dfer.model.checkpoint import CheckpointInfo, load_checkpoint
from dfer.model.video_model import VideoModel
from dfer.runs import find_checkpoint
from dfer.runtime.files import atomic_path
from dfer.runtime.streams import is_stream

OPSET = 18
TOLERANCE = 1e-4
_CHECKED_BATCHES = (1, 3)


@dataclass(frozen=True)
class ExportResult:
    """The outcome of an export.

    Attributes:
        megabytes: size of the file, MB.
        opset: ONNX operator set.
        max_difference: largest absolute difference of a logit between torch and onnxruntime.
        num_checked: inputs compared.
    """

    megabytes: float
    opset: int
    max_difference: float
    num_checked: int


def export_onnx(checkpoint: Path, out: Path) -> ExportResult:
    """Write a checkpoint as one ONNX file with a variable batch size.

    Input `clips`: float32 [batch, T, 3, S, S], normalised; output `logits`: float32 [batch, C]. The file's metadata
    entry "dfer" holds the checkpoint's settings as JSON: labels, alignment, normalisation, temperature, priors. The
    logits know nothing of a prior: see docs/formats.md on how they become probabilities.

    Args:
        checkpoint: written by `dfer train`, or the name of shipped weights.
        out: the file to write.

    Raises:
        CheckpointError: the checkpoint cannot be used.
        DferError: onnx is not installed, or the exported model does not compute what the checkpoint does.
    """
    if out.suffix.lower() != ".onnx" and not is_stream(out):
        raise UsageError("the file's name must end in .onnx", where=out)
    model, info = load_checkpoint(find_checkpoint(checkpoint))
    try:
        import onnx
        import onnxscript  # noqa: F401  # torch's exporter needs it
    except ImportError as error:
        raise DferError(f"exporting needs the package {error.name}", hint="pip install 'dfer[export]'") from error
    with atomic_path(out, suffix=".onnx", to_stream=True) as temporary:
        _export(model, temporary)
        exported = onnx.load(temporary)
        onnx.helper.set_model_props(exported, {"dfer": json.dumps(asdict(info), sort_keys=True)})
        onnx.save(exported, temporary)
        difference, count = _largest_difference(model, info, temporary)
        if not difference < TOLERANCE:
            raise DferError(f"the exported logits differ by {difference:.1e}, above {TOLERANCE:.0e}", where=out)
        size = temporary.stat().st_size / 1e6
    return ExportResult(size, OPSET, difference, count)


def _export(model: VideoModel, path: Path) -> None:
    batch = torch.export.Dim("batch", min=1, max=4096)
    exporter = logging.getLogger("torch.onnx")
    former = exporter.level
    exporter.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                model,
                (_random_clips(model, 2),),
                str(path),
                input_names=["clips"],
                output_names=["logits"],
                dynamic_shapes=({0: batch},),
                opset_version=OPSET,
                dynamo=True,
                external_data=False,
                verbose=False,
            )
    finally:
        exporter.setLevel(former)


@torch.inference_mode()
def _largest_difference(model: VideoModel, info: CheckpointInfo, path: Path) -> tuple[float, int]:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    differences = []
    for batch in _CHECKED_BATCHES:
        clips = _random_clips(model, batch)
        expected = model(clips).numpy()
        (found,) = session.run(["logits"], {"clips": clips.numpy()})
        assert found.shape == (batch, len(info.labels))
        differences.append(float(np.abs(found - expected).max()))
    return max(differences), sum(_CHECKED_BATCHES)


def _random_clips(model: VideoModel, batch: int) -> torch.Tensor:
    config = model.config
    shape = (batch, config.num_frames, 3, config.image_size, config.image_size)
    return torch.randn(shape, generator=torch.Generator().manual_seed(batch))
