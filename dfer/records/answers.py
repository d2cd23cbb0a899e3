"""The records of answers: what a face shows when, how sure that is, and how well the face was seen."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

_SAME_S = 1e-6  # times that differ by less are equal


@dataclass(frozen=True)
class Quality:
    """The quality of a face in a stretch of time: its size, its pixels, its pose, and how it was found.

    Attributes:
        size: the root of its box's area, pixels.
        sharpness: see `dfer.faces.tracking.appearance.measure_sharpness`; None if no picture of it was looked at.
        brightness: 0 for black to 1 for white, or None.
        yaw, pitch, roll: which way the head is turned, degrees, see `dfer.faces.quality.head_angles`; None where the
            landmarks do not say.
        score: the detector's confidence, 0..1.
        detected: the share of its frames in which it was found, not interpolated between two detections.
    """

    size: float
    sharpness: float | None
    brightness: float | None
    yaw: float | None
    pitch: float | None
    roll: float | None
    score: float
    detected: float


@dataclass(frozen=True)
class Segment:
    """One segment of a face's timeline.

    Attributes:
        quality: how well the face is seen; None if it was not measured.
        confidence: the measured chance that the label is right, 0..1; see `dfer.prediction.trust`.
        reasons: why the answer should not be trusted, such as "too dark"; empty if it may be.
    """

    start: float
    end: float
    label: str
    probabilities: dict[str, float]
    box: tuple[float, float, float, float]
    quality: Quality | None = None
    confidence: float = 1.0
    reasons: tuple[str, ...] = ()

    @property
    def unsure(self) -> bool:
        """True where the answer should not be trusted."""
        return bool(self.reasons)


@dataclass(frozen=True)
class FacePart:
    """A face as it was before it was merged with others: when it is seen, and its own answer.

    Attributes:
        id: its number.
        spans: the stretches of time in which it is seen: start and end, seconds.
        label, probabilities, confidence, reasons: as of `FacePrediction`.
    """

    id: int
    spans: tuple[tuple[float, float], ...]
    label: str
    probabilities: dict[str, float]
    confidence: float = 1.0
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class FacePrediction:
    """The prediction for one tracked face: over its whole presence, and segment by segment.

    Attributes:
        start: when it is first seen, seconds.
        end: when it is last seen; between the two it may be gone, see `spans`.
        label, probabilities: of the face's whole presence, but for the time that is unsure, if not all of it is.
        segments: in order of time; they cover exactly the time in which the face is seen.
        confidence: the mean over that time.
        reasons: why the answer should not be trusted, if most of the face's time is unsure; the one that holds for
            longest first.
        name: whose face it is, as the user says; None if nobody does.
        parts: the faces that were merged into this one, in order of time; empty if it was always one.
    """

    id: int
    start: float
    end: float
    label: str
    probabilities: dict[str, float]
    segments: list[Segment]
    confidence: float = 1.0
    reasons: tuple[str, ...] = ()
    name: str | None = None
    parts: tuple[FacePart, ...] = ()

    @property
    def title(self) -> str:
        """The face's name, or what it is called without one, such as "face 0"."""
        return self.name or f"face {self.id}"

    @property
    def unsure(self) -> bool:
        """True where the answer should not be trusted."""
        return bool(self.reasons)

    @property
    def stretches(self) -> list[list[Segment]]:
        """The segments, split wherever the face is gone between two of them."""
        if not self.segments:
            return []
        gone = [n for n, (one, two) in enumerate(pairwise(self.segments), 1) if two.start - one.end > _SAME_S]
        return [self.segments[first:after] for first, after in pairwise([0, *gone, len(self.segments)])]

    @property
    def spans(self) -> list[tuple[float, float]]:
        """The stretches of time in which the face is seen: start and end, seconds."""
        return [(stretch[0].start, stretch[-1].end) for stretch in self.stretches]

    @property
    def visible(self) -> float:
        """The time in which the face is seen, seconds."""
        return sum(end - start for start, end in self.spans)


@dataclass(frozen=True)
class FaceBin:
    """The answer for one face in one bin of a regular grid.

    Attributes:
        face: its number.
        visible: how long it is seen in the bin, seconds.
        label: the emotion; None if it is not seen.
        probabilities: the mean over the time in which it is seen; empty if it is not.
        box: the mean, x1, y1, x2, y2; None if it is not seen.
        quality: the mean; None if it is not seen, or was not measured.
        confidence: the mean; None if it is not seen.
        reasons: why the answer should not be trusted, if most of the face's time in the bin is unsure.
    """

    face: int
    visible: float
    label: str | None = None
    probabilities: dict[str, float] = field(default_factory=dict)
    box: tuple[float, float, float, float] | None = None
    quality: Quality | None = None
    confidence: float | None = None
    reasons: tuple[str, ...] = ()

    @property
    def unsure(self) -> bool:
        """True where the answer should not be trusted."""
        return bool(self.reasons)


@dataclass(frozen=True)
class Bin:
    """One bin of a regular grid that begins at 0 s.

    Attributes:
        start, end: seconds; the last bin of a video may end after it.
        visible: how long any face is seen, seconds.
        faces: every face of the video, in the order of its faces, seen here or not.
    """

    start: float
    end: float
    visible: float
    faces: list[FaceBin]
