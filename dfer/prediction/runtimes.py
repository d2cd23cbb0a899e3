"""Runtimes: what runs the model in prediction. docs/benchmarks.md compares them."""

from __future__ import annotations

import torch

from dfer.errors import UsageError
from dfer.model.int8 import int8_available
from dfer.model.prepared import INT8, PreparedModel, choose_format
from dfer.model.video_model import VideoModel
from dfer.prediction.recognition import Engine

AUTO = "auto"
# By name, each with a help text.
RUNTIMES = {
    "float32": "torch, exact",
    "bf16": "torch with products of 16-bit numbers",
    "int8": "torch with products of 8-bit numbers",
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
        name: a key of `RUNTIMES`, or "auto" for the fastest that keeps the model's answers.
        model: the model, in evaluation mode, on its device.
        device: the device.

    Returns:
        The name of the runtime, and what runs the model.

    Raises:
        UsageError: unknown name, or this machine does not have it.
    """
    require_runtime(name)
    chosen = choose_format(device) if name == AUTO else name
    if chosen == INT8 and (device.type != "cpu" or not int8_available()):
        raise UsageError(
            "this machine or its torch has no 8-bit products",
            where=f"--runtime {INT8}",
            hint="--runtime auto takes what there is",
        )
    engine = PreparedModel(model, chosen)
    return engine.number_format, engine
