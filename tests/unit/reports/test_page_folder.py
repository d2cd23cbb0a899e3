"""The folder of pages: names, the index, and what is never overwritten."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

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
