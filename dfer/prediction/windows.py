"""A face's time in a video, cut into cells, and the frames that each cell's answer is based on."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from dfer.records import FaceTrack
from dfer.video import FrameSource

Window = tuple[int, range]  # a face, and the places in its track's arrays that one answer is based on


def cut_cells(track: FaceTrack, *, stride: int, window: int) -> list[tuple[range, range]]:
    """Cut a track's timeline into cells, each with the window around its middle; none reaches over a gap.

    Args:
        track: the face.
        stride: frames of a cell; a rest at the end that is shorter than half a cell joins the one before.
        window: frames of a window. A stretch without a gap that is no longer than this is one window.

    Returns:
        Of each cell its places in the track's arrays and those of its window. The cells are in order of time and
        hold every frame of the track once.
    """
    breaks = np.flatnonzero(np.diff(track.frames) > 1) + 1
    cells = []
    for begin, end in pairwise([0, *breaks.tolist(), len(track.frames)]):
        length = min(window, end - begin)
        edges = [*range(begin, end, stride), end]
        if len(edges) > 2 and edges[-1] - edges[-2] < stride / 2:
            del edges[-2]
        for first, after in pairwise(edges):
            start = min(max((first + after - length) // 2, begin), end - length)
            cells.append((range(first, after), range(start, start + length)))
    return cells


def iter_window_crops(
    source: FrameSource,
    tracks: Sequence[FaceTrack],
    windows: Sequence[Window],
    crop: Callable[[NDArray[np.uint8], NDArray[np.float32]], NDArray[np.uint8]],
) -> Iterator[tuple[Window, NDArray[np.uint8]]]:
    """Yield each window with its crops, from one pass over the frames they need.

    Args:
        source: the video.
        tracks: its faces.
        windows: each once; those of a face in order of time.
        crop: makes a crop, uint8 [S, S, 3], from a frame and a face's landmarks.

    Yields:
        The window, and its crops, uint8 [N, S, S, 3].
    """
    waiting: list[deque[range]] = [deque() for _ in tracks]
    needed: defaultdict[int, set[tuple[int, int]]] = defaultdict(set)  # frame -> (face, place in its track)
    for face, places in windows:
        waiting[face].append(places)
        for place in places:
            needed[int(tracks[face].frames[place])].add((face, place))
    held: list[dict[int, NDArray[np.uint8]]] = [{} for _ in tracks]
    for index, frame in source.iter_frames(sorted(needed)):
        for face, place in sorted(needed[index]):
            held[face][place] = crop(frame, tracks[face].landmarks[place])
            queue = waiting[face]
            while queue and queue[0][-1] == place:
                places = queue.popleft()
                yield (face, places), np.stack([held[face][n] for n in places])
                keep_from = queue[0][0] if queue else place + 1
                held[face] = {n: image for n, image in held[face].items() if n >= keep_from}
