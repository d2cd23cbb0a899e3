"""The page of a video, used as a reader uses it: pointer, keyboard, names, files, narrow and dark screens."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

from dfer.records import FacePrediction, Prediction
from dfer.reports.page_folder import plan_pages, write_index, write_page
from dfer.reports.prediction_rows import csv_text
from dfer.reports.thumbnails import face_pictures
from dfer.reports.video_page import Shown
from dfer.video import open_frames
from tests.browser.conftest import Tab
from tests.results import face_with, predicted, shares
from tests.unit.video.videos import write_video

pytestmark = pytest.mark.browser

DURATION = 12.0
HAPPY, SAD, EMPTY = [0xE6, 0x9F, 0x00], [0x00, 0x72, 0xB2], [0xF1, 0xF3, 0xF6]


def faces() -> list[FacePrediction]:
    """One face with a doubt and a gap, one seen at the same time, one after them."""
    first = face_with([(0.0, 2.0, "happy"), (2.0, 4.0, "sad"), (4.0, 5.0, "fear"), (7.0, 9.0, "sad")], 0)
    doubtful = replace(first.segments[2], reasons=("too dark", "too small"), confidence=0.31)
    first = replace(first, segments=[*first.segments[:2], doubtful, first.segments[3]])
    return [first, face_with([(1.0, 3.0, "neutral")], 3), face_with([(10.0, 11.5, "angry")], 7)]


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    frames = [np.full((90, 160, 3), 10 * (n % 25), np.uint8) for n in range(int(30 * DURATION))]
    return write_video(folder / "a clip.mp4", frames, options={"g": "15"})


@pytest.fixture(scope="module")
def prediction(video: Path) -> Prediction:
    return replace(predicted(faces(), duration=DURATION, source=video.name, num_frames=360), fps=30.0)


@pytest.fixture(scope="module")
def report(video: Path, prediction: Prediction) -> Path:
    (place,) = plan_pages(video.parent, [video.name])
    source = open_frames(video)
    write_page(
        place, prediction, Shown("a%20clip.mp4", "moved", (160, 90), 0.0, face_pictures(prediction, source)), "k"
    )
    return place.page


Open = Callable[..., Tab]


@pytest.fixture
def open_tab(browser: Any) -> Iterator[Open]:
    tabs: list[Tab] = []

    def open_(path: Path, **options: Any) -> Tab:
        tabs.append(Tab(browser, path, **options))
        return tabs[-1]

    yield open_
    for tab in tabs:
        tab.close()


@pytest.fixture
def tab(open_tab: Open, report: Path) -> Tab:
    tab = open_tab(report)
    tab.until("media.readyState > 0")
    return tab


def video_time(tab: Tab) -> float:
    tab.until("!media.seeking")
    return float(tab.run("media.currentTime"))


def test_a_click_seeks_and_the_playhead_stands_there(tab: Tab) -> None:
    tab.point_at(7.5, click=True)
    assert video_time(tab) == pytest.approx(7.5, abs=0.05)
    assert tab.text("#time") == "7.5 s / 12.0 s"
    head = tab.page.locator("#playhead").bounding_box()
    plot = tab.page.locator("canvas.plot").first.bounding_box()
    assert head["x"] + 1 == pytest.approx(plot["x"] + plot["width"] * 7.5 / 12, abs=2)
    assert head["height"] > 2 * plot["height"]
    assert tab.text("#now").startswith("face 0\nsad, confidence 100 %")
    tab.point_at(6.0, click=True)
    assert tab.text("#now") == "no face is seen"


def test_the_playhead_moves_while_the_video_plays(tab: Tab) -> None:
    tab.page.locator("#play").click()
    tab.until("position > 0.5")
    assert tab.text("#play") == "Pause"
    assert abs(tab.run("position - media.currentTime")) < 0.3
    tab.page.locator("#play").click()
    tab.until("media.paused")
    assert tab.text("#play") == "Play"


def test_pointing_shows_the_answer(tab: Tab) -> None:
    tab.point_at(3.0)
    lines = tab.text("#tip").splitlines()
    assert lines[0].startswith("face 0 3.0 s")
    assert "sad, confidence 100 %" in lines
    assert lines[lines.index("sad") + 1] == "70 %"
    assert sum(line.endswith(" %") for line in lines) == 8
    tab.point_at(4.5)
    assert "not sure: too dark, too small (fear, confidence 31 %)" in tab.text("#tip")
    tab.point_at(6.0)
    assert "not seen" in tab.text("#tip")
    tab.page.mouse.move(5, 5)
    assert not tab.page.locator("#tip").is_visible()


def test_unsure_time_is_hatched_and_a_gap_is_empty(tab: Tab) -> None:
    assert tab.pixel(0.2, 0.95) == HAPPY
    assert tab.pixel(2.2, 0.9) == SAD
    assert tab.pixel(6.0) == tab.pixel(6.0, 0.9) == EMPTY
    hatched = [tab.pixel(4.02 + 0.02 * n, 0.9) for n in range(12)]
    assert len({tuple(color) for color in hatched}) > 1, "lines on the ground"
    assert not any(color in (HAPPY, SAD) for color in hatched)


def test_names_are_shown_everywhere_and_kept(tab: Tab) -> None:
    tab.page.get_by_label("Name of face 0").fill("Anna <b>& Ben</b>")
    for place in ("#table", "#transitions"):
        assert "Anna <b>& Ben</b>" in tab.text(place)
    assert "Anna <b>& Ben</b>" in str(tab.page.locator("canvas.plot").first.get_attribute("aria-label"))
    assert yaml.safe_load(tab.text("#yaml")) == {"a clip.mp4": {"names": {0: "Anna <b>& Ben</b>"}}}
    tab.page.reload()
    assert tab.page.get_by_label("Name of face 0").input_value() == "Anna <b>& Ben</b>"
    tab.page.get_by_label("Name of face 0").fill("")
    assert yaml.safe_load(tab.text("#yaml")) == {"a clip.mp4": {}}


def test_a_name_means_one_person(tab: Tab) -> None:
    tab.page.get_by_label("Name of face 0").fill("Anna")
    tab.page.get_by_label("Name of face 3").fill("Anna")
    assert tab.text("#status") == "Anna is face 0 already: merge the two, or enter another name."
    assert yaml.safe_load(tab.text("#yaml"))["a clip.mp4"] == {"names": {0: "Anna"}}
    tab.page.get_by_label("Name of face 3").fill("Anna B")
    assert tab.page.locator("#status").inner_text() == ""
    assert yaml.safe_load(tab.text("#yaml"))["a clip.mp4"] == {"names": {0: "Anna", 3: "Anna B"}}


def test_faces_are_merged_and_separated_and_the_yaml_says_so(tab: Tab) -> None:
    tab.page.get_by_label("Name of face 7").fill("Ben")
    tab.page.get_by_label("Merge face 7 with").select_option("face 0")
    assert tab.page.locator("#faces > li").count() == 2
    assert tab.run("document.activeElement.dataset.id") == "0"
    assert tab.text("#table tbody tr:first-child").split("\t")[:2] == ["Ben", "8.5 s"]
    with tab.page.expect_download() as download:
        tab.page.get_by_role("button", name="Names and merges").click()
    assert download.value.suggested_filename == "people.yaml"
    expected = {"a clip.mp4": {"names": {0: "Ben"}, "merge": [[0, 7]]}}
    assert yaml.safe_load(Path(download.value.path()).read_text()) == expected
    tab.page.get_by_role("button", name="Separate the faces 0 and 7").click()
    assert tab.page.locator("#faces > li").count() == 3
    assert "merge" not in tab.text("#yaml")


def test_faces_that_are_seen_at_once_are_not_merged(tab: Tab) -> None:
    tab.page.get_by_label("Merge face 3 with").select_option("face 0")
    assert tab.text("#status") == "face 0 and face 3 are seen at the same time, at 1.0 s: they are two people."
    assert tab.page.locator("#faces > li").count() == 3
    assert tab.page.get_by_label("Merge face 3 with").input_value() == ""


def test_the_files_are_saved(tab: Tab, prediction: Prediction) -> None:
    for name, expected in (("Answers (JSON)", None), ("Table (CSV)", csv_text([prediction]))):
        with tab.page.expect_download() as download:
            tab.page.get_by_role("button", name=name).click()
        text = Path(download.value.path()).read_text()
        assert (json.loads(text) == prediction.to_dict()) if expected is None else (text == expected)


def test_keys_move_the_video(tab: Tab) -> None:
    press = tab.page.keyboard.press
    steps = [
        ("ArrowRight", 1.0),
        ("Shift+ArrowRight", 11.0),
        ("ArrowLeft", 10.0),
        ("]", 10.0),
        ("[", 7.0),
        ("[", 4.0),
        (".", 4.0333),
        (",", 4.0),
        ("End", 12.0),
        ("Home", 0.0),
    ]
    for key, expected in steps:
        press(key)
        assert tab.run("position") == pytest.approx(expected, abs=0.04), key
    assert video_time(tab) == pytest.approx(0.0, abs=0.05)
    press("Space")
    tab.until("!media.paused && position > 0.1")
    press("Space")
    tab.until("media.paused")
    tab.page.get_by_label("Name of face 0").focus()
    before = tab.run("position")
    tab.page.keyboard.type("a b")
    press("ArrowLeft")
    assert (tab.run("position"), tab.run("media.paused")) == (before, True)
    tab.page.get_by_label("Name of face 0").fill("")


def test_the_timeline_zooms_and_follows(tab: Tab) -> None:
    press = tab.page.keyboard.press
    press("End")
    press("+")
    press("+")
    assert tab.run("[view.from, view.to]") == pytest.approx([9.0, 12.0])
    assert tab.page.locator("#pan").is_visible()
    assert tab.pixel(10.1, 0.95, face=2) == [0xD5, 0x5E, 0x00]
    press("Home")
    assert tab.run("view.from") == 0
    tab.page.locator("#pan").fill("1000")
    assert tab.run("[view.from, view.to]") == pytest.approx([9.0, 12.0])
    press("0")
    assert tab.run("[view.from, view.to]") == [0, 12]
    assert not tab.page.locator("#pan").is_visible()


def test_the_page_can_be_walked_through_in_reading_order(tab: Tab) -> None:
    stops = []
    for _ in range(40):
        tab.page.keyboard.press("Tab")
        stops.append(
            tab.run(
                "document.activeElement.id || document.activeElement.ariaLabel || document.activeElement.textContent"
            )
        )
    wanted = [
        "Overview", "play", "previous", "next", "speed", "show-boxes", "zoom-out", "zoom-in", "zoom-fit", "seek",
        "Name of face 0", "Merge face 0 with", "Name of face 3", "Merge face 3 with", "save-yaml",
    ]  # fmt: skip
    found = [stop for stop in stops if stop in wanted]
    assert list(dict.fromkeys(found)) == wanted
    snapshot = tab.page.locator("body").aria_snapshot()
    for part in (
        'heading "a clip.mp4" [level=1]',
        'slider "Position in the video"',
        'img "Timeline of face 0: sad',
        'img "Face 0"',
    ):
        assert part in snapshot
    assert 'button ""' not in snapshot
    tab.page.keyboard.press("Home")
    assert str(tab.page.locator("#seek").get_attribute("aria-valuetext")).startswith(
        "0.0 s: face 0 happy, confidence 100 %"
    )


def test_a_narrow_screen_shows_everything_below_one_another(open_tab: Open, report: Path) -> None:
    tab = open_tab(report, viewport={"width": 400, "height": 800}, has_touch=True)
    assert tab.run("document.documentElement.scrollWidth") == 400
    places = [tab.page.locator(name).bounding_box() for name in ("#stage", "#timeline", "#summary-section")]
    assert all(place["x"] == places[0]["x"] and place["width"] > 350 for place in places)
    assert places[0]["y"] + places[0]["height"] <= places[1]["y"]
    tab.page.locator("canvas.plot").first.scroll_into_view_if_needed()
    plot = tab.page.locator("canvas.plot").first.bounding_box()
    assert plot["width"] > 320
    tab.page.touchscreen.tap(plot["x"] + plot["width"] / 4, plot["y"] + 10)
    assert tab.run("position") == pytest.approx(3.0, abs=0.1)


def test_a_dark_screen_is_dark_and_changes_with_the_system(open_tab: Open, report: Path) -> None:
    tab = open_tab(report, color_scheme="dark")
    assert tab.run("getComputedStyle(document.body).backgroundColor") == "rgb(15, 17, 21)"
    assert np.mean(tab.pixel(6.0)) < 60
    assert tab.pixel(2.2, 0.9) == SAD
    tab.page.emulate_media(color_scheme="light")
    tab.until("getComputedStyle(document.body).backgroundColor === 'rgb(244, 246, 248)'")
    tab.until("palette().empty === '#f1f3f6'")
    tab.page.wait_for_timeout(100)
    assert tab.pixel(6.0) == EMPTY


def test_a_video_that_has_been_moved_is_said_and_the_timeline_still_works(
    open_tab: Open, prediction: Prediction, tmp_path: Path
) -> None:
    (place,) = plan_pages(tmp_path, [prediction.source])
    write_page(place, prediction, Shown("gone.mp4", "The video has been moved.", (160, 90)), "k2")
    tab = open_tab(place.page)
    tab.page.locator("#no-media").wait_for()
    assert tab.text("#no-media") == "The video has been moved."
    tab.point_at(3.0, click=True)
    assert tab.text("#now").startswith("face 0\nsad")


def test_hostile_names_are_text(open_tab: Open, prediction: Prediction, tmp_path: Path) -> None:
    nasty = "</script><img src=x onerror=alert(1)>\"'.mp4"
    labels = ["<i>happy", *prediction.model["labels"][1:]]
    face = face_with([(0.0, 2.0, "sad")])
    chances = dict(zip(labels, shares("sad").values(), strict=True))
    face = replace(face, probabilities=chances, segments=[replace(face.segments[0], probabilities=chances)])
    model = {**prediction.model, "labels": labels}
    (place,) = plan_pages(tmp_path, [nasty])
    write_page(place, replace(prediction, source=nasty, model=model, faces=[face], warnings=[nasty]), Shown(), "k3")
    write_index(tmp_path)
    tab = open_tab(place.page)
    assert tab.text("h1") == Path(nasty).name
    assert "<i>happy" in tab.text("#legend")
    assert tab.page.locator("img").count() == 0
    assert yaml.safe_load(tab.text("#yaml")) == {nasty: {}}
    tab.page.get_by_role("link", name="Overview").click()
    tab.page.get_by_role("link").first.click()
    assert tab.text("h1") == Path(nasty).name


def test_an_image_shows_its_face_and_its_chances(open_tab: Open, prediction: Prediction, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.full((90, 160, 3), 99, np.uint8))
    found = [face_with([(0.0, 0.04, "sad")]), face_with([(0.0, 0.04, "fear")], 1)]
    found[1] = replace(found[1], segments=[replace(found[1].segments[0], reasons=("too dark",), confidence=0.3)])
    still = replace(prediction, source="a.png", num_frames=1, duration=0.04, faces=found)
    (place,) = plan_pages(tmp_path, ["a.png"])
    write_page(place, still, Shown("a.png", "", (160, 90)), "k4")
    tab = open_tab(place.page)
    tab.until("document.querySelectorAll('#boxes rect').length === 4")
    assert tab.page.locator("#faces .chances").first.inner_text().split()[:3] == ["sad", "70", "%"]
    texts = tab.page.locator("#faces p").all_inner_texts()
    assert texts == ["sad, confidence 100 %", "not sure: too dark (fear, confidence 30 %)"]
    assert tab.page.locator("#faces select").count() == 0, "two faces in an image are two people"
    image, box = (tab.page.locator(found).first.bounding_box() for found in ("#media", "#boxes rect"))
    assert image["width"] < 400, "small images are not blown up"
    scale = image["width"] / 160
    assert box["x"] - image["x"] == pytest.approx(10 * scale, abs=2)
    assert box["y"] - image["y"] == pytest.approx(10 * scale, abs=2)
    assert "sad, confidence 100 %" in tab.text("#table")
    tab.page.get_by_label("Name of face 0").fill("Anna")
    assert "Anna" in tab.text("#table")


def test_the_index_is_sorted_and_searched(open_tab: Open, prediction: Prediction, tmp_path: Path) -> None:
    for name, found in (("b 10.mp4", faces()), ("b 9.mp4", faces()[2:]), ("none.mp4", [])):
        (place,) = plan_pages(tmp_path, [name])
        write_page(place, replace(prediction, source=name, faces=found), Shown(), "k")
    write_index(tmp_path)
    tab = open_tab(tmp_path / "index.html")

    def order() -> list[str]:
        return [text.splitlines()[0] for text in tab.page.locator("tbody th:visible").all_inner_texts()]

    assert sorted(order()) == ["b 10.mp4", "b 9.mp4", "none.mp4"]
    tab.page.get_by_role("button", name="video").click()
    assert order() == ["b 9.mp4", "b 10.mp4", "none.mp4"]
    tab.page.get_by_role("button", name="angry").click()
    assert order() == ["b 9.mp4", "b 10.mp4", "none.mp4"]
    assert tab.page.locator("th[aria-sort=descending]").inner_text() == "angry"
    tab.page.get_by_role("button", name="angry").click()
    assert order() == ["b 10.mp4", "b 9.mp4", "none.mp4"], "what is missing comes last in either direction"
    tab.page.get_by_label("Find").fill("B 1")
    assert order() == ["b 10.mp4"]
    assert tab.text("#count") == "1 of 3"
    tab.page.get_by_role("link", name="b 10.mp4").click()
    assert tab.text("h1") == "b 10.mp4"
