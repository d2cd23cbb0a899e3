"""The page of a video: its data, its downloads, and that nothing in it can break out of its place."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from dfer.drawing.pages import template_text
from dfer.drawing.player import player_page
from dfer.errors import UsageError
from dfer.labels import DFEW_LABELS
from dfer.prediction.people_file import PeopleFile
from dfer.records import FacePrediction, Prediction
from dfer.records.people import People, merge_faces, people_of, relabel
from dfer.records.summary import summarise_face
from dfer.records.timeline import emotion_runs, gaps
from dfer.reports.prediction_rows import csv_text
from dfer.reports.video_page import Shown, page_key, summarise_video, video_page
from tests.pages import ReadPage
from tests.results import NOTICE, even_windows, face_with, grey_frame, predicted

NASTY = "</script><script>alert(1)</script><!--<script>\"'&\u2028\\x"


def read(prediction: Prediction, shown: Shown | None = None) -> ReadPage:
    return ReadPage(player_page(video_page(prediction, shown or Shown(), key="k", index="index.html")))


def doubtful(face: FacePrediction, *numbers: int) -> FacePrediction:
    """The face, some of its segments unsure."""
    segments = [
        replace(s, reasons=("too dark", "too small") if n % 2 else ("too dark",), confidence=0.25)
        if n in numbers
        else s
        for n, s in enumerate(face.segments)
    ]
    return replace(face, segments=segments)


def varied_face() -> FacePrediction:
    """A face with runs, unsure time within and between emotions, and gaps."""
    windows = [*even_windows(12), (9.0, 9.5, "sad"), (9.5, 10.25, "happy"), (12.0, 12.5, "happy")]
    return doubtful(face_with(windows), 4, 5, 9, 13)


def test_the_page_holds_all_that_it_shows() -> None:
    face = varied_face()
    shown = Shown("../clips/a.mp4", "moved", (640, 360), 0.04, {0: grey_frame(112, 112)})
    page = read(predicted([face]), shown)
    data = page.data
    assert data["source"] == "clips/a.mp4"
    assert (data["duration"], data["offset"], data["size"], data["still"]) == (20.0, 0.04, [640, 360], False)
    assert data["labels"] == list(DFEW_LABELS)
    (stored,) = data["faces"]
    assert stored["thumbnail"].startswith("data:image/jpeg;base64,")
    assert stored["start"] == [round(1000 * s.start) for s in face.segments]
    assert stored["end"] == [round(1000 * s.end) for s in face.segments]
    assert [data["labels"][place] for place in stored["top"]] == [s.label for s in face.segments]
    assert [data["reasons"][place] for place in stored["why"]] == [list(s.reasons) for s in face.segments]
    assert len(stored["shares"]) == 7 * len(face.segments)
    assert stored["box"][:4] == [10, 10, 60, 60]
    assert ("video", "../clips/a.mp4") in [(tag, attributes.get("src")) for tag, attributes in page.tags]
    assert NOTICE in page.text


def test_the_downloads_are_what_the_command_writes() -> None:
    prediction = predicted([varied_face()])
    page = read(prediction)
    name, text = page.download(0)
    assert name == "a.mp4.json"
    assert json.loads(text) == prediction.to_dict()
    assert page.download(1) == ("a.mp4.csv", csv_text([prediction]))


def test_a_page_loads_nothing_and_runs_no_script_but_its_own() -> None:
    page = read(predicted([varied_face()]))
    assert not re.search(r"(src|href)=\"(https?:)?//", page.text)
    assert "@import" not in page.text
    policy = page.policy()
    assert "default-src 'none'" in policy
    assert "unsafe-inline'; img" in policy  # of styles only
    own = [text for attributes, text in page.scripts if "type" not in attributes]
    assert len(own) == 1
    digest = base64.b64encode(hashlib.sha256(own[0].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy


def test_names_labels_and_warnings_cannot_break_out_of_their_place() -> None:
    plain = predicted([varied_face()])
    labels = [NASTY, *DFEW_LABELS[1:]]
    face = face_with([(0.0, 1.0, "sad")])
    shares = {NASTY: 0.4, **dict.fromkeys(DFEW_LABELS[1:], 0.1)}
    face = replace(face, probabilities=shares, segments=[replace(face.segments[0], probabilities=shares)])
    nasty = replace(
        plain,
        source=f"clips/{NASTY}.mp4",
        model={**plain.model, "labels": labels, "checkpoint": NASTY},
        warnings=[NASTY],
        notice=NASTY,
        faces=[face],
    )
    page = read(nasty, Shown(media=NASTY, no_media=NASTY))
    kinds = [(tag, sorted(attributes)) for tag, attributes in page.tags]
    like = read(replace(plain, warnings=["w"]), Shown(media="a", no_media="b"))
    assert kinds == [(tag, sorted(attributes)) for tag, attributes in like.tags]
    assert page.data["source"] == f"clips/{NASTY}.mp4"
    assert page.data["labels"][0] == NASTY
    assert json.loads(page.download(0)[1])["warnings"] == [NASTY]


def test_an_image_has_no_player_and_no_timeline() -> None:
    page = read(predicted([face_with([(0.0, 0.04, "sad")])], duration=0.04, num_frames=1), Shown(media="a.png"))
    tags = [tag for tag, _ in page.tags]
    assert "video" not in tags
    assert "img" in tags
    assert page.data["still"] is True
    ids = {attributes.get("id") for _, attributes in page.tags}
    assert not ids & {"play", "seek", "axis", "pan"}


def test_headings_landmarks_and_fields_are_named_in_reading_order() -> None:
    page = read(predicted([varied_face()]), Shown(media="a.mp4"))
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    ids = {attributes.get("id") for _, attributes in page.tags}
    sections = [attributes for tag, attributes in page.tags if tag == "section"]
    assert all(attributes["aria-labelledby"] in ids for attributes in sections)
    order = [attributes.get("id") for tag, attributes in page.tags if tag == "section"]
    assert order[:3] == ["stage", "timeline", "summary-section"]
    assert not [attributes for _, attributes in page.tags if int(attributes.get("tabindex") or 0) > 0]


def test_the_index_sums_up_the_trusted_time_of_all_faces() -> None:
    faces = [varied_face(), face_with([(1.0, 3.0, "sad"), (3.0, 4.0, "fear")], 1)]
    summary = summarise_video(predicted(faces), "key")
    assert summary.faces == 2
    sums = [summarise_face(face) for face in faces]
    assert summary.visible == pytest.approx(sum(s.visible for s in sums), abs=1e-3)
    assert summary.seconds["sad"] == pytest.approx(sum(s.seconds["sad"] for s in sums), abs=2e-3)
    assert summary.seconds["fear"] >= 1.0
    assert 0 < summary.unsure < summary.visible
    nobody = summarise_video(predicted([]), "key")
    assert (nobody.faces, nobody.visible, nobody.confidence, nobody.changes_per_minute) == (0, 0, None, None)


def test_the_key_tells_answers_and_options_apart() -> None:
    one, two = predicted([varied_face()]), predicted([face_with(even_windows(3))])
    keys = {page_key(one), page_key(two), page_key(one, True), page_key(one, False)}
    assert len(keys) == 4
    assert page_key(one) == page_key(predicted([varied_face()]))


# ---- the page's logic, in Node


def run_logic(prediction: Prediction, code: str) -> Any:
    """Run the page's logic over the data of a page; `code` is the body of a function of `data` and `faces`."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node is not installed: the page's logic is not run")
    data = json.dumps(read(prediction).data)
    call = f"(() => {{ const data = {data}; const faces = unpackFaces(data); {code} }})()"
    script = f"{template_text('player_logic.js')}\nconsole.log(JSON.stringify({call}));"
    done = subprocess.run([node, "-"], input=script, capture_output=True, text=True, timeout=60, check=True)
    return json.loads(done.stdout)


def test_the_page_sums_up_as_python_does() -> None:
    face = varied_face()
    found = run_logic(
        predicted([face]),
        "const s = faces[0].segments; const n = data.labels.length;"
        "return {summary: summarise(s, n), runs: emotionRuns(s, n), gaps: findGaps(s)};",
    )
    expected = summarise_face(face)
    summary = found["summary"]
    for name in ("visible", "unsure", "confidence"):
        assert summary[name] == pytest.approx(getattr(expected, name), abs=2e-3)
    assert summary["seconds"] == pytest.approx([expected.seconds[label] for label in DFEW_LABELS], abs=5e-3)
    assert summary["shares"] == pytest.approx([expected.shares[label] for label in DFEW_LABELS], abs=1e-3)
    assert summary["changes"] == expected.changes > 0
    named = {(DFEW_LABELS[one], DFEW_LABELS[two]): count for one, two, count in summary["transitions"]}
    assert named == expected.transitions
    assert summary["changesPerMinute"] == pytest.approx(expected.changes_per_minute, rel=1e-3)
    runs = emotion_runs(face)
    assert [run["reasons"] for run in found["runs"]] == [list(run.reasons) for run in runs]
    assert [DFEW_LABELS[run["label"]] for run in found["runs"]] == [run.label for run in runs]
    assert [(run["start"], run["end"]) for run in found["runs"]] == [
        pytest.approx((run.start, run.end), abs=1e-3) for run in runs
    ]
    assert found["gaps"] == [pytest.approx(gap, abs=1e-3) for gap in gaps(face)]


def test_merged_faces_are_one_person_and_faces_seen_at_once_are_two() -> None:
    faces = [
        face_with([(0.0, 1.0, "sad"), (1.0, 2.0, "happy")], 3),
        face_with([(0.5, 1.5, "fear")], 0),
        face_with([(5.0, 6.0, "sad")], 7),
        face_with([(1.7, 2.2, "neutral"), (2.2, 4.0, "fear")], 9),
    ]
    found = run_logic(
        predicted(faces),
        "const people = joinPeople(faces, {3: 'Anna', 0: 'Ben'}, [[3, 7]], 0.5);"
        "const times = (segments) => segments.map((s) => [s.start, s.end]);"
        "return {people: people.map(({ id, ids, name, segments }) => [id, ids, name, times(segments)]),"
        " conflicts: [1, 2, 3].map((n) => inOrder([faces[0], faces[n]], 0.5).conflict),"
        " dissolved: times(inOrder([faces[3], faces[0]], 0.5).segments),"
        " seen: [0.5, 2.5, 5.5, 7].map((t) => segmentAt(people[0].segments, t))};",
    )
    assert found["people"] == [
        [3, [3, 7], "Anna", [[0, 1], [1, 2], [5, 6]]],
        [0, [0], "Ben", [[0.5, 1.5]]],
        [9, [9], "", [[1.7, 2.2], [2.2, 4]]],
    ]
    assert found["conflicts"] == [0.5, None, None]
    merged = merge_faces([faces[0], faces[3]])
    assert found["dissolved"] == [[segment.start, segment.end] for segment in merged.segments]
    assert found["seen"] == [0, -1, 2, -1]
    with pytest.raises(UsageError, match="at the same time"):
        merge_faces(faces[:2])


def test_people_that_are_known_are_shown_and_can_be_separated() -> None:
    plain = predicted([face_with([(5.0, 9.0, "sad")], 7), face_with([(0.0, 1.0, "happy")], 2)])
    known = relabel(plain, People({2: "Anna"}, [[2, 7]]))
    data = read(known, Shown(faces={2: grey_frame(112, 112), 7: grey_frame(112, 112)})).data
    assert [face["id"] for face in data["faces"]] == [2, 7]
    assert all(face["thumbnail"] for face in data["faces"])
    assert (data["names"], data["merges"]) == ({"2": "Anna"}, [[2, 7]])
    people = "joinPeople(faces, data.names, data.merges, data.dissolve)"
    text = run_logic(known, f"return peopleYaml(data.source, {people});")
    assert yaml.safe_load(text) == {"clips/a.mp4": {"names": {2: "Anna"}, "merge": [[2, 7]]}}
    assert run_logic(known, f"return {people}.length;") == 1


def test_dfer_reads_the_yaml(tmp_path: Path) -> None:
    plain = predicted([face_with([(5.0, 9.0, "sad")], 7), face_with([(0.0, 1.0, "happy")], 2)])
    for names, merges in (("{2: 'Anna'}", "[[2, 7]]"), ("{}", "[]"), ("{7: 'B: #'}", "[]")):
        people = f"joinPeople(faces, {names}, {merges}, 0.5)"
        path = tmp_path / "people.yaml"
        path.write_text(run_logic(plain, f"return peopleYaml(data.source, {people});"))
        (given,) = PeopleFile(path).assign([plain.source])[plain.source]
        relabelled = relabel(plain, given)
        assert people_of(relabelled).names == given.names
        assert len(relabelled.faces) == (1 if "7]" in merges else 2)


@pytest.mark.parametrize("name", ["Anna", 'O"Neil: #1', "yes", "07", "- x", "Ümläut \u2028 \x7f", "{}", "'", NASTY])
def test_the_yaml_says_what_was_entered(name: str) -> None:
    prediction = replace(predicted([face_with([(0.0, 1.0, "sad")]), face_with([(5.0, 6.0, "sad")], 7)]), source=name)
    names = json.dumps({0: name})
    text = run_logic(prediction, f"return peopleYaml(data.source, joinPeople(faces, {names}, [[0, 7]], 0.5));")
    assert yaml.safe_load(text) == {name: {"names": {0: name}, "merge": [[0, 7]]}}
    none = run_logic(prediction, "return peopleYaml(data.source, joinPeople(faces, {}, [], 0.5));")
    assert yaml.safe_load(none) == {name: {}}


def test_many_segments_are_drawn_as_columns_of_their_means() -> None:
    face = face_with([(0.1 * n, 0.1 * (n + 1), DFEW_LABELS[n % 2]) for n in range(100)])
    found = run_logic(
        predicted([doubtful(face, *range(50, 100))], duration=20.0),
        "const c = binColumns(faces[0].segments, 0, 20, 10, data.labels.length);"
        "return {shares: [...c.shares], seen: [...c.seen], unsure: [...c.unsure]};",
    )
    assert found["seen"] == pytest.approx([1.0] * 5 + [0.0] * 5, abs=1e-6)
    assert found["unsure"] == pytest.approx([0, 0, 0.5, 1, 1] + [0.0] * 5, abs=1e-6)
    assert found["shares"][:2] == pytest.approx([0.375, 0.375], abs=0.001)
    assert found["shares"][-7:] == [0] * 7


def test_times_read_as_a_clock() -> None:
    found = run_logic(
        predicted([]),
        "return [clock(4.2, 30), clock(64.26, 700), clock(59.98, 700), clock(3727, 7200, 0), clock(3599.96, 7200),"
        " tickTimes(0, 20, 10).times.length, tickTimes(0, 3600, 9).step, tickTimes(1.03, 1.4, 8).times[0]];",
    )
    assert found == ["4.2 s", "1:04.3", "1:00.0", "1:02:07", "1:00:00.0", 11, 600, pytest.approx(1.1)]
