"""--save and --quiet of `dfer predict`."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from dfer.cli import console
from dfer.cli.console import be_quiet, note, warn
from dfer.cli.outputs import check_outputs
from dfer.cli.progress import Progress
from dfer.cli.saving import AnswerFiles, plan_saving, save_answers
from dfer.errors import DferError, UsageError, VideoError
from dfer.prediction.inputs import Input
from tests.results import even_windows, face_with, predicted

INPUTS = [Input.of("x/a.mp4"), Input.of("y/b.c.mkv")]


def test_a_table_holds_all_inputs_and_a_name_makes_a_file_of_each() -> None:
    (table,) = plan_saving([Path("all.xlsx")], INPUTS)
    assert (table.path, table.sources) == (Path("all.xlsx"), ("x/a.mp4", "y/b.c.mkv"))
    each = plan_saving([Path("out/{name}.eaf")], INPUTS)
    assert [item.path for item in each] == [Path("out/a.eaf"), Path("out/b.c.eaf")]
    assert [item.sources for item in each] == [("x/a.mp4",), ("y/b.c.mkv",)]
    check_outputs(table, *each)


@pytest.mark.parametrize("target", ["a.eaf", "a.TextGrid", "a.vtt", "a.srt"])
def test_a_format_of_one_video_needs_a_name_for_each_of_several(target: str) -> None:
    with pytest.raises(UsageError, match="holds one video, and there are 2") as caught:
        plan_saving([Path(target)], INPUTS)
    assert "{name}" in (caught.value.hint or "")
    assert len(plan_saving([Path(target)], INPUTS[:1])) == 1


def test_inputs_of_one_name_are_refused() -> None:
    with pytest.raises(UsageError, match="the same file: a"):
        plan_saving([Path("{name}.eaf")], [Input.of("x/a.mp4"), Input.of("y/a.mkv")])


@pytest.mark.parametrize("target", ["a.doc", "a", "{name}.txt"])
def test_an_unknown_suffix_lists_the_formats(target: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_outputs(*plan_saving([Path(target)], INPUTS))
    assert ".xlsx, .parquet, .eaf" in (caught.value.hint or "")


@pytest.mark.parametrize("target", ["a.xlsx", "A.XLSX", "{name}.xlsx"])
def test_a_missing_library_is_said_before_any_work(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(DferError, match="needs the package openpyxl"):
        plan_saving([Path(target)], INPUTS)


def test_what_was_answered_is_saved(tmp_path: Path) -> None:
    saved = plan_saving([tmp_path / "{name}.srt", tmp_path / "all.boris"], INPUTS)
    save_answers(saved, [predicted([face_with(even_windows(2))], source="y/b.c.mkv")])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["all.boris", "b.c.srt"]


def test_a_quiet_command_says_warnings_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(console, "_quiet", False)
    note("a note")
    be_quiet()
    note("another note")
    warn("a.mp4: damaged")
    clock = iter(range(0, 10_000, 100))
    with Progress("a.mp4", "%", clock=lambda: float(next(clock))) as progress:
        progress.set(50, 100)
        progress.set(100, 100)
    assert capsys.readouterr().err.splitlines() == ["a note", "warning: a.mp4: damaged"]


def test_a_plot_is_drawn_where_the_faces_can_no_longer_be_seen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prediction = predicted([face_with(even_windows(2))])

    def fail(_wanted: object) -> None:
        raise VideoError("cannot read the video: input/output error", where="a.mp4")

    frames: Any = SimpleNamespace(times_s=np.arange(0, 20, 0.04), iter_frames=fail)
    for name, given in (("with.png", frames), ("without.png", None)):
        files = AnswerFiles(INPUTS[:1], json=None, csv=None, summary=None, save=None, plot=tmp_path / name)
        files.draw(prediction, given)
    assert "the plot shows no faces: cannot read the video" in capsys.readouterr().err
    assert (tmp_path / "with.png").read_bytes() == (tmp_path / "without.png").read_bytes()
