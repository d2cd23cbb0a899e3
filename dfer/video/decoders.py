"""Two decoders with one interface: RGB frames in ascending order. They give the same pixels.

Three facts about decord (0.6) decide how it is used here:

- It reads ahead without bound when the reader is slower than the decoder, so it is used only for videos whose frames
  all fit into `DECORD_MAX_BYTES`.
- It seeks whenever a skip crosses a key frame, and seeks go wrong when an edit list hides frames; so it is read
  strictly in sequence, where its n-th frame is the n-th displayed frame.
- It replaces frames that it cannot decode by copies of earlier ones; `fault_tol` turns that into an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dfer.errors import VideoError
from dfer.video.containers import describe_error, find_video_stream, iter_decoded, open_container
from dfer.video.probe import Probe

Frame = NDArray[np.uint8]
# Takes the indices of the wanted frames, ascending, and yields those that can be decoded.
Decode = Callable[[NDArray[np.int64]], Iterator[tuple[int, Frame]]]

DECORD_MAX_BYTES = 512 * 2**20
_CLOCKWISE = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}


def decode_pyav(probe: Probe, num_threads: int = 1) -> Decode:
    """Return a decoder that uses PyAV. Frames that cannot be decoded are left out; the others keep their index."""

    def decode(wanted: NDArray[np.int64]) -> Iterator[tuple[int, Frame]]:
        indices = set(wanted.tolist())
        index = -1
        places = {} if probe.order is None else {int(number): i for i, number in enumerate(probe.order)}
        height, width = probe.size_hw if probe.rotation % 180 == 0 else probe.size_hw[::-1]
        with open_container(probe.path) as container:
            stream = find_video_stream(container, probe.path)
            for frame in iter_decoded(container, stream, num_threads):
                place = places.get(frame.pts, index + 1)
                if place <= index:
                    continue  # a damaged stream may repeat frames or give them out of order
                index = place
                if index in indices:
                    # A stream may change its resolution: all frames are resized to the first one's.
                    rgb = frame.reformat(width=width, height=height, format="rgb24").to_ndarray()
                    yield index, rotate_frame(rgb, probe.rotation)
                if index >= wanted[-1]:
                    return

    return decode


def decode_decord(probe: Probe, num_threads: int = 1) -> Decode:
    """Return a decoder that uses decord.

    Raises:
        VideoError: (when iterating) the timestamps are not plain enough for decord, it cannot open the file, counts
            another number of frames than its packets have, or cannot decode a frame.
    """

    def decode(wanted: NDArray[np.int64]) -> Iterator[tuple[int, Frame]]:
        if not probe.orderly:
            raise VideoError("decord cannot decode a video of this format or with such timestamps", where=probe.path)
        # decord raises StopIteration, AssertionError, RuntimeError and its own error for a bad file.
        try:
            reader = _decord_reader(probe, num_threads)
        except Exception as error:
            raise VideoError(f"decord cannot open the video: {describe_error(error)}", where=probe.path) from error
        # A skip across a key frame would seek, by the timestamps of packets: the frame before each key frame is read
        # instead of skipped, and all frames are if the timestamps are not usable.
        must_read = {int(key) - 1 for key in reader.get_key_indices()}
        if probe.hidden or probe.order is None:
            must_read = set(range(len(reader)))
        position = 0
        for index in wanted.tolist():
            try:
                while position < index:
                    position += _advance(reader, position, index, must_read)
                rgb = reader.next().asnumpy()
            except Exception as error:
                raise VideoError(
                    f"decord cannot decode frame {position}: {describe_error(error)}", where=probe.path
                ) from error
            position += 1
            if rgb.shape != (*probe.size_hw, 3):  # decord does not remove the padding of narrow frames
                raise VideoError(f"decord gives frames of shape {rgb.shape}", where=probe.path)
            yield index, rgb

    return decode


def decord_available() -> bool:
    """Return whether decord can be imported; it has wheels for x86-64 only."""
    try:
        import decord  # noqa: F401
    except (ImportError, OSError):
        return False
    return True


def _decord_reader(probe: Probe, num_threads: int) -> Any:
    import decord

    decord.logging.set_level(decord.logging.QUIET)
    reader = decord.VideoReader(str(probe.path.absolute()), num_threads=num_threads, fault_tol=1)
    expected = len(probe.times_s) + probe.hidden
    if len(reader) != expected:
        raise ValueError(f"it counts {len(reader)} frames, the packets {expected}")
    return reader


def _advance(reader: Any, position: int, target: int, must_read: set[int]) -> int:
    """Go from `position` towards `target` without seeking; return the number of frames, at least one."""
    if position in must_read:
        reader.next()
        return 1
    end = position + 1
    while end < target and end not in must_read:
        end += 1
    reader.skip_frames(end - position)
    return end - position


def rotate_frame(rgb: Frame, rotation: int) -> Frame:
    """Return a frame rotated by 0, 90, 180 or 270 degrees clockwise."""
    return rgb if rotation == 0 else np.asarray(cv2.rotate(rgb, _CLOCKWISE[rotation]), np.uint8)
