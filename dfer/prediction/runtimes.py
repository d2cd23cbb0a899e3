"""Runtimes: what runs the model in prediction. docs/benchmarks.md compares them."""

from __future__ import annotations

import torch

from dfer.errors import UsageError
from dfer.model.int8 import int8_available
from dfer.model.prepared import BF16, FLOAT32, INT8, PreparedModel, choose_format
from dfer.model.video_model import VideoModel
from dfer.prediction.recognition import Engine

AUTO = "auto"
OPENVINO, ONNXRUNTIME = "openvino", "onnxruntime"
# By name, each with a help text.
RUNTIMES = {
    FLOAT32: "torch, exact",
    BF16: "torch with products of 16-bit numbers",
    INT8: "torch with products of 8-bit numbers",
    OPENVINO: "OpenVINO, with products of 16-bit numbers where the processor has them",
    ONNXRUNTIME: "onnxruntime, float32",
}


def require_runtime(name: str) -> str:
    """Return `name` if it is "auto" or a key of `RUNTIMES`.

    Raises:
        UsageError: it is neither.
    """
    if name != AUTO and name not in RUNTIMES:
        raise UsageError(
            f"unknown runtime {name!r}", where="--runtime", hint=f"known runtimes: {', '.join((AUTO, *RUNTIMES))}"
        )
    return name


def build_engine(name: str, model: VideoModel, device: torch.device) -> tuple[str, Engine]:
    """Prepare a model for prediction.

    Args:
        name: a key of `RUNTIMES`, or "auto" for the fastest that keeps the model's answers and needs no preparation.
        model: the model, in evaluation mode, on its device.
        device: the device.

    Returns:
        The name of the runtime, and what runs the model.

    Raises:
        UsageError: unknown name, or this machine does not have it.
        DferError: it cannot take the model.
    """
    require_runtime(name)
    chosen = choose_format(device) if name == AUTO else name
    if chosen in (INT8, OPENVINO, ONNXRUNTIME) and device.type != "cpu":
        raise UsageError(
            f"{chosen} computes on the processor, not on {device.type}",
            where=f"--runtime {chosen}",
            hint="add --device cpu, or take --runtime auto",
        )
    if chosen == OPENVINO:
        from dfer.model.on_openvino import run_on_openvino

        return chosen, run_on_openvino(model, threads=torch.get_num_threads())
    if chosen == ONNXRUNTIME:
        from dfer.model.on_onnxruntime import run_on_onnxruntime

        return chosen, run_on_onnxruntime(model, threads=torch.get_num_threads())
    if chosen == INT8 and not int8_available():
        raise UsageError(
            "this machine or its torch has no 8-bit products",
            where=f"--runtime {INT8}",
            hint="--runtime auto takes what there is",
        )
    engine = PreparedModel(model, chosen)
    return engine.number_format, engine
