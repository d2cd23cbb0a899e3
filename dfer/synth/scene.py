"""The surroundings of the face: light, background, and the camera's faults."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from dfer.synth.canvas import Floats, Image

# Landscape, square and portrait, as small as DFEW's films and webcams give them.
FRAME_SIZES_HW = ((224, 224), (192, 256), (208, 240), (224, 208))


@dataclass(frozen=True)
class Scene:
    """The parameters of one clip that do not belong to the person.

    Attributes:
        size_hw: frame height and width in pixels, even.
        unit: pixels per face unit.
        place_xy: the average place of the point between the eyes, pixels.
        light: unit vector towards the soft key light, float32 [3]; x right, y down, z towards the camera.
        key, fill: colour and strength of the key light and of the light from everywhere, float32 [3].
        clothes: colour, float32 [3].
        noise: largest error of the sensor, grey levels.
        crf: x264's constant rate factor.
        seed: fixes the background.
    """

    size_hw: tuple[int, int]
    unit: float
    place_xy: tuple[float, float]
    light: Floats
    key: Floats
    fill: Floats
    clothes: Floats
    noise: int
    crf: int
    seed: int


def draw_scene(rng: np.random.Generator) -> Scene:
    """Draw a random scene."""
    height, width = FRAME_SIZES_HW[int(rng.integers(len(FRAME_SIZES_HW)))]
    # Hairline to chin are about 1.95 units: 46 to 68 % of the frame's height.
    unit = float(height * rng.uniform(0.46, 0.68) / 1.95)
    x, y = rng.uniform(-0.06, 0.06) * width, rng.uniform(-0.03, 0.03) * height
    azimuth, elevation = rng.uniform(-0.95, 0.95), rng.uniform(0.2, 0.75)
    light = (np.sin(azimuth) * np.cos(elevation), -np.sin(elevation), np.cos(azimuth) * np.cos(elevation))
    hard, exposure = rng.uniform(0.35, 0.68), rng.uniform(1.02, 1.18)
    warmth = np.outer(np.clip(rng.normal(0.01, [0.03, 0.015]), -0.06, 0.06), (1, 0, -1))
    key, fill = (np.array([[hard], [1.04 - hard]]) * exposure * (1 + warmth)).astype(np.float32)
    return Scene(
        size_hw=(height, width),
        unit=unit,
        place_xy=(float(width / 2 + x), float(height / 2 - 0.12 * unit + y)),
        light=np.array(light, np.float32),
        key=key,
        fill=fill,
        clothes=_any_color(rng, 0.12, 0.75),
        noise=int(rng.integers(1, 7)),
        crf=int(rng.integers(18, 29)),
        seed=int(rng.integers(2**31)),
    )


def paint_background(scene: Scene) -> Image:
    """Paint a room out of focus, uint8 [H, W, 3]."""
    rng = np.random.default_rng(scene.seed)
    base = _any_color(rng, 0.18, 0.80) * 255
    small = np.empty((28, 32, 3), np.float32)
    small[...] = base * np.linspace(rng.uniform(0.85, 1.15), rng.uniform(0.45, 0.9), 32)[:, None]
    for _ in range(int(rng.integers(0, 8))):
        (x, y), (w, h) = rng.integers(0, (32, 28)).tolist(), rng.integers(2, (10, 16)).tolist()
        color = base * rng.uniform(0.55, 1.3) + rng.normal(0, 12, 3)
        cv2.rectangle(small, (x - w, y - h), (x + w, y + h), color.tolist(), -1)
    small = np.clip(cv2.GaussianBlur(small, (0, 0), float(rng.uniform(0.6, 2.0))), 0, 255)
    made: Image = cv2.resize(small.astype(np.uint8), scene.size_hw[::-1], interpolation=cv2.INTER_CUBIC)
    return made


def _any_color(rng: np.random.Generator, low: float, high: float) -> Floats:
    grey = rng.uniform(low, high)
    return np.clip(grey * (1 + rng.uniform(0.02, 0.20) * rng.standard_normal(3)), 0.02, 1).astype(np.float32)
