"""The records that pass between the stages: clips, faces, tracks and predictions.

Boxes are x1, y1, x2, y2 in pixels of the displayed (rotated) frame; times are seconds from the container's timestamps;
frames are RGB uint8 [H, W, 3].
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from dfer.records.answers import Bin, FaceBin, FacePart, FacePrediction, Quality, Segment
from dfer.records.prediction import Prediction

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "BEST_ON_TEST", "BEST_ON_TEST_NOTE", "BROWSER_IMAGE_SUFFIXES", "IMAGE_SUFFIXES", "SPLITS", "STATUSES",
    "VIDEO_SUFFIXES",
    "Bin", "ClipRecord", "Face", "FaceBin", "FacePart", "FacePrediction", "FaceTrack", "OtherForm", "PixelText",
    "Prediction", "Quality", "Segment", "Selection", "Span", "Split", "Status",
]  # fmt: skip

Status = Literal["ok", "missing", "unreadable", "no_face", "too_short"]  # the outcome of preprocessing a clip
Split = Literal["train", "val", "test", "soft"]  # soft: no label, only votes to train on
Selection = Literal["last", "best on validation", "best on test"]  # how a checkpoint's epoch was chosen
STATUSES: tuple[Status, ...] = get_args(Status)
SPLITS: tuple[Split, ...] = get_args(Split)
BEST_ON_TEST: Selection = "best on test"
BEST_ON_TEST_NOTE = "the epoch was chosen on the test fold: for comparison with published tables only"

MAX_FPS = 100_000.0  # that a user may give to frames without times
# Lower-case suffixes by which clips are found, opened and read: the only such list.
IMAGE_SUFFIXES = frozenset({
    ".bmp", ".dib", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff",
    ".webp",
})  # fmt: skip
BROWSER_IMAGE_SUFFIXES = IMAGE_SUFFIXES & {".bmp", ".jfif", ".jpeg", ".jpg", ".png", ".webp"}  # all browsers show them
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
        scores: float32 [N], the same in each frame, interpolated between the detections; None if it is not known.
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
    scores: NDArray[np.float32] | None = None
