"""Many small images on one: rows of a clip's frames, and sheets of captioned images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from dfer.drawing.text import line_height, load_font, shorten_text, wrap_text

GAP = 6  # pixels between images
_GROUND, _INK, _MUTED = (22, 25, 30), (232, 234, 237), (155, 165, 177)  # dark, which suits both white and black pages
_MARK = (242, 176, 76)
_MARK_WIDTH = 3  # pixels
_STRIP_GAP = 2


def contact_sheet(
    images: Sequence[NDArray[np.uint8]], captions: Sequence[str], columns: int, *, caption_px: int | None = None
) -> NDArray[np.uint8]:
    """Lay images out in rows, each with its caption below.

    Args:
        images: uint8 [H, W, 3], RGB; of any sizes, each is fitted into a cell as large as the first.
        captions: one per image, "" for none; a row without any takes no room for them.
        columns: images in a row.
        caption_px: size of the captions' text; by default a tenth of the images' width.

    Returns:
        uint8 [H, W, 3], RGB.

    Raises:
        ValueError: there is no image, no column, or not one caption per image.
    """
    if not images or columns < 1 or len(captions) != len(images):
        raise ValueError(
            f"expected images, a caption for each and at least one column, "
            f"got {len(images)} images, {len(captions)} captions, {columns} columns"
        )
    height, width = images[0].shape[:2]
    font = load_font(caption_px or max(11, round(0.1 * width)))
    caption_height = round(1.5 * font.size)
    rows = [range(first, min(first + columns, len(images))) for first in range(0, len(images), columns)]
    captioned = [any(captions[number] for number in row) for row in rows]
    size = (
        GAP + min(columns, len(images)) * (width + GAP),
        GAP + len(rows) * (height + GAP) + sum(captioned) * caption_height,
    )
    sheet = Image.new("RGB", size, _GROUND)
    pen = ImageDraw.Draw(sheet)
    top = GAP
    for row, has_captions in zip(rows, captioned, strict=True):
        for column, number in enumerate(row):
            left = GAP + column * (width + GAP)
            image = _fit(Image.fromarray(images[number]), width, height)
            sheet.paste(image, (left + (width - image.width) // 2, top + (height - image.height) // 2))
            text = shorten_text(captions[number], font, width)
            pen.text((left, top + height + caption_height / 2), text, font=font, fill=_INK, anchor="lm")
        top += height + GAP + (caption_height if has_captions else 0)
    return np.array(sheet)


def film_strip(
    frames: Sequence[NDArray[np.uint8]], columns: int, size_hw: tuple[int, int], *, marked: Sequence[bool] = ()
) -> NDArray[np.uint8]:
    """Lay frames of one clip out side by side; places without a frame stay dark.

    Args:
        frames: uint8 [H, W, 3], RGB; of any sizes, each is fitted into its place.
        columns: number of places in the strip; further frames are left out.
        size_hw: height and width of the strip, pixels.
        marked: which of the frames get a coloured edge; none by default.

    Returns:
        uint8 [H, W, 3], RGB.
    """
    height, width = size_hw
    strip = Image.new("RGB", (width, height), _GROUND)
    pen = ImageDraw.Draw(strip)
    edges = [round(place * (width + _STRIP_GAP) / columns) for place in range(columns + 1)]
    for place, frame in enumerate(frames[:columns]):
        left, right = edges[place], edges[place + 1] - _STRIP_GAP
        image = _fit(Image.fromarray(frame), right - left, height)
        corner = (left + (right - left - image.width) // 2, (height - image.height) // 2)
        strip.paste(image, corner)
        if place < len(marked) and marked[place]:
            end = (corner[0] + image.width - 1, corner[1] + image.height - 1)
            pen.rectangle((*corner, *end), outline=_MARK, width=_MARK_WIDTH)
    return np.array(strip)


def text_strip(text: str, size_hw: tuple[int, int]) -> NDArray[np.uint8]:
    """Draw the placeholder for a film strip of which nothing can be shown.

    Args:
        text: the reason; wrapped, and shortened to fit.
        size_hw: height and width of the strip, pixels.

    Returns:
        uint8 [H, W, 3], RGB.
    """
    height, width = size_hw
    strip = Image.new("RGB", (width, height), _GROUND)
    pen = ImageDraw.Draw(strip)
    pen.rectangle((0, 0, width - 1, height - 1), outline=tuple(value // 3 for value in _MUTED))
    font = load_font(max(11, round(0.15 * height)))
    step = line_height(font)
    lines = wrap_text(text, font, 0.9 * width, max_lines=max(1, height // step - 1))
    for number, line in enumerate(lines):
        middle = height / 2 + (number - (len(lines) - 1) / 2) * step
        pen.text((width / 2, middle), line, font=font, fill=_MUTED, anchor="mm")
    return np.array(strip)


def _fit(image: Image.Image, width: int, height: int) -> Image.Image:
    scale = min(width / image.width, height / image.height)
    if scale == 1:
        return image
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.LANCZOS)
