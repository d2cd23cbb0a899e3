"""`dfer export`: the model, in float32 or int8, its metadata, and what lies beside it; all of it or nothing."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dfer.deployment.clips import read_clips
from dfer.deployment.companions import companion_paths, companion_texts
from dfer.deployment.metadata import FLOAT32, describe, template_of, window_s
from dfer.deployment.quantise import DYNAMIC, STATIC, Agreement, answer, quantise
from dfer.errors import UsageError
from dfer.model.checkpoint import describe_checkpoint
from dfer.model.export import (
    OPSET,
    Exportable,
    ExportResult,
    load_exportable,
    require_onnx_name,
    require_same_answers,
    write_graph,
)
from dfer.runtime.files import atomic_path
from dfer.runtime.streams import is_stream


@dataclass(frozen=True)
class ExportOptions:
    """The choices of an export.

    Attributes:
        prior: see `dfer.model.priors.choose_answering`.
        mirror: average a clip with its mirror image; None for what the checkpoint says.
        bare: the network alone, without preparation and calibration.
        int8: weights as 8-bit integers.
        calibration: the store that an int8 model is calibrated and measured with.
        examples: write the README and the examples.
    """

    prior: str | None = None
    mirror: bool | None = None
    bare: bool = False
    int8: bool = False
    calibration: Path | None = None
    examples: bool = True

    def __post_init__(self) -> None:
        if self.calibration is not None and not self.int8:
            raise UsageError("only an int8 model is calibrated", where="--calibration", hint="add --int8")
        given = {"--int8": self.int8, "--prior": self.prior is not None, "--mirror": self.mirror is not None}
        if self.bare and (unused := [option for option, is_given in given.items() if is_given]):
            raise UsageError(f"{unused[0]} has no meaning for the network alone", where="--bare")


@dataclass(frozen=True)
class Exported:
    """The outcome of an export.

    Attributes:
        result: the file's size, and how far its float32 form is from torch.
        precision: of the weights.
        float32_megabytes: size of the float32 form.
        agreement: of an int8 model with its float32 form; None where nothing was measured.
        companions: the files beside the model.
    """

    result: ExportResult
    precision: str
    float32_megabytes: float
    agreement: Agreement | None
    companions: Sequence[Path]


def export_model(checkpoint: Path, out: Path, options: ExportOptions | None = None) -> Exported:
    """Export a checkpoint, and write a README and examples beside it.

    Args:
        checkpoint: written by `dfer train`, or the name of shipped weights.
        out: the file to write, ending in .onnx; a pipe or device gets the model without anything beside it.
        options: the choices.

    Raises:
        CheckpointError: the checkpoint cannot be used.
        UsageError: the name does not end in .onnx, or there is no such prior.
        DataError: the store for the calibration cannot be used.
        DferError: a file cannot be written, onnx is not installed, or the file does not compute what the checkpoint
            does.
    """
    options = options or ExportOptions()
    require_onnx_name(out)
    has_companions = options.examples and not options.bare and not is_stream(out)
    paths = companion_paths(out) if has_companions else {}
    exportable = load_exportable(checkpoint, prior=options.prior, mirror=options.mirror, bare=options.bare)
    calibrating, measuring = _clips(exportable, options)
    precision = (STATIC if calibrating else DYNAMIC) if options.int8 else FLOAT32
    with ExitStack() as stack:
        # The model is renamed first, and with it the only large write is done.
        temporaries = {ending: stack.enter_context(atomic_path(path)) for ending, path in paths.items()}
        file = stack.enter_context(atomic_path(out, suffix=".onnx", to_stream=True))
        exported = _write_model(exportable, file, out, precision, calibrating, measuring, list(paths.values()))
        if paths:
            texts = companion_texts(paths, out, _facts(exportable, exported))
            for ending, temporary in temporaries.items():
                temporary.write_text(texts[ending], encoding="utf-8", errors="backslashreplace")
    return exported


def _write_model(
    exportable: Exportable,
    file: Path,
    out: Path,
    precision: str,
    calibrating: Sequence[NDArray[np.uint8]],
    measuring: Sequence[NDArray[np.uint8]],
    companions: Sequence[Path],
) -> Exported:
    write_graph(exportable, file, {} if exportable.is_bare else describe(exportable, precision))
    difference, count = require_same_answers(exportable, file, where=out)
    full = file.stat().st_size / 1e6
    agreement = None
    if precision != FLOAT32:
        # Not the place of the file itself: that would be read and written at once.
        with atomic_path(file) as quantised:
            quantise(file, quantised, calibrating)
            agreement = Agreement.of(answer(file, measuring), answer(quantised, measuring)) if measuring else None
    result = ExportResult(file.stat().st_size / 1e6, OPSET, difference, count)
    return Exported(result, precision, full, agreement, companions)


def _clips(exportable: Exportable, options: ExportOptions) -> tuple[list[NDArray[np.uint8]], list[NDArray[np.uint8]]]:
    if options.calibration is None:
        return [], []
    return read_clips(options.calibration, exportable.info, exportable.model.config.num_frames)


def _facts(exportable: Exportable, exported: Exported) -> dict[str, Any]:
    info = exportable.info
    return {
        "about": describe_checkpoint(exportable.checkpoint, info),
        "labels": info.labels,
        "crop_size": info.crop_size,
        "template": template_of(exportable),
        "num_frames": exportable.model.config.num_frames,
        "window_s": window_s(exportable),
        "temperature": exportable.answering.temperature,
        "prior": exportable.answering.prior,
        "mirror": exportable.mirror,
        "notice": info.notice,
        "licence": info.licence,
        "precision": exported.precision,
        "megabytes": exported.result.megabytes,
        "float32_megabytes": exported.float32_megabytes,
        "agreement": exported.agreement,
        "opset": exported.result.opset,
    }
