"""Names that no file can have, given to the functions that take a path: an error of ours, not Python's ValueError."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import dfer
from dfer.cli.app import run
from dfer.datasets import DATASETS, read_dataset
from dfer.datasets.merge import RawDataset
from dfer.errors import DferError
from dfer.evaluation.plan import plan_evaluation
from dfer.faces.detectors import build_detector
from dfer.model.checkpoint import load_checkpoint
from dfer.model.export import export_onnx
from dfer.model.weights import read_weights
from dfer.preprocessing import Settings, preprocess
from dfer.preprocessing.guard import DiskGuard
from dfer.preprocessing.run import merge
from dfer.recipe import Recipe, load_recipe, save_recipe
from dfer.reports.shown_clips import write_store_report
from dfer.run_records import read_metrics, read_run
from dfer.runtime.files import write_text
from dfer.runtime.locks import lock_file
from dfer.shares import read_shares
from dfer.store import open_store, read_clip
from dfer.store.check import check_store
from dfer.store.manifest import read_manifest, write_manifest
from dfer.store.targets import write_targets
from dfer.synth.dataset import generate_dataset
from dfer.video import VideoWriter, open_frames

NAMES = ["a\0b", "\ud800", "sub\0/a"]
NOTHING = RawDataset("none", ("happy",), [], 1, [])


def write_video(path: Path) -> None:
    with VideoWriter(path.with_name(f"{path.name}.mp4"), fps=25, size_hw=(32, 32)) as writer:
        writer.write(np.zeros((32, 32, 3), np.uint8))


def hold_lock(path: Path) -> None:
    with lock_file(path):
        pass


FUNCTIONS: dict[str, Callable[[Path], object]] = {
    "Predictor": dfer.Predictor,
    "load_checkpoint": load_checkpoint,
    "read_weights": read_weights,
    "export_onnx": lambda path: export_onnx(path, Path("a.onnx")),
    "load_recipe": load_recipe,
    "save_recipe": lambda path: save_recipe(Recipe.model_validate({"name": "a", "data": {"path": "b"}}), path),
    "read_shares": lambda path: read_shares(path, ["happy"]),
    "open_store": open_store,
    "read_clip": read_clip,
    "read_manifest": read_manifest,
    "write_manifest": lambda path: write_manifest(path, []),
    "write_targets": lambda path: write_targets(path, ["a"], ["happy"], np.ones((1, 1))),
    "check_store": check_store,
    "write_store_report": write_store_report,
    "preprocess": lambda path: preprocess(NOTHING, Path(), path, Settings()),
    "DiskGuard": DiskGuard,
    "merge": lambda path: merge(NOTHING, path),
    "read_run": read_run,
    "read_metrics": read_metrics,
    "plan_evaluation": lambda path: plan_evaluation(run=path),
    "write_text": lambda path: write_text(path, "a"),
    "lock_file": hold_lock,
    "open_frames": open_frames,
    "VideoWriter": write_video,
    "generate_dataset": lambda path: generate_dataset(path, num_clips=7),
    "build_detector": lambda path: build_detector("scrfd", path),
    **{f"read {name}": lambda path, name=name: read_dataset(name, path) for name in DATASETS},
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_refuses_a_name_that_no_file_can_have(
    function: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DferError):
        FUNCTIONS[function](Path(name))
    assert list(tmp_path.rglob("*.tmp*")) == []


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "arguments", [["predict", "a.png", "--json"], ["predict"], ["export", "a", "--out"], ["synth"], ["eval", "--run"]]
)
def test_a_command_refuses_it_in_one_line(arguments: list[str], name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*arguments, name]) in (1, 2)
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert "unexpected" not in errors[0]
