"""A face's time in a video, cut into pieces, and the frames that each piece's answer is based on."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from dfer.records import FaceTrack


@dataclass(frozen=True)
class Window:
    """The frames that one answer is based on: places `first` to `last` (inclusive) in a track's arrays."""

    face: int
    first: int
    last: int


@dataclass(frozen=True)
class Cell:
    """A piece of a track's timeline, places `first` to `last` (inclusive), and the window that answers for it."""

    first: int
    last: int
    window: Window


def cut_cells(track: FaceTrack, face: int, *, stride: int, window: int) -> list[Cell]:
    """Cut a track's timeline into cells, each with the window around its middle; none reaches over a gap.

    Args:
        track: the face.
        face: its number, noted in the windows.
        stride: frames of a cell; what is left at the end and shorter than half a cell joins the one before.
        window: frames of a window. A stretch without a gap that is no longer than this is one window.

    Returns:
        The cells in order of time; they hold every frame of the track once.
    """
    breaks = np.flatnonzero(np.diff(track.frames) > 1) + 1
    cells = []
    for places in np.split(np.arange(len(track.frames)), breaks):
        begin, end = int(places[0]), int(places[-1]) + 1
        length = min(window, end - begin)
        edges = [*range(begin, end, stride), end]
        if len(edges) > 2 and edges[-1] - edges[-2] < stride / 2:
            del edges[-2]
        for first, after in pairwise(edges):
            start = min(max((first + after - length) // 2, begin), end - length)
            cells.append(Cell(first, after - 1, Window(face, start, start + length - 1)))
    return cells
