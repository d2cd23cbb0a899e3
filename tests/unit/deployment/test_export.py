"""`dfer export`: the answers of the file are those of `predict`; its metadata; all of it or nothing."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray

import dfer.deployment.export as module
from dfer.batches.sampling import sample_frames
from dfer.deployment.companions import COMPANIONS
from dfer.deployment.export import Exported, ExportOptions, export_model
from dfer.errors import DataError, DferError, UsageError
from dfer.faces.align import template_points
from dfer.model.checkpoint import load_checkpoint
from dfer.model.export import open_session
from dfer.model.pixels import prepare_clips
from dfer.model.priors import choose_answering
from dfer.store import Store, read_clip
from tests.checkpoints import write_checkpoint
from tests.stores import LABELS, SIZE

Crops = NDArray[np.uint8]
BESIDE = sorted(f"tiny{ending}" for ending in COMPANIONS)


def predicted(checkpoint: Path, crops: Crops, prior: str | None = None) -> NDArray[np.float64]:
    """The probabilities of windows of crops, uint8 [B, T, S, S, 3], by the functions that `predict` calls."""
    model, info = load_checkpoint(checkpoint)
    sampled = crops[:, sample_frames(crops.shape[1], model.config.num_frames, info.segments)]
    with torch.inference_mode():
        clips = prepare_clips(torch.from_numpy(sampled), model.config.image_size)
        logits = model.head(model.clip_features(clips, mirror=info.mirror)).numpy()
    return choose_answering(info, prior, where=checkpoint).probabilities(logits)


def answered(path: Path, crops: Crops) -> Any:
    (probabilities,) = open_session(path).run(["probabilities"], {"crops": crops})
    return probabilities


@pytest.mark.parametrize(("batch", "time"), [(1, 1), (1, 3), (2, 4), (3, 5), (2, 30), (4, 6)])
def test_the_file_answers_as_predict_does(
    tiny_checkpoint: Path, exported: tuple[Path, Exported], stripes: Store, batch: int, time: int
) -> None:
    clips = np.concatenate([read_clip(stripes.clip_path(f"c{number}")) for number in range(batch * 3)])
    crops = clips[: batch * time].reshape(batch, time, SIZE, SIZE, 3)
    expected = predicted(tiny_checkpoint, crops)
    assert np.ptp(expected, axis=1).min() > 0.05, "answers that are no guess"
    found = answered(exported[0], crops)
    assert found.shape == (batch, len(LABELS))
    assert np.abs(found - expected).max() < 1e-4


def test_the_metadata_say_how_to_use_it(exported: tuple[Path, Exported], tiny_checkpoint: Path) -> None:
    session = open_session(exported[0])
    (given,), asked = session.get_inputs(), session.get_outputs()
    assert (given.name, given.type, given.shape) == ("crops", "tensor(uint8)", ["batch", "time", SIZE, SIZE, 3])
    assert [(o.name, o.shape) for o in asked] == [("probabilities", ["batch", 3]), ("logits", ["batch", 3])]
    about = session.get_modelmeta().custom_metadata_map
    assert json.loads(about["labels"]) == LABELS
    assert json.loads(about["crop_size"]) == SIZE
    assert np.allclose(json.loads(about["template"]), template_points(SIZE), atol=1e-4)
    assert {key: json.loads(about[key]) for key in ("num_frames", "window_s", "temperature", "mirror")} == {
        "num_frames": 4,
        "window_s": 0.4,
        "temperature": 0.7,
        "mirror": True,
    }
    assert (about["prior"], about["precision"]) == ("default", "float32")
    assert (about["notice"], about["licence"]) == ("only stripes", "MIT")
    assert json.loads(about["dfer"])["labels"] == load_checkpoint(tiny_checkpoint)[1].labels


def test_another_prior(tiny_checkpoint: Path, stripes: Store, tmp_path: Path) -> None:
    shares = tmp_path / "shares.yaml"
    shares.write_text("happy: 1\nsad: 1\nneutral: 0\n")
    export_model(tiny_checkpoint, tmp_path / "a.onnx", ExportOptions(prior=str(shares), examples=False))
    crops = read_clip(stripes.clip_path("c0"))[None]
    found = answered(tmp_path / "a.onnx", crops)
    assert np.abs(found - predicted(tiny_checkpoint, crops, str(shares))).max() < 1e-4
    assert found[0, 2] == 0, "an emotion that cannot occur"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.onnx", "shares.yaml"]


# ---- int8


@pytest.fixture
def traced(exported: tuple[Path, Exported], monkeypatch: pytest.MonkeyPatch) -> None:
    """The graph of the tiny checkpoint as it has been exported: tracing it again takes some seconds."""

    def write(_exportable: object, path: Path, metadata: Mapping[str, str]) -> None:
        graph = onnx.load(exported[0])
        kept = {entry.key: entry.value for entry in graph.metadata_props}
        onnx.helper.set_model_props(graph, {**kept, **metadata})
        onnx.save(graph, path)

    monkeypatch.setattr(module, "write_graph", write)


@pytest.mark.parametrize("calibrated", [False, True])
def test_int8_is_smaller_and_measured(
    tiny_checkpoint: Path,
    exported: tuple[Path, Exported],
    traced: None,
    stripes: Store,
    tmp_path: Path,
    calibrated: bool,
) -> None:
    data = stripes.root if calibrated else None
    out = tmp_path / "small.onnx"
    outcome = export_model(tiny_checkpoint, out, ExportOptions(int8=True, calibration=data, examples=False))
    # One by one: the ranges that an int8 model computes are those of a batch.
    clips = [read_clip(stripes.clip_path(f"c{number}"))[None] for number in range(12)]
    difference = np.abs([answered(out, clip) - answered(exported[0], clip) for clip in clips])
    assert 1e-6 < difference.max() < 0.2, "rounded, and near"
    about = open_session(out).get_modelmeta().custom_metadata_map
    assert about["precision"] == outcome.precision == ("int8 (static)" if calibrated else "int8 (dynamic)")
    assert about["dfer"]
    if outcome.agreement is None:
        assert not calibrated
    else:
        assert outcome.agreement.clips == 6, "those that did not calibrate it"
        assert outcome.agreement.largest <= difference.max() + 1e-6
    assert os.listdir(tmp_path) == ["small.onnx"]  # noqa: PTH208


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"calibration": Path("data")}, "--calibration"),
        ({"bare": True, "int8": True}, "--bare"),
        ({"bare": True, "prior": "balanced"}, "--bare"),
        ({"bare": True, "mirror": False}, "--bare"),
    ],
)
def test_options_that_exclude_each_other(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        ExportOptions(**options)


def test_calibration_with_crops_of_another_alignment(stripes: Store, tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path / "a.safetensors", alignment={"size": SIZE, "template": "other"})
    with pytest.raises(DataError, match="aligned differently"):
        export_model(checkpoint, tmp_path / "a.onnx", ExportOptions(int8=True, calibration=stripes.root))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.safetensors"]


# ---- beside it


def test_what_lies_beside_it(exported: tuple[Path, Exported]) -> None:
    out, outcome = exported
    assert sorted(path.name for path in out.parent.iterdir()) == sorted([*BESIDE, "tiny.onnx"])
    assert sorted(path.name for path in outcome.companions) == BESIDE
    text = (out.parent / "tiny.README.md").read_text()
    for words in ("happy, sad, neutral", f"[batch, time, {SIZE}, {SIZE}, 3]", "only stripes", "weights: MIT", "0.4 s"):
        assert words in text


def test_an_earlier_export_is_replaced_and_nothing_else(tiny_checkpoint: Path, traced: None, tmp_path: Path) -> None:
    out = tmp_path / "tiny.onnx"
    (tmp_path / "tiny.README.md").write_text("<!-- Written by dfer export. -->\nold\n")
    own = tmp_path / "tiny.example.py"
    own.write_text("print('my own')\n")
    with pytest.raises(DferError, match="would overwrite a file that dfer did not write") as caught:
        export_model(tiny_checkpoint, out)
    assert "--no-examples" in str(caught.value.hint)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tiny.README.md", "tiny.example.py"]
    own.unlink()
    export_model(tiny_checkpoint, out)
    assert "labels" in (tmp_path / "tiny.README.md").read_text()


@pytest.mark.parametrize("name", ["we ird 'x' ä", 'a"""b\\N', "two\nlines", "<b>&amp;#?%41", "`$(id)`", "x" * 200])
def test_any_name_of_a_file(tiny_checkpoint: Path, traced: None, stripes: Store, tmp_path: Path, name: str) -> None:
    outcome = export_model(tiny_checkpoint, tmp_path / f"{name}.onnx")
    assert len(outcome.companions) == 4
    (example,) = (path for path in outcome.companions if path.suffix == ".py")
    np.save(tmp_path / "crop.npy", read_clip(stripes.clip_path("c0"))[0])
    ended = subprocess.run(
        [sys.executable, example, tmp_path / "crop.npy"], capture_output=True, timeout=60, check=True
    )
    assert list(json.loads(ended.stdout)) == LABELS


@pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("step", ["write_graph", "require_same_answers", "companion_texts"])
def test_a_failure_leaves_all_as_it_was(
    tiny_checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    failure: BaseException,
) -> None:
    earlier = {"tiny.onnx": b"earlier", "tiny.README.md": b"<!-- Written by dfer export. -->"}
    for name, content in earlier.items():
        (tmp_path / name).write_bytes(content)

    def write(_exportable: object, path: Path, _metadata: object) -> None:
        path.write_bytes(b"half a model")

    def fail(*_: object, **__: object) -> None:
        raise failure

    monkeypatch.setattr(module, "write_graph", write)
    monkeypatch.setattr(module, "require_same_answers", lambda *_, **__: (0.0, 1))
    monkeypatch.setattr(module, step, fail)
    with pytest.raises((DferError, KeyboardInterrupt)) as caught:
        export_model(tiny_checkpoint, tmp_path / "tiny.onnx")
    if isinstance(failure, OSError):
        assert "no space left" in str(caught.value)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == earlier


def test_int8_that_cannot_be_made_is_an_error_of_ours(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "write_graph", lambda _exportable, path, _metadata: path.write_bytes(b"no model"))
    monkeypatch.setattr(module, "require_same_answers", lambda *_, **__: (0.0, 1))
    with pytest.raises(DferError, match="cannot quantise"):
        export_model(tiny_checkpoint, tmp_path / "a.onnx", ExportOptions(int8=True))
    assert not list(tmp_path.iterdir())
