"""A model's graphs run by onnxruntime, in float32.

To export a model takes seconds, so the exported graphs are kept; see `dfer.model.graphs.keep`.
"""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from dfer.errors import DferError, UsageError
from dfer.model.export import MAX_BATCH, open_session, require_exporter, write_onnx
from dfer.model.graphs import Array, Graph, GraphModel, Run, keep
from dfer.model.video_model import VideoModel

_INPUT, _OUTPUT = "input", "output"

logger = logging.getLogger(__name__)


def run_on_onnxruntime(model: VideoModel, *, threads: int) -> GraphModel:
    """Return a model that onnxruntime runs; several threads may call it at a time.

    Args:
        model: any model, on a CPU, in evaluation mode.
        threads: to compute each call with.

    Raises:
        UsageError: the packages that export a model are not installed.
    """
    try:
        require_exporter()
    except DferError as error:
        raise UsageError(error.what, where="--runtime onnxruntime", hint=error.hint) from error
    return GraphModel(model, partial(_open, threads=threads))


def _open(graph: Graph, *, threads: int) -> Run:
    name = f"{graph.fingerprint}-{graph.name}.onnx"
    return partial(_run, keep(name, partial(_export, graph), partial(open_session, threads=threads)))


def _run(session: Any, x: Array) -> Array:
    result: Array = session.run([_OUTPUT], {_INPUT: x})[0]
    return result


def _export(graph: Graph) -> bytes:
    logger.info("preparing the model for onnxruntime, once for these weights (%s)", graph.name)
    batch = torch.export.Dim("batch", min=1, max=MAX_BATCH)
    with TemporaryDirectory(prefix="dfer-") as scratch, torch.no_grad():
        path = Path(scratch) / "graph.onnx"
        write_onnx(graph.module, graph.example, path, axes={0: batch}, inputs=[_INPUT], outputs=[_OUTPUT])
        return path.read_bytes()
