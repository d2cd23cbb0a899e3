"""The time that the rest of both passes over a video takes, from what each part has cost so far."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

_MEASURED_FROM = 200  # faces in frames that say what one takes
# As if this share of the video had been seen with one face in it, before anything is known.
_PRIOR_SHARE = 0.02
# The first pass must have gone on for this long, or this far, before its speed counts.
_KNOWN_FROM_S, _KNOWN_FROM_SHARE = 2.0, 0.05
# From this share of the second pass on, its own speed counts, and no longer what was expected of it.
_TRUSTED_SHARE = 0.25


class TimeLeft:
    """Estimates the time left in detection and recognition together.

    Detection goes on as fast as it went so far. Recognition costs something for each face in each frame, which
    `Predictor` measures beforehand, and the decoder's time, which the threads share; the faces still to come are as
    many as those so far. How many there will be cannot be known earlier: of a video with faces in its second half
    only, the time left grows when they appear.

    Args:
        clock: the time in seconds.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.begin(num_frames=0, face_frame_s=None, main_only=False)

    def begin(self, *, num_frames: int, face_frame_s: float | None, main_only: bool, threads: int = 1) -> None:
        """Begin a video.

        Args:
            num_frames: of the video.
            face_frame_s: seconds that recognition takes for a face in a frame; None if it was not measured:
                recognition is then expected to take as long as detection.
            main_only: only one face is recognised, however many there are.
            threads: that recognise while another one decodes, all together on as many cores as there are of these.
        """
        self._threads = threads
        self._num_frames, self._face_frame_s, self._main_only = num_frames, face_frame_s, main_only
        self._begun = self._turned = self._noted = self._clock()
        self._first: tuple[float, float] | None = None  # report of the first pass: the time, and the share
        self._searched = self._faces = 0  # keyframes, and the faces found in them
        self._waited_s = 0.0
        self._detected = self._recognised = self._share = 0.0
        self._expected_s: float | None = None  # of recognition

    def saw(self, faces: int) -> None:
        """Note how many faces were found in a keyframe."""
        self._searched += 1
        self._faces += min(faces, 1) if self._main_only else faces

    def wait_for(self, items: Iterable[T]) -> Iterator[T]:
        """Yield the frames of the first pass, and note how long each is waited for."""
        iterator = iter(items)
        while True:
            before = self._clock()
            try:
                item = next(iterator)
            except StopIteration:
                return
            self._waited_s += self._clock() - before
            yield item

    def detected(self, done: float) -> None:
        """Note the share of the first pass that is done, 0..1."""
        self._detected, self._turned = done, self._clock()
        if self._first is None:  # until then, libraries start up
            self._first = self._turned, done

    def recognised(self, done: float) -> None:
        """Note the share of the second pass that is done, 0..1."""
        if self._expected_s is None:
            self._expected_s = self._expect()
        self._recognised, self._noted = done, self._clock()

    @property
    def seconds(self) -> float | None:
        """The time left, seconds; None as long as nothing is known."""
        if self._expected_s is None:
            if self._first is None:
                return None
            passed_s, share = self._turned - self._first[0], self._detected - self._first[1]
            if not share or (passed_s < _KNOWN_FROM_S and share < _KNOWN_FROM_SHARE):
                return None
            return passed_s * (1 - self._detected) / share + self._expect()
        passed_s, done = self._noted - self._turned, self._recognised
        trust = min(1.0, done / _TRUSTED_SHARE)
        whole_s = trust * passed_s / done + (1 - trust) * self._expected_s if done else self._expected_s
        return max(0.0, whole_s * (1 - done) - (self._clock() - self._noted))

    @property
    def share(self) -> float:
        """The share of the whole work that is done, 0..1; it never falls."""
        left_s, passed_s = self.seconds, self._clock() - self._begun
        if left_s is not None and passed_s + left_s > 0:
            self._share = max(self._share, passed_s / (passed_s + left_s))
        return self._share

    @property
    def face_frame_s(self) -> float | None:
        """The seconds that recognition took for a face in a frame, for the next video; None if they were too few."""
        faces = self._faces_in_all()
        if self._recognised < 1 or faces < _MEASURED_FROM:
            return None
        spent_s = self._clock() - self._turned - self._waited_s / self._threads
        return spent_s / faces if spent_s > 0 else None

    def _faces_in_all(self) -> float:
        """Return how many faces in frames are expected in the whole video."""
        if not self._searched:
            return float(self._num_frames)  # which are faces already
        prior = _PRIOR_SHARE * (1 - self._detected)
        mean = self._faces / self._searched
        return self._num_frames * (mean * self._detected + prior) / (self._detected + prior or 1.0)

    def _expect(self) -> float:
        """Return how long recognition is going to take, seconds."""
        done = self._detected or 1.0
        if self._face_frame_s is None:
            return (self._turned - self._begun) / done
        decoding_s = self._waited_s / done
        return max(self._faces_in_all() * self._face_frame_s + decoding_s / self._threads, decoding_s)
