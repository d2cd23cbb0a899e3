"""OpenCV's Haar cascades: need no download, and find faces that look at the camera and are not small."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from dfer.faces.detectors.protocol import Detector, prominence
from dfer.records import Face

SCALE_FACTOR = 1.1

_FRONTAL, _OTHER_FRONTAL, _PROFILE = "frontalface_default", "frontalface_alt2", "profileface"

# The mean position of the eyes in a cascade's box, from SCRFD's landmarks on real videos and stills; and how far from
# it, in box widths, an eye detection is accepted. The profile cascade's faces look to the left.
_EYES_IN_BOX = np.array([[0.305, 0.400], [0.690, 0.400]])
_EYES_IN_PROFILE = np.array([[0.160, 0.425], [0.500, 0.425]])
_EYE_REACH = 0.15
_EYE_PATCH = np.array([0.28, 0.26])  # half the search patch, in box widths: eyebrow to cheek, nose to temple
# The cascades that look for the left and the right eye of the picture, whose names in OpenCV's files mean the person's;
# and from their middle to SCRFD's landmark, in box widths.
_EITHER_EYE = {"eye": (0.0, 0.0), "eye_tree_eyeglasses": (0.0, 0.0)}
_EYES = (_EITHER_EYE | {"righteye_2splits": (-0.006, 0.036)}, _EITHER_EYE | {"lefteye_2splits": (-0.007, 0.037)})
_FACE_SIDE = 96  # faces are resized to this width for the eye cascade
_ESTIMATED_EYE = 0.7  # factor on the score for each eye that was placed by mean proportions
_HALF_SURE = 4  # so many neighbours, and both eyes, are a score of a half


class _Search(NamedTuple):
    """A search of a picture for faces.

    Attributes:
        cascade: name of OpenCV's file, less "haarcascade_".
        neighbours: how many raw detections a face needs.
        smallest: least side of a face, relative to the picture's shorter side.
        side: longer side of the picture when it is searched, pixels.
        angles: degrees by which the picture is turned, one after the other.
        both_ways: search each of them mirrored too.
    """

    cascade: str
    neighbours: int
    smallest: float
    side: int = 160
    angles: tuple[int, ...] = (0,)
    both_ways: bool = False


# The cascade's window is 24 pixels wide: at 160 it finds faces down to a seventh of the longer side; the second search
# is for smaller faces. Detections that are smaller in relation to the frame are mostly false.
_ORDINARY = (_Search(_FRONTAL, 4, 0.15), _Search(_FRONTAL, 4, 0.15, side=320))

# For faces that fill the frame, which gets a margin of repeated pixels, since a cascade looks at more than eyes, nose
# and mouth. Large faces are less often false, so fewer neighbours will do. Each search after the first is for frames in
# which those before it found no face.
_LARGE_FACES = (
    _Search(_OTHER_FRONTAL, 3, 0.3, side=112, angles=(0, -15, 15, -30, 30)),
    _Search(_FRONTAL, 2, 0.3, angles=(0, -15, 15)),
    _Search(_OTHER_FRONTAL, 1, 0.3, angles=(0, -15, 15, -30, 30)),
    _Search(_PROFILE, 2, 0.3, angles=(0, -15, 15), both_ways=True),
)
_MARGIN = 0.3  # of the longer side
# The faces of later searches lie in the frame by this share, and a single raw detection has an eye: both rule out what
# these searches find in blurred pictures.
_INSIDE = 0.75
_LARGE_FACES_SIDE = 320  # pixels of a frame's longer side that are enough to find the eyes of a face that fills it
_SMALLEST_PX = 20  # faces that are smaller in the picture cannot be read


class _View(NamedTuple):
    """A picture made of a frame, uint8 [H, W], and the affine map from its pixels to the frame's, [2, 3]."""

    grey: NDArray[np.uint8]
    to_frame: NDArray[np.float64]


class _Found(NamedTuple):
    """A face, and how many of its eyes were found."""

    face: Face
    eyes: int


class HaarDetector(Detector):
    """Finds faces and their two eyes.

    Faces that fill the frame may be tilted by 30 degrees, and turned to the side if no other is found. Eyes that no eye
    cascade finds are placed by mean proportions, which lowers the face's score.

    Source: Viola and Jones, "Rapid object detection using a boosted cascade of simple features", CVPR 2001; the
    cascades come with OpenCV.
    """

    name = "haar"

    def __init__(self) -> None:
        self._cascades = {name: _load_cascade(name) for name in (_FRONTAL, _OTHER_FRONTAL, _PROFILE)}
        # Equalize contrast locally: over the whole frame, a bright background would drown a dark face.
        self._contrast = cv2.createCLAHE(clipLimit=2.0, tileGridSize=(4, 4))
        eyes = {name: _load_cascade(name) for name in _EYES[0] | _EYES[1]}
        self._eyes = [[(eyes[name], offset) for name, offset in cascades.items()] for cascades in _EYES]

    def detect(self, frame_rgb: NDArray[np.uint8], around: NDArray[np.float64] | None = None) -> list[Face]:  # noqa: ARG002
        """Return the faces in a frame, uint8 [H, W, 3], the most prominent (score x area) first."""
        grey = np.asarray(cv2.cvtColor(frame_rgb, cv2.COLOR_RGB2GRAY), np.uint8)
        found: list[_Found] = []
        # A frame that the first search already enlarges has no smaller faces.
        for search in _ORDINARY if max(grey.shape) > _ORDINARY[0].side else _ORDINARY[:1]:
            found = found or self._search(_View(grey, np.eye(2, 3)), search, even_contrast=True)
        if not found or any(item.eyes < 2 for item in found):
            close = _add_margin(grey)
            large = self._search(close, _LARGE_FACES[0])
            found = large + [item for item in found if not any(_overlap(item.face, other.face) for other in large)]
            for search in _LARGE_FACES[1:]:
                found = found or [
                    item
                    for item in self._search(close, search)
                    if _share_inside(item.face, grey.shape) > _INSIDE and (item.eyes or search.neighbours > 1)
                ]
        return sorted((item.face for item in found), key=prominence, reverse=True)

    def _search(self, view: _View, search: _Search, *, even_contrast: bool = False) -> list[_Found]:
        """Return the faces of the best view, as several may show the same face; the first with all eyes will do."""
        best: list[_Found] = []
        for turned in _views(view, search):
            found = self._find_faces(turned, search, even_contrast=even_contrast)
            best = max(best, found, key=lambda items: sum(prominence(item.face) for item in items))
            if found and all(item.eyes == 2 for item in found):
                break
        return best

    def _find_faces(self, view: _View, search: _Search, *, even_contrast: bool) -> list[_Found]:
        """Return the faces in a view, in pixels of the frame."""
        longest = max(view.grey.shape)
        scale = min(search.side, max(longest, _ORDINARY[0].side)) / longest
        small = cv2.resize(view.grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        smallest = max(round(search.smallest * min(small.shape)), round(_SMALLEST_PX * scale))
        boxes, neighbours = self._cascades[search.cascade].detectMultiScale2(
            self._contrast.apply(small) if even_contrast else small,
            scaleFactor=SCALE_FACTOR,
            minNeighbors=search.neighbours,
            minSize=(smallest, smallest),
        )
        profile = search.cascade == _PROFILE
        return [
            self._face(view, np.asarray(box, np.float64) / scale, int(count), profile=profile)
            for box, count in zip(boxes, neighbours, strict=True)
        ]

    def _face(self, view: _View, box_xywh: NDArray[np.float64], neighbours: int, *, profile: bool) -> _Found:
        corner, width = box_xywh[:2], box_xywh[2]
        found = [None if profile else self._find_eye(view.grey, box_xywh, number) for number in (0, 1)]
        places = _EYES_IN_PROFILE if profile else _one_sided(found)
        eyes = np.array([place if eye is None else eye for place, eye in zip(places, found, strict=True)])
        eyes = cv2.transform((corner + eyes * width)[None], view.to_frame)[0]
        middle = cv2.transform((corner + box_xywh[2:] / 2)[None, None], view.to_frame)[0, 0]
        half = box_xywh[2:] / 2 * np.sqrt(abs(np.linalg.det(view.to_frame[:, :2])))
        face = Face(
            box_xyxy=np.concatenate([middle - half, middle + half]).astype(np.float32),
            landmarks=eyes[np.argsort(eyes[:, 0])].astype(np.float32),
            score=neighbours / (neighbours + _HALF_SURE) * _ESTIMATED_EYE ** sum(eye is None for eye in found),
        )
        return _Found(face, sum(eye is not None for eye in found))

    def _find_eye(
        self, grey: NDArray[np.uint8], box_xywh: NDArray[np.float64], number: int
    ) -> NDArray[np.float64] | None:
        """Return the left (0) or right (1) eye, in widths of the box; None if none is near its mean position."""
        place, width = _EYES_IN_BOX[number], box_xywh[2]
        left, top = np.maximum(np.round((place - _EYE_PATCH) * width + box_xywh[:2]), 0).astype(int)
        right, bottom = np.round((place + _EYE_PATCH) * width + box_xywh[:2]).astype(int)
        patch = grey[top:bottom, left:right]
        if min(patch.shape) < 8:
            return None
        scale = _FACE_SIDE / width
        patch = np.asarray(cv2.resize(patch, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
        side = round(0.16 * _FACE_SIDE)
        nearest = []
        for cascade, offset in self._eyes[number]:
            found = cascade.detectMultiScale(patch, scaleFactor=SCALE_FACTOR, minNeighbors=1, minSize=(side, side))
            hits = np.asarray(found, np.float64).reshape(-1, 4)
            centres = ((hits[:, :2] + hits[:, 2:] / 2) / scale + ([left, top] - box_xywh[:2])) / width + offset
            distances = np.linalg.norm(centres - place, axis=1)
            if len(hits) and distances.min() <= _EYE_REACH:
                nearest.append(centres[distances.argmin()])
        return np.median(nearest, axis=0) if nearest else None


def _load_cascade(name: str) -> cv2.CascadeClassifier:
    return cv2.CascadeClassifier(str(Path(cv2.__file__).parent / "data" / f"haarcascade_{name}.xml"))


def _one_sided(found: list[NDArray[np.float64] | None]) -> NDArray[np.float64]:
    """Return the mean eye positions, shifted as far as the one eye that was found, if only one was."""
    shifts = [eye - place for eye, place in zip(found, _EYES_IN_BOX, strict=True) if eye is not None]
    return _EYES_IN_BOX + (shifts[0] if len(shifts) == 1 else 0.0)


def _add_margin(grey: NDArray[np.uint8]) -> _View:
    """Return a frame with its edge repeated around it, made smaller if it is large."""
    scale = min(1.0, _LARGE_FACES_SIDE / max(grey.shape))
    small = grey if scale == 1 else cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    margin = round(_MARGIN * max(small.shape))
    framed = cv2.copyMakeBorder(small, margin, margin, margin, margin, cv2.BORDER_REPLICATE)
    return _View(np.asarray(framed, np.uint8), np.array([[1, 0, -margin], [0, 1, -margin]]) / scale)


def _views(view: _View, search: _Search) -> Iterator[_View]:
    """Yield a view as a search wants to see it, made when it is asked for."""
    for degrees in search.angles:
        yield _turn(view, degrees)
    if search.both_ways:
        for degrees in search.angles:
            yield _mirror(_turn(view, degrees))


def _turn(view: _View, degrees: int) -> _View:
    """Return a view turned counterclockwise around its middle."""
    if degrees == 0:
        return view
    height, width = view.grey.shape
    turning = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1)
    turned = cv2.warpAffine(view.grey, turning, (width, height), borderMode=cv2.BORDER_REPLICATE)
    return _View(np.asarray(turned, np.uint8), _compose(view.to_frame, cv2.invertAffineTransform(turning)))


def _mirror(view: _View) -> _View:
    mirroring = np.array([[-1.0, 0, view.grey.shape[1]], [0, 1, 0]])
    return _View(np.ascontiguousarray(view.grey[:, ::-1]), _compose(view.to_frame, mirroring))


def _compose(outer: NDArray[np.float64], inner: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the affine map [2, 3] that does the inner one first."""
    return np.asarray(outer @ np.vstack([inner, [0, 0, 1]]))


def _overlap(face: Face, large: Face) -> bool:
    """Return whether the middle of a face lies in a larger one."""
    middle = (face.box_xyxy[:2] + face.box_xyxy[2:]) / 2
    return bool(np.all((middle > large.box_xyxy[:2]) & (middle < large.box_xyxy[2:])))


def _share_inside(face: Face, size_hw: tuple[int, ...]) -> float:
    """Return the share of a face's box that lies in the frame."""
    corners = face.box_xyxy.reshape(2, 2)
    shown = np.clip(corners, 0, size_hw[::-1])
    return float(np.prod(shown[1] - shown[0]) / np.prod(corners[1] - corners[0]))
