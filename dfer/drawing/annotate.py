"""Boxes, emotions and probabilities drawn on video frames.

Text is drawn at the frame's own resolution, so it is as crisp at 360 as at 1080 lines. Only small regions go through
Pillow: converting whole frames would take longer than all the drawing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageColor, ImageDraw

from dfer.drawing.style import NOT_SURE, UNSURE_COLOR, emotion_color, ink_on
from dfer.drawing.text import Font, load_font, wrap_text
from dfer.runtime.formatting import percent, timestamp

Drawn = tuple[ArrayLike, str, Mapping[str, float], int | str, str]
Frame = NDArray[np.uint8]
Region = tuple[int, int, int, int]  # x1, y1, x2, y2 in the frame, the last two exclusive

_SHADE, _SHADE_ALPHA = (14, 16, 20), 0.62
_TRACK = (62, 66, 73)
_BRIGHT, _PALE, _NOTICE = (255, 255, 255), (205, 210, 216), (255, 214, 140)
_MAX_FOOTER_SHARE = 0.4  # of the frame's height
_MAX_PANEL_SHARE = 0.7  # of the frame's width and height; a larger panel is left out
_MAX_PANELS_AREA = 0.25  # of the frame; beyond, panels show only the likeliest emotions
_SHORT_PANEL = 3


@dataclass(frozen=True)
class _Sizes:
    """Sizes of text and gaps for a frame, pixels."""

    tag_size: int
    small_size: int
    line: int
    pad: int

    @property
    def tag(self) -> Font:
        return load_font(self.tag_size, bold=True)

    @property
    def small(self) -> Font:
        return load_font(self.small_size)


def annotate_frame(
    frame_rgb: Frame,
    faces: Sequence[Drawn],
    *,
    time_s: float,
    footer: str | None = None,
) -> Frame:
    """Draw faces, their emotions and probabilities on a copy of a frame.

    Args:
        frame_rgb: uint8 [H, W, 3], RGB.
        faces: of each face the box (x1, y1, x2, y2 in pixels), the winning emotion, the probabilities of all
            emotions, 0..1, in the order to draw them, its name or else its number, which is drawn if there are several
            faces, and why the answer should not be trusted, or "": then it is grey and says so.
        time_s: the frame's time, seconds; written in the lower left corner.
        footer: what a viewer must not miss, such as that the model has seen drawings only.

    Returns:
        uint8 [H, W, 3], RGB.
    """
    canvas = frame_rgb.copy()
    height, width = canvas.shape[:2]
    sizes = _choose_sizes(width, height)
    visible = [(box, *face[1:]) for face in faces if (box := _inside(face[0], width, height)) is not None]
    for box, label, _, _, doubt in visible:
        _draw_box(canvas, box, _color(label, doubt), sizes)
    bottom = _draw_footer(canvas, timestamp(time_s), footer or "", sizes)
    boxes = [box for box, *_ in visible]
    taken: list[Region] = []
    for place, (box, label, probabilities, number, doubt) in enumerate(visible):
        answer = f"{NOT_SURE}: {doubt}" if doubt else f"{label} {percent(probabilities[label], 0)} %"
        name = number if isinstance(number, str) else f"#{number}" if len(faces) > 1 else ""
        text = f"{name} {answer}" if name else answer
        tag = _place_tag(_tag_size(text, width, sizes), box, (width, bottom), _without(boxes, place), taken)
        _draw_tag(canvas, tag, text, _color(label, doubt), sizes)
        taken.append(tag)
    for place, (box, label, probabilities, _, doubt) in enumerate(visible):
        shown = _choose_bars(probabilities, len(visible), (width, bottom), sizes)
        size = _panel_size(tuple(shown), sizes)
        panel = _place_panel(size, box, (width, bottom), _without(boxes, place), taken, sizes.pad)
        if panel is not None:
            _draw_panel(canvas, panel, "" if doubt else label, shown, sizes)
            taken.append(panel)
    return canvas


@lru_cache(maxsize=8)
def _choose_sizes(width: int, height: int) -> _Sizes:
    # Letters grow more slowly than the frame: 13 pixels at 360 lines, 29 at 1080.
    size = max(9, round(13 * (min(width, height) / 360) ** 0.73))
    small = max(9, round(0.86 * size))
    return _Sizes(tag_size=size, small_size=small, line=round(1.32 * small), pad=max(3, round(0.4 * size)))


def _inside(box_xyxy: ArrayLike, width: int, height: int) -> Region | None:
    """Return the part of a box that lies in the frame, or None."""
    x1, y1, x2, y2 = (round(float(value)) for value in np.asarray(box_xyxy))
    x1, y1, x2, y2 = max(x1, 0), max(y1, 0), min(x2, width), min(y2, height)
    return (x1, y1, x2, y2) if x2 > x1 and y2 > y1 else None


@contextmanager
def _drawing(canvas: Frame, region: Region) -> Iterator[Image.Image]:
    """Give a region as an image to draw on; it is put back at the end."""
    x1, y1, x2, y2 = region
    image = Image.fromarray(np.ascontiguousarray(canvas[y1:y2, x1:x2]))
    yield image
    canvas[y1:y2, x1:x2] = np.asarray(image)


@contextmanager
def _drawing_on_shade(canvas: Frame, region: Region) -> Iterator[Image.Image]:
    """Give a region as `_drawing` does, darkened so that text can be read on any picture."""
    with _drawing(canvas, region) as image:
        image.paste(Image.blend(image, Image.new("RGB", image.size, _SHADE), _SHADE_ALPHA))
        yield image


def _color(label: str, doubt: str) -> str:
    return UNSURE_COLOR if doubt else emotion_color(label)


def _draw_box(canvas: Frame, box: Region, color_name: str, sizes: _Sizes) -> None:
    x1, y1, x2, y2 = box
    thick = max(2, sizes.tag_size // 6)
    color = ImageColor.getrgb(color_name)
    for rows, columns in (
        (slice(y1, y1 + thick), slice(x1, x2)),
        (slice(max(y1, y2 - thick), y2), slice(x1, x2)),
        (slice(y1, y2), slice(x1, x1 + thick)),
        (slice(y1, y2), slice(max(x1, x2 - thick), x2)),
    ):
        canvas[rows, columns] = color


def _tag_size(text: str, frame_width: int, sizes: _Sizes) -> tuple[int, int]:
    width = min(frame_width, round(sizes.tag.getlength(text)) + 2 * sizes.pad)
    return width, round(1.25 * sizes.tag_size) + sizes.pad // 2


def _place_tag(
    size: tuple[int, int], box: Region, area: tuple[int, int], others: Sequence[Region], taken: Sequence[Region]
) -> Region:
    """Place an answer above, below, in or beside the box, where it covers least of any face and of other answers.

    Args:
        size: of the tag, width and height.
        box: of its face.
        area: width and height of the part of the frame that it may lie in.
        others: the other faces' boxes.
        taken: the answers that are drawn already.
    """
    width, height = size

    def cost(choice: tuple[int, Region]) -> float:
        preference, tag = choice
        faces = 1.5 * sum(_overlap(tag, other) for other in others) + 0.5 * _overlap(tag, box)
        answers = sum(_overlap(tag, answer) for answer in taken)
        # A later place must be clearly better, so that the answer does not jump while a face moves a little.
        return (faces + 4 * answers) / (width * height) + 0.04 * preference

    aligned, beside = (box[0], box[2] - width), (box[2], box[0] - width)
    corners = [(x, y) for y in (box[1] - height, box[3]) for x in aligned]
    corners += [(x, y) for y in (box[1], box[3] - height) for x in (*aligned, *beside)]
    corners += [(x, y) for y in (box[1] - 2 * height, box[3] + height) for x in aligned]  # beyond another answer
    inside = [(max(0, min(x, area[0] - width)), max(0, min(y, area[1] - height))) for x, y in corners]
    tags = [(x, y, x + width, y + height) for x, y in inside]
    return min(enumerate(tags), key=cost)[1]


def _draw_tag(canvas: Frame, tag: Region, text: str, color: str, sizes: _Sizes) -> None:
    with _drawing(canvas, (*tag[:3], min(tag[3], canvas.shape[0]))) as image:
        image.paste(color, (0, 0, *image.size))
        middle = (tag[3] - tag[1]) / 2
        ImageDraw.Draw(image).text((sizes.pad, middle), text, font=sizes.tag, fill=ink_on(color), anchor="lm")


def _choose_bars(
    probabilities: Mapping[str, float], num_faces: int, area: tuple[int, int], sizes: _Sizes
) -> Mapping[str, float]:
    """Return the emotions that a panel shows: all, or the likeliest few where the frame has many faces."""
    width, height = _panel_size(tuple(probabilities), sizes)
    if num_faces == 1 or num_faces * width * height <= _MAX_PANELS_AREA * area[0] * area[1]:
        return probabilities
    likeliest = sorted(probabilities, key=lambda label: -probabilities[label])[:_SHORT_PANEL]
    return {label: probabilities[label] for label in likeliest}


@lru_cache(maxsize=64)
def _panel_columns(labels: tuple[str, ...], sizes: _Sizes) -> tuple[int, int, int]:
    """Return the widths of the names, the bars and the numbers."""
    names = max(round(sizes.small.getlength(label)) for label in labels)
    return names, 4 * sizes.small_size, round(sizes.small.getlength("100"))


def _panel_size(labels: tuple[str, ...], sizes: _Sizes) -> tuple[int, int]:
    return sum(_panel_columns(labels, sizes)) + 4 * sizes.pad, len(labels) * sizes.line + 2 * sizes.pad


def _place_panel(
    size: tuple[int, int],
    box: Region,
    area: tuple[int, int],
    others: Sequence[Region],
    taken: Sequence[Region],
    gap: int,
) -> Region | None:
    """Place a panel right of the box, left, below or above it, over no other face, no text and least of its own face.

    Args:
        size: of the panel, width and height.
        box: of its face.
        area: width and height of the part of the frame that it may lie in.
        others: the other faces' boxes.
        taken: regions with text.
        gap: distance to the box.

    Returns:
        None if it fits nowhere.
    """
    width, height = size
    if width > _MAX_PANEL_SHARE * area[0] or height > _MAX_PANEL_SHARE * area[1]:
        return None
    beside, under = (box[2] + gap, box[0] - gap - width), (box[3] + gap, box[1] - 4 * gap - height)
    corners = [(x, box[1]) for x in beside] + [(box[0], y) for y in under]  # aligned with the box's upper or left edge
    corners += [(x, box[3] - height) for x in beside] + [(box[2] - width, y) for y in under]
    best: Region | None = None
    least = float("inf")
    for preference, (x, y) in enumerate(corners):
        x, y = max(0, min(x, area[0] - width)), max(0, min(y, area[1] - height))
        panel = (x, y, x + width, y + height)
        if any(_overlap(panel, region) for region in (*others, *taken)):
            continue
        # A later place must be clearly better, so that the panel does not jump while a face moves a little.
        cost = 0.5 * _overlap(panel, box) / (width * height) + 0.04 * preference
        if cost < least:
            best, least = panel, cost
    return best


def _without(boxes: Sequence[Region], place: int) -> list[Region]:
    return [*boxes[:place], *boxes[place + 1 :]]


def _overlap(a: Region, b: Region) -> int:
    return max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))


@lru_cache(maxsize=64)
def _panel_names(labels: tuple[str, ...], sizes: _Sizes) -> Image.Image:
    """Return the names as a mask; they do not change from frame to frame."""
    mask = Image.new("L", _panel_size(labels, sizes))
    pen = ImageDraw.Draw(mask)
    for row, label in enumerate(labels):
        pen.text((sizes.pad, sizes.pad + (row + 0.5) * sizes.line), label, font=sizes.small, fill=255, anchor="lm")
    return mask


def _draw_panel(canvas: Frame, panel: Region, winner: str, shown: Mapping[str, float], sizes: _Sizes) -> None:
    """Draw a bar for each emotion, the winner's name and number bright; without a winner, "", all in grey."""
    labels = tuple(shown)
    names, bars, _ = _panel_columns(labels, sizes)
    start, right = names + 2 * sizes.pad, panel[2] - panel[0] - sizes.pad
    thick = max(2, round(0.34 * sizes.line))
    with _drawing_on_shade(canvas, panel) as image:
        image.paste(_PALE, (0, 0), _panel_names(labels, sizes))
        pen = ImageDraw.Draw(image)
        for row, (label, probability) in enumerate(shown.items()):
            middle = sizes.pad + (row + 0.5) * sizes.line
            upper, lower = round(middle - thick / 2), round(middle + thick / 2) - 1
            length = round(bars * min(1.0, max(0.0, probability)))
            pen.rectangle((start, upper, start + bars - 1, lower), fill=_TRACK)
            if length:
                pen.rectangle(
                    (start, upper, start + length - 1, lower), fill=emotion_color(label) if winner else UNSURE_COLOR
                )
            ink = _BRIGHT if label == winner else _PALE
            if label == winner:
                pen.text((sizes.pad, middle), label, font=sizes.small, fill=ink, anchor="lm")
            pen.text((right, middle), percent(probability, 0), font=sizes.small, fill=ink, anchor="rm")


def _draw_footer(canvas: Frame, time: str, footer: str, sizes: _Sizes) -> int:
    """Draw time and footer along the lower edge.

    Returns:
        The y where they begin.
    """
    height, width = (int(length) for length in canvas.shape[:2])
    indent = round(sizes.small.getlength(time)) + 2 * sizes.pad
    max_lines = max(1, round(_MAX_FOOTER_SHARE * height / sizes.line))
    lines = _wrap_footer(footer, sizes, width - indent - sizes.pad, max_lines)
    top = max(0, height - max(1, len(lines)) * sizes.line - sizes.pad)
    first = (sizes.pad + sizes.line) / 2
    with _drawing_on_shade(canvas, (0, top, width if lines else min(indent, width), height)) as image:
        pen = ImageDraw.Draw(image)
        pen.text((sizes.pad, first), time, font=sizes.small, fill=_BRIGHT, anchor="lm")
        for number, line in enumerate(lines):
            pen.text((indent, first + number * sizes.line), line, font=sizes.small, fill=_NOTICE, anchor="lm")
    return top


@lru_cache(maxsize=8)
def _wrap_footer(text: str, sizes: _Sizes, width: int, max_lines: int) -> tuple[str, ...]:
    return tuple(wrap_text(text, sizes.small, width, max_lines))
