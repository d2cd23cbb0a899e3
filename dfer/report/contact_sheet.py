"""Many small images on one, with captions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from dfer.report.lettering import load_font, shorten_text

GAP = 6  # pixels between images
_GROUND, _INK = (22, 25, 30), (232, 234, 237)  # dark: fits on white and on black pages


def contact_sheet(images: Sequence[NDArray[np.uint8]], captions: Sequence[str], columns: int) -> NDArray[np.uint8]:
    """Lay images out in rows, each with its caption below.

    Args:
        images: uint8 [H, W, 3], RGB; of any sizes, each is fitted into a cell as large as the first.
        captions: one per image, "" for none; a row without any takes no room for them.
        columns: images in a row.

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
    font = load_font(max(11, round(0.1 * width)))
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


def _fit(image: Image.Image, width: int, height: int) -> Image.Image:
    scale = min(width / image.width, height / image.height)
    if scale == 1:
        return image
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.LANCZOS)
