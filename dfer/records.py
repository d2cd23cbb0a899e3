"""The records that pass between the stages: clips, faces, tracks and predictions.

Boxes are x1, y1, x2, y2 in pixels of the displayed (rotated) frame; times are seconds from the container's timestamps;
frames are RGB uint8 [H, W, 3].
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Status = Literal["ok", "missing", "unreadable", "no_face", "too_short"]  # the outcome of preprocessing a clip
Split = Literal["train", "val", "test", "soft"]  # soft: no label, only votes to train on
Selection = Literal["last", "best on validation", "best on test"]  # how a checkpoint's epoch was chosen
STATUSES: tuple[Status, ...] = get_args(Status)
SPLITS: tuple[Split, ...] = get_args(Split)
_SAME_S = 1e-6  # times that differ by less are equal
BEST_ON_TEST: Selection = "best on test"
BEST_ON_TEST_NOTE = "the epoch was chosen on the test fold: for comparison with published tables only"

MAX_FPS = 100_000.0  # that a user may give to frames without times
# Lower-case suffixes by which clips are found, opened and read: the only such list.
IMAGE_SUFFIXES = frozenset({
    ".bmp", ".dib", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff",
    ".webp",
})  # fmt: skip
VIDEO_SUFFIXES = frozenset({
    ".3g2", ".3gp", ".apng", ".asf", ".avi", ".divx", ".dv", ".f4v", ".flv", ".gif", ".m1v", ".m2t", ".m2ts", ".m2v",
    ".m4v", ".mjpeg", ".mjpg", ".mkv", ".mov", ".mp4", ".mpe", ".mpeg", ".mpg", ".mts", ".mxf", ".ogm", ".ogv", ".qt",
    ".rm", ".rmvb", ".ts", ".vob", ".webm", ".wmv", ".y4m",
})  # fmt: skip


@dataclass(frozen=True)
class Span:
    """A segment of a video, in seconds from its beginning.

    Attributes:
        start_s: its first moment.
        end_s: the moment after its last one; None for the end of the video.
    """

    start_s: float
    end_s: float | None

    def __str__(self) -> str:
        end = "end" if self.end_s is None else f"{round(self.end_s, 3):.12g}"
        return f"{round(self.start_s, 3):.12g}-{end}"


@dataclass(frozen=True)
class PixelText:
    """A square grey image that stands in a table as text.

    Attributes:
        offset: of its first byte in the table.
        length: in bytes.
        side: of the image, pixels.
    """

    offset: int
    length: int
    side: int = 48


@dataclass(frozen=True)
class OtherForm:
    """Another file or folder that a clip can be read from.

    Attributes:
        path: the video file, frame folder or image.
        aligned: whether it contains aligned face crops.
    """

    path: Path
    aligned: bool = False


@dataclass(frozen=True)
class ClipRecord:
    """One labelled clip of a data set's official lists.

    Attributes:
        clip_id: unique within the data set; may hold slashes (FERV39k's `Scene/Emotion/0001`).
        label: index into the data set's label order.
        label_name: the emotion's name.
        source: the video file, frame folder or image; None if it is not on disk.
        folds: fold number (1-based) -> split.
        aligned: whether the source contains aligned face crops.
        subject: the person, if the data set says so (for subject-disjoint validation splits).
        votes: the number of annotators who chose each label; empty if the data set does not say so.
        span: the segment of the source that is the clip; None for the whole.
        pixels: the place in the source, a table, where the clip's only frame stands; None for media.
        missing: the path that was tried and the nearest that exists, if the clip is not on disk.
        others: further forms of the clip on disk, best first, for a source that is broken.
    """

    clip_id: str
    label: int
    label_name: str
    source: Path | None
    folds: dict[int, Split]
    aligned: bool = False
    subject: str | None = None
    votes: tuple[int, ...] = ()
    span: Span | None = None
    pixels: PixelText | None = None
    missing: str = ""
    others: tuple[OtherForm, ...] = ()


@dataclass(frozen=True)
class Face:
    """One detected face.

    Attributes:
        box_xyxy: float32 [4], pixels.
        landmarks: float32 [5, 2] (x, y): left eye, right eye, nose tip, left and right mouth corner, left
            meaning the image's left; or [2, 2], the eyes only, if the detector finds no more.
        score: the detector's confidence, 0..1.
    """

    box_xyxy: NDArray[np.float32]
    landmarks: NDArray[np.float32]
    score: float


@dataclass(frozen=True)
class FaceTrack:
    """One person's face along a video.

    Attributes:
        track_id: 0-based, in the order of first appearance.
        frames: int64 [N], ascending frame indices; short gaps are filled, long ones left out.
        boxes_xyxy: float32 [N, 4], pixels.
        landmarks: float32 [N, 5, 2] (or [N, 2, 2] for eye pairs), pixels, as in `Face`.
        detected: bool [N]; False where the detector did not find the face, and the gap was filled.
        score: mean confidence of the detections.
        sharpness: median over the detections; see `dfer.faces.tracking.appearance.measure_sharpness`.
        shots: int64 [N], the number of the shot that each frame belongs to; None if there are no cuts.
        people: int64 [N], in pictures too far apart to follow anyone, whose face stands in each frame; None if it is
            one person's.
    """

    track_id: int
    frames: NDArray[np.int64]
    boxes_xyxy: NDArray[np.float32]
    landmarks: NDArray[np.float32]
    detected: NDArray[np.bool_]
    score: float
    sharpness: float = 1.0
    shots: NDArray[np.int64] | None = None
    people: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class Segment:
    """One window of a face's timeline."""

    start: float
    end: float
    label: str
    probabilities: dict[str, float]
    box: tuple[float, float, float, float]


@dataclass(frozen=True)
class FacePrediction:
    """The prediction for one tracked face: over its whole presence, and segment by segment.

    Attributes:
        start: when it is first seen, seconds.
        end: when it is last seen; between the two it may be gone, see `spans`.
        segments: in order of time; they cover exactly the time in which the face is seen.
    """

    id: int
    start: float
    end: float
    label: str
    probabilities: dict[str, float]
    segments: list[Segment]

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
    """

    face: int
    visible: float
    label: str | None = None
    probabilities: dict[str, float] = field(default_factory=dict)
    box: tuple[float, float, float, float] | None = None


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


@dataclass(frozen=True)
class Prediction:
    """The prediction for one video; `to_dict` gives the `dfer.prediction/1` object.

    Attributes:
        model: name, checkpoint path and labels of the model.
        faces: the one that is seen longest first.
        warnings: what the reader should know (no face, drawings-only model, ...).
        bins: the answers on a regular grid, if one was asked for.
    """

    source: str
    duration: float
    fps: float
    num_frames: int
    model: dict[str, Any]
    faces: list[FacePrediction] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    bins: list[Bin] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object of the schema `dfer.prediction/1`; times are rounded to 1 ms, boxes to 0.1 px."""
        return {
            "schema": "dfer.prediction/1",
            "source": self.source,
            "duration": round(self.duration, 3),
            "fps": round(self.fps, 3),
            "num_frames": self.num_frames,
            "model": self.model,
            "faces": [_face_dict(face) for face in self.faces],
            **({} if self.bins is None else {"bins": [_bin_dict(one) for one in self.bins]}),
            "warnings": self.warnings,
        }


def _face_dict(face: FacePrediction) -> dict[str, Any]:
    return {
        "id": face.id,
        "start": round(face.start, 3),
        "end": round(face.end, 3),
        "visible": round(face.visible, 3),
        "spans": [[round(start, 3), round(end, 3)] for start, end in face.spans],
        "label": face.label,
        "probabilities": face.probabilities,
        "segments": [
            {
                "start": round(segment.start, 3),
                "end": round(segment.end, 3),
                "label": segment.label,
                "probabilities": segment.probabilities,
                "box": [round(value, 1) for value in segment.box],
            }
            for segment in face.segments
        ],
    }


def _bin_dict(one: Bin) -> dict[str, Any]:
    return {
        "start": round(one.start, 3),
        "end": round(one.end, 3),
        "visible": round(one.visible, 3),
        "faces": [_face_bin_dict(face) for face in one.faces],
    }


def _face_bin_dict(face: FaceBin) -> dict[str, Any]:
    return {
        "id": face.face,
        "visible": round(face.visible, 3),
        "label": face.label,
        "probabilities": face.probabilities,
        "box": face.box and [round(value, 1) for value in face.box],
    }
