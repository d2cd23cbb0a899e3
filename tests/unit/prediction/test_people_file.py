"""The people file."""

from __future__ import annotations

from pathlib import Path

import pytest

from dfer.errors import UsageError
from dfer.prediction.people_file import PeopleFile, people_file_beside


def written(folder: Path, text: str) -> PeopleFile:
    (folder / "a.people.yaml").write_text(text, encoding="utf-8")
    return PeopleFile(folder / "a.people.yaml")


def test_it_lies_beside_the_json() -> None:
    assert people_file_beside(Path("a/out.json")) == Path("a/out.people.yaml")
    assert people_file_beside(Path("out.v1.jsonl")) == Path("out.v1.people.yaml")
    assert people_file_beside(Path("out")) == Path("out.people.yaml")


def test_a_video_is_meant_by_its_source_or_its_file_name(tmp_path: Path) -> None:
    file = written(tmp_path, "b.mp4: {names: {0: Anna}}\nclips/a.mp4:\n  names: {0: Ben, 3: Änne}\n  merge: [[0, 7]]\n")
    found = file.assign(["clips/a.mp4", "x/b.mp4", "c.mp4"])
    ((first,), (second,), nothing) = found.values()
    assert (first.names, first.merge) == ({0: "Ben", 3: "Änne"}, [[0, 7]])
    assert (second.names, second.merge) == ({0: "Anna"}, [])
    assert nothing == []
    assert file.unused(["c.mp4"]) == ["b.mp4", "clips/a.mp4"]


def test_without_a_source_it_is_said_of_every_video(tmp_path: Path) -> None:
    file = written(tmp_path, "names: {0: Anna}\nmerge: [[1, 2]]\na.mp4: {names: {3: Ben}}\n")
    found = file.assign(["a.mp4", "b.mp4"])
    assert [[dict(people.names) for people in said] for said in found.values()] == [
        [{0: "Anna"}, {3: "Ben"}],
        [{0: "Anna"}],
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("a.mp4: [", "not a valid YAML people file"),
        ("- a", "must be a mapping"),
        ("a.mp4: Anna", "no names and merges: 'Anna'"),
        ("a.mp4: {name: {0: Anna}}", "did you mean 'names'?"),
        ("names: [Anna]", "names"),
        ("names: {0: no}", "names.0: input should be a valid string, got False"),
        ("names: {first: Anna}", "first"),
        ("merge: [0, 7]", "merge.0"),
        ("merge: [[0, x]]", "merge.0.1"),
        ("merge: [[0]]", "nothing to merge in 0"),
        ("merge: [[0, 7], [7, 8]]", "face 7 stands in two groups"),
        ("names: {0: Anna, 0: Ben}", "'0' stands twice"),
        ("names: {0: Anna, 1: Anna}", "both named 'Anna'"),
        ("a: &x {names: {0: Anna}}\nb: *x", "aliases"),
    ],
)
def test_what_is_no_people_file_is_one_clear_line(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as raised:
        written(tmp_path, text)
    assert message in str(raised.value)
    assert "a.people.yaml" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_section_that_means_nothing_names_the_nearest_input(tmp_path: Path) -> None:
    file = written(tmp_path, "clpi.mp4: {names: {0: Anna}}")
    with pytest.raises(UsageError, match=r"no input is called 'clpi\.mp4'") as raised:
        file.assign(["x/clip.mp4"])
    assert raised.value.hint == "did you mean 'clip.mp4'?"


def test_a_section_must_mean_one_video(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the name of 2 inputs"):
        written(tmp_path, "a.mp4: {names: {0: Anna}}").assign(["x/a.mp4", "y/a.mp4"])
    with pytest.raises(UsageError, match="are the same video"):
        written(tmp_path, "a.mp4: {names: {0: Anna}}\nx/a.mp4: {}").assign(["x/a.mp4"])


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        PeopleFile(tmp_path / "nosuch.yaml")
    with pytest.raises(UsageError, match="a folder"):
        PeopleFile(tmp_path)
