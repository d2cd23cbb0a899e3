"""Follow the faces of a stream from frame to frame, with nothing but the past, in flat memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dfer.faces.detectors import Detector
from dfer.faces.tracking.cuts import CutDetector
from dfer.faces.tracking.tracklets import Tracklet, TrackletBuilder
from dfer.records import Face

_PLACES = 8  # of frames that the builder knows at a time; it looks at the last one only
_KEPT = 32  # detections of a tracklet; it looks at the last two only


class Followed(NamedTuple):
    """A face in a frame, and its number: the same as long as it is followed."""

    number: int
    face: Face


class FaceFollower:
    """Finds the faces of each frame and says which is which.

    A face is followed by its place. One that was gone for longer than two seconds, or came back after a cut, gets a new
    number.

    Args:
        detector: finds the faces in a frame.
    """

    def __init__(self, detector: Detector) -> None:
        self._builder = TrackletBuilder(detector, _PLACES)
        self._cuts = CutDetector()
        self._numbered: list[tuple[Tracklet, int]] = []
        self._frames = self._people = 0
        self._last_s = -np.inf

    def follow(self, frame_rgb: NDArray[np.uint8], time_s: float) -> list[Followed]:
        """Return the faces of the next frame.

        Args:
            frame_rgb: uint8 [H, W, 3].
            time_s: when it is shown, seconds; more than the last.
        """
        builder, place = self._builder, self._frames % _PLACES
        is_cut = self._cuts.is_cut(frame_rgb)
        builder.add_frame(place, time_s - self._last_s)
        if is_cut:
            builder.start_shot()
        self._frames, self._last_s = self._frames + 1, time_s
        builder.add_keyframe(place, frame_rgb)
        builder.tracklets.clear()  # those that go on are `current`
        self._number(builder.current)
        keyframe = len(builder.keyframes)
        return [
            Followed(number, tracklet.faces[-1])
            for tracklet, number in self._numbered
            if tracklet.keyframes[-1] == keyframe
        ]

    def _number(self, current: Sequence[Tracklet]) -> None:
        """Give new faces the next numbers, forget those that are gone for good, and old detections of the others."""
        known = {id(tracklet): number for tracklet, number in self._numbered}
        self._numbered = []
        for tracklet in current:
            if id(tracklet) not in known:
                known[id(tracklet)], self._people = self._people, self._people + 1
            self._numbered.append((tracklet, known[id(tracklet)]))
            tracklet.keep_last(_KEPT)
