"""A face as a puppet: the flat head, bent by action units, turned, and photographed in its scene."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from dfer.synth.canvas import Canvas, Floats, Image, Points
from dfer.synth.expression import ACTION_UNITS, Performance
from dfer.synth.geometry import (
    face_depth,
    face_outline,
    landmark_points,
    mouth_shape,
    rotation,
    skin_pull_basis,
)
from dfer.synth.head import HEAD_WINDOW, Head
from dfer.synth.identity import Identity
from dfer.synth.scene import Scene, paint_background, paint_torso

_OVERSAMPLING = 1.8  # the flat head's resolution, relative to the frame's
_FIELD_UNIT = 14.0  # samples per face unit of depth and skin pull
_GRID_STEP = 8  # pixels between the places where the pose is solved
_SOLVER_STEPS = 6
_NOISE_MARGIN = 64
_FOREHEAD_Y = -0.62  # detectors draw a face's box from the middle of the forehead


@dataclass(frozen=True)
class Shot:
    """One frame and what is known about it.

    Attributes:
        frame: RGB uint8 [H, W, 3].
        landmarks: float32 [5, 2], pixels, as in `dfer.records.Face`.
        box_xyxy: float32 [4], pixels, from the middle of the forehead to the chin.
    """

    frame: Image
    landmarks: Points
    box_xyxy: Floats


@dataclass(frozen=True)
class _Placement:
    """How the head lies in one frame: `pixel = matrix @ (x, y, depth) + origin` after the skin's `pull`."""

    pull: Floats  # [h, w, 2] on the field's canvas, face units
    matrix: NDArray[np.float64]  # [2, 3]
    origin: NDArray[np.float64]  # [2]


class Puppet:
    """One person in one scene, to be drawn in any expression and pose.

    Args:
        person: who.
        scene: where.
    """

    def __init__(self, person: Identity, scene: Scene) -> None:
        self._person, self._scene = person, scene
        self._head = Head(person, scene.light, unit=scene.unit * _OVERSAMPLING)
        self._background = paint_background(scene)
        self._torso = paint_torso(person, scene, self._head.skin_tone())
        rows = np.flatnonzero(self._torso[..., 3].any(axis=1))
        self._torso_top = max(0, int(rows[0]) - round(0.15 * scene.unit)) if len(rows) else 0
        self._field = Canvas.spanning(_FIELD_UNIT, *HEAD_WINDOW)
        grid = self._field.grid()
        self._depth = face_depth(person, *grid)[..., None]
        self._pull = skin_pull_basis(person, *grid)
        outline = face_outline(person)
        self._box_outline = outline[outline[:, 1] > _FOREHEAD_Y]
        self._noise = _noise_bank(scene)

    def draw(self, play: Performance, t: int, rng: np.random.Generator) -> Shot:
        """Draw one frame.

        Args:
            play: what the face does.
            t: 0-based frame of the performance.
            rng: for the sensor's noise.
        """
        units = dict(zip(ACTION_UNITS, play.action_units[t].tolist(), strict=True))
        mouth = mouth_shape(self._person, units)
        head = self._head.draw(units, gaze=play.gaze[t], mouth=mouth)
        placement = _Placement(
            pull=np.einsum("k,khwc->hwc", play.action_units[t], self._pull),
            matrix=rotation(play.angles[t]) * float(play.scale[t]) * self._scene.unit,
            origin=np.array(self._scene.place_xy) + play.shift[t] * self._scene.unit,
        )
        frame = self._background.copy()
        _lay_over(frame[self._torso_top :], self._move_torso(play, t))
        _lay_over(frame, cv2.remap(head, self._source_map(placement), None, cv2.INTER_LINEAR))
        outline = self._project(self._box_outline, placement)
        return Shot(
            frame=self._photograph(frame, rng),
            landmarks=self._project(landmark_points(self._person, mouth), placement),
            box_xyxy=np.concatenate([outline.min(axis=0), outline.max(axis=0)]),
        )

    def _move_torso(self, play: Performance, t: int) -> Image:
        """The shoulders follow the head's way, hardly its tilt."""
        height, width = self._scene.size_hw
        tilt, zoom = -np.degrees(float(play.angles[t, 2])) * 0.15, 0.5 + 0.5 * float(play.scale[t])
        move = cv2.getRotationMatrix2D((self._scene.place_xy[0], height), tilt, zoom)
        move[:, 2] += play.shift[t] * self._scene.unit * [0.9, 0.7] - [0, self._torso_top]
        size = (width, height - self._torso_top)
        made: Image = cv2.warpAffine(self._torso, move, size, borderMode=cv2.BORDER_REPLICATE)
        return made

    def _source_map(self, placement: _Placement) -> Floats:
        """Where on the flat head every pixel of the frame comes from, float32 [H, W, 2].

        The placement gives pixels for places on the head; its inverse is found by fixed-point iteration, which
        converges because the head turns little, and on a coarse grid, because all of it is smooth.
        """
        height, width = self._scene.size_hw
        columns, rows = (np.arange(-(-size // _GRID_STEP) + 1) * float(_GRID_STEP) for size in (width, height))
        pixels = np.stack(np.meshgrid(columns, rows), axis=-1)
        back = np.linalg.inv(placement.matrix[:, :2])
        flat = (pixels - placement.origin) @ back.T
        per_depth = back @ placement.matrix[:, 2]
        field = np.concatenate([placement.pull, self._depth], axis=-1)
        place = flat
        for _ in range(_SOLVER_STEPS):
            found = self._sample(field, place)
            place = flat - found[..., 2:] * per_depth - found[..., :2]
        source = self._head.canvas.pixels(place.astype(np.float32))
        enlarge = np.array([[1 / _GRID_STEP, 0, 0], [0, 1 / _GRID_STEP, 0]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        made: Floats = cv2.warpAffine(source, enlarge, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
        return made

    def _project(self, points: Points, placement: _Placement) -> Points:
        """Points of the flat head, float32 [N, 2] in face units, to pixels of the frame."""
        found = self._sample(np.concatenate([placement.pull, self._depth], axis=-1), points[None])[0]
        spatial = np.hstack([points + found[:, :2], found[:, 2:]])
        return np.asarray(spatial @ placement.matrix.T + placement.origin, np.float32)

    def _sample(self, field: Floats, points: NDArray[np.floating]) -> Floats:
        at = self._field.pixels(points.astype(np.float32))
        made: Floats = cv2.remap(field, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return made

    def _photograph(self, frame: Image, rng: np.random.Generator) -> Image:
        """Blur of the lens and noise of the sensor."""
        if self._scene.blur > 0.3:
            frame = cv2.GaussianBlur(frame, (3, 3), self._scene.blur)
        height, width = self._scene.size_hw
        y, x = (int(start) for start in rng.integers(0, _NOISE_MARGIN, 2))
        made: Image = cv2.add(frame, self._noise[y : y + height, x : x + width], dtype=cv2.CV_8U)
        return made


def _noise_bank(scene: Scene) -> NDArray[np.int16]:
    """Sensor noise larger than the frame: a random part of it serves each frame."""
    rng = np.random.default_rng([scene.seed, 3])
    height, width = scene.size_hw
    grain = rng.standard_normal((height + _NOISE_MARGIN, width + _NOISE_MARGIN), np.float32) * scene.noise
    # The same grain, shifted, serves as the colours'.
    channels = [grain * 0.8 + np.roll(grain, shift, axis=(0, 1)) * 0.6 for shift in ((3, 5), (11, 2), (7, 13))]
    return np.stack([np.round(channel).astype(np.int16) for channel in channels], axis=-1)


def _lay_over(image: Image, layer: Image) -> None:
    """Lay premultiplied RGBA over RGB, in place."""
    clear = cv2.bitwise_not(cv2.extractChannel(layer, 3))
    cv2.multiply(image, cv2.merge([clear, clear, clear]), dst=image, scale=1 / 255)
    cv2.add(image, cv2.cvtColor(layer, cv2.COLOR_RGBA2RGB), dst=image)
