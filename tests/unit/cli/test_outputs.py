"""Outputs are checked before any work: their format, and that they destroy no input."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from dfer.cli.outputs import (
    JsonResults,
    check_outputs,
    claim_outputs,
    csv_output,
    json_output,
    output,
    require_apart,
    write_json_result,
)
from dfer.errors import DferError, UsageError


@pytest.mark.parametrize("target", ["a.json", "A.JSON", "a.jsonl", "a.ndjson", "-", "no_suffix", "/dev/null"])
def test_accepted_names_of_json(target: str) -> None:
    check_outputs(json_output(target))


@pytest.mark.parametrize("target", ["a.xlsx", "a.json.gz", "a.txt", "a."])
def test_an_unknown_format_is_refused_with_the_known_ones(target: str) -> None:
    if target == "a.":
        check_outputs(csv_output(target))  # a name without a suffix
        return
    with pytest.raises(UsageError, match="--csv: cannot write") as error:
        check_outputs(csv_output(target))
    assert error.value.hint == "accepted: .csv"


def test_formats_without_a_default_need_a_suffix() -> None:
    with pytest.raises(UsageError, match="--plot: the name has no suffix"):
        check_outputs(output("--plot", "figure", (".png", ".pdf")))


@pytest.mark.parametrize("name", ["", ".", "..", "/", "folder", "folder/"])
def test_a_folder_is_refused_before_the_work(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DferError, match="cannot write: is a directory"):
        check_outputs(json_output(name))


def test_a_name_that_is_too_long_is_refused_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(DferError, match="cannot write: file name too long"):
        check_outputs(csv_output(tmp_path / f"{'x' * 300}.csv"))


def hard_link(path: Path) -> Path:
    path.with_name("hard.csv").hardlink_to(path)
    return path.with_name("hard.csv")


def link(path: Path) -> Path:
    path.with_name("soft.csv").symlink_to(path.name)
    return path.with_name("soft.csv")


def linked_folder(path: Path) -> Path:
    path.parent.with_name("linked").symlink_to(path.parent)
    return path.parent.with_name("linked") / path.name


SAME = {
    "itself": lambda path: path,
    "relative": lambda path: Path(os.path.relpath(path)),
    "with dots": lambda path: path.parent / "x" / ".." / path.name,
    "link": link,
    "hard link": hard_link,
    "in a linked folder": linked_folder,
}


@pytest.mark.parametrize("same", SAME.values(), ids=SAME)
def test_an_output_that_is_an_input_is_refused(tmp_path: Path, same: Callable[[Path], Path]) -> None:
    source = tmp_path / "in" / "data.csv"
    (source.parent / "x").mkdir(parents=True)
    source.write_text("precious")
    with pytest.raises(UsageError, match="--csv would overwrite an input"):
        check_outputs(csv_output(same(source)), inputs=[None, tmp_path / "other", source])
    assert source.read_text() == "precious"


@pytest.mark.parametrize("place", ["frames/a.csv", "frames/deep/er/a.csv", "frames/../frames/a.csv", "linked/a.csv"])
def test_an_output_inside_an_input_is_refused(tmp_path: Path, place: str) -> None:
    (tmp_path / "frames").mkdir()
    (tmp_path / "linked").symlink_to("frames")
    with pytest.raises(UsageError, match="--csv would write into an input"):
        check_outputs(csv_output(tmp_path / place), inputs=[tmp_path / "frames"])
    check_outputs(csv_output(tmp_path / "frames.csv"), inputs=[tmp_path / "frames"])


def test_an_output_whose_input_is_missing_is_compared_by_its_path(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="would overwrite an input"):
        require_apart(tmp_path / "a", [tmp_path / "b" / ".." / "a"], option="--out")


@pytest.mark.parametrize(("one", "two"), [("-", "-"), ("-", "/dev/stdout"), ("a", "./a")])
def test_two_outputs_in_one_place_are_refused(one: str, two: str) -> None:
    with pytest.raises(UsageError, match="--json and --csv would write to the same place"):
        check_outputs(json_output(one), csv_output(two))


def test_a_file_of_json_lines_has_a_line_for_one_result_too(tmp_path: Path) -> None:
    for name, results, lines in (("a.jsonl", [{"a": 1}], 1), ("a.json", [{"a": 1}], 3), ("b.json", [{"a": 1}] * 2, 2)):
        target = json_output(tmp_path / name)
        assert target is not None
        write_json_result(target, results)
        text = (tmp_path / name).read_text()
        assert len(text.splitlines()) == lines
        assert json.loads(text if lines == 3 else text.splitlines()[0]) == {"a": 1}


def test_a_stream_gets_each_result_when_it_is_known(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    with JsonResults(json_output(tmp_path / "pipe")) as results:
        for number in range(3):
            results.add({"n": number})
            assert json.loads(os.read(reader, 1000)) == {"n": number}
        results.finish()
    assert os.read(reader, 1000) == b""
    os.close(reader)


def test_a_file_gets_the_results_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with JsonResults(json_output(path)) as results:
        results.add({"n": 0})
        results.add({"n": 1})
        assert not path.exists()
        results.finish()
    assert [json.loads(line) for line in path.read_text().splitlines()] == [{"n": 0}, {"n": 1}]


def test_a_stream_that_is_full_is_an_error_that_names_it() -> None:
    with (
        pytest.raises(DferError, match=r"cannot write: no space left on device \(/dev/full\)"),
        JsonResults(json_output("/dev/full")) as results,
    ):
        results.add({"n": 0})


@pytest.mark.parametrize("same", [same for name, same in SAME.items() if name != "hard link"])  # a file of its own
def test_an_output_is_claimed_under_all_its_names(tmp_path: Path, same: Callable[[Path], Path]) -> None:
    path = tmp_path / "in" / "data.csv"
    (path.parent / "x").mkdir(parents=True)
    path.write_text("earlier")
    other = same(path)
    before = sorted(path.parent.iterdir())
    with claim_outputs(json_output("/dev/null"), None, csv_output(path)):
        with pytest.raises(DferError, match=f"process {os.getpid()} on .* is writing this file") as error:
            claim_outputs(csv_output(other)).__enter__()
        assert error.value.hint == f"wait for it to end, or stop it: kill {os.getpid()}"
    with claim_outputs(csv_output(other)):
        pass
    assert sorted(path.parent.iterdir()) == before


def test_folders_of_an_output_are_left_only_if_it_is_written(tmp_path: Path) -> None:
    target = csv_output(tmp_path / "new" / "deep" / "a.csv")
    assert target is not None
    with claim_outputs(target):
        assert target.path.parent.is_dir()
    assert list(tmp_path.iterdir()) == []
    with claim_outputs(target):
        target.path.write_text("rows")
    assert target.path.read_text() == "rows"


def test_the_folder_of_an_output_that_cannot_be_made_is_named_by_the_output(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(DferError, match=r"cannot write: .* \(.*/file/a\.csv\)"),
        claim_outputs(csv_output(tmp_path / "file" / "a.csv")),
    ):
        pass
