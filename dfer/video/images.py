"""Images as frames: single ones, folders of them, and animations (GIF, WebP, PNG)."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dfer.errors import VideoError
from dfer.records import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from dfer.runtime.filenames import is_visible, sort_frames
from dfer.runtime.formatting import percent
from dfer.runtime.reading import open_regular
from dfer.video.limits import max_pixels, require_size, too_large
from dfer.video.probe import MIN_SIDE

Frame = NDArray[np.uint8]

_ANIMATED = ("GIF", "WEBP", "PNG")
_LEAST_MS, _USUAL_MS = 11, 100  # browsers show a frame of 10 ms or less for 100 ms, and animations count on it
_JPEG_STREAMS = {suffix for suffix in VIDEO_SUFFIXES if suffix.startswith(".mjp")}  # begin as a single JPEG does
_BYTES_PER_PIXEL = 16  # of the largest uncompressed image
_MAGIC = re.compile(
    rb"\x89PNG\r\n|\xff\xd8\xff|GIF8[79]a|RIFF....WEBP|BM....\0\0\0\0|II\*\0|MM\0\*|P[1-6][\s#]", re.DOTALL
)


def is_image(path: Path) -> bool:
    """Return whether a file is an image, by its content or else its suffix; a stream of JPEGs is a video.

    Raises:
        OSError: it cannot be read.
    """
    with open_regular(path) as file:
        begins_as_image = bool(_MAGIC.match(file.read(16)))
    suffix = path.suffix.lower()
    return suffix in IMAGE_SUFFIXES or (begins_as_image and suffix not in _JPEG_STREAMS)


def list_images(folder: Path) -> list[Path]:
    """Return the images of a folder in the order of their numbers.

    Raises:
        VideoError: there are none.
    """
    files = [file for file in folder.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES and is_visible(file.name)]
    if not files:
        raise VideoError("no images in the folder", where=folder, hint="give a folder of numbered .jpg or .png frames")
    return sort_frames(files)


class ImageFiles:
    """The frames of image files, all resized to the first one's size.

    Args:
        path: the folder, or the only image.
        files: the images in order.

    Attributes:
        size_hw: height and width of the frames.

    Raises:
        VideoError: none can be read, or the first is too small or too large.
    """

    def __init__(self, path: Path, files: list[Path]) -> None:
        self._files = files
        first = next((frame for frame in map(_read_image, files) if frame is not None), None)
        if first is None:
            _require_image_sizes(files)
            raise VideoError("the image cannot be read", where=path, hint="check that it opens in an image viewer")
        self.size_hw = first.shape[0], first.shape[1]
        _require_side(self.size_hw, path)

    def decode(self, wanted: NDArray[np.int64]) -> Iterator[tuple[int, Frame]]:
        """Yield (index, frame) of the wanted images that can be read."""
        for index in wanted.tolist():
            frame = _read_image(self._files[index])
            if frame is not None:
                yield index, resize_frame(frame, self.size_hw)


class Animation:
    """The frames of an animated image.

    Args:
        path: the file.

    Attributes:
        times_s: float64 [N], when each frame is shown.
        duration: seconds.
        size_hw: height and width of the frames.
        warnings: damage found in the file.

    Raises:
        VideoError: no frame can be read, or they are too small or too large.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.warnings: list[str] = []
        lasts_ms = []
        for frame, last_ms in self._iter():
            lasts_ms.append(last_ms if last_ms >= _LEAST_MS else _USUAL_MS)
            self.size_hw = frame.shape[0], frame.shape[1]
        if not lasts_ms:
            raise VideoError("the image cannot be read", where=path, hint="check that it opens in an image viewer")
        _require_side(self.size_hw, path)
        ends_s = np.cumsum(lasts_ms) / 1000
        self.times_s = np.append(0.0, ends_s[:-1])
        self.duration = float(ends_s[-1])

    def decode(self, wanted: NDArray[np.int64]) -> Iterator[tuple[int, Frame]]:
        """Yield (index, frame) of the wanted frames."""
        indices = set(wanted.tolist())
        for index, (frame, _) in enumerate(self._iter()):
            if index in indices:
                yield index, frame
            if index >= wanted[-1]:
                return

    def _iter(self) -> Iterator[tuple[Frame, float]]:
        """Yield each frame, RGB, and how long it is shown, milliseconds; damage ends the animation."""
        with _no_limit_of_pillow(), open_regular(self.path) as file, Image.open(file) as image:
            promised = getattr(image, "n_frames", 1)
            skipped = int(bool(getattr(image, "default_image", False)))  # a still, for programs that know no animation
            for number in range(skipped, promised):
                try:
                    image.seek(number)
                    frame = np.asarray(image.convert("RGB"))
                except (OSError, SyntaxError, ValueError, EOFError):
                    found, total = number - skipped, promised - skipped
                    note = f"truncated or damaged: contains {found} of {total} frames ({percent(found / total, 0)} %)"
                    if note not in self.warnings:
                        self.warnings.append(note)
                    return
                yield frame, float(image.info.get("duration", 0))


def is_animation(path: Path) -> bool:
    """Return whether an image has several frames with times; its size is checked as well.

    Raises:
        VideoError: it is too large.
    """
    try:
        with _no_limit_of_pillow(), open_regular(path) as file, Image.open(file) as image:
            require_size(*image.size, path)
            return image.format == "GIF" or (image.format in _ANIMATED and getattr(image, "n_frames", 1) > 1)
    except (OSError, SyntaxError, ValueError):
        return False


def _read_image(path: Path) -> Frame | None:
    """Read an image as RGB, rotated by its EXIF orientation; return None if it cannot be read or is too large."""
    try:
        with open_regular(path) as file:
            _require_image_size(file, path)
            file.seek(0)
            data = np.frombuffer(file.read(), np.uint8)
        bgr = cv2.imdecode(data, cv2.IMREAD_COLOR)
    except (OSError, VideoError, SyntaxError, ValueError, cv2.error):
        return None
    return None if bgr is None else np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)


def _require_image_sizes(files: list[Path]) -> None:
    """Check that files that cannot be read are not merely too large.

    Raises:
        VideoError: one is.
    """
    for file in files:
        try:
            with open_regular(file) as opened:
                _require_image_size(opened, file)
        except (OSError, SyntaxError, ValueError):
            continue


def _require_image_size(file: BinaryIO, path: Path) -> None:
    """Check an open image by its header.

    Raises:
        VideoError: it is too large.
        OSError, SyntaxError, ValueError: its header cannot be read.
    """
    size = os.fstat(file.fileno()).st_size
    if size > _BYTES_PER_PIXEL * max_pixels():
        raise too_large(f"{size:,} bytes", path)
    with _no_limit_of_pillow(), Image.open(file) as image:
        require_size(*image.size, path)


@contextmanager
def _no_limit_of_pillow() -> Iterator[None]:
    """Leave the limit on size to `require_size`, which users can set."""
    former, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = former


def resize_frame(frame: Frame, size_hw: tuple[int, int]) -> Frame:
    """Return a frame with this height and width; itself if it has them."""
    if frame.shape[:2] == size_hw:
        return frame
    return np.asarray(cv2.resize(frame, size_hw[::-1], interpolation=cv2.INTER_AREA), np.uint8)


def _require_side(size_hw: tuple[int, int], path: Path) -> None:
    if min(size_hw) < MIN_SIDE:
        raise VideoError(f"images of {size_hw[1]}x{size_hw[0]} pixels are too small to hold a face", where=path)
