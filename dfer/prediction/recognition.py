"""From the crops of faces to the features of windows: the part of a frame that windows share is computed once.

Batches are computed on several threads, while the caller decodes and crops: torch, OpenCV and the decoder leave
Python's lock alone while they work. What waits is bounded, so memory does not grow with the video.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dfer.model.pixels import prepare_clips
from dfer.prediction.windows import FaceWindow, Window
from dfer.runtime.machine import usable_cores

# Frames and windows in a batch. On a CPU, larger ones are no faster, and the time left would be known less well.
_ON_CPU, _ON_GPU = (8, 1), (16, 4)
_WAITING = 2  # batches for each thread

Crop = NDArray[np.uint8]


class Engine(Protocol):
    """A model ready to be run; see `dfer.model.prepared.PreparedModel`."""

    @property
    def sees_frames_alone(self) -> bool:
        """Return whether `frame_maps` and `encode` may be called."""

    def frame_maps(self, clips: Tensor) -> Tensor:
        """Return what the backbone makes of each frame of clips, float32 [B, T, 3, S, S]: [B, T, ...]."""

    def encode(self, maps: Tensor) -> Tensor:
        """Return the features of frames' maps [B, T, ...], float32 [B, D]."""

    def forward_features(self, clips: Tensor) -> Tensor:
        """Return the features of clips, float32 [B, T, 3, S, S]: float32 [B, D]."""


class _Kept(NamedTuple):
    """The place of a frame in the result of its batch."""

    batch: Future[Tensor]
    row: int


class Recogniser:
    """Computes the features of windows.

    Args:
        engine: the model.
        image_size: S, side of its input, pixels.
        mirror: take the mean of the features of each window and of its mirror image.
        device: the device to compute on.
        threads: threads on a CPU; by default as many as torch uses, but no more than there are cores.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        image_size: int,
        mirror: bool,
        device: torch.device,
        threads: int | None = None,
    ) -> None:
        self._engine, self._device, self._mirror = engine, device, mirror
        self._image_size = image_size
        self.frames_at_once, self.windows_at_once = _ON_CPU if device.type == "cpu" else _ON_GPU
        self.threads = 1 if device.type != "cpu" else threads or min(torch.get_num_threads(), usable_cores())

    def features(
        self,
        windows: Sequence[FaceWindow],
        crops: Iterable[tuple[int, int, Crop]],
        on_progress: Callable[[float], None] = lambda _done: None,
    ) -> Iterator[tuple[list[FaceWindow], Tensor]]:
        """Yield windows with their features, float32 [B, D].

        Args:
            windows: each once; those of a face in order of time.
            crops: the number of a face, the frame's place in its track, and the crop, uint8 [S, S, 3], in order of
                time; each that the model sees in a window.
            on_progress: called with the share of the work that is done, 0..1, which is more than that of the windows
                that are yielded.
        """
        with _threads(self.threads) as pool:
            yield from _Run(self, pool, windows, on_progress).answer(crops)

    @torch.inference_mode()
    def rehearse(self, crop: Crop, num_frames: int) -> tuple[float, float]:
        """Return the seconds that each crop and each window takes while all threads work, measured on one crop.

        Args:
            crop: uint8 [S, S, 3].
            num_frames: T, of a window.
        """
        with _threads(self.threads) as pool:
            if not self.sees_frames_alone:
                clips = [[crop] * num_frames] * self.windows_at_once
                return 0.0, _seconds(pool, self.threads, lambda: self.clip_features(clips)) / len(clips)
            crops, maps = [crop] * self.frames_at_once, self.frame_maps([crop])[0]
            windows = [[maps] * num_frames] * self.windows_at_once
            frames_s = _seconds(pool, self.threads, lambda: self.frame_maps(crops))
            windows_s = _seconds(pool, self.threads, lambda: self.encode_maps(windows))
            return frames_s / len(crops), windows_s / len(windows)

    @torch.inference_mode()
    def frame_maps(self, crops: Sequence[Crop]) -> Tensor:
        """Return what the backbone makes of crops, and of their mirror images if those count: [N, looks, ...]."""
        clips = self._prepare(np.stack(crops)[:, None])  # N 1 3 S S
        return torch.stack([self._engine.frame_maps(look)[:, 0] for look in self._looks(clips)], dim=1)

    @torch.inference_mode()
    def encode(self, kept: Sequence[Sequence[_Kept]]) -> Tensor:
        """Return the features [B, D] of B windows, each of T frames."""
        return self.encode_maps([[item.batch.result()[item.row] for item in frames] for frames in kept])

    @torch.inference_mode()
    def encode_maps(self, windows: Sequence[Sequence[Tensor]]) -> Tensor:
        """Return the features [B, D] of B windows of T frames, each [looks, ...] as `frame_maps` returns them."""
        clips = torch.stack([torch.stack(list(frames)) for frames in windows])
        looks = clips.shape[2]
        maps = clips.transpose(1, 2).flatten(0, 1)  # (B looks) T ...
        return self._engine.encode(maps).view(len(windows), looks, -1).mean(1)

    @torch.inference_mode()
    def clip_features(self, clips: Sequence[Sequence[Crop]]) -> Tensor:
        """Return the features [B, D] of B clips of T crops, by a model that does not see frames one by one."""
        pixels = self._prepare(np.stack([np.stack(crops) for crops in clips]))
        return torch.stack([self._engine.forward_features(look) for look in self._looks(pixels)]).mean(0)

    @property
    def sees_frames_alone(self) -> bool:
        """Return whether what a frame gives is the same in every window."""
        return self._engine.sees_frames_alone

    @property
    def most_waiting(self) -> int:
        """Return how many batches may wait for a thread."""
        return _WAITING * self.threads

    def _prepare(self, frames: NDArray[np.uint8]) -> Tensor:
        return prepare_clips(torch.from_numpy(frames).to(self._device), self._image_size)

    def _looks(self, clips: Tensor) -> Iterator[Tensor]:
        yield clips
        if self._mirror:
            yield clips.flip(-1)


class _Run:
    """The windows of one video: what is kept of its frames, and the batches that wait."""

    def __init__(
        self,
        recogniser: Recogniser,
        pool: ThreadPoolExecutor,
        windows: Sequence[FaceWindow],
        on_progress: Callable[[float], None],
    ) -> None:
        self._recogniser, self._pool = recogniser, pool
        self._open: dict[int, deque[Window]] = {}
        for face, window in windows:
            self._open.setdefault(face, deque()).append(window)
        self._kept: dict[int, dict[int, _Kept | Crop]] = {face: {} for face in self._open}
        self._fresh: list[tuple[int, int, Crop]] = []  # the crops of the next batch of frames
        self._complete: list[FaceWindow] = []  # the next batch of windows
        self._frames_waiting: deque[tuple[int, Future[Tensor]]] = deque()
        self._windows_waiting: deque[tuple[list[FaceWindow], Future[Tensor]]] = deque()
        self._on_progress = on_progress
        self._frames_sent = self._windows_sent = 0
        self._num_frames = count_frames(windows) if recogniser.sees_frames_alone else 0
        self._num_windows = len(windows)

    def answer(self, crops: Iterable[tuple[int, int, Crop]]) -> Iterator[tuple[list[FaceWindow], Tensor]]:
        """Yield windows with their features; see `Recogniser.features`."""
        for face, place, crop in crops:
            self._take(face, place, crop)
            if len(self._complete) >= self._recogniser.windows_at_once:
                yield from self._send_windows()
        yield from self._send_windows(last=True)

    def _take(self, face: int, place: int, crop: Crop) -> None:
        self._kept[face][place] = crop
        if self._recogniser.sees_frames_alone:
            self._fresh.append((face, place, crop))
            if len(self._fresh) >= self._recogniser.frames_at_once:
                self._send_frames()
        windows = self._open[face]
        while windows and windows[0].sampled[-1] == place:
            self._complete.append((face, windows.popleft()))

    def _send_frames(self) -> None:
        if not self._fresh:
            return
        while len(self._frames_waiting) >= self._recogniser.most_waiting:
            self._frames_waiting.popleft()[1].result()
            self._report()
        batch = self._pool.submit(self._recogniser.frame_maps, [crop for _, _, crop in self._fresh])
        self._frames_waiting.append((len(self._fresh), batch))
        self._frames_sent += len(self._fresh)
        for row, (face, place, _) in enumerate(self._fresh):
            self._kept[face][place] = _Kept(batch, row)
        self._fresh = []

    def _send_windows(self, *, last: bool = False) -> Iterator[tuple[list[FaceWindow], Tensor]]:
        if self._complete:
            self._send_frames()
            names, self._complete = self._complete, []
            kept = [[self._kept[face][place] for place in window.sampled] for face, window in names]
            work: Callable[..., Tensor] = (
                self._recogniser.encode if self._recogniser.sees_frames_alone else self._recogniser.clip_features
            )
            self._windows_waiting.append((names, self._pool.submit(work, kept)))
            self._windows_sent += len(names)
            self._forget()
        most = 0 if last else self._recogniser.most_waiting
        while self._windows_waiting and (len(self._windows_waiting) > most or self._windows_waiting[0][1].done()):
            done, future = self._windows_waiting.popleft()
            features = future.result()
            self._report()
            yield done, features

    def _report(self) -> None:
        """Report the share of the work that is done: the mean of the shares of the frames and of the windows.

        Windows alone would say nothing for long, and then jump: many frames are computed before the first window is.
        """
        windows = self._windows_sent - sum(len(names) * _left(batch) for names, batch in self._windows_waiting)
        share = windows / self._num_windows
        if self._num_frames:
            frames = self._frames_sent - sum(count * _left(batch) for count, batch in self._frames_waiting)
            share = (share + frames / self._num_frames) / 2
        self._on_progress(share)

    def _forget(self) -> None:
        """Drop what no window that is still open needs."""
        for face, windows in self._open.items():
            if not windows:
                self._kept[face] = {}
                continue
            kept = self._kept[face]
            for place in [place for place in kept if place < windows[0].sampled[0]]:
                del kept[place]


def _left(batch: Future[Tensor]) -> float:
    """Return the share of a batch that is to be computed: half of one in work, which is so on average."""
    return 0.0 if batch.done() else 0.5 if batch.running() else 1.0


def count_frames(windows: Sequence[FaceWindow]) -> int:
    """Return how many frames of faces windows need, each counted once."""
    count, seen = 0, dict[int, set[int]]()
    for face, window in windows:
        before = seen.get(face, set())
        new = set(window.sampled) - before
        count += len(new)
        seen[face] = new | {place for place in before if place >= window.sampled[0]}
    return count


@contextmanager
def _threads(count: int) -> Iterator[ThreadPoolExecutor]:
    """Give threads that compute on one core each; torch by itself would divide each operation over all cores."""
    before = torch.get_num_threads()
    start: Callable[[], None] = lambda: torch.set_num_threads(1)  # noqa: E731
    pool = ThreadPoolExecutor(count, "recognise", start if count > 1 else None)
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        torch.set_num_threads(before)


def _seconds(pool: ThreadPoolExecutor, threads: int, work: Callable[[], Tensor]) -> float:
    """Return the seconds that a piece of work takes where each thread has one, divided by the number of threads."""
    begun = 0.0
    for _ in range(2):  # the first time is slower
        begun = time.monotonic()
        for batch in [pool.submit(work) for _ in range(threads)]:
            batch.result().cpu()  # when a GPU has finished too
    return (time.monotonic() - begun) / threads
