"""Face embeddings by a recognition network of the user's own: whether two faces are one person.

The interface is that of insightface's packs: an .onnx network that takes aligned faces of 112 pixels, float32
[N, 3, 112, 112], RGB, (x - 127.5) / 127.5, and gives an embedding [N, D] whose cosine says how alike two faces are.
Nothing is ever downloaded: the packs' weights are licensed for non-commercial research only.

Source: Deng et al., "ArcFace: Additive Angular Margin Loss for Deep Face Recognition", CVPR 2019.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dfer.errors import DferError
from dfer.faces.align import warp_face
from dfer.faces.detectors.weights import LICENCE, insightface_models
from dfer.records import Face

OPTION, WEIGHTS_ENV = "--recognition-weights", "DFER_RECOGNITION_WEIGHTS"
NONE = "none"  # in place of a path: no embedding, even if the cache has weights
INPUT_SIDE = 112
_MIN_DIM, _MAX_DIM = 16, 8192
# Left eye, right eye, nose tip, left and right mouth corner, in pixels of the aligned face: the alignment that the
# networks were trained with (insightface's `face_align.arcface_dst`).
ARCFACE_TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)
# insightface's packs, the better first.
_PATTERNS = ("glintr100.onnx", "w600k_r50.onnx", "w600k_mbf.onnx", "w600k_*.onnx", "*.onnx")
_HINT = "use a recognition network of insightface's packs, such as w600k_mbf.onnx of buffalo_sc, or its folder"


def find_recognition_weights(weights: str | Path | None = None) -> Path | None:
    """Find a recognition network on this machine; nothing is downloaded.

    Args:
        weights: the .onnx file or its folder, or "none"; else `$DFER_RECOGNITION_WEIGHTS`, then insightface's cache.

    Returns:
        The file, or None if there is none, or none is wanted.

    Raises:
        DferError: weights were named and do not exist.
    """
    for named, by in ((weights, OPTION), (os.environ.get(WEIGHTS_ENV), f"${WEIGHTS_ENV}")):
        if named is not None and str(named):
            return None if str(named) == NONE else _named(Path(named), by)
    cached = [path for pattern in _PATTERNS[:-1] for path in sorted(insightface_models().glob(f"*/{pattern}"))]
    return cached[0] if cached else None


class FaceEncoder:
    """Computes embeddings of faces, on one thread.

    Args:
        weights: the .onnx file.

    Raises:
        DferError: it cannot be loaded, or is no recognition network.
    """

    def __init__(self, weights: Path) -> None:
        self.weights = weights
        self._session = _load(weights)
        self._input = self._session.get_inputs()[0].name
        probe = self._run(np.zeros((1, 3, INPUT_SIDE, INPUT_SIDE), np.float32))
        if probe.ndim != 2 or len(probe) != 1 or not _MIN_DIM <= probe.shape[1] <= _MAX_DIM:
            raise DferError(
                f"no face recognition network: its output is {list(probe.shape)}", where=weights, hint=_HINT
            )

    @property
    def description(self) -> str:
        """The network, and its licence, as the command line says them."""
        return f"face recognition: {self.weights} (insightface's networks are {LICENCE})"

    def encode(self, frame_rgb: NDArray[np.uint8], face: Face) -> NDArray[np.float32] | None:
        """Return the embedding of a face, a unit vector, float32 [D].

        Args:
            frame_rgb: uint8 [H, W, 3].
            face: with five landmarks; with the eyes only, it cannot be aligned as the network needs it.

        Returns:
            None without five landmarks, or if the network finds nothing in the picture.
        """
        if len(face.landmarks) != len(ARCFACE_TEMPLATE):
            return None
        crop = warp_face(frame_rgb, face.landmarks, INPUT_SIDE, ARCFACE_TEMPLATE)
        values = (crop.astype(np.float32).transpose(2, 0, 1)[None] - 127.5) / 127.5
        embedding = self._run(values)[0].astype(np.float32)
        length = float(np.linalg.norm(embedding))
        return embedding / length if np.isfinite(length) and length > 1e-6 else None

    def _run(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        try:
            return np.asarray(self._session.run(None, {self._input: values})[0], np.float32)
        except Exception as error:  # onnxruntime's errors share no narrower base class
            what = f"cannot run the recognition network: {_reason(error)}"
            raise DferError(what, where=self.weights, hint=_HINT) from error


def _load(weights: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(str(weights), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors share no narrower base class
        raise DferError(f"cannot load the recognition network: {_reason(error)}", where=weights, hint=_HINT) from error
    inputs = session.get_inputs()
    wanted = [3, INPUT_SIDE, INPUT_SIDE]
    shape = list(inputs[0].shape) if len(inputs) == 1 else []
    fits = len(shape) == 4 and all(isinstance(n, str) or n in (None, m) for n, m in zip(shape[1:], wanted, strict=True))
    if not fits or inputs[0].type != "tensor(float)":
        what = f"no face recognition network: its input is {shape}, not [N, 3, {INPUT_SIDE}, {INPUT_SIDE}] of float32"
        raise DferError(what, where=weights, hint=_HINT)
    return session


def _named(path: Path, by: str) -> Path:
    if path.is_file():
        return path
    if not path.is_dir():
        raise DferError(f"{by} does not exist", where=path, hint=_HINT)
    for pattern in _PATTERNS:
        # Packs hold a detector and other networks as well.
        found = [file for file in sorted([*path.glob(pattern), *path.glob(f"*/{pattern}")]) if _may_recognise(file)]
        if found:
            return found[0]
    raise DferError(f"{by} is a folder without a recognition network", where=path, hint=_HINT)


def _may_recognise(file: Path) -> bool:
    others = ("det_", "scrfd_", "1k3d68", "2d106det", "genderage")
    return not file.name.startswith(others)


def _reason(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0][:160] if text else type(error).__name__
