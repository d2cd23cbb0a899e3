"""`dfer predict` on a folder of recordings: workers, shards, Ctrl-C, and an answer or a page for each in any case."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.integration.program import ctrl_c, dfer, start, tree, wait_until
from tests.pages import ReadPage


@pytest.fixture
def folder(raw: Path, tmp_path: Path) -> Path:
    """Five recordings at two depths, one of them broken, and files that are none."""
    folder = tmp_path / "interviews"
    for number, place in ((1, "a/1.mp4"), (4, "a/4.mp4"), (5, "5.mp4"), (6, "b/6.mp4")):
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(raw / "Clip" / "original" / f"{number}.mp4", folder / place)
    (folder / "a" / "broken.mp4").write_bytes(b"no video" * 100)
    (folder / "a" / "._1.mp4").write_bytes(b"AppleDouble")
    (folder / "notes.txt").write_text("notes")
    return folder


def command(checkpoint: Path, folder: Path, *more: object) -> list[object]:
    return ["predict", folder, "--checkpoint", checkpoint, "--detector", "haar", *more]


def test_workers_and_shards_come_to_the_same(checkpoint: Path, folder: Path) -> None:
    one = dfer(*command(checkpoint, folder, "--json", "one.jsonl", "--csv", "one.csv"))
    answers = [json.loads(line) for line in Path("one.jsonl").read_text().splitlines()]
    assert [answer["source"] for answer in answers] == ["5.mp4", "a/1.mp4", "a/4.mp4", "a/broken.mp4", "b/6.mp4"]
    assert ["error" in answer for answer in answers] == [False, False, False, True, False]
    assert one.code == 1

    many = dfer(*command(checkpoint, folder, "--json", "many.jsonl", "--csv", "many.csv", "--workers", 2))
    assert many.code == 1
    assert len(many.lines("error: ")) == 1
    assert Path("many.csv").read_text() == Path("one.csv").read_text()

    for shard, code in (("1/2", 0), ("2/2", 1)):
        outcome = dfer(*command(checkpoint, folder, "--json", "s.jsonl", "--csv", "s.csv", "--shard", shard))
        assert outcome.code == code
        assert "without --shard writes the files" in outcome.err
        assert not Path("s.jsonl").exists()
    whole = dfer(*command(checkpoint, folder, "--json", "s.jsonl", "--csv", "s.csv"))
    assert "4 of 5 inputs were answered before" in whole.err
    for name in ("many.jsonl", "s.jsonl"):
        assert [json.loads(line) for line in Path(name).read_text().splitlines()] == answers
    assert sorted(path.name for path in Path().glob("*.progress*")) == []


def test_openvino_answers_in_workers_as_torch_does(checkpoint: Path, folder: Path) -> None:
    answers = {}
    for runtime, workers in (("float32", 1), ("openvino", 2)):
        outcome = dfer(
            *command(checkpoint, folder / "a", "--json", "a.jsonl", "--runtime", runtime, "--workers", workers)
        )
        assert outcome.code == 1, "one of the recordings is broken"
        answers[runtime] = [json.loads(line) for line in Path("a.jsonl").read_text().splitlines()]
        Path("a.jsonl").unlink()
    for exact, found in zip(answers["float32"], answers["openvino"], strict=True):
        segments = [
            [segment for face in answer.get("faces", []) for segment in face["segments"]] for answer in (exact, found)
        ]
        for one, other in zip(*segments, strict=True):
            assert other["probabilities"] == pytest.approx(one["probabilities"], abs=0.02)
    assert sum("faces" in answer for answer in answers["openvino"]) == 2


def test_workers_go_on_after_ctrl_c(checkpoint: Path, folder: Path) -> None:
    arguments = command(checkpoint, folder, "--csv", "all.csv", "--workers", 2)
    process = start(*arguments)
    kept = Path("all.csv.progress")
    wait_until(lambda: kept.exists() and kept.read_text().count("\n") >= 2, process)
    ctrl_c(process).failed(130, "interrupted")
    assert not Path("all.csv").exists()
    done = kept.read_text().count("\n") - 1
    again = dfer(*arguments)
    assert f"{done} of 5 inputs were answered before" in again.err
    assert dfer(*command(checkpoint, folder, "--csv", "whole.csv")).code == 1
    assert Path("all.csv").read_text() == Path("whole.csv").read_text()


PAGES = ["1.html", "4.html", "5.html", "6.html", "broken.html", "index.html"]


def test_pages_of_workers_are_those_of_one_process(checkpoint: Path, folder: Path) -> None:
    assert dfer(*command(checkpoint, folder, "--report", "one")).code == 1
    many = dfer(*command(checkpoint, folder, "--report", "many", "--workers", 2))
    assert many.code == 1
    assert [line for line in many.lines("error: ") if "a/broken.mp4" in line] == many.lines("error: ") != []
    assert many.lines("report in ") == ["report in many/index.html"]
    assert sorted(tree(Path("many"))) == PAGES
    assert tree(Path("many")) == tree(Path("one"))

    failed = ReadPage.at(Path("many/broken.html"))
    assert "No answer: cannot read the video" in failed.text
    index = ReadPage.at(Path("many/index.html"))
    assert {str(attributes["href"]) for tag, attributes in index.tags if tag == "a"} == set(PAGES) - {"index.html"}
    assert "5 videos" in index.text
    assert "1 without an answer" in index.text
    for page in map(ReadPage.at, (Path("many/1.html"), Path("many/6.html"))):
        assert [face["thumbnail"][:22] for face in page.data["faces"]] == ["data:image/jpeg;base64"]

    shutil.copy(folder / "5.mp4", folder / "a" / "broken.mp4")
    dfer(*command(checkpoint, folder, "--report", "many")).succeeded()
    assert ReadPage.at(Path("many/broken.html")).data["source"] == "a/broken.mp4"
    assert "without an answer" not in ReadPage.at(Path("many/index.html")).text


def test_pages_of_workers_are_completed_after_ctrl_c(checkpoint: Path, folder: Path) -> None:
    arguments = command(checkpoint, folder, "--report", "rep", "--workers", 2)
    process = start(*arguments)
    wait_until(Path("rep/5.html").exists, process)  # the first of five
    ctrl_c(process).failed(130, "interrupted")
    made = sorted(path.name for path in Path("rep").glob("*.html"))
    assert {"5.html", "index.html"} <= set(made) < set(PAGES)
    links = [a["href"] for tag, a in ReadPage.at(Path("rep/index.html")).tags if tag == "a"]
    assert sorted(map(str, links)) == [name for name in made if name != "index.html"]
    before = Path("rep/5.html").stat().st_mtime_ns

    again = dfer(*arguments)
    assert again.code == 1
    assert "inputs were answered before" in again.err
    assert Path("rep/5.html").stat().st_mtime_ns == before
    assert dfer(*command(checkpoint, folder, "--report", "whole")).code == 1
    assert tree(Path("rep")) == tree(Path("whole"))
    assert sorted(tree(Path("rep"))) == PAGES
