"""float32 -> int8 by onnxruntime: weights as 8-bit integers, products computed in them.

Without crops, the range of every activation is computed as the model runs (dynamic). With crops, those of the
convolutions are fixed from what the crops give (static), which is faster; the products of the transformer stay dynamic,
since a few of their channels have ranges far beyond the others'.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dfer.errors import DferError
from dfer.model.export import CROPS, PROBABILITIES, open_session

DYNAMIC, STATIC = "int8 (dynamic)", "int8 (static)"
_PRODUCTS = ["MatMul", "Gemm"]

Crops = NDArray[np.uint8]


def quantise(source: Path, target: Path, calibration: Sequence[Crops] = ()) -> str:
    """Write the int8 form of an exported model, not atomically.

    Args:
        source: float32, of `dfer.model.export.write_graph`.
        target: the file to write.
        calibration: clips, uint8 [T, S, S, 3] each; none for dynamic ranges throughout.

    Returns:
        The precision, `DYNAMIC` or `STATIC`.

    Raises:
        DferError: onnxruntime cannot.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with _reported(target), TemporaryDirectory(prefix="dfer-") as scratch:
        folded = Path(scratch) / "folded.onnx"
        _fold(source, folded)
        if not calibration:
            quantize_dynamic(folded, target, op_types_to_quantize=[*_PRODUCTS, "Conv"], weight_type=QuantType.QUInt8)
            _copy_metadata(source, target)
            return DYNAMIC
        fixed = Path(scratch) / "fixed.onnx"
        _fix_convolutions(folded, fixed, calibration)
        quantize_dynamic(fixed, target, op_types_to_quantize=_PRODUCTS, weight_type=QuantType.QUInt8)
        _copy_metadata(source, target)
        return STATIC


def _fold(source: Path, target: Path) -> None:
    """Write the graph with its constants folded, and batch norms inside their convolutions."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(target)
    options.log_severity_level = 3
    onnxruntime.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])


def _fix_convolutions(source: Path, target: Path, calibration: Sequence[Crops]) -> None:
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self._clips = iter(calibration)

        def get_next(self) -> dict[str, Any] | None:
            clip = next(self._clips, None)
            return None if clip is None else {CROPS: clip[None]}

    quantize_static(
        source,
        target,
        Reader(),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=["Conv"],
        per_channel=True,
        weight_type=QuantType.QInt8,
        activation_type=QuantType.QUInt8,
    )


def _copy_metadata(source: Path, target: Path) -> None:
    """Give the target the source's metadata, and leave out the operator sets that onnxruntime names without need."""
    import onnx

    original, written = onnx.load(source, load_external_data=False), onnx.load(target)
    used = {node.domain for node in written.graph.node}
    sets = [item for item in written.opset_import if item.domain in used]
    del written.opset_import[:]
    written.opset_import.extend(sets)
    del written.metadata_props[:]
    written.metadata_props.extend(original.metadata_props)
    onnx.save(written, target)


@contextmanager
def _reported(where: Path) -> Iterator[None]:
    """Leave out onnxruntime's advice, and raise its failures as a DferError."""
    root = logging.getLogger()
    former = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    except (OSError, DferError):
        raise
    except Exception as error:  # of classes that only its binary part names
        raise DferError(f"cannot quantise: {str(error)[:200]}", where=where) from error
    finally:
        root.setLevel(former)


@dataclass(frozen=True)
class Agreement:
    """The agreement of two files of one model on the same clips.

    Attributes:
        clips: their number.
        same: share of the clips with the same label.
        largest: largest absolute difference of a probability.
        mean: mean absolute difference of a probability.
    """

    clips: int
    same: float
    largest: float
    mean: float

    @classmethod
    def of(cls, one: NDArray[np.float32], other: NDArray[np.float32]) -> Agreement:
        """Compare probabilities, float32 [N, C] each."""
        difference = np.abs(one - other)
        same = float(np.mean(one.argmax(1) == other.argmax(1)))
        return cls(len(one), same, float(difference.max()), float(difference.mean()))

    def __str__(self) -> str:
        return (
            f"the same label as float32 for {self.same:.1%} of {self.clips} clips; largest difference of a probability "
            f"{self.largest:.3f}, mean {self.mean:.4f}"
        )


def answer(path: Path, clips: Sequence[Crops]) -> NDArray[np.float32]:
    """Return an exported model's probabilities, float32 [N, C], of clips uint8 [T, S, S, 3], each by itself."""
    session = open_session(path)
    return np.concatenate([session.run([PROBABILITIES], {CROPS: clip[None]})[0] for clip in clips])
