"""`dfer relabel`, and who is who in the inputs of `dfer predict`."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dfer.cli.app import run
from dfer.cli.people import Who, parse_merge, parse_names
from dfer.errors import UsageError
from dfer.records import Prediction
from dfer.records.prediction_json import error_dict
from tests.results import face_with, open_png, predicted


def made(source: str = "clips/a.mp4") -> Prediction:
    """Three faces: 0 from 0 to 3 s, 1 beside it from 1 to 3 s, 2 from 4 to 5 s."""
    faces = [
        face_with([(0.0, 2.0, "happy"), (2.0, 3.0, "sad")]), face_with([(1.0, 3.0, "fear")], 1),
        face_with([(4.0, 5.0, "sad")], 2),
    ]  # fmt: skip
    return predicted(faces, 6.0, source)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out.json").write_text(json.dumps(made().to_dict()))
    return tmp_path / "out.json"


def relabelled(file: Path, *arguments: str) -> dict[str, Any]:
    target = file.with_name("new.json")
    assert run(["relabel", str(file), *arguments, "--json", str(target)]) == 0
    value: dict[str, Any] = json.loads(target.read_text())
    return value


def test_names_and_merges_stand_in_every_output(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ("csv", "summary.csv", "png", "eaf")
    new, summary, plot, tiers = (out.with_suffix(f".{name}") for name in names)
    before = out.read_bytes()
    arguments = ["--names", "0=Anna, Dr.,1=Ben", "--merge", "0,2", "--csv", str(new), "--summary", str(summary)]
    value = relabelled(out, *arguments, "--plot", str(plot), "--save", str(tiers))
    assert [(face["id"], face["name"], face["visible"]) for face in value["faces"]] == [
        (0, "Anna, Dr.", 4.0), (1, "Ben", 2.0),
    ]  # fmt: skip
    assert [part["id"] for part in value["faces"][0]["parts"]] == [0, 2]
    assert value["faces"][0]["summary"]["seconds"]["sad"] == 2.0
    assert [row["name"] for row in csv.DictReader(new.open())] == ["Anna, Dr."] * 3 + ["Ben"]
    assert [row["name"] for row in csv.DictReader(summary.open())] == ["Anna, Dr.", "Ben"]
    assert 'TIER_ID="Anna, Dr."' in tiers.read_text()
    assert open_png(plot).size
    assert "0 Anna, Dr." in capsys.readouterr().out
    assert out.read_bytes() == before


def test_the_file_itself_may_be_replaced_and_all_be_undone(out: Path) -> None:
    before = json.loads(out.read_text())
    assert run(["relabel", str(out), "--names", "0=Anna", "--merge", "0,2", "--json", str(out)]) == 0
    assert run(["relabel", str(out), "--names", "1=Ben", "--json", str(out)]) == 0
    assert [face["name"] for face in json.loads(out.read_text())["faces"]] == ["Anna", "Ben"]
    assert relabelled(out, "--reset") == before


def test_a_people_file_beside_is_read_and_mentioned(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    beside = out.with_name("out.people.yaml")
    beside.write_text("a.mp4:\n  names: {0: Anna, 1: Ben}\n  merge: [[0, 2]]\n")
    assert [face["name"] for face in relabelled(out)["faces"]] == ["Anna", "Ben"]
    assert "out.people.yaml" in capsys.readouterr().err
    beside.write_text("a.mp4: {names: {2: Anna}}\n")  # it says all there is to say
    first = out.with_name("new.json")
    first.rename(out)
    assert [(face["id"], face["name"]) for face in relabelled(out)["faces"]] == [(0, None), (1, None), (2, "Anna")]
    assert [face["name"] for face in relabelled(out, "--names", "1=Cem")["faces"]] == [None, "Cem", "Anna"]
    other = out.with_name("other.yaml")
    other.write_text("names: {0: Dora}\n")
    assert relabelled(out, "--people", str(other))["faces"][0]["name"] == "Dora"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--names", "9=Anna"], "there is no face 9"),
        (["--names", "Anna"], "cannot read the name 'Anna'"),
        (["--names", "0=Anna", "--names", "0=Ben"], "face 0 is named twice"),
        (["--names", "0=Anna,1=Anna"], "both named 'Anna'"),
        (["--merge", "0,1"], "faces 0 and 1 are seen at the same time"),
        (["--merge", "0;1"], "cannot read the group '0;1'"),
        (["--merge", "0,2", "--merge", "2,1"], "face 2 stands in two groups"),
        (["--people", "nosuch.yaml"], "no such file"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_written(
    out: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    target = out.with_name("new.csv")
    assert run(["relabel", str(out), *arguments, "--csv", str(target)]) == 2
    error, *_ = capsys.readouterr().err.splitlines()
    assert error.startswith("error: ")
    assert message in error
    assert not target.exists()


def test_the_answers_and_the_people_file_are_not_overwritten(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (out.with_name("out.people.yaml")).write_text("names: {0: Anna}\n")
    for option in ("--csv", "--summary", "--json"):
        link = out.with_suffix(".link.csv" if option != "--json" else ".link.json")
        link.unlink(missing_ok=True)
        link.symlink_to(out if option != "--json" else out.with_name("out.people.yaml"))
        assert run(["relabel", str(out), option, str(link)]) == 2
        assert "overwrite an input" in capsys.readouterr().err


def test_several_videos_keep_their_order_and_their_errors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "all.jsonl"
    values = [made("x/a.mp4").to_dict(), error_dict("bad.mp4", "is empty"), made("x/b.mp4").to_dict()]
    file.write_text("\n".join(map(json.dumps, values)))
    people = tmp_path / "all.people.yaml"
    people.write_text("names: {0: Host}\nb.mp4: {names: {1: Ben}}\nc.mp4: {names: {1: Cem}}\n")
    assert run(["relabel", str(file), "--json", "-", "--schema", "2"]) == 0
    captured = capsys.readouterr()
    first, second, third = map(json.loads, captured.out.splitlines())
    assert [face["name"] for face in first["faces"]] == ["Host", None, None]
    assert second == error_dict("bad.mp4", "is empty")
    assert [face["name"] for face in third["faces"]] == ["Host", "Ben", None]
    assert "no input is called 'c.mp4'" in captured.err
    assert run(["relabel", str(file), "--names", "0=Anna"]) == 2
    assert "need a single input" in capsys.readouterr().err
    assert run(["relabel", str(file), "--plot", str(tmp_path / "a.png")]) == 2


def test_names_and_groups_are_read_as_they_are_typed() -> None:
    assert parse_names(["0=Anna,3=Ben, 12 = C=D", "4=Smith, J."]) == {0: "Anna", 3: "Ben", 12: " C=D", 4: "Smith, J."}
    assert parse_merge(["0,7", " 1, 2,3"]) == [[0, 7], [1, 2, 3]]
    for text in ("", "=Anna", "-1=Anna", "1.5=Anna", "²=Anna"):
        with pytest.raises(UsageError):
            parse_names([text])
    for text in ("", "0,", "0 7", "-1,2", "0-7"):
        with pytest.raises(UsageError):
            parse_merge([text])


def test_answers_that_took_hours_are_given_where_what_is_said_of_them_is_wrong(
    capsys: pytest.CaptureFixture[str],
) -> None:
    who = Who(["clips/a.mp4"], names=["9=Anna"])
    assert who.apply_or_report(made()) == made()
    assert who.failed
    said = capsys.readouterr().err
    assert "there is no face 9" in said
    assert "dfer relabel" in said


def test_what_is_said_of_every_video_may_be_of_faces_that_some_lack(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "people.yaml"
    file.write_text("names: {0: Host, 2: Guest}\n")
    who = Who(["a.mp4", "b.mp4"], people=file)
    one = replace(made("b.mp4"), faces=made().faces[:1])
    assert [face.name for face in who.apply(made("a.mp4")).faces] == ["Host", None, "Guest"]
    assert [face.name for face in who.apply(one).faces] == ["Host"]
    assert "b.mp4 has no face 2" in capsys.readouterr().err
