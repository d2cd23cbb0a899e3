"""What surrounds the face: light, background, clothes, and the camera's faults."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from dfer.synth.canvas import Canvas, Floats, Image, Points, as_bytes, blend, blurred, to_image
from dfer.synth.geometry import smooth_contour
from dfer.synth.identity import Color, Identity

# Landscape, square and portrait; what DFEW's films and our webcams give, small.
FRAME_SIZES_HW = ((224, 224), (192, 256), (208, 240), (224, 208))


@dataclass(frozen=True)
class Light:
    """One soft key light over an even fill.

    Attributes:
        direction: towards the light, x right, y down, z to the camera; length 1.
        key: its colour and strength; `fill`: that of the light from everywhere.
    """

    direction: tuple[float, float, float]
    key: Color
    fill: Color


@dataclass(frozen=True)
class Scene:
    """The parameters of one clip that do not belong to the person.

    Attributes:
        size_hw: frame height and width in pixels, even.
        unit: pixels per face unit.
        place_xy: where the point between the eyes lies on average, pixels.
        noise: standard deviation of the sensor's noise, grey levels.
        blur: sigma of the lens blur, pixels.
        crf: x264's constant rate factor.
    """

    size_hw: tuple[int, int]
    unit: float
    place_xy: tuple[float, float]
    light: Light
    noise: float
    blur: float
    crf: int
    clothes: Color
    collar: str
    seed: int


def draw_scene(rng: np.random.Generator) -> Scene:
    """A random scene."""
    height, width = FRAME_SIZES_HW[int(rng.integers(len(FRAME_SIZES_HW)))]
    # Hairline to chin are about 1.95 units: 45 to 68 % of the frame's height.
    unit = height * rng.uniform(0.46, 0.68) / 1.95
    side = rng.uniform(-0.06, 0.06) * width
    return Scene(
        size_hw=(height, width),
        unit=float(unit),
        place_xy=(float(width / 2 + side), float(height * 0.50 - 0.12 * unit + rng.uniform(-0.03, 0.03) * height)),
        light=_draw_light(rng),
        noise=float(rng.uniform(0.8, 3.5)),
        blur=float(rng.uniform(0.0, 0.75)),
        crf=int(rng.integers(18, 29)),
        clothes=_any_color(rng, 0.12, 0.75),
        collar=str(rng.choice(["round", "v", "shirt"])),
        seed=int(rng.integers(2**31)),
    )


def _draw_light(rng: np.random.Generator) -> Light:
    azimuth, elevation = rng.uniform(-0.95, 0.95), rng.uniform(0.2, 0.75)
    direction = (
        float(np.sin(azimuth) * np.cos(elevation)),
        float(-np.sin(elevation)),
        float(np.cos(azimuth) * np.cos(elevation)),
    )
    hard, exposure = rng.uniform(0.35, 0.68), rng.uniform(1.02, 1.18)
    warmth, cast = np.clip(rng.normal(0.01, [0.03, 0.015]), -0.06, 0.06)
    key = exposure * hard * np.array([1 + warmth, 1, 1 - warmth])
    fill = exposure * (1.04 - hard) * np.array([1 - cast, 1, 1 + cast])
    return Light(direction, _color(key), _color(fill))


def paint_background(scene: Scene) -> Image:
    """A room out of focus, uint8 [H, W, 3]."""
    rng = np.random.default_rng([scene.seed, 1])
    height, width = scene.size_hw
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    angle = rng.uniform(0, 2 * np.pi)
    ramp = (np.cos(angle) * (x / width - 0.5) + np.sin(angle) * (y / height - 0.5) + 0.5)[..., None]
    base = _any_color(rng, 0.18, 0.80)
    first = np.array(base) * rng.uniform(0.85, 1.15)
    second = np.array(base) * rng.uniform(0.45, 0.9) + rng.normal(0, 0.03, 3)
    image = np.clip((first * (1 - ramp) + second * ramp) * 255, 0, 255).astype(np.uint8)
    for _ in range(int(rng.integers(0, 8))):
        color = as_bytes(np.array(base) * rng.uniform(0.55, 1.3) + rng.normal(0, 0.05, 3))
        cx, cy = int(rng.uniform(0, width)), int(rng.uniform(0, height))
        w, h = int(rng.uniform(0.06, 0.30) * width), int(rng.uniform(0.10, 0.6) * height)
        if rng.random() < 0.6:
            cv2.rectangle(image, (cx - w, cy - h), (cx + w, cy + h), color, -1)
        else:
            cv2.circle(image, (cx, cy), w // 2 + 4, color, -1)
    return blurred(image, float(rng.uniform(3, 14)))


def paint_torso(person: Identity, scene: Scene, skin: Color) -> Image:
    """Neck, shoulders and clothes as they lie behind the resting head.

    Args:
        person, scene: who and where.
        skin: the colour of the lit face.

    Returns:
        Premultiplied RGBA, uint8 [H, W, 4].
    """
    height, width = scene.size_hw
    canvas = Canvas(scene.unit, -scene.place_xy[0] / scene.unit, -scene.place_xy[1] / scene.unit, width, height)
    x, y = canvas.grid()
    neck = person.jaw_width * 0.74
    lit = np.array(scene.light.key) * 0.75 + np.array(scene.light.fill)
    rgb = np.zeros((height, width, 3), np.uint8)
    alpha = np.zeros((height, width), np.uint8)
    if person.hair_style in ("long", "long_part", "fringe"):
        wide = person.face_width + person.hair_volume * 0.9
        curtain = [(wide * 0.7, 0.1), (wide * 0.95, 0.5), (wide, 1.0), (wide * 0.96, 1.50), (wide * 0.60, 1.66)]
        _lay(rgb, alpha, canvas.mask(_closed(curtain), blur=0.02), to_image(_plain(person.hair, x) * lit * 0.55))
    throat = [(neck, 0.7), (neck * 1.02, 1.50), (neck * 1.8, 1.80), (neck * 1.8, 2.10)]
    tone = np.array(skin) * 0.94 * _neck_shade(person, scene.light, x, y)[..., None]
    _lay(rgb, alpha, canvas.mask(_closed(throat)), to_image(tone))
    shoulder = 1.42 + (person.jaw_width - 0.58) * 2
    slope = [(neck * 1.06, 1.50), (neck * 1.5, 1.68), (shoulder * 0.75, 1.86), (shoulder, 2.15), (shoulder * 1.1, 3.2)]
    opening = {"round": (0.0, 1.80), "v": (0.0, 2.10), "shirt": (0.0, 1.98)}[scene.collar]
    rim = (neck * 0.70, 1.72 if scene.collar == "round" else 1.66)
    neckline = smooth_contour(_mirrored([slope[0], rim, opening]), closed=False)
    right = smooth_contour(np.array(slope), closed=False)
    body = np.vstack([neckline[::-1], right, right[::-1] * np.array([-1, 1], np.float32)])
    sides = np.clip((np.abs(x) - 0.5) / shoulder, 0, 1) ** 2
    folds = 1 - 0.25 * sides - 0.05 * np.cos(x * 9) * np.clip(y - 1.7, 0, 1)
    folds = folds * (1 + 0.22 * scene.light.direction[0] * x / shoulder)
    cloth = np.array(scene.clothes) * lit
    _lay(rgb, alpha, canvas.mask(body.astype(np.float32)), to_image(cloth * folds[..., None]))
    canvas.stroke(rgb, [neckline], as_bytes(cloth * 0.70), 0.035)
    if scene.collar == "shirt":
        flap = np.array([slope[0], (neck * 1.45, 1.68), (neck * 0.75, 2.04), (0.02, 1.99), rim], np.float32)
        for side in (-1.0, 1.0):
            canvas.fill(rgb, flap * np.array([side, 1], np.float32), as_bytes(cloth * (1.12 - 0.05 * side)))
    premultiplied = cv2.multiply(rgb, cv2.merge([alpha, alpha, alpha]), scale=1 / 255)
    return np.dstack([premultiplied, alpha])


def _lay(rgb: Image, alpha: Image, mask: Image, paint: Image) -> None:
    """Paint a layer over the ones before, whose colours then reach under its soft edge."""
    bare = alpha == 0
    rgb[bare] = paint[bare]
    blend(rgb, paint, mask)
    cv2.max(alpha, mask, dst=alpha)


def _plain(color: Color, like: Floats) -> Floats:
    return np.broadcast_to(np.array(color, np.float32), (*like.shape, 3))


def _mirrored(half: list[tuple[float, float]]) -> NDArray[np.float64]:
    """A line from the right end to the middle, completed to the left."""
    right = np.array(half)
    return np.vstack([right, right[-2::-1] * [-1, 1]])


def _closed(half: list[tuple[float, float]]) -> Points:
    right = np.array(half, np.float32)
    return np.vstack([right, right[::-1] * np.array([-1, 1], np.float32)])


def _neck_shade(person: Identity, light: Light, x: Floats, y: Floats) -> Floats:
    """A round neck in the chin's shadow, float32 [h, w]."""
    roundness = 1 - 0.35 * np.clip(np.abs(x) / (person.jaw_width * 0.8), 0, 1.3) ** 2
    chin_shadow = 1 - 0.42 * np.clip((person.chin_y + 0.38 - y) / 0.45, 0, 1) ** 0.8
    return np.asarray(roundness * chin_shadow * (1 + 0.25 * light.direction[0] * x / person.jaw_width))


def _any_color(rng: np.random.Generator, low: float, high: float) -> Color:
    grey = rng.uniform(low, high)
    return _color(grey * (1 + rng.uniform(0.02, 0.20) * rng.normal(0, 1, 3)))


def _color(values: np.ndarray) -> Color:
    red, green, blue = np.clip(values, 0.02, 1.2)
    return float(red), float(green), float(blue)
