"""Decode in a process of its own, where a decoder that crashes, hangs or takes all memory costs one video.

The process is spawned. A fork would copy the locks of the caller's threads (torch, ONNX Runtime) in whatever state they
are, and a fork server is one more process for a single child. It starts while the caller loads its model. Frames come
through memory that both processes map, in batches: one is decoded while another is looked at. Without such memory, they
come through a pipe.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field, fields
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dfer.errors import DferError, VideoError
from dfer.runtime.machine import limit_memory
from dfer.runtime.patience import TIMEOUT_S, time_allowed_s
from dfer.runtime.shared import SharedMemory
from dfer.runtime.streams import discard
from dfer.runtime.workers import KeptWorker, WorkerDiedError, failure_reason
from dfer.video.decoders import Frame
from dfer.video.limits import MAX_MEMORY_VARIABLE, max_memory
from dfer.video.media import Media
from dfer.video.source import FrameSource, open_frames

logger = logging.getLogger(__name__)

_BATCH_BYTES = 16 * 2**20
_BATCH_FRAMES = 32
_LONGEST_SKIP = 250  # frames that may be decoded in vain before something is heard of them
_MEMORY_HINT = f"check that it plays in a video player; decoding may take {MAX_MEMORY_VARIABLE} megabytes"


@dataclass(frozen=True)
class _Video:
    """A source, the folder that its path starts from, and how to open it."""

    path: Path
    folder: str
    fps: float | None


@dataclass(frozen=True)
class _Request:
    """A request to the process: for the facts about a video, or its next frames.

    Attributes:
        video: the source; it stays open until another one is asked for.
        wanted: the indices of the frames, ascending, to begin with the first of them; None for the facts.
        goes_on: whether to go on with the frames that were asked for before.
    """

    video: _Video
    wanted: NDArray[np.int64] | None = None
    goes_on: bool = False


@dataclass(frozen=True)
class _Facts:
    """The values of a `FrameSource`."""

    fps: float
    duration: float
    times_s: NDArray[np.float64]
    size_hw: tuple[int, int]
    warnings: list[str]
    fps_assumed: bool
    media: Media | None


@dataclass
class _Reply:
    """The answer to a request.

    Attributes:
        facts: about the video.
        frames: index of each frame, and its place in the shared memory or the frame itself.
        ended: whether there are no more.
        log: level and text of messages.
    """

    facts: _Facts | None = None
    frames: list[tuple[int, int | Frame]] = field(default_factory=list)
    ended: bool = False
    log: list[tuple[int, str]] = field(default_factory=list)


class _Pending(NamedTuple):
    """A reply that is awaited."""

    future: Future[_Reply]
    timeout_s: float


class DecodingProcess:
    """Opens videos in a process of its own, which starts with this object. Use it as a context manager.

    Its memory is limited on Linux, see `dfer.video.limits.max_memory`.

    Args:
        timeout_s: the longest time without a sign of life; to open a long video may take longer.
    """

    def __init__(self, *, timeout_s: float = TIMEOUT_S) -> None:
        self._timeout_s = timeout_s
        self._shared = SharedMemory.create()
        self._worker = KeptWorker(_serve, _start, (self._shared, max_memory()))
        self._pending: _Pending | None = None
        self._decoding = 0  # the number of the latest video or pass

    def __enter__(self) -> DecodingProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self._worker.stop()

    def open(self, path: Path, *, fps: float | None = None) -> FrameSource:
        """Open a video as `open_frames` does. Its frames can be read until the process ends.

        Args:
            path: the file or folder.
            fps: frames per second of a source without times, such as a folder; 25 by default.

        Raises:
            VideoError: as for `open_frames`; or the decoder crashes, hangs or takes too much memory.
        """
        path = Path(path)
        video = _Video(path, _working_folder(), fps)
        self._decoding += 1
        facts = self._receive(self._send(_Request(video), time_allowed_s(path, self._timeout_s)), path).facts
        assert facts is not None
        return FrameSource(path=path, decode=partial(self._decode, video, facts.size_hw), **vars(facts))

    def _decode(
        self, video: _Video, size_hw: tuple[int, int], wanted: NDArray[np.int64]
    ) -> Iterator[tuple[int, Frame]]:
        self._decoding += 1
        number = self._decoding
        future = self._send(_Request(video, wanted), time_allowed_s(video.path, self._timeout_s))
        places = None
        while True:
            reply = self._receive(future, video.path)
            if not reply.ended:  # the next frames are decoded while the caller looks at these
                future = self._send(_Request(video, goes_on=True), self._timeout_s)
            for index, frame in reply.frames:
                if isinstance(frame, int):
                    places = self._map(size_hw) if places is None else places
                    frame = places[frame].copy()
                yield index, frame
                if number != self._decoding:
                    raise RuntimeError(f"another video was opened or begun: {video.path}")
            if reply.ended:
                return

    def _map(self, size_hw: tuple[int, int]) -> NDArray[np.uint8]:
        assert self._shared is not None
        return _as_frames(self._shared, size_hw)

    def _send(self, request: _Request, timeout_s: float) -> _Pending:
        if self._pending is not None:  # of frames that nobody looked at
            self._worker.wait(self._pending.future)
        try:
            self._pending = _Pending(self._worker.begin(request, timeout_s), timeout_s)
        except WorkerDiedError as error:
            hint = "is there enough memory?"
            raise DferError(f"the process that decodes died while it started ({error})", hint=hint) from error
        return self._pending

    def _receive(self, pending: _Pending, path: Path) -> _Reply:
        """Wait for the reply to a request.

        Raises:
            VideoError: the video cannot be decoded, whatever became of the process.
            OSError: the file cannot be read.
        """
        self._worker.wait(pending.future)
        try:
            reply = pending.future.result()
        except DferError:
            raise
        except Exception as error:
            if isinstance(error, OSError) and not isinstance(error, TimeoutError):
                raise
            reason, is_crash = failure_reason(error, pending.timeout_s)
            if is_crash:
                self._worker.stop()
            hint = _MEMORY_HINT if is_crash else None
            raise VideoError(f"cannot decode the video: {reason}", where=path, hint=hint) from error
        for level, text in reply.log:
            logger.log(level, "%s", text)
        return reply


def _working_folder() -> str:
    try:
        return os.getcwd()  # noqa: PTH109
    except OSError:  # it has been deleted
        return ""


# ---- in the process


class _Server:
    """Answers requests; the video and its decoder stay between them."""

    def __init__(self, shared: SharedMemory | None) -> None:
        self._shared = shared
        self._video: _Video | None = None

    def answer(self, request: _Request) -> _Reply:
        """Answer a request."""
        if request.goes_on:
            return self._next_frames()
        if request.wanted is None or request.video != self._video:
            self._open(request.video)
        if request.wanted is not None:
            self._begin(request.wanted)
            return self._next_frames()
        return _Reply(_Facts(**{fact.name: getattr(self._source, fact.name) for fact in fields(_Facts)}))

    def _open(self, video: _Video) -> None:
        self._video = None
        with suppress(OSError):  # an absolute path needs none
            os.chdir(video.folder)
        self._source = open_frames(video.path, fps=video.fps)
        self._video = video
        height, width = self._source.size_hw
        self._batch = max(1, min(_BATCH_FRAMES, _BATCH_BYTES // (height * width * 3)))
        self._places = None
        if self._shared is not None:
            with suppress(OSError):  # the system limits the size of files
                self._shared.resize(min(2 * self._batch, self._source.num_frames) * height * width * 3)
                self._places = _as_frames(self._shared, self._source.size_hw)

    def _begin(self, wanted: NDArray[np.int64]) -> None:
        self._wanted = set(wanted.tolist())
        # Some frames of a long skip are decoded to be heard of.
        self._frames = self._source.decode(np.union1d(wanted, np.arange(0, wanted[-1], _LONGEST_SKIP)))
        self._first = 0

    def _next_frames(self) -> _Reply:
        reply, count = _Reply(), 0
        for count, (index, frame) in enumerate(islice(self._frames, self._batch), start=1):
            if index in self._wanted:
                reply.frames.append((index, self._put(frame, self._first + count - 1)))
        reply.ended = count < self._batch
        self._first = self._batch - self._first
        return reply

    def _put(self, frame: Frame, place: int) -> int | Frame:
        if self._places is None or place >= len(self._places) or frame.shape != self._places.shape[1:]:
            return frame
        self._places[place] = frame
        return place


class _Messages(logging.Handler):
    """Collects what is logged, for the process that can print it."""

    def __init__(self) -> None:
        super().__init__()
        self._found: list[tuple[int, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self._found.append((record.levelno, record.getMessage()))

    def take(self) -> list[tuple[int, str]]:
        """Return the messages since the last call."""
        found, self._found = self._found, []
        return found


_state: dict[str, Any] = {}


def _start(shared: SharedMemory | None, memory_bytes: int) -> None:
    import cv2

    for number in (1, 2):  # a library that aborts the process says so there
        discard(number)
    cv2.setNumThreads(1)
    messages = _Messages()
    package = logging.getLogger("dfer")
    package.addHandler(messages)
    package.propagate = False
    _state.update(server=_Server(shared), messages=messages)
    limit_memory(memory_bytes)


def _serve(request: _Request) -> _Reply:
    reply: _Reply = _state["server"].answer(request)
    reply.log = _state["messages"].take()
    return reply


def _as_frames(shared: SharedMemory, size_hw: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the shared memory as frames, uint8 [N, H, W, 3]."""
    return np.frombuffer(shared.map(), np.uint8).reshape(-1, *size_hw, 3)
