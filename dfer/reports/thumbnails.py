"""A small picture of each face, taken where it is seen best."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from dfer.records import FacePrediction, Prediction, Segment
from dfer.records.people import split_face
from dfer.video import FrameSource

SIDE = 112  # pixels
MARGIN = 0.3  # around the box, in sides of the box
_EARLY_S = 60.0  # of a face's visible time, from which its picture is taken: long videos are not decoded to the end
_QUALITY = 85


def face_pictures(prediction: Prediction, source: FrameSource, *, side: int = SIDE) -> dict[int, NDArray[np.uint8]]:
    """Return a picture of each face, by its number; faces whose frames cannot be decoded have none.

    Faces that were merged each have their own.

    Args:
        prediction: of the video.
        source: its frames.
        side: of the pictures, pixels.

    Returns:
        uint8 [side, side, 3], RGB.

    Raises:
        VideoError: the video can no longer be read.
    """
    wanted: dict[int, list[tuple[int, Segment]]] = {}
    for face in (part for merged in prediction.faces for part in split_face(merged)):
        segment = clearest_segment(face)
        middle = (segment.start + segment.end) / 2 if prediction.num_frames > 1 else 0.0
        index = max(0, int(np.searchsorted(source.times_s, middle, side="right")) - 1)
        wanted.setdefault(index, []).append((face.id, segment))
    return {
        number: cut_square(frame, segment.box, side)
        for index, frame in source.iter_frames(wanted)
        for number, segment in wanted[index]
    }


def clearest_segment(face: FacePrediction) -> Segment:
    """Return the segment in which a face is seen best, of the first minute in which it is seen."""
    early: list[Segment] = []
    seconds = 0.0
    for segment in face.segments:
        if seconds > _EARLY_S:
            break
        early.append(segment)
        seconds += segment.end - segment.start
    return max(early, key=_clearness)


def _clearness(segment: Segment) -> float:
    quality = segment.quality
    if quality is None:
        return segment.confidence
    pose = sum(abs(angle) for angle in (quality.yaw, quality.pitch, quality.roll) if angle is not None)
    light = 1.0 if quality.brightness is None else min(1.0, 4 * quality.brightness)
    sharp = 1.0 if quality.sharpness is None else min(1.0, 10 * quality.sharpness)
    size = min(1.0, quality.size / SIDE)
    return size * light * sharp * quality.score * quality.detected * math.exp(-pose / 60)


def cut_square(
    frame_rgb: NDArray[np.uint8], box_xyxy: tuple[float, float, float, float], side: int = SIDE
) -> NDArray[np.uint8]:
    """Return the square around a box, with a margin, as far as the frame goes; uint8 [side, side, 3], RGB."""
    height, width = frame_rgb.shape[:2]
    x1, y1, x2, y2 = box_xyxy
    half = max(8.0, (0.5 + MARGIN) * max(x2 - x1, y2 - y1))
    half = min(half, width / 2, height / 2)
    x = min(max((x1 + x2) / 2, half), width - half)
    y = min(max((y1 + y2) / 2, half), height - half)
    left, top, given = int(x - half), int(y - half), max(1, int(2 * half))
    square = frame_rgb[top : top + given, left : left + given]
    way = cv2.INTER_AREA if given > side else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(square, (side, side), interpolation=way), np.uint8)


def jpeg_bytes(image_rgb: NDArray[np.uint8], side: int | None = None) -> bytes:
    """Return an image, uint8 [H, W, 3], as the content of a JPEG file; a square one at a smaller side, pixels."""
    if side is not None:
        image_rgb = np.asarray(cv2.resize(image_rgb, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
    _, encoded = cv2.imencode(".jpg", image_rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return encoded.tobytes()
