"""The folder of pages: names, the index, and what is never overwritten."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import cv2
import numpy as np
import pytest

from dfer.errors import UsageError, VideoError
from dfer.records import Prediction
from dfer.reports.page_folder import (
    INDEX,
    plan_pages,
    read_summary,
    refuse_foreign,
    write_failure,
    write_index,
    write_page,
)
from dfer.reports.video_page import Shown, summarise_video
from dfer.runtime.formatting import MISSING
from tests.pages import ReadPage
from tests.results import even_windows, face_with, predicted


def write(folder: Path, source: str, prediction: Prediction | None = None) -> Path:
    (place,) = plan_pages(folder, [source])
    answer = replace(prediction or predicted([face_with(even_windows(4))]), source=source)
    write_page(place, answer, Shown(), "key")
    write_index(folder)
    return place.page


def test_pages_are_named_after_their_videos(tmp_path: Path) -> None:
    sources = [
        "a/clip.mp4",
        "b/clip.avi",
        "x.mp4",
        "index.mp4",
        "take.1",
        'we"ird<>?.mp4',
        f"{'long' * 60}.mp4",
        "..mp4",
    ]
    names = [place.page.name for place in plan_pages(tmp_path, sources)]
    assert len({name.casefold() for name in names}) == len(names)
    assert names[2] == "x.html"
    assert names[4] == "take.1.html"
    assert names[0].startswith("clip~")
    assert names[3].startswith("index~")
    assert names[5].startswith("we_ird___~")
    assert all(len(name) < 110 for name in names)


def test_a_page_of_another_video_of_the_same_name_is_kept(tmp_path: Path) -> None:
    first = write(tmp_path, "a/clip.mp4")
    second = write(tmp_path, "b/clip.mp4")
    again = write(tmp_path, "a/clip.mp4")
    assert first == again != second
    summaries = [read_summary(path) for path in (first, second)]
    assert [summary and summary.source for summary in summaries] == ["a/clip.mp4", "b/clip.mp4"]


def test_the_index_lists_every_page_in_the_folder(tmp_path: Path) -> None:
    pages = [write(tmp_path, f"v/{name}.mp4") for name in ("b c#?%", "a")]
    empty = write(tmp_path, "v/none.mp4", predicted([]))
    (tmp_path / "other.html").write_text("<p>not ours</p>")
    (tmp_path / "damaged.html").write_text('<script type="application/json" id="summary">{"schema": 3}</script>')
    write(tmp_path, "v/z.mp4")
    page = ReadPage.at(tmp_path / INDEX)
    links = [unquote(str(attributes["href"])) for tag, attributes in page.tags if tag == "a"]
    assert links == ["a.html", pages[0].name, empty.name, "z.html"]
    assert "4 videos" in page.text
    assert "1 warning" in page.text


def still(label: str, *, faces: int = 1, reasons: tuple[str, ...] = ()) -> Prediction:
    found = [face_with([(0.0, 0.04, label)], number) for number in range(faces)]
    found = [replace(face, segments=[replace(face.segments[0], reasons=reasons)]) for face in found]
    return predicted(found, duration=0.04, num_frames=1)


def cells_of(folder: Path) -> list[list[str]]:
    """The cells of the index, row by row, without the links' column."""
    text = ReadPage.at(folder / INDEX).text
    rows = text.partition("<tbody>")[2].partition("</tbody>")[0].split("</tr>")[:-1]
    return [re.findall(r"<td data-value=[^>]*>([^<]*)</td>", row) for row in rows]


def heads_of(folder: Path) -> list[str]:
    text = ReadPage.at(folder / INDEX).text.partition("</thead>")[0]
    return [name.strip() for name in re.findall(r"([\w ]+)(?:</button>)?</th>", text)]


def test_an_index_of_images_says_nothing_of_time(tmp_path: Path) -> None:
    write(tmp_path, "a.jpg", still("sad", faces=3))
    write(tmp_path, "b.png", still("happy", reasons=("too dark",)))
    (place,) = plan_pages(tmp_path, ["c.jpg"])
    write_failure(place, VideoError("the image cannot be read"))
    write_index(tmp_path)
    page = ReadPage.at(tmp_path / INDEX)
    assert "<h1>Images</h1>" in page.text
    assert "3 images · 4 faces · 1 without an answer" in page.text
    assert heads_of(tmp_path)[:5] == ["image", "emotions", "faces", "not sure", "confidence"]
    none = MISSING
    zero = ["0 %"] * 5
    assert cells_of(tmp_path) == [
        ["3", "0 %", "100 %", "0 %", "100 %", *zero],
        ["1", "100 %", none, *[none] * 7],
        [none] * 10,
    ]


def test_an_index_of_both_leaves_out_the_times_of_images(tmp_path: Path) -> None:
    write(tmp_path, "a.jpg", still("sad"))
    write(tmp_path, "b.mp4")
    page = ReadPage.at(tmp_path / INDEX)
    assert "<h1>Videos and images</h1>" in page.text
    assert "1 video · 20.0 s · 1 image · 2 faces" in page.text
    image, video = cells_of(tmp_path)
    assert image[:6] == ["image", "1", MISSING, "0 %", "100 %", MISSING]
    assert video[:3] == ["20.0 s", "1", "2.6 s"]


def test_the_index_shows_the_faces_that_are_seen_longest(tmp_path: Path) -> None:
    faces = [face_with(even_windows(9 - number), number) for number in (2, 0, 1, 3, 4, 5)]
    pictures = {number: np.full((112, 112, 3), 40 * number, np.uint8) for number in range(6)}
    (place,) = plan_pages(tmp_path, ["a.mp4"])
    write_page(place, predicted(faces, source="a.mp4"), Shown(faces=pictures), "key")
    write_index(tmp_path)
    page = ReadPage.at(tmp_path / INDEX)
    shown = [str(attributes["src"]).partition("base64,")[2] for tag, attributes in page.tags if tag == "img"]
    images = [cv2.imdecode(np.frombuffer(base64.b64decode(text), np.uint8), cv2.IMREAD_COLOR) for text in shown]
    assert [image.shape for image in images if image is not None] == [(72, 72, 3)] * 4
    assert [round(image.mean() / 40) for image in images if image is not None] == [2, 0, 1, 3]
    assert "img-src data:" in page.policy()
    assert "who" in heads_of(tmp_path)


def test_a_page_gives_back_its_summary(tmp_path: Path) -> None:
    prediction = predicted([face_with(even_windows(9))])
    page = write(tmp_path, prediction.source, prediction)
    assert read_summary(page) == summarise_video(prediction, "key")
    assert read_summary(tmp_path / "nothing.html") is None


def test_an_input_without_an_answer_is_named_until_it_has_one(tmp_path: Path) -> None:
    error = VideoError("<b>no</b> such file", where="v/a.mp4", hint="check the path")
    (place,) = plan_pages(tmp_path, ["v/a.mp4"])
    assert write_failure(place, error)
    write(tmp_path, "v/b.mp4")
    refuse_foreign(tmp_path, [place])
    page, index = ReadPage.at(place.page), ReadPage.at(tmp_path / INDEX)
    for shown in (page, index):
        assert "&lt;b&gt;no&lt;/b&gt; such file" in shown.text
        assert "b" not in [tag for tag, _ in shown.tags]
    assert "Check the path" in page.text
    assert "default-src 'none'" in page.policy()
    assert "1 without an answer" in index.text
    assert len([tag for tag, _ in index.tags if tag == "a"]) == 2

    write(tmp_path, "v/a.mp4")
    assert "without an answer" not in ReadPage.at(tmp_path / INDEX).text
    answered = place.page.read_bytes()
    assert not write_failure(place, error)
    assert place.page.read_bytes() == answered


def test_names_cannot_break_out_of_the_index(tmp_path: Path) -> None:
    write(tmp_path, "</td><script>alert(1)</script>'\"&.mp4")
    write(tmp_path, "plain.mp4")
    page = ReadPage.at(tmp_path / INDEX)
    assert len(page.scripts) == 1
    rows = [attributes for tag, attributes in page.tags if tag == "tr"]
    assert len(rows) == 3


@pytest.mark.parametrize("name", [INDEX, "a.html"])
def test_a_file_that_is_no_page_is_never_overwritten(tmp_path: Path, name: str) -> None:
    places = plan_pages(tmp_path, ["a.mp4"])
    refuse_foreign(tmp_path, places)
    write(tmp_path, "a.mp4")
    refuse_foreign(tmp_path, places)
    (tmp_path / name).write_text("mine")
    with pytest.raises(UsageError, match="has not written"):
        refuse_foreign(tmp_path, places)
