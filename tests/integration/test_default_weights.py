"""The shipped weights from the command line: found without being named, by their name, and where there are none."""

from __future__ import annotations

import json
import os
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

import dfer.pretrained as dfer_pretrained
from dfer.model.checkpoint import load_checkpoint, save_checkpoint
from dfer.pretrained import write_checksum
from dfer.release.publish import to_half
from tests.integration.program import dfer, tree

HAAR = ("--detector", "haar")


@pytest.fixture
def shipped(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Weights under the name "default", as a package has them."""
    model, info = load_checkpoint(checkpoint)
    folder = tmp_path_factory.mktemp("package")
    save_checkpoint(folder / "default.safetensors", to_half(model.state_dict())[0], info)
    write_checksum(folder / "default.safetensors")
    monkeypatch.setattr("dfer.pretrained.FOLDER", folder)
    return folder / "default.safetensors"


def test_predict_takes_them_and_says_so(shipped: Path, clip: Path) -> None:
    outcome = dfer("predict", clip, *HAAR, "--json", "-").succeeded()
    assert outcome.err.startswith("the default weights: logo_former_s trained on drawn, fold 1")
    assert json.loads(outcome.out)["model"]["checkpoint"] == "default"


def test_a_run_answers_only_where_it_is_named(shipped: Path, workspace: Path, clip: Path) -> None:
    os.utime(shipped, (1e9, 1e9))
    unnamed = dfer("predict", clip, *HAAR).succeeded()
    assert unnamed.err.startswith("the default weights: ")
    assert "runs/cpu_smoke is newer; --checkpoint runs/cpu_smoke uses it" in unnamed.err
    named = dfer("predict", clip, *HAAR, "--checkpoint", "runs/cpu_smoke").succeeded()
    assert named.err.startswith("runs/cpu_smoke/fold")
    assert "is newer" not in named.err


def test_eval_export_and_train_take_the_name(shipped: Path, drawn: Path) -> None:
    dfer("eval", "--checkpoint", "default").failed(2, "no data of their own", hint="--data")
    dfer("eval", "--checkpoint", "default", "--data", drawn, "--json", "a.json").succeeded()
    fold = json.loads(Path("a.json").read_text())["folds"]["1"]
    assert fold["checkpoint"] == "default"
    assert 0 <= fold["ece"] <= 1
    dfer("export", "default", "--out", "a.onnx").succeeded()
    overrides = [f"data.path={drawn}", "train.epochs=1", "model.init=default"]
    dfer("train", "cpu_smoke.yaml", *overrides, "--out", "started").succeeded()
    assert Path("started/fold1/last.safetensors").is_file()


def test_doctor_says_whether_they_are_there_and_whole(
    shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "SHA-256 verified" in _doctor()
    shipped.write_bytes(shipped.read_bytes()[:-1] + b"?")
    assert "damaged" in _doctor()
    monkeypatch.setattr("dfer.pretrained.FOLDER", tmp_path)
    assert "this installation contains none" in _doctor()


def _doctor() -> str:
    lines = dfer("doctor").succeeded().out.splitlines()
    (line,) = (line for line in lines if "default weights" in line and "checkpoint" not in line.split()[1])
    return line


@pytest.mark.parametrize("command", ["predict", "eval", "export", "train"])
def test_where_there_are_none_the_name_is_an_error(command: str, clip: Path, drawn: Path, tmp_path: Path) -> None:
    arguments = {
        "predict": ["predict", clip, *HAAR, "--checkpoint", "default", "--json", "a.json"],
        "eval": ["eval", "--checkpoint", "default", "--data", drawn, "--json", "a.json"],
        "export": ["export", "default", "--out", "a.onnx"],
        "train": ["train", "cpu_smoke.yaml", f"data.path={drawn}", "model.init=default"],
    }
    dfer(*arguments[command]).failed(1, "no default weights", "default.safetensors", hint="dfer train")
    assert tree(tmp_path) == {}


def test_damaged_ones_are_an_error(shipped: Path, clip: Path, tmp_path: Path) -> None:
    shipped.write_bytes(shipped.read_bytes()[:-1] + b"?")
    dfer("predict", clip, *HAAR, "--json", "a.json").failed(
        1, "damaged", "default.safetensors", hint="install dfer again"
    )
    assert tree(tmp_path) == {}


# ---- what this checkout ships


def test_a_real_clip_goes_from_distress_to_joy(
    real_clips: Path, scrfd_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dfer.pretrained.FOLDER", Path(dfer_pretrained.__file__).parent)
    # She weeps for 6 of 20 seconds, looks up with a hand at her mouth, and laughs from 9 on.
    clip = real_clips / "WolfgangLanger_Pexels.mp4"
    outcome = dfer("predict", clip, "--detector-weights", scrfd_weights, "--json", "-").succeeded()
    value = json.loads(outcome.out)
    assert value["model"]["checkpoint"] == "default"
    (face,) = value["faces"]
    distress = [mean_probability(face, ("sad", "fear", "disgust", "angry"), *span) for span in ((0, 8.5), (11, 20))]
    joy = [mean_probability(face, ("happy",), *span) for span in ((0, 8.5), (11, 20))]
    assert distress[0] > 0.6
    assert joy[0] < 0.2
    assert distress[1] < 0.1
    assert joy[1] > 0.8


def mean_probability(face: dict[str, Any], emotions: tuple[str, ...], start: float, end: float) -> float:
    """The mean probability of emotions together between two moments, in seconds."""
    segments = [segment for segment in face["segments"] if start <= segment["start"] and segment["end"] <= end]
    return fmean(sum(segment["probabilities"][emotion] for emotion in emotions) for segment in segments)
