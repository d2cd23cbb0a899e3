"""One person in one scene: the face drawn for every frame, bent by the jaw, turned, and photographed."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from dfer.synth import geometry
from dfer.synth.canvas import Canvas, Floats, Image, blend, smooth
from dfer.synth.expression import ACTION_UNITS, Performance
from dfer.synth.geometry import SIDES, Shape, Units
from dfer.synth.head import paint_head, rgba
from dfer.synth.identity import Person
from dfer.synth.scene import Scene, paint_background

# Left, top, right, bottom in face units: of all that is painted, and of what moves.
_HEAD_WINDOW = (-1.75, -1.75, 1.75, 2.75)
_FACE_WINDOW = (-0.74, -0.66, 0.74, 1.24)
_Matrix = NDArray[np.float64]
_OVERSAMPLING = 1.35  # the flat picture's resolution, relative to the frame's
_FIELD_UNIT = 14.0  # samples of the relief per face unit
_GRID_STEP = 8  # pixels between the places for which the pose is inverted
_SOLVER_STEPS = 6
_FOREHEAD_Y = -0.62  # detectors draw a face's box from the middle of the forehead

_SCLERA, _TEETH = np.array([0.93, 0.90, 0.875]), np.array([0.92, 0.89, 0.84])
_TONGUE, _THROAT = np.array([0.59, 0.26, 0.26]), np.array([0.22, 0.07, 0.08])


@dataclass(frozen=True)
class Shot:
    """One frame and its ground truth.

    Attributes:
        frame: RGB uint8 [H, W, 3].
        landmarks: float32 [5, 2], pixels, as in `dfer.records.Face`.
        box_xyxy: float32 [4], pixels, from the middle of the forehead to the chin.
    """

    frame: Image
    landmarks: Floats
    box_xyxy: Floats


class Puppet:
    """One person in one scene, to be drawn in any expression and pose.

    Args:
        person: the person to draw.
        scene: the light, the background and the camera.
    """

    def __init__(self, person: Person, scene: Scene) -> None:
        self._person, self._scene, self._shape = person, scene, person.shape
        self._canvas = canvas = Canvas.spanning(scene.unit * _OVERSAMPLING, *_HEAD_WINDOW)
        self._still, shade = paint_head(person, scene, canvas)
        self._background = paint_background(scene)
        self._window, self._at = canvas.window(*_FACE_WINDOW)
        self._light = shade[self._at].mean(axis=(0, 1))
        # Folds are shadows in skin: reddish, not grey.
        self._folded = (self._still[self._at] * np.array([0.50, 0.36, 0.34, 1.0])).astype(np.uint8)
        self._folds = _folds(person.shape)
        eye = person.shape["eye_x"]
        self._eyes = [canvas.window(eye * side - 0.24, -0.22, eye * side + 0.24, 0.18) for side in SIDES]
        self._field = Canvas.spanning(_FIELD_UNIT, *_HEAD_WINDOW)
        x, y = self._field.grid()
        self._relief = np.dstack([geometry.jaw_weight(person.shape, x, y), geometry.face_depth(person.shape, x, y)])
        outline = geometry.face_outline(person.shape)
        self._box_outline = outline[outline[:, 1] > _FOREHEAD_Y]

    def draw(self, play: Performance, t: int, rng: np.random.Generator) -> Shot:
        """Draw one frame.

        Args:
            play: the person's performance.
            t: 0-based frame of the performance.
            rng: for the sensor's noise.
        """
        units = dict(zip(ACTION_UNITS, play.action_units[t].tolist(), strict=True))
        mouth = geometry.mouth_lines(self._shape, units)
        head = self._draw_head(units, mouth, play.gaze[t])
        yaw, pitch, roll, shift_x, shift_y, scale = play.pose[t].tolist()
        matrix = cv2.Rodrigues(np.array([-pitch, yaw, roll]))[0][:2] * scale * self._scene.unit
        origin = np.array(self._scene.place_xy) + np.array([shift_x, shift_y]) * self._scene.unit
        # A point of the flat picture moves by its share of the jaw's drop, and by its depth.
        drop = 0.01 * units["AU25"] + 0.10 * units["AU26"] + 0.20 * units["AU27"]
        shift = np.array([matrix[:, 1] * drop, matrix[:, 2]])

        def project(points: Floats) -> Floats:
            """Move points of the flat picture, float32 [N, 2] in face units, to pixels of the frame."""
            moved = points @ matrix[:, :2].T + self._relief_at(points[None])[0] @ shift + origin
            return np.asarray(moved, np.float32)

        layer = cv2.remap(head, self._source_map(matrix[:, :2], shift, origin), None, cv2.INTER_LINEAR)
        clear = cv2.merge([cv2.bitwise_not(layer[..., 3])] * 3)
        frame = cv2.add(cv2.multiply(self._background, clear, scale=1 / 255), layer[..., :3])
        noise = rng.integers(-self._scene.noise, self._scene.noise + 1, frame.shape, np.int8)
        nose, eye_x = (0.0, self._shape["nose_y"] - 0.03), self._shape["eye_x"]
        outline = project(self._box_outline)
        return Shot(
            frame=cv2.add(frame, noise, dtype=cv2.CV_8U),
            landmarks=project(np.array([(-eye_x, -0.010), (eye_x, -0.010), nose, *mouth[0, [0, -1]]], np.float32)),
            box_xyxy=np.concatenate([outline.min(axis=0), outline.max(axis=0)]),
        )

    def _draw_head(self, units: Units, mouth: Floats, gaze: Floats) -> Image:
        """Return the head in one expression, seen from the front, premultiplied RGBA, uint8 [h, w, 4]."""
        image = self._still.copy()
        face, shape = image[self._at], self._shape
        lids = [geometry.eye_lines(shape, units, side) for side in SIDES]
        depth = np.zeros(face.shape[:2], np.uint8)
        for curves, rest, gain, names in self._folds:
            self._window.stroke(depth, curves, 255 * (rest + gain * max(units[name] for name in names)), 0.015)
        self._window.stroke(depth, [crease for _, _, crease in lids], 170, 0.020)
        self._window.stroke(depth, [mouth[3, 5:-5] + np.array([0, 0.04], np.float32)], 90, 0.05)
        blend(face, self._folded, self._window.blurred(depth, 0.012))
        self._draw_mouth(face, mouth, units)
        for (window, at), lines, side in zip(self._eyes, lids, SIDES, strict=True):
            x, y = shape["eye_x"] * side + float(gaze[0]) * 0.07, -0.018 + float(gaze[1]) * 0.05
            self._draw_eye(image[at], window, lines, x, y)
            self._draw_brow(face, geometry.brow_lines(shape, units, side))
        return image

    def _color(self, color: NDArray[np.floating], amount: float = 1.0) -> list[float]:
        """Return the colour in this light."""
        return list(rgba(color * self._light * amount).tolist())

    def _draw_eye(self, image: Image, window: Canvas, lines: Floats, x: float, y: float) -> None:
        upper, lower, _ = lines
        skin, iris, lashes = self._person.skin, self._person.iris, self._shape["lashes"]
        ball = np.empty_like(image)
        ball[...] = self._color(_SCLERA)
        window.disc(ball, x, y, 0.088, self._color(iris, 0.45))
        window.disc(ball, x, y, 0.072, self._color(iris, 0.95))
        window.disc(ball, x, y + 0.025, 0.045, self._color(iris, 1.4))
        window.disc(ball, x, y, 0.036, (8, 8, 8, 255))
        lid = np.zeros(image.shape[:2], np.uint8)
        window.stroke(lid, [upper], 130, 0.07)  # it throws a shadow
        blend(ball, rgba(skin * 0.2), window.blurred(lid, 0.014))
        window.disc(ball, x + float(np.copysign(0.03, self._scene.light[0])), y - 0.034, 0.021, (250, 250, 250, 255))
        blend(image, ball, window.mask(np.vstack([upper, lower[::-1]])))
        window.stroke(image, [lower], self._color(skin, 0.55), 0.012)
        window.stroke(image, [upper], self._color(skin, 0.12), 0.022 + 0.012 * lashes)

    def _draw_brow(self, image: Image, lines: Floats) -> None:
        upper, lower = lines
        brow, skin = self._person.brow, self._person.skin
        self._window.fill(image, np.vstack([upper, lower[::-1]]), self._color(brow * 0.7 + skin * 0.25))
        self._window.stroke(image, np.stack([lower[:-2], upper[1:-1]], axis=1), self._color(brow), 0.010)

    def _draw_mouth(self, image: Image, mouth: Floats, units: Units) -> None:
        upper_outer, upper, lower, lower_outer = mouth
        window, lips = self._window, self._person.lips
        window.fill(image, np.vstack([lower, lower_outer[::-1]]), self._color(lips, 0.96))
        window.stroke(image, [(lower * 0.45 + lower_outer * 0.55)[7:-7]], self._color(lips, 1.08), 0.030)
        window.fill(image, np.vstack([upper_outer, upper[::-1]]), self._color(lips, 0.80))
        gap = float((lower - upper)[:, 1].max())
        if gap > 0.012:
            self._draw_opening(image, upper, lower, gap, units)
        window.stroke(image, [upper], self._color(lips, 0.35), 0.016)

    def _draw_opening(self, image: Image, upper: Floats, lower: Floats, gap: float, units: Units) -> None:
        """Draw throat, tongue and teeth between the lips' inner edges."""
        x, top, bottom = upper[:, 0], upper[:, 1], lower[:, 1]

        def band(above: Floats, below: Floats, color: NDArray[np.floating]) -> None:
            contour = np.vstack([np.column_stack([x, above]), np.column_stack([x, below])[::-1]])
            self._window.fill(image, contour, self._color(color))

        band(top, bottom, _THROAT)
        if units["AU26"] + units["AU27"] > 0.3:
            band(np.maximum(top, bottom - 0.38 * gap), bottom, _TONGUE)
        # The edge of the teeth follows the lip in a smile and stays straight in a round mouth.
        shown = min(0.085, 0.9 * gap) * (1 - 0.35 * units["AU27"])
        edge = np.clip(top + shown + units["AU27"] * (top.min() - top), top, bottom)
        band(top, edge, _TEETH)
        if max(units["AU20"], units["AU10"]) > 0.3:
            shown = 0.05 * units["AU20"] + 0.03 * units["AU10"]
            band(np.maximum(edge + 0.014, bottom - shown), bottom, _TEETH * 0.88)

    def _source_map(self, matrix: _Matrix, shift: _Matrix, origin: _Matrix) -> Floats:
        """Find the place on the flat picture that every pixel of the frame shows, float32 [H, W, 2].

        The pose gives pixels for places; fixed-point iteration inverts it, which converges because the head turns
        little, on a coarse grid, because all of it is smooth.
        """
        height, width = self._scene.size_hw
        columns, rows = (np.arange(-(-size // _GRID_STEP) + 1) * float(_GRID_STEP) for size in (width, height))
        back = np.linalg.inv(matrix).T
        flat = (np.stack(np.meshgrid(columns, rows), axis=-1) - origin) @ back
        place = flat
        for _ in range(_SOLVER_STEPS):
            place = flat - self._relief_at(place) @ (shift @ back)
        enlarge = np.array([[1 / _GRID_STEP, 0, 0], [0, 1 / _GRID_STEP, 0]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        source = self._canvas.pixels(place.astype(np.float32))
        made: Floats = cv2.warpAffine(source, enlarge, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
        return made

    def _relief_at(self, points: NDArray[np.floating]) -> Floats:
        """Return share of the jaw's drop and depth at points in face units, float32 [h, w, 2]."""
        at = self._field.pixels(points.astype(np.float32))
        made: Floats = cv2.remap(self._relief, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return made


def _folds(shape: Shape) -> list[tuple[list[Floats], float, float, tuple[str, ...]]]:
    """Return lines of the skin on both sides, depth at rest, and what the strongest of some action units adds."""
    nose, mouth, eye, wing = (shape[name] for name in ("nose_y", "mouth_y", "eye_x", "nose_width"))
    beside_nose = [(wing + 0.035, nose - 0.03), (wing + 0.11, nose + 0.09), (wing + 0.20, mouth - 0.08)]
    made: list[tuple[list[tuple[float, float]], float, float, tuple[str, ...]]] = [
        ([(0.0, -0.54), (0.2, -0.55), (0.40, -0.51)], 0.0, 0.35, ("AU1", "AU2")),
        ([(0.055, -0.36), (0.045, -0.26), (0.062, -0.17)], 0.0, 0.55, ("AU4",)),
        ([(0.02, -0.07), (0.065, -0.045), (0.095, 0.0)], 0.0, 0.70, ("AU9",)),
        (beside_nose, 0.15, 0.60, ("AU9", "AU10", "AU12")),
        ([(eye - 0.16, 0.11), (eye, 0.165), (eye + 0.16, 0.12)], 0.12, 0.42, ("AU6", "AU7", "AU9")),
        ([(0.335, mouth + 0.06), (0.345, mouth + 0.14), (0.32, mouth + 0.22)], 0.0, 0.65, ("AU15",)),
        ([(0.0, mouth + 0.19), (0.13, mouth + 0.215)], 0.12, 0.7, ("AU17",)),
    ]
    return [
        ([smooth(np.array(line) * (side, 1)) for side in SIDES], low, gain, names) for line, low, gain, names in made
    ]
