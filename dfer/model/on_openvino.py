"""A model's graphs run by OpenVINO, in 16-bit numbers where the processor multiplies them.

To convert a model takes seconds, so what is compiled is kept; see `dfer.model.graphs.keep`.
"""

from __future__ import annotations

import hashlib
import io
import logging
import sys
import threading
import warnings
from functools import partial
from typing import Any

import torch

from dfer.errors import DferError, UsageError
from dfer.model.graphs import Array, Graph, GraphModel, Run, keep
from dfer.model.video_model import VideoModel
from dfer.runtime.device import choose_precision
from dfer.runtime.machine import cpu_flags, cpu_name

_DEVICE, _FORMAT = "CPU", "INFERENCE_PRECISION_HINT"

logger = logging.getLogger(__name__)


def run_on_openvino(model: VideoModel, *, threads: int) -> GraphModel:
    """Return a model that OpenVINO runs.

    Several threads may call it at a time; they take turns.

    Args:
        model: any model, on a CPU, in evaluation mode.
        threads: to compute with.

    Raises:
        UsageError: OpenVINO is not installed.
        DferError: it cannot take the model.
    """
    try:
        openvino = _import_openvino()
    except ImportError as error:
        raise UsageError(
            "the package openvino is not installed", where="--runtime openvino", hint="pip install 'dfer[openvino]'"
        ) from error
    short = choose_precision("auto", torch.device("cpu")) == torch.bfloat16
    number_format = "bf16" if short else "f32"
    return GraphModel(model, partial(_compile, core=openvino.Core(), number_format=number_format, threads=threads))


def _import_openvino() -> Any:
    """Import OpenVINO without its usage reports, which it would send to Google Analytics unless the user opted out."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # as if it was not installed
    import openvino

    return openvino


def _compile(graph: Graph, *, core: Any, number_format: str, threads: int) -> Run:
    openvino = _import_openvino()
    machine = f"{openvino.get_version()} {cpu_name()} {sorted(cpu_flags())} {number_format}"
    name = f"{graph.fingerprint}-{graph.name}-{hashlib.sha256(machine.encode()).hexdigest()[:16]}.openvino"
    settings = {_FORMAT: number_format, "NUM_STREAMS": 1, "INFERENCE_NUM_THREADS": threads}
    make = partial(_export, graph, core, {_FORMAT: number_format})
    return _PerThread(keep(name, make, lambda data: core.import_model(data, _DEVICE, settings)))


def _export(graph: Graph, core: Any, settings: dict[str, Any]) -> bytes:
    """Return the compiled form of a graph."""
    openvino = _import_openvino()
    logger.info("preparing the model for OpenVINO, once for this machine (%s)", graph.name)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # sizes that torch's tracer takes for constants are constant here
        try:
            traced = torch.jit.trace(graph.module, graph.example, check_trace=False)
            converted = openvino.convert_model(
                traced, example_input=graph.example, input=[(-1, *graph.example.shape[1:])]
            )
            data = core.compile_model(converted, _DEVICE, settings).export_model()
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1:] or ["no reason given"]
            raise DferError(f"OpenVINO cannot take the model ({reason[0]:.200})", hint="--runtime auto can") from error
    return data.getvalue() if isinstance(data, io.BytesIO) else bytes(data)


class _PerThread:
    """A compiled graph, called by several threads at a time; each has a request of its own."""

    def __init__(self, compiled: Any) -> None:
        self._compiled, self._requests = compiled, threading.local()

    def __call__(self, x: Array) -> Array:
        if not hasattr(self._requests, "own"):
            self._requests.own = self._compiled.create_infer_request()
        result: Array = self._requests.own.infer({0: x}, share_inputs=True)[0]
        return result
