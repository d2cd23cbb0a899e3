"""A face's time in a video, cut into cells, and the frames that each cell's answer is based on."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dfer.batches.sampling import sample_frames
from dfer.faces.tracking.clock import Clock
from dfer.records import FaceTrack
from dfer.video import FrameSource

MIN_STRIDE_S = 1e-3  # the resolution of the answer's times
_SAME_S = 1e-6  # times that differ by less are equal
_START_S = 0.125  # windows begin no further apart than this, or than a cell is long
STILLS_WINDOW_S = 1.0  # of a model that was trained on stills; docs/confidence.md says why
_STILL_S = 0.1  # a clip shorter than this was a still
# By default a cell lasts as long as the model's frames at the video's rate, but no longer or shorter than at these.
_USUAL_FPS = (20.0, 30.0)


class Window(NamedTuple):
    """The time around a cell that its answer is based on, as places in the arrays of the face's track.

    Attributes:
        places: of the frames in this time.
        sampled: of the T frames that the model sees, ascending; some several times if there are fewer than T.
    """

    places: range
    sampled: tuple[int, ...]


FaceWindow = tuple[int, Window]  # the number of a face, and a window of its track


class Sampling(NamedTuple):
    """The kind of windows.

    Attributes:
        window_s: their length, seconds. A stretch of time without a gap that is no longer is one window.
        num_frames: T, frames that the model sees.
        segments: see `dfer.batches.sampling.sample_frames`.
    """

    window_s: float
    num_frames: int
    segments: int


class Cell(NamedTuple):
    """A piece of a face's time.

    Attributes:
        start: seconds.
        end: seconds.
        places: in the track's arrays, of the frames that appear in this time, or of the one that is shown all along.
        window: what the cell's answer is based on.
    """

    start: float
    end: float
    places: range
    window: Window


def default_window_s(clip_s: float, stride_s: float) -> float:
    """Return the length of the windows of a model, seconds.

    Args:
        clip_s: what a clip of its training lasted. Stills have no speed, so their length says nothing.
        stride_s: of the default length of a cell, which is the least.
    """
    return max(STILLS_WINDOW_S if clip_s < _STILL_S else clip_s, stride_s)


def default_stride_s(clock: Clock, num_frames: int) -> float:
    """Return the length of a cell that suits a model that looks at `num_frames` frames, seconds."""
    slowest, fastest = _USUAL_FPS
    return max(num_frames / min(max(1 / clock.usual_s, slowest), fastest), clock.usual_s)


def cut_cells(track: FaceTrack, clock: Clock, *, stride_s: float, sampling: Sampling) -> list[Cell]:
    """Cut a track's time into cells, each with the window around its middle.

    The cells are those of a grid that begins at 0 s, whatever the rate of the frames; only where the face comes or
    goes, at pauses and at cuts do they begin or end elsewhere. No cell and no window reaches over a gap or a pause, and
    no cell over a cut.

    Args:
        track: the face.
        clock: when the video's frames are shown.
        stride_s: seconds of a cell.
        sampling: the windows.

    Returns:
        The cells in order of time, which cover all of the time in which the face is shown.
    """
    cells = []
    for stretch in _stretches(track, clock):
        windows = _Windows(stretch, sampling, stride_s)
        for start, end in pairwise(_edges(stretch, stride_s)):
            first, after = _shown(stretch, start, end)
            places = range(stretch.place + first, stretch.place + after)
            middle = (stretch.starts_s[first] + stretch.ends_s[after - 1]) / 2
            cells.append(Cell(start, end, places, windows.around(middle)))
    return cells


class _Stretch(NamedTuple):
    """The time of a face between two gaps: where it begins in the track, and when its N frames are shown."""

    place: int
    starts_s: NDArray[np.float64]
    ends_s: NDArray[np.float64]
    middles_s: NDArray[np.float64]
    is_cut: NDArray[np.bool_]  # [N - 1], between its frames


def _stretches(track: FaceTrack, clock: Clock) -> Iterator[_Stretch]:
    """Yield the parts of a track in which there is no gap, no pause, and no other person."""
    frames = track.frames
    is_break = (np.diff(frames) > 1) | clock.pauses[frames[:-1]]
    if track.people is not None:
        is_break |= np.diff(track.people) != 0
    is_cut = np.diff(track.shots) != 0 if track.shots is not None else np.zeros(len(frames) - 1, np.bool_)
    for first, after in pairwise([0, *(np.flatnonzero(is_break) + 1).tolist(), len(frames)]):
        starts, ends = clock.starts_s[frames[first:after]], clock.ends_s[frames[first:after]]
        yield _Stretch(first, starts, ends, (starts + ends) / 2, is_cut[first : after - 1])


def _edges(stretch: _Stretch, stride_s: float) -> list[float]:
    """Return where the cells of a stretch begin and end: its ends, its cuts, and the grid between them."""
    starts = stretch.starts_s
    fixed = np.array([starts[0], *starts[1:][stretch.is_cut], stretch.ends_s[-1]])
    grid = np.arange(math.floor(fixed[0] / stride_s) + 1, math.ceil(fixed[-1] / stride_s)) * stride_s
    grid = grid[(grid > fixed[0]) & (grid < fixed[-1])]  # which rounding can reach
    # A cell of less than a millisecond would begin and end at the same time in the answer.
    after = np.searchsorted(fixed, grid)
    grid = grid[np.minimum(grid - fixed[after - 1], fixed[after] - grid) >= MIN_STRIDE_S]
    return sorted([*fixed.tolist(), *grid.tolist()])


def _shown(stretch: _Stretch, start: float, end: float) -> tuple[int, int]:
    """Return the first of the frames that appear from `start` to `end`, and the one after the last.

    If none appears, they are those of the one that is shown.
    """
    first, after = np.searchsorted(stretch.starts_s, [start - _SAME_S, end - _SAME_S]).tolist()
    return (first, after) if first < after else (after - 1, after)


class _Windows:
    """The windows in a stretch of time.

    The stretch is divided into equal steps, `segments` of which make a window, and in each step the model sees the
    frames in its middle: so windows that overlap see the same frames, and each is computed only once. Where steps are
    long, windows begin at equal parts of them too, so that they keep up with their cells. Where windows have fewer
    frames than the model sees, it sees them all, and windows begin at any time.
    """

    def __init__(self, stretch: _Stretch, sampling: Sampling, stride_s: float) -> None:
        self._stretch, self._sampling = stretch, sampling
        window_s, num_frames, segments = sampling
        self._parts = max(1, math.ceil(window_s / segments / max(stride_s, _START_S)))
        start, end = stretch.starts_s[0], stretch.ends_s[-1]
        parts = self._parts * max(segments, round((end - start) * segments / window_s))
        self._part_s = (end - start) / parts
        # The first frame of each part, which is the one that is shown where it begins, as in `sample_frames`.
        edges_s = start + np.arange(parts) * self._part_s + _SAME_S
        self._edges = np.append(np.searchsorted(stretch.starts_s, edges_s, side="right") - 1, len(stretch.starts_s))
        counts = self._edges[segments * self._parts :] - self._edges[: -segments * self._parts]
        self._last = len(counts) - 1
        self._has_steps = bool((counts >= num_frames).all())
        self._at_part = cache(self._window_at_part)  # where several cells can have theirs

    def around(self, middle: float) -> Window:
        """Return the window around a time."""
        stretch, (window_s, num_frames, segments) = self._stretch, self._sampling
        if self._has_steps:
            part = round((middle - window_s / 2 - stretch.starts_s[0]) / self._part_s)
            return self._at_part(min(max(part, 0), self._last))
        first, after = _shown_around(stretch, middle, window_s)
        return self._window(first, after, first + sample_frames(after - first, num_frames, segments))

    def _window_at_part(self, part: int) -> Window:
        _, num_frames, segments = self._sampling
        edges = self._edges[part : part + segments * self._parts + 1 : self._parts]
        first, after = edges[[0, -1]].tolist()
        return self._window(first, after, _middles(edges, num_frames // segments))

    def _window(self, first: int, after: int, sampled: NDArray[np.int64]) -> Window:
        place = self._stretch.place
        return Window(range(place + first, place + after), tuple((place + sampled).tolist()))


def _middles(edges: NDArray[np.int64], run: int) -> NDArray[np.int64]:
    """Return so many consecutive frames in the middle of each step between edges, ascending."""
    # Where frames come irregularly, a step can have fewer.
    starts = np.clip((edges[:-1] + edges[1:] - run) // 2, edges[0], edges[-1] - run)
    return np.sort((starts[:, None] + np.arange(run)).reshape(-1))


def _shown_around(stretch: _Stretch, middle: float, window_s: float) -> tuple[int, int]:
    """Return the first of the frames that are shown around a time for half of theirs, and the one after the last."""
    starts, ends = stretch.starts_s, stretch.ends_s
    start = max(min(middle - window_s / 2, ends[-1] - window_s), starts[0])
    bounds = [start - _SAME_S, start + window_s - _SAME_S]
    first, after = np.searchsorted(stretch.middles_s, bounds).tolist()
    if first == after:  # no frame's middle: the one that is shown in the middle of the cell
        after = max(int(np.searchsorted(starts, middle, side="right")), 1)
        first = after - 1
    return first, after


def iter_crops(
    source: FrameSource,
    tracks: Sequence[FaceTrack],
    wanted: Iterable[tuple[int, Sequence[int]]],
    crop: Callable[[NDArray[np.uint8], int, int], NDArray[np.uint8]],
) -> Iterator[tuple[int, int, NDArray[np.uint8]]]:
    """Yield crops, each once, from one pass over the frames they need.

    Args:
        source: the video.
        tracks: its faces.
        wanted: numbers of faces, and places in their tracks.
        crop: makes a crop, uint8 [S, S, 3], from a frame, the number of a face, and the frame's place in its track.

    Yields:
        The number of the face, the frame's place in its track, and the crop; the places of a face ascend.
    """
    frames, faces, places = _in_order(tracks, wanted)
    for index, frame in source.iter_frames(np.unique(frames)):
        first, after = np.searchsorted(frames, [index, index + 1]).tolist()
        for face, place in zip(faces[first:after].tolist(), places[first:after].tolist(), strict=True):
            yield face, place, crop(frame, face, place)


def _in_order(
    tracks: Sequence[FaceTrack], wanted: Iterable[tuple[int, Sequence[int]]]
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
    """Return the frames, faces and places in their tracks that are wanted, int32 [N] each, in order of time.

    Twelve bytes for each face in each frame: of hours of video, sets of Python's numbers would take 50 times as much.
    """
    needed = [np.zeros(len(track.frames), np.bool_) for track in tracks]
    for face, places in wanted:
        needed[face][list(places)] = True
    found = [np.flatnonzero(mask).astype(np.int32) for mask in needed]
    none = [np.empty(0, np.int32)]
    frames = np.concatenate(none + [track.frames[at].astype(np.int32) for track, at in zip(tracks, found, strict=True)])
    faces = np.repeat(np.arange(len(tracks), dtype=np.int32), [len(at) for at in found])
    order = np.lexsort((faces, frames))
    return frames[order], faces[order], np.concatenate(none + found)[order]


def iter_window_crops(
    source: FrameSource,
    tracks: Sequence[FaceTrack],
    windows: Sequence[FaceWindow],
    crop: Callable[[NDArray[np.uint8], int, int], NDArray[np.uint8]],
) -> Iterator[tuple[FaceWindow, NDArray[np.uint8]]]:
    """Yield each window with the crops of all its frames, uint8 [N, S, S, 3], from one pass over the video.

    Args:
        source: the video.
        tracks: its faces.
        windows: each once; those of a face in order of time.
        crop: as for `iter_crops`.
    """
    waiting: list[deque[Window]] = [deque() for _ in tracks]
    for face, window in windows:
        waiting[face].append(window)
    held: list[dict[int, NDArray[np.uint8]]] = [{} for _ in tracks]
    wanted = ((face, window.places) for face, window in windows)
    for face, place, image in iter_crops(source, tracks, wanted, crop):
        held[face][place] = image
        queue = waiting[face]
        while queue and queue[0].places[-1] == place:
            window = queue.popleft()
            yield (face, window), np.stack([held[face][n] for n in window.places])
            keep_from = queue[0].places[0] if queue else place + 1
            held[face] = {n: kept for n, kept in held[face].items() if n >= keep_from}
