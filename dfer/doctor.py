"""Checks of the installation, the device and the weights, with the way to get what is missing."""

from __future__ import annotations

import platform
import sys
from dataclasses import dataclass
from importlib import import_module, metadata
from typing import Literal

from dfer.errors import CheckpointError, DferError
from dfer.runtime.formatting import format_bytes
from dfer.runtime.machine import cpu_name, free_memory_bytes, usable_cores
from dfer.version import __version__


@dataclass(frozen=True)
class Check:
    """The result of one check.

    Attributes:
        name: the thing checked.
        state: "ok"; "note" if something optional is missing; "missing" if something required is.
        finding: a few words.
        remedy: how to get what is missing, or "".
    """

    name: str
    state: Literal["ok", "note", "missing"]
    finding: str
    remedy: str = ""


def examine() -> list[Check]:
    """Check this machine and installation, without any download."""
    checks = [
        Check("dfer", "ok", f"{__version__}, Python {platform.python_version()} ({sys.executable})"),
        Check(
            "machine", "ok", f"{cpu_name()}, {usable_cores()} cores, {format_bytes(free_memory_bytes())} free memory"
        ),
        *(_package(name, module, needed, remedy) for name, module, needed, remedy in _PACKAGES),
        _opencv(),
        _device(),
        _detector(),
        _default_weights(),
        _checkpoint(),
    ]
    return checks


_PACKAGES = (
    ("torch", "torch", True, "pip install torch"),
    ("insightface", "insightface", True, "pip install insightface"),
    ("onnxruntime", "onnxruntime", True, "pip install onnxruntime"),
    ("av", "av", True, "pip install av"),
    ("decord", "decord", False, "there is no wheel for this machine; PyAV decodes instead, somewhat slower"),
    ("onnx", "onnx", False, "pip install 'dfer[export]' for `dfer export`"),
)


def _package(name: str, module: str, needed: bool, remedy: str) -> Check:
    try:
        import_module(module)
        return Check(name, "ok", metadata.version(name))
    except (ImportError, OSError, RuntimeError, metadata.PackageNotFoundError) as error:
        return Check(name, "missing" if needed else "note", f"not usable: {str(error).splitlines()[0]}", remedy)


def _opencv() -> Check:
    distributions = sorted(
        str(found.metadata["Name"])
        for found in metadata.distributions()
        if str(found.metadata["Name"]).startswith("opencv-")
    )
    remedy = f"pip uninstall {' '.join(distributions)}; pip install 'opencv-python<5'"
    try:
        import cv2

        cascade = hasattr(cv2, "CascadeClassifier")
    except ImportError as error:
        return Check("opencv", "missing", f"not usable: {str(error).splitlines()[0]}", remedy)
    if len(distributions) > 1:
        return Check("opencv", "note", f"{' and '.join(distributions)} overwrite each other's files", remedy)
    if not cascade:
        return Check("opencv", "missing", f"{cv2.__version__} has no Haar classifier", remedy)
    return Check("opencv", "ok", f"{cv2.__version__} ({', '.join(distributions)})")


def _device() -> Check:
    import torch

    if torch.cuda.is_available():
        return Check("GPU", "ok", f"{torch.cuda.get_device_name()}, CUDA {torch.version.cuda}")
    built = "this torch is a CPU build" if torch.version.cuda is None else "torch finds no CUDA device"
    return Check("GPU", "note", f"{built}: training runs on the CPU", "see pytorch.org for a CUDA build")


def _detector() -> Check:
    from dfer.faces.detectors import FALLBACK, PREFERRED, build_detector
    from dfer.faces.detectors.weights import WEIGHTS_HINT, find_detector_weights, verify_detector_weights

    try:
        found = find_detector_weights(None)
        if found is not None:
            verify_detector_weights(found)
            return Check("face detector", "ok", f"{PREFERRED}, {found}; others by name")
        build_detector(FALLBACK)
    except DferError as error:
        return Check("face detector", "note", str(error), error.hint or "")
    return Check("face detector", "ok", f"{FALLBACK}, installed with dfer; no weights for {PREFERRED}", WEIGHTS_HINT)


def _default_weights() -> Check:
    from dfer.pretrained import DEFAULT, find_pretrained, pretrained_names

    if DEFAULT not in pretrained_names():
        return Check("default weights", "note", "this installation contains none")
    try:
        path = find_pretrained(DEFAULT)
        return Check("default weights", "ok", f"{path}, {format_bytes(path.stat().st_size)}, SHA-256 verified")
    except CheckpointError as error:
        return Check("default weights", "note", error.what, error.hint or "")


def _checkpoint() -> Check:
    from dfer.model.checkpoint import describe_checkpoint, read_checkpoint_info
    from dfer.runs import default_checkpoint

    try:
        path = default_checkpoint()
        return Check("checkpoint", "ok", describe_checkpoint(path, read_checkpoint_info(path)))
    except CheckpointError as error:
        return Check("checkpoint", "note", error.what, error.hint or "")
