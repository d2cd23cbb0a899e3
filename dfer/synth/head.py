"""The flat head: skin, hair and folds painted once, then the face drawn on it for every frame."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from dfer.synth.canvas import Canvas, Image, blend
from dfer.synth.features import draw_brows, draw_eye, draw_mouth, paint_eyeball
from dfer.synth.geometry import SIDES, MouthShape, eye_shapes
from dfer.synth.hair import paint_glasses, paint_hair
from dfer.synth.identity import Color, Identity
from dfer.synth.scene import Light
from dfer.synth.skin import paint_skin, wrinkle_depths, wrinkle_maps

# Left, top, right, bottom of what is painted, in face units.
HEAD_WINDOW = (-1.32, -1.70, 1.32, 1.62)
_FACE_WINDOW = (-0.74, -0.78, 0.74, 1.22)
_BROW_WINDOW = (-0.74, -0.62, 0.74, 0.05)
_GLASSES_WINDOW = (-0.86, -0.26, 0.86, 0.34)


class Head:
    """One person's head in one light, seen from the front.

    Args:
        person: who.
        light: in which light.
        unit: resolution in pixels per face unit.

    Attributes:
        canvas: of the images that `draw` returns.
    """

    def __init__(self, person: Identity, light: Light, *, unit: float) -> None:
        self._person = person
        self.canvas = canvas = Canvas.spanning(unit, *HEAD_WINDOW)
        skin = paint_skin(person, light, canvas)
        hair, hair_mask = paint_hair(person, light, canvas)
        shadow = np.roll(canvas.blurred(hair_mask, 0.05), round(0.05 * unit), axis=0)
        blend(skin.rgb, cv2.convertScaleAbs(skin.rgb, alpha=0.55), cv2.subtract(shadow, hair_mask), opacity=0.8)
        # Outside the face all paint is hair, so that no skin shines through the hair's soft edge.
        blend(skin.rgb, hair, cv2.max(hair_mask, cv2.bitwise_not(skin.alpha)))
        self._alpha = cv2.max(skin.alpha, hair_mask)
        self._rgb = cv2.multiply(skin.rgb, cv2.merge([self._alpha] * 3), scale=1 / 255)
        self._bare = cv2.bitwise_not(hair_mask)

        self._face, self._face_at = canvas.window(*_FACE_WINDOW)
        # Folds are soft: half the resolution does.
        maps = wrinkle_maps(person, self._face.scaled(0.5))
        stack = np.stack(list(maps.values()))
        self._fold_names = tuple(maps)
        self._folds = stack * (cv2.resize(self._bare[self._face_at], stack.shape[:0:-1]) / np.float32(255))

        eye, mouth = person.eye_x, person.mouth_y
        self._eye_windows = [canvas.window(eye * side - 0.30, -0.24, eye * side + 0.30, 0.20) for side in SIDES]
        self._mouth_window = canvas.window(-0.56, mouth - 0.34, 0.56, mouth + 0.44)
        self._brow_window = canvas.window(*_BROW_WINDOW)
        self._eyeballs = [
            paint_eyeball(
                person,
                window,
                side=side,
                brightness=float(skin.light[at].mean()) * 1.02,
                light_x=light.direction[0],
            )
            for (window, at), side in zip(self._eye_windows, SIDES, strict=True)
        ]
        self._mouth_light = float(skin.light[self._mouth_window[1]].mean())
        self._brow_light = float(skin.light[self._brow_window[1]].mean())
        self._glasses = paint_glasses(person, canvas)

    def skin_tone(self) -> Color:
        """The colour of the cheeks in this light, RGB in 0..1."""
        _, at = self.canvas.window(-0.5, 0.25, 0.5, 0.45)
        red, green, blue = np.median(self._rgb[at].reshape(-1, 3), axis=0) / 255
        return float(red), float(green), float(blue)

    def draw(self, units: dict[str, float], *, gaze: NDArray[np.float32], mouth: MouthShape) -> Image:
        """The head in one expression.

        Args:
            units: action units, name -> 0..1.
            gaze: float32 [2], as in `Performance`.
            mouth: made by `mouth_shape` from the same action units.

        Returns:
            Premultiplied RGBA, uint8 [h, w, 4].
        """
        rgb = self._rgb.copy()
        self._fold_skin(rgb, units)
        window, at = self._mouth_window
        draw_mouth(rgb[at], window, self._person, mouth, units, brightness=self._mouth_light)
        eyes = eye_shapes(self._person, units, gaze)
        for eye, ball, (window, at) in zip(eyes, self._eyeballs, self._eye_windows, strict=True):
            draw_eye(rgb[at], window, self._person, eye, ball)
        window, at = self._brow_window
        draw_brows(rgb[at], window, self._person, units, bare=self._bare[at], brightness=self._brow_light)
        if self._glasses is not None:
            _, at = self.canvas.window(*_GLASSES_WINDOW)
            paint, opacity = self._glasses
            blend(rgb[at], paint[at], opacity[at])
        made: Image = cv2.cvtColor(rgb, cv2.COLOR_RGB2RGBA)
        cv2.insertChannel(self._alpha, made, 3)
        return made

    def _fold_skin(self, rgb: Image, units: dict[str, float]) -> None:
        depths = wrinkle_depths(self._person, units)
        weights = np.array([depths[name] for name in self._fold_names], np.float32)
        # Not a matrix product: BLAS may sum in another order on another number of threads.
        change = np.maximum(np.einsum("k,khw->hw", weights, self._folds), -0.8)
        size = (self._face.width, self._face.height)
        # Folds are shadows in skin: reddish, not grey.
        red, rest = (cv2.resize(cv2.convertScaleAbs(share * change + 1, alpha=128), size) for share in (0.75, 1.0))
        part = rgb[self._face_at]
        cv2.multiply(part, cv2.merge([red, rest, rest]), dst=part, scale=1 / 128)
