"""Checkpoint -> ONNX, checked against onnxruntime."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dfer.errors import DferError, UsageError
from dfer.model.checkpoint import CheckpointInfo, load_checkpoint
from dfer.model.crop_classifier import CropClassifier
from dfer.model.pixels import prepare_clips
from dfer.model.priors import Answering, choose_answering
from dfer.model.video_model import VideoModel
from dfer.runs import find_checkpoint
from dfer.runtime.files import atomic_path
from dfer.runtime.streams import is_stream

OPSET = 18
TOLERANCE = 1e-4
MAX_BATCH, MAX_CROPS = 4096, 1 << 20
CROPS, CLIPS, PROBABILITIES, LOGITS = "crops", "clips", "probabilities", "logits"
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


@dataclass(frozen=True)
class Exportable:
    """A checkpoint's model in the form in which it is exported.

    Attributes:
        module: a `CropClassifier`, or for a bare network the model itself.
        model: the network.
        info: the checkpoint's settings.
        answering: the prior and temperature of the probabilities.
        mirror: whether a clip's logits are the mean of its own and its mirror image's.
        checkpoint: the file.
    """

    module: nn.Module
    model: VideoModel
    info: CheckpointInfo
    answering: Answering
    mirror: bool
    checkpoint: Path

    @property
    def is_bare(self) -> bool:
        """True if preparation and calibration are left to the caller."""
        return self.module is self.model

    @property
    def inputs(self) -> list[str]:
        """The names of the inputs."""
        return [CLIPS if self.is_bare else CROPS]

    @property
    def outputs(self) -> list[str]:
        """The names of the outputs."""
        return [LOGITS] if self.is_bare else [PROBABILITIES, LOGITS]

    def random_input(self, batch: int, extra: int = 0) -> Tensor:
        """Return a random input, always the same.

        Args:
            batch: clips.
            extra: frames beyond those that the model sees; a bare network takes none.
        """
        frames, generator = self.model.config.num_frames, torch.Generator().manual_seed(batch)
        if self.is_bare:
            side = self.model.config.image_size
            return torch.randn((batch, frames, 3, side, side), generator=generator)
        shape = (batch, max(frames + extra, 1), self.info.crop_size, self.info.crop_size, 3)
        return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)


def export_onnx(
    checkpoint: Path, out: Path, *, prior: str | None = None, mirror: bool | None = None, bare: bool = False
) -> ExportResult:
    """Write a checkpoint as one ONNX file.

    Input `crops`: uint8 [batch, time, S, S, 3], RGB, aligned; outputs `probabilities` and `logits`: float32 [batch, C].
    Batch and time are free: the graph chooses frames, resizes, normalises, applies temperature and prior as `dfer
    predict` does. The file's metadata entry "dfer" holds the checkpoint's settings as JSON.

    Args:
        checkpoint: written by `dfer train`, or the name of shipped weights.
        out: the file to write.
        prior: see `choose_answering`.
        mirror: average a clip with its mirror image; None for what the checkpoint says.
        bare: write the network alone: input `clips`, float32 [batch, T, 3, S, S], normalised; output `logits`.

    Raises:
        CheckpointError: the checkpoint cannot be used.
        UsageError: the file's name does not end in .onnx, or there is no such prior.
        DferError: onnx is not installed, or the exported model does not compute what the checkpoint does.
    """
    require_onnx_name(out)
    exportable = load_exportable(checkpoint, prior=prior, mirror=mirror, bare=bare)
    with atomic_path(out, suffix=".onnx", to_stream=True) as temporary:
        write_graph(exportable, temporary, {})
        difference, count = require_same_answers(exportable, temporary, where=out)
        size = temporary.stat().st_size / 1e6
    return ExportResult(size, OPSET, difference, count)


def require_onnx_name(out: Path) -> None:
    """Refuse a file whose name does not end in .onnx.

    Raises:
        UsageError: it does not.
    """
    if out.suffix.lower() != ".onnx" and not is_stream(out):
        raise UsageError("the file's name must end in .onnx", where=out)


def load_exportable(
    checkpoint: Path, *, prior: str | None = None, mirror: bool | None = None, bare: bool = False
) -> Exportable:
    """Return a checkpoint's model in the form in which it is exported; see `export_onnx` for arguments and errors."""
    path = find_checkpoint(checkpoint)
    model, info = load_checkpoint(path)
    answering = choose_answering(info, prior, where=path)
    mirror = info.mirror if mirror is None else mirror
    require_exporter()
    if bare:
        return Exportable(model, model, info, answering, mirror, path)
    classifier = CropClassifier(model, segments=info.segments, answering=answering, mirror=mirror).eval()
    return Exportable(classifier, model, info, answering, mirror, path)


def require_exporter() -> None:
    """Require the packages that export a model.

    Raises:
        DferError: one is not installed.
    """
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401  # torch's exporter needs it
    except ImportError as error:
        raise DferError(f"exporting needs the package {error.name}", hint="pip install 'dfer[export]'") from error


def write_graph(exportable: Exportable, path: Path, metadata: Mapping[str, str]) -> None:
    """Write the graph to a file, not atomically.

    Args:
        exportable: of `load_exportable`.
        path: the file.
        metadata: entries beside "dfer", which holds the checkpoint's settings.
    """
    import onnx

    batch = torch.export.Dim("batch", min=1, max=MAX_BATCH)
    axes = {0: batch} if exportable.is_bare else {0: batch, 1: torch.export.Dim("time", min=1, max=MAX_CROPS)}
    write_onnx(
        exportable.module,
        _traced_input(exportable),
        path,
        axes=axes,
        inputs=exportable.inputs,
        outputs=exportable.outputs,
    )
    exported = onnx.load(path)
    settings = json.dumps(asdict(exportable.info), sort_keys=True)
    onnx.helper.set_model_props(exported, {**metadata, "dfer": settings})
    onnx.save(exported, path)


def write_onnx(
    module: nn.Module,
    example: Tensor,
    path: Path,
    *,
    axes: Mapping[int, Any],
    inputs: Sequence[str],
    outputs: Sequence[str],
) -> None:
    """Write a module of one input as one ONNX file, not atomically.

    Args:
        module: in evaluation mode.
        example: an input.
        path: the file.
        axes: the free axes of the input, `torch.export.Dim` by number.
        inputs: name of the input.
        outputs: names of the outputs.
    """
    with _silenced():
        torch.onnx.export(
            module,
            (example,),
            str(path),
            input_names=inputs,
            output_names=outputs,
            dynamic_shapes=(dict(axes),),
            opset_version=OPSET,
            dynamo=True,
            external_data=False,
            verbose=False,
        )


def _traced_input(exportable: Exportable) -> Any:
    example = exportable.random_input(2, extra=1)
    if not exportable.is_bare:
        # The statistics are made once per device: not while torch traces, which would leave its stand-ins behind.
        prepare_clips(example[:, :1], exportable.model.config.image_size)
    return example


@contextmanager
def _silenced() -> Iterator[None]:
    """Leave out the exporter's notes, which users cannot act on."""
    exporter = logging.getLogger("torch.onnx")
    former = exporter.level
    exporter.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        exporter.setLevel(former)


@torch.inference_mode()
def require_same_answers(exportable: Exportable, path: Path, *, where: Path) -> tuple[float, int]:
    """Compare a written graph with torch on random inputs of several sizes.

    Args:
        exportable: the model.
        path: the file.
        where: the file's final name, for the error.

    Returns:
        The largest absolute difference of a logit, and the number of inputs compared.

    Raises:
        DferError: a logit differs by `TOLERANCE` or more.
    """
    session = open_session(path)
    differences = []
    for batch in _CHECKED_BATCHES:
        # Fewer frames than the model sees, then more.
        given = exportable.random_input(batch, extra=3 if batch > 1 else -exportable.model.config.num_frames // 2)
        expected = exportable.module(given)
        logits = (expected if exportable.is_bare else expected[1]).numpy()
        (found,) = session.run([LOGITS], {exportable.inputs[0]: given.numpy()})
        assert found.shape == (batch, len(exportable.info.labels))
        differences.append(float(np.abs(found - logits).max()))
    if not max(differences) < TOLERANCE:
        raise DferError(f"the exported logits differ by {max(differences):.1e}, above {TOLERANCE:.0e}", where=where)
    return max(differences), sum(_CHECKED_BATCHES)


def open_session(
    source: Path | bytes, *, threads: int = 0, providers: Sequence[str] = ("CPUExecutionProvider",)
) -> Any:
    """Return an onnxruntime session.

    Args:
        source: the ONNX file, or its content.
        threads: at most; 0 for as many as there are cores.
        providers: of onnxruntime.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(
        source if isinstance(source, bytes) else str(source), options, providers=list(providers)
    )
