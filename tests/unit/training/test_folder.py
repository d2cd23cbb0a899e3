"""The folder of a fold: one process at a time, never in a store, and nothing is deleted that is no fold."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dfer.errors import DferError, UsageError
from dfer.recipe_sections import DataSection
from dfer.runs import FOLD_FILES
from dfer.runtime import locks
from dfer.training.folder import open_fold
from tests.places import NO_FILES


def test_a_second_training_is_refused_with_the_first_ones_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "_TRIES", 1)
    with open_fold(tmp_path, 1, [], resume=True):
        message = rf"process {os.getpid()} on \S+ is training this fold"
        with pytest.raises(DferError, match=message) as error, open_fold(tmp_path, 1, [], resume=False):
            pass
        with open_fold(tmp_path, 2, [], resume=True):  # another fold of the run
            pass
    assert error.value.where == str(tmp_path / "fold1")
    assert f"kill {os.getpid()}" in str(error.value.hint)
    assert list(tmp_path.iterdir()) == []


def test_a_run_starts_from_scratch_or_keeps_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "fold1").mkdir()
    (tmp_path / "fold1" / "state.pt").touch()
    with open_fold(tmp_path, 1, [], resume=True):
        assert (tmp_path / "fold1" / "state.pt").exists()
    with open_fold(tmp_path, 1, [], resume=False):
        assert not (tmp_path / "fold1").exists()


@pytest.mark.parametrize("resume", [True, False])
@pytest.mark.parametrize("name", ["1.mp4", "set_1.csv", "notes"])
def test_a_folder_that_is_no_fold_is_left_alone(tmp_path: Path, name: str, resume: bool) -> None:
    (tmp_path / "fold1").mkdir()
    (tmp_path / "fold1" / name).write_text("precious")
    message = "not empty, and not a fold of a run"
    with pytest.raises(UsageError, match=message), open_fold(tmp_path, 1, [], resume=resume):
        pass
    assert (tmp_path / "fold1" / name).read_text() == "precious"


@pytest.mark.parametrize("kind", NO_FILES)
@pytest.mark.parametrize("name", [*FOLD_FILES, "../.fold1.lock"])
def test_what_is_in_place_of_a_file_is_refused_before_training(tmp_path: Path, name: str, kind: str) -> None:
    (tmp_path / "fold1").mkdir()
    (tmp_path / "fold1" / "state.pt").touch()
    (tmp_path / "fold1" / name).unlink(missing_ok=True)
    NO_FILES[kind](tmp_path / "fold1" / name)
    with pytest.raises(DferError, match="cannot write"), open_fold(tmp_path, 1, [], resume=True):
        pass


@pytest.mark.parametrize("run", ["store", "store/runs", "linked", "other/../store"])
def test_a_run_is_not_written_into_a_store(tmp_path: Path, run: str) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "linked").symlink_to("store")
    stores = [tmp_path / "another", tmp_path / "store"]
    message = "would be written into the store"
    with pytest.raises(UsageError, match=message), open_fold(tmp_path / run, 1, stores, resume=True):
        pass
    assert list((tmp_path / "store").iterdir()) == []


def test_the_stores_of_a_recipe() -> None:
    assert DataSection(path="a/b").folders == [Path("a/b")]
    assert DataSection(path=["a", {"path": "b", "weight": 2}]).folders == [Path("a"), Path("b")]
