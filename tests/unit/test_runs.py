"""Which run and which checkpoint are meant when none is named."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dfer.errors import CheckpointError
from dfer.pretrained import write_checksum
from dfer.runs import default_checkpoint, find_checkpoint, fold_checkpoint, folds_of, newer_run, newest_run


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
    _fold(runs / "smoke", 1, age=50)
    assert default_checkpoint() == runs / "smoke" / "fold1" / "best.safetensors"
    shipped = Path("shipped") / "default.safetensors"
    shipped.parent.mkdir()
    shipped.write_bytes(b"weights")
    write_checksum(shipped)
    assert default_checkpoint().resolve() == shipped.resolve()  # the demo's model has seen drawings only
    _fold(runs / "mine", 1, age=30)
    _fold(runs / "mine", 2, age=20)
    assert default_checkpoint().resolve() == shipped.resolve()  # a run is used where it is named
    monkeypatch.setenv("DFER_CHECKPOINT", "elsewhere.safetensors")
    assert default_checkpoint() == Path("elsewhere.safetensors")


def test_a_folder_means_its_checkpoint(runs: Path) -> None:
    older, newer = _fold(runs / "mine", 1, age=30), _fold(runs / "mine", 2, age=20)
    assert find_checkpoint(older) == older / "best.safetensors"
    assert find_checkpoint(runs / "mine") == newer / "best.safetensors"
    with pytest.raises(CheckpointError, match="no checkpoint here yet"):
        find_checkpoint(runs)


def test_a_run_is_mentioned_only_if_it_is_newer(runs: Path) -> None:
    weights = Path("weights.safetensors")
    weights.touch()
    os.utime(weights, (1e9 - 25, 1e9 - 25))
    assert newer_run(weights) is None
    _fold(runs / "old", 1, age=30)
    assert newer_run(weights) is None
    _fold(runs / "new", 1, age=20)
    assert newer_run(weights) == runs / "new"
