"""Cells and windows of a timeline, and which checkpoint is meant when none is named."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from dfer.errors import CheckpointError
from dfer.prediction.windows import cut_cells
from dfer.pretrained import write_checksum
from dfer.records import FaceTrack
from dfer.runs import default_checkpoint, fold_checkpoint, folds_of, newest_run


def _track(*stretches: range) -> FaceTrack:
    frames = np.array([frame for stretch in stretches for frame in stretch], np.int64)
    count = len(frames)
    return FaceTrack(
        0, frames, np.zeros((count, 4), np.float32), np.zeros((count, 5, 2), np.float32), np.ones(count, np.bool_), 1.0
    )


@pytest.mark.parametrize(
    ("stretches", "stride", "window", "expected"),
    [
        pytest.param([range(32)], 16, 16, [(0, 15, 0, 15), (16, 31, 16, 31)], id="windows that are their cells"),
        pytest.param([range(40)], 16, 16, [(0, 15, 0, 15), (16, 31, 16, 31), (32, 39, 24, 39)], id="a half cell stays"),
        pytest.param([range(36)], 16, 16, [(0, 15, 0, 15), (16, 35, 18, 33)], id="a short rest joins the one before"),
        pytest.param([range(10)], 16, 16, [(0, 9, 0, 9)], id="shorter than a cell"),
        pytest.param([range(1)], 16, 16, [(0, 0, 0, 0)], id="one frame"),
        pytest.param([range(20, 36)], 16, 16, [(20, 35, 20, 35)], id="a face that comes late"),
        pytest.param([range(8), range(50, 58)], 8, 16, [(0, 7, 0, 7), (50, 57, 50, 57)], id="no window over a gap"),
        pytest.param([range(48)], 16, 32, [(0, 15, 0, 31), (16, 31, 8, 39), (32, 47, 16, 47)], id="wide windows"),
        pytest.param([range(32)], 8, 75, [(n, n + 7, 0, 31) for n in (0, 8, 16, 24)], id="a clip as in training"),
        pytest.param([range(48)], 24, 8, [(0, 23, 8, 15), (24, 47, 32, 39)], id="cells longer than windows"),
    ],
)
def test_cells_and_windows(
    stretches: list[range], stride: int, window: int, expected: list[tuple[int, int, int, int]]
) -> None:
    track = _track(*stretches)
    cells = cut_cells(track, 3, stride=stride, window=window)
    places = [(cell.first, cell.last, cell.window.first, cell.window.last) for cell in cells]
    assert [tuple(int(track.frames[place]) for place in four) for four in places] == expected
    assert {cell.window.face for cell in cells} == {3}


@pytest.mark.parametrize("stride", [1, 5, 16])
@pytest.mark.parametrize("length", [1, 15, 16, 17, 33, 100])
def test_cells_hold_every_frame_once_and_windows_keep_their_order(length: int, stride: int) -> None:
    cells = cut_cells(_track(range(length)), 0, stride=stride, window=16)
    held = [place for cell in cells for place in range(cell.first, cell.last + 1)]
    assert held == list(range(length))
    ends = [cell.window.last for cell in cells]
    assert ends == sorted(ends)
    assert all(cell.window.last - cell.window.first + 1 == min(16, length) for cell in cells)


def _fold(run: Path, fold: int, age: int, names: tuple[str, ...] = ("last", "best")) -> Path:
    folder = run / f"fold{fold}"
    folder.mkdir(parents=True)
    for name in names:
        path = folder / f"{name}.safetensors"
        path.touch()
        os.utime(path, (1e9 - age, 1e9 - age))
    return folder


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DFER_CHECKPOINT", raising=False)
    monkeypatch.setattr("dfer.pretrained.FOLDER", tmp_path / "shipped")
    return Path("runs")


def test_the_newest_run_that_has_the_fold(runs: Path) -> None:
    _fold(runs / "old", 1, age=50)
    _fold(runs / "old", 3, age=40)
    _fold(runs / "new", 1, age=10)
    (runs / "empty" / "fold3").mkdir(parents=True)
    assert newest_run() == runs / "new"
    assert newest_run(3) == runs / "old"
    assert folds_of(runs / "old") == [1, 3]
    with pytest.raises(CheckpointError, match="no trained run with fold 5"):
        newest_run(5)


def test_best_comes_before_last(runs: Path) -> None:
    assert fold_checkpoint(_fold(runs / "a", 1, age=1)).name == "best.safetensors"
    assert fold_checkpoint(_fold(runs / "a", 2, age=1, names=("last",))).name == "last.safetensors"
    with pytest.raises(CheckpointError, match="no checkpoint here yet"):
        fold_checkpoint(runs)


def test_the_checkpoint_that_predict_takes(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CheckpointError, match="no checkpoint to predict with"):
        default_checkpoint()
    _fold(Path("demo/runs/demo"), 1, age=0)
    assert default_checkpoint() == Path("demo/runs/demo/fold1/best.safetensors")
    shipped = Path("shipped") / "default.safetensors"
    shipped.parent.mkdir()
    shipped.write_bytes(b"weights")
    write_checksum(shipped)
    assert default_checkpoint().resolve() == shipped.resolve()  # the demo's model has seen drawings only
    _fold(runs / "mine", 1, age=30)
    _fold(runs / "mine", 2, age=20)
    assert default_checkpoint() == runs / "mine" / "fold2" / "best.safetensors"
    monkeypatch.setenv("DFER_CHECKPOINT", "elsewhere.safetensors")
    assert default_checkpoint() == Path("elsewhere.safetensors")
