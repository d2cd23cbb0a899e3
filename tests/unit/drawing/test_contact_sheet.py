"""Contact sheets and film strips."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dfer.drawing.contact_sheet import film_strip, text_strip
from dfer.reports.demo import contact_sheet
from tests.results import (
    grey_frame,
)


def test_contact_sheet_places_images_and_captions() -> None:
    colors = [(200, 30, 30), (30, 200, 30), (30, 30, 200)]
    images = [np.full((40, 60, 3), color, np.uint8) for color in colors]
    sheet = contact_sheet(images, ["first", "second", ""], 2)
    assert sheet.shape[1] == 3 * 6 + 2 * 60
    assert (sheet[6:46, 6:66] == colors[0]).all()
    assert (sheet[6:46, 72:132] == colors[1]).all()
    assert (sheet[-46:-6, 6:66] == colors[2]).all()  # a row without captions takes no room for them
    assert sheet[46 : sheet.shape[0] - 46, 6:66].max() > 200  # the caption below the first
    assert (sheet[-46:, 72:] == sheet[0, 0]).all()


def test_contact_sheet_fits_images_of_other_sizes() -> None:
    sheet = contact_sheet([grey_frame(50, 50), np.full((200, 100, 3), 250, np.uint8)], ["", ""], 2)
    assert sheet.shape == (62, 118, 3)
    assert (sheet[10:50, 80:94] == 250).all()
    assert (sheet[10:50, 63:72] == sheet[0, 0]).all()


@pytest.mark.parametrize(
    ("images", "captions", "columns"),
    [([], [], 2), ([grey_frame(8, 8)], [], 2), ([grey_frame(8, 8)], [""], 0)],
    ids=["no image", "no caption", "no column"],
)
def test_contact_sheet_of_nothing_is_refused(images: list[Any], captions: list[str], columns: int) -> None:
    with pytest.raises(ValueError, match="expected images"):
        contact_sheet(images, captions, columns)


def test_a_film_strip_keeps_order_shape_and_marks() -> None:
    frames = [np.full((50, 50, 3), tone, np.uint8) for tone in (100, 200)]
    strip = film_strip(frames, 4, (48, 198), marked=[False, True])
    assert strip.shape == (48, 198, 3)
    assert (strip[24, [24, 74]] == [[100] * 3, [200] * 3]).all()
    assert (strip[24, [125, 175]] == strip[24, 49]).all(), "the places left are as dark as the gaps"
    assert tuple(strip[1, 74]) == tuple(strip[24, 51]) != (200, 200, 200)
    assert tuple(strip[1, 24]) == (100, 100, 100)


def test_a_text_strip_holds_long_reasons() -> None:
    plain, long = text_strip("", (96, 586)), text_strip("cannot read " * 200, (96, 586))
    assert plain.shape == long.shape == (96, 586, 3)
    assert (plain[2:-2, 2:-2] == plain[2, 2]).all()
    assert (long[2:-2, 20:-20] != plain[2, 2]).any()
    assert (long[2:-2, 2:10] == plain[2, 2]).all()
