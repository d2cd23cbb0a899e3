"""Answers about several inputs: each warning once, one that cannot be read costs itself, known ones cost nothing."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dfer.cli.answers import CsvResults, answer_inputs, keep_answers
from dfer.cli.asking import Answered, choose_ask
from dfer.cli.options import EngineKind
from dfer.cli.outputs import JsonResults, csv_output, json_output
from dfer.errors import VideoError
from dfer.prediction.engines import Task
from dfer.prediction.inputs import Input
from dfer.prediction.time_left import TimeLeft
from tests.results import even_windows, face_with, predicted

DAMAGE, OTHER = "truncated: 43 % could be read", "no detector like in training"


class Stand:
    """In place of predictor and decoder: answers about files that exist, with two warnings."""

    def __init__(self, output: Path) -> None:
        self.fps = None
        self.settings = {"labels": predicted([]).model["labels"], "stride": None}
        self.asked: list[str] = []
        self.output = output

    def open(self, path: Path, *, fps: float | None) -> Any:
        assert fps is self.fps
        if not path.exists():
            raise VideoError("no such file or folder", where=path, hint="check the path")
        logging.getLogger("dfer.video").warning("%s: %s", path, DAMAGE)
        return SimpleNamespace(path=path, warnings=[DAMAGE])

    def analyse(self, frames: Any, _progress: Callable[[str, float], None], *, time_left: TimeLeft) -> Any:
        assert time_left.seconds is None
        self.asked.append(frames.path.name)
        prediction = predicted([face_with(even_windows(2))], source=str(frames.path))
        prediction.warnings[:] = [DAMAGE, OTHER]
        return SimpleNamespace(prediction=prediction)

    def run(self, inputs: list[Input], *, resume: bool = True, stop_after: int = 99) -> list[dict[str, Any]]:
        """Answer inputs, as far as the run comes, and write the files if it comes to the end."""
        this: Any = self
        json_to, csv_to = json_output(self.output), csv_output(self.output.with_suffix(".csv"))
        with (
            JsonResults(json_to) as results,
            CsvResults(csv_to) as rows,
            keep_answers(this, inputs, (json_to, csv_to), resume) as kept,
        ):
            limits: dict[str, Any] = {"timeout_s": 1.0, "seconds": None, "fetched": ExitStack()}
            ask = choose_ask(this, this, inputs, {}, engine=EngineKind.inline, workers=0, **limits)
            for count, _ in enumerate(answer_inputs(ask, inputs, results, rows, kept, 2), start=1):
                if count == stop_after:
                    return []
            results.finish()
            rows.finish()
        return [json.loads(line) for line in self.output.read_text().splitlines()]


@pytest.fixture
def inputs(tmp_path: Path) -> list[Input]:
    paths = [tmp_path / name for name in ("a.mp4", "missing.mp4", "b.mp4", "c.mp4")]
    for path in paths[:1] + paths[2:]:
        path.write_bytes(b"video")
    return [Input.of(path) for path in paths]


def test_one_that_cannot_be_read_costs_itself(tmp_path: Path, inputs: list[Input]) -> None:
    answers = Stand(tmp_path / "out.json").run(inputs)
    assert [answer["source"] for answer in answers] == [item.name for item in inputs]
    assert ["error" in answer for answer in answers] == [False, True, False, False]
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 1 + 3 * 2


def test_each_warning_is_said_once(
    tmp_path: Path, inputs: list[Input], capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    Stand(tmp_path / "out.json").run(inputs)
    said = capsys.readouterr().err.replace("\n", " ")
    assert (said.count(DAMAGE), said.count(OTHER)) == (0, 3)
    assert caplog.text.count(DAMAGE) == 3


def test_known_answers_are_not_asked_for_again(tmp_path: Path, inputs: list[Input]) -> None:
    first, again = Stand(tmp_path / "out.json"), Stand(tmp_path / "out.json")
    first.run(inputs, stop_after=2)
    assert first.asked == ["a.mp4", "b.mp4"]
    assert not first.output.exists()
    answers = again.run(inputs)
    assert again.asked == ["c.mp4"]
    assert answers == Stand(tmp_path / "other.json").run(inputs)


def test_from_scratch_all_are_asked_for(tmp_path: Path, inputs: list[Input]) -> None:
    Stand(tmp_path / "out.json").run(inputs, stop_after=2)
    again = Stand(tmp_path / "out.json")
    again.run(inputs, resume=False)
    assert again.asked == ["a.mp4", "b.mp4", "c.mp4"]


def test_answers_in_any_order_are_written_in_that_of_the_inputs(tmp_path: Path, inputs: list[Input]) -> None:
    def ask(tasks: Sequence[Task], _kept: object) -> Generator[Answered, None, None]:
        for number, source in reversed(tasks):
            failed = source.name.endswith("missing.mp4")
            answer = predicted([face_with(even_windows(2))], source="elsewhere")
            yield Answered(number, error=VideoError("no such file")) if failed else Answered(number, answer)

    output = tmp_path / "out.jsonl"
    with JsonResults(json_output(output)) as results, CsvResults(None) as rows:
        assert len(list(answer_inputs(ask, inputs, results, rows, None, 2))) == 3
        results.finish()
    answers = [json.loads(line) for line in output.read_text().splitlines()]
    assert [answer["source"] for answer in answers] == [item.name for item in inputs]
    assert ["error" in answer for answer in answers] == [False, True, False, False]
