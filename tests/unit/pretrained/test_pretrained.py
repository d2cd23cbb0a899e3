"""Shipped weights: found by name, verified, and used wherever a checkpoint is named."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from dfer.errors import CheckpointError, UsageError
from dfer.evaluation.evaluate import evaluate
from dfer.evaluation.plan import plan_evaluation
from dfer.labels import DFEW_LABELS
from dfer.model.build import build_model
from dfer.model.checkpoint import describe_checkpoint, load_checkpoint, read_checkpoint_info, save_checkpoint
from dfer.model.export import export_onnx
from dfer.prediction.predictor import Predictor
from dfer.pretrained import find_pretrained, pretrained_name, pretrained_names, write_checksum
from dfer.release.publish import MAX_BYTES
from dfer.runs import default_checkpoint, find_checkpoint
from dfer.store import Store, read_clip
from tests.stores import LABELS, tiny_recipe


def test_a_name_is_a_verified_file(shipped: Path) -> None:
    assert pretrained_names() == ["default"]
    assert find_pretrained("default") == find_checkpoint("default") == find_checkpoint(Path("default")) == shipped
    assert pretrained_name(shipped) == "default"
    assert (shipped.parent / "SHA256SUMS").read_text().endswith("  default.safetensors\n")


def test_anything_else_is_a_path(shipped: Path) -> None:
    assert find_checkpoint("runs/a.safetensors") == Path("runs/a.safetensors")
    assert pretrained_name(Path("runs/default.safetensors")) is None
    Path("default").write_bytes(b"a file of one's own")
    assert find_checkpoint("default") == Path("default")


def test_without_weights_the_error_says_the_way_out(weights_folder: Path) -> None:
    assert pretrained_names() == []
    with pytest.raises(CheckpointError, match=r"no default weights \(.*default\.safetensors\)") as caught:
        find_checkpoint("default")
    assert "dfer train" in str(caught.value.hint)
    with pytest.raises(CheckpointError, match="no checkpoint to predict with"):
        default_checkpoint()


@pytest.mark.parametrize("harm", ["a bit", "cut off", "gone"])
def test_damaged_weights_are_refused(shipped: Path, harm: str) -> None:
    content = bytearray(shipped.read_bytes())
    content[-1] ^= 1
    shipped.write_bytes(bytes(content) if harm == "a bit" else content[:-10])
    if harm == "gone":
        shipped.unlink()
    for ask in (default_checkpoint, lambda: Predictor("default", detector="none")):
        with pytest.raises(CheckpointError, match=r"default\.safetensors") as caught:
            ask()
        assert "install" in str(caught.value.hint)


def test_checksums_of_other_files_are_kept(tmp_path: Path) -> None:
    for name, content in (("b", b"1"), ("a", b"2"), ("b", b"3")):
        (tmp_path / f"{name}.safetensors").write_bytes(content)
        write_checksum(tmp_path / f"{name}.safetensors")
    names = [line.split()[1] for line in (tmp_path / "SHA256SUMS").read_text().splitlines()]
    assert names == ["a.safetensors", "b.safetensors"]
    assert "4e07408562bedb8b60ce05c1decfe3ad16b72230967de01f640b7e4729b49fce" in (tmp_path / "SHA256SUMS").read_text()


def test_only_a_named_checkpoint_replaces_the_shipped_weights(
    shipped: Path, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert default_checkpoint() == shipped
    run = Path("runs/mine/fold1")
    run.mkdir(parents=True)
    (run / "last.safetensors").write_bytes(trained.read_bytes())
    assert default_checkpoint() == shipped
    monkeypatch.setenv("DFER_CHECKPOINT", "runs/mine")
    assert default_checkpoint() == run / "last.safetensors"


# ---- used by name


def test_predictor_says_which_weights_it_took(shipped: Path, split_store: Store, tmp_path: Path) -> None:
    for predictor in (Predictor(detector="none"), Predictor("default", detector="none")):
        assert predictor.checkpoint == shipped
        line = describe_checkpoint(predictor.checkpoint, predictor.info)
        assert line.startswith("the default weights: logo_former_s trained on stripes, last; ")
        assert "not what a person feels" in line
    assert predictor(_images(split_store, tmp_path)).model["checkpoint"] == "default"


def test_predictors_probabilities_are_the_calibrated_ones(trained: Path, split_store: Store, tmp_path: Path) -> None:
    model, info = load_checkpoint(trained)
    answers = {}
    for temperature in (1.0, 2.0):
        path = tmp_path / f"{temperature}.safetensors"
        save_checkpoint(path, model.state_dict(), replace(info, temperature=temperature))
        (face,) = Predictor(path, detector="none", stride=10.0)(_images(split_store, tmp_path)).faces
        answers[temperature] = np.array(list(face.probabilities.values()))
    tempered = answers[1.0] ** 0.5
    assert answers[2.0] == pytest.approx(tempered / tempered.sum(), rel=1e-5)


def test_predictor_answers_under_a_prior(trained: Path, split_store: Store, tmp_path: Path) -> None:
    images, path = _images(split_store, tmp_path), tmp_path / "a.safetensors"
    model, info = load_checkpoint(trained)
    shares = dict(zip(LABELS, [0.2, 0.2, 0.6], strict=True))
    own = {"default": {"shares": dict(zip(LABELS, [0.1, 0.1, 0.8], strict=True)), "temperature": 1.0}}
    save_checkpoint(path, model.state_dict(), replace(info, prior=shares, class_weights=None))
    answers = {}
    for prior in (None, "balanced"):
        prediction = Predictor(path, detector="none", stride=10.0, prior=prior)(images)
        assert prediction.model["prior"] == prior or "training"
        answers[prior] = np.array(list(prediction.faces[0].probabilities.values()))
    balanced = answers[None] / [0.2, 0.2, 0.6]
    assert answers["balanced"] == pytest.approx(balanced / balanced.sum(), rel=1e-5)
    save_checkpoint(path, model.state_dict(), replace(info, prior=shares, priors=own, class_weights=None))
    prediction = Predictor(path, detector="none", stride=10.0)(images)
    assert prediction.model["prior"] == "default"
    assert prediction.faces[0].probabilities[LABELS[2]] > answers[None][2]


def test_predictor_averages_with_the_mirror_image(trained: Path, split_store: Store, tmp_path: Path) -> None:
    images, path = _images(split_store, tmp_path), tmp_path / "a.safetensors"
    model, info = load_checkpoint(trained)
    save_checkpoint(path, model.state_dict(), replace(info, mirror=True))
    plain, asked, own = (
        Predictor(checkpoint, detector="none", stride=10.0, mirror=mirror)(images)
        for checkpoint, mirror in ((path, False), (trained, True), (path, None))
    )
    assert [prediction.model["mirror"] for prediction in (plain, asked, own)] == [False, True, True]
    assert asked.faces[0].probabilities == own.faces[0].probabilities != plain.faces[0].probabilities


def test_training_starts_from_a_name(shipped: Path, split_store: Store) -> None:
    settings = tiny_recipe(split_store.root, model={"init": "default"}).model
    model, weights = build_model(settings, LABELS), load_checkpoint(shipped)[0]
    assert torch.equal(model.head.weight, weights.head.weight)
    assert model.head.weight.dtype == torch.float32


def test_eval_of_a_name_needs_a_store(shipped: Path, split_store: Store) -> None:
    with pytest.raises(UsageError, match="no data of their own") as caught:
        plan_evaluation(checkpoint=Path("default"))
    assert "--data" in str(caught.value.hint)
    (task,) = plan_evaluation(checkpoint=Path("default"), data=split_store.root)
    assert (task.fold, task.checkpoint) == (1, shipped)
    (fold,) = evaluate([task], device="cpu").folds
    metrics = read_checkpoint_info(shipped).metrics
    assert fold.checkpoint == "default"
    assert [fold.war, fold.uar, fold.ece] == [metrics[f"test_{name}"] for name in ("war", "uar", "ece")]


def test_export_of_a_name(shipped: Path, tmp_path: Path) -> None:
    import onnx

    export_onnx(Path("default"), tmp_path / "a.onnx")
    (entry,) = (e for e in onnx.load(tmp_path / "a.onnx").metadata_props if e.key == "dfer")
    assert json.loads(entry.value)["temperature"] == read_checkpoint_info(shipped).temperature


# ---- what this checkout ships


def test_the_shipped_weights_are_what_the_contract_says() -> None:
    if "default" not in pretrained_names():
        pytest.skip("this checkout ships no weights")
    path = find_pretrained("default")
    model, info = load_checkpoint(path)
    assert path.stat().st_size < MAX_BYTES
    assert info.labels == list(DFEW_LABELS)
    assert (info.model_name, model.config.num_frames) == ("logo_former_s", 16)
    assert info.licence
    assert info.notice
    assert {"test_war", "test_uar", "test_ece"} <= info.metrics.keys()
    assert {"name", "fingerprint", "described"} <= info.data.keys()


def _images(split_store: Store, root: Path) -> Path:
    """A clip's crops as a folder of images."""
    folder = root / "faces"
    folder.mkdir(exist_ok=True)
    for number, crop in enumerate(read_clip(split_store.clip_path("c0"))):
        cv2.imwrite(str(folder / f"{number}.png"), crop[..., ::-1])
    return folder
