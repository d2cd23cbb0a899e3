"""Heat maps on images, and strips of importance over time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from dfer.drawing.style import DARK, LIGHT, Theme, emotion_color, new_figure
from dfer.drawing.timeline import mark_time

_ALPHA = 0.6  # of the strongest heat
_FADE = 0.15  # of the side of a crop
_COLORS = (255 * colormaps["inferno"](np.linspace(0.25, 1, 256))[:, :3]).astype(np.float32)

Image = NDArray[np.uint8]


@dataclass(frozen=True)
class ImportanceLane:
    """A face's row in a timeline of importance.

    Attributes:
        name: its heading.
        label: the class that is explained.
        times_s: float64 [N], when each frame appears, ascending; where a frame follows late, the curves break.
        importance: float [N], in probability; NaN where it is not known.
        probability: float [N].
    """

    name: str
    label: str
    times_s: NDArray[np.float64]
    importance: NDArray[np.float32]
    probability: NDArray[np.float32]


def draw_heat(image_rgb: Image, heat: ArrayLike) -> Image:
    """Draw a heat map over a whole image.

    Args:
        image_rgb: uint8 [H, W, 3].
        heat: float [h, w], 0 (transparent) to 1.

    Returns:
        uint8 [H, W, 3].
    """
    height, width = image_rgb.shape[:2]
    return _blend(image_rgb, cv2.resize(np.asarray(heat, np.float32), (width, height), interpolation=cv2.INTER_CUBIC))


def draw_heat_on_face(frame_rgb: Image, heat: ArrayLike, crop_from_frame: ArrayLike, size: int) -> Image:
    """Draw the heat map of an aligned crop over the face in its frame.

    Args:
        frame_rgb: uint8 [H, W, 3].
        heat: float [h, w], 0 to 1, over the crop.
        crop_from_frame: float [2, 3], maps (x, y, 1) of the frame to pixels of the crop.
        size: side of the crop, pixels.

    Returns:
        uint8 [H, W, 3], a copy.
    """
    over_crop = cv2.resize(np.asarray(heat, np.float32), (size, size), interpolation=cv2.INTER_CUBIC)
    # It fades out at the crop's edge, which would look like an edge in the map.
    inside = np.minimum(np.arange(1, size + 1), np.arange(size, 0, -1))
    ramp = np.minimum(inside / (_FADE * size), 1).astype(np.float32)
    over_crop = over_crop * ramp * ramp[:, None]
    matrix = cv2.invertAffineTransform(np.asarray(crop_from_frame, np.float64))
    corners = matrix @ np.array([[0, size, size, 0], [0, 0, size, size], [1, 1, 1, 1]])
    bounds = np.array(frame_rgb.shape[1::-1])
    left, top = np.clip(np.floor(corners.min(axis=1)), 0, bounds).astype(int)
    right, bottom = np.clip(np.ceil(corners.max(axis=1)), 0, bounds).astype(int)
    canvas = frame_rgb.copy()
    if right > left and bottom > top:
        matrix[:, 2] -= (left, top)
        region = cv2.warpAffine(over_crop, matrix, (int(right - left), int(bottom - top)), flags=cv2.INTER_LINEAR)
        canvas[top:bottom, left:right] = _blend(canvas[top:bottom, left:right], region)
    return canvas


def _blend(image: Image, heat: NDArray[np.float32]) -> Image:
    values = np.clip(heat, 0, 1)
    alpha = (_ALPHA * np.sqrt(values))[..., None]
    colors = _COLORS[(255 * values).astype(int)]
    return np.asarray((1 - alpha) * image + alpha * colors, np.uint8)


def draw_importance(
    lanes: Sequence[ImportanceLane],
    *,
    total: float,
    title: str,
    subtitle: str = "",
    footer: Sequence[str] = (),
    theme: Theme = LIGHT,
) -> Figure:
    """Draw each face's importance over time, and the probability of its class above it.

    Args:
        lanes: the faces, at least one.
        total: length of the video, seconds.
        title: one line.
        subtitle: how to read it.
        footer: what the reader must not miss.
        theme: the colours.
    """
    height = 2.3 * len(lanes) + 0.3
    with new_figure(10.0, height, title=title, subtitle=subtitle, footer=footer, theme=theme) as figure:
        panels = figure.subplots(2 * len(lanes), sharex=True, squeeze=False, height_ratios=[1, 1.6] * len(lanes))[:, 0]
        for number, lane in enumerate(lanes):
            upper, lower = panels[2 * number : 2 * number + 2]
            upper.set_title(lane.name)
            upper.step(*_broken(lane, lane.probability), where="post", color=emotion_color(lane.label), linewidth=1.5)
            upper.set(ylim=(-0.02, 1.02), yticks=[0, 1], yticklabels=["0", "100 %"], ylabel=f"p({lane.label})")
            _draw_area(lower, lane, theme)
            lower.set_ylabel("importance")
        mark_time(panels[-1], total)
    return figure


def _draw_area(axes: Axes, lane: ImportanceLane, theme: Theme) -> None:
    times, values = _broken(lane, lane.importance)
    points = 100 * values
    axes.axhline(0, color=theme.muted, linewidth=0.8)
    axes.fill_between(times, points, step="post", color=emotion_color(lane.label), alpha=0.75, linewidth=0)
    highest = float(np.nanmax(np.abs(points), initial=1.0))
    lowest = min(0.0, float(np.nanmin(points, initial=0.0)))
    axes.set_ylim(1.1 * lowest if lowest < -0.02 * highest else -0.02 * highest, 1.1 * highest)
    axes.yaxis.set_major_formatter("{x:g}")


def _broken(lane: ImportanceLane, values: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return times and values, the last one held for a frame, with NaN where frames are missing."""
    times, curve = lane.times_s.astype(np.float64), values.astype(np.float64)
    step = float(np.median(np.diff(times))) if len(times) > 1 else 1.0
    gaps = np.flatnonzero(np.diff(times) > 5 * step) + 1
    times = np.append(times, times[-1] + step)
    curve = np.append(curve, curve[-1])
    at = np.insert(times, gaps, times[gaps - 1] + step)
    return at, np.insert(curve, gaps, np.nan)


class ImportanceStrip:
    """The strip below the frames of a video: each face's importance over time, and a line at the time that is shown.

    Args:
        lanes: the faces, at least one.
        total: length of the video, seconds.
        width: of the strip, pixels.
        lane_height: pixels.
    """

    def __init__(self, lanes: Sequence[ImportanceLane], *, total: float, width: int, lane_height: int) -> None:
        dpi = max(50.0, min(220.0, 0.95 * lane_height))
        figure = Figure(figsize=(width / dpi, len(lanes) * lane_height / dpi), dpi=dpi, facecolor=DARK.paper)
        panels = figure.subplots(len(lanes), sharex=True, squeeze=False)[:, 0]
        figure.subplots_adjust(left=0.02, right=0.98, top=1 - 0.22 / len(lanes), bottom=0.2 / len(lanes), hspace=0.3)
        for axes, lane in zip(panels, lanes, strict=True):
            axes.set_facecolor(DARK.paper)
            _draw_area(axes, lane, DARK)
            axes.set_title(lane.name, color=DARK.ink, fontsize=7, loc="left", pad=3)
            axes.set_yticks([])
            axes.tick_params(colors=DARK.muted, labelsize=6, length=2, pad=2)
            axes.grid(visible=False)
            for side in axes.spines.values():
                side.set_visible(False)
        mark_time(panels[-1], total)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        self._image = np.asarray(canvas.buffer_rgba())[..., :3].copy()
        box = panels[0].get_position()
        self._from, self._to, self._total = box.x0 * width, box.x1 * width, total or 1.0

    @property
    def height(self) -> int:
        """The height, pixels."""
        return int(self._image.shape[0])

    def at(self, time_s: float) -> Image:
        """Return the strip, uint8 [height, width, 3], with its line at a time."""
        strip = self._image.copy()
        x = round(self._from + (self._to - self._from) * min(1.0, time_s / self._total))
        strip[:, max(0, x - 1) : x + 1] = 255
        return strip
