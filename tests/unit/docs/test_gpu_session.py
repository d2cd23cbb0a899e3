"""The script that measures what needs a GPU, with steps that need none."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

from dfer.errors import DferError


@pytest.fixture(scope="module")
def script(checkout: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("gpu_session", checkout / "docs" / "gpu_session.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["gpu_session"] = module  # where dataclasses look for it
    spec.loader.exec_module(module)
    return module


def test_a_step_that_fails_is_reported_and_one_that_is_done_is_not_repeated(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    session = script.Session(tmp_path, "cpu", 0.001, 1.0, 1, [])
    runs: list[str] = []

    def works() -> dict[str, int]:
        runs.append("works")
        return {"clips": 3}

    def fails() -> dict[str, int]:
        raise DferError("no room")

    assert [script._done(session, "works", works, None) for _ in range(2)] == [True, True]
    assert runs == ["works"]
    assert json.loads((tmp_path / "works.json").read_text()) == {"clips": 3}
    assert not script._done(session, "fails", fails, None)
    assert (tmp_path / "fails.failed.txt").read_text() == "DferError: no room\n"
    assert script._done(session, "fails", fails, ["works"]), "not wanted"
    assert "failed: no room" in capsys.readouterr().out


def test_a_session_measures_all_that_is_asked(script: ModuleType, tmp_path: Path) -> None:
    session = script.Session(tmp_path, "cuda", 1.0, 60.0, 2, ["model.depth=1"])
    assert list(script.steps(session)) == [
        "store", "models", "feed", "step",
        "train_64_compile_on", "train_64_compile_off", "train_256_compile_on", "train_256_compile_off",
        "two_processes", "killed_and_resumed", "five_folds", "profile",
    ]  # fmt: skip
    assert session.train("--fold", "all")[-4:] == ["--device", "cuda", "--fold", "all"]


def test_the_store_has_five_folds_whose_test_clips_are_apart(script: ModuleType, tmp_path: Path) -> None:
    session = script.Session(tmp_path, "cpu", 0.0009, 1.0, 1, [])
    assert script._generate(session)["clips"] == 11
    from dfer.store import open_store

    tested = [[fold for fold, split in row.folds.items() if split == "test"] for row in open_store(session.store).rows]
    assert all(len(folds) == 1 for folds in tested)
    assert {folds[0] for folds in tested} == {1, 2, 3, 4, 5}
