"""Shipped weights: found by name, verified, published from a trained fold."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from dfer import pretrained
from dfer.errors import CheckpointError, DataError, UsageError
from dfer.evaluation.evaluate import evaluate, plan_evaluation
from dfer.evaluation.inference import run_clips, stored_feed
from dfer.labels import DFEW_LABELS
from dfer.model import LogoFormer, logo_former_s
from dfer.model.build import build_model
from dfer.model.calibration import TEMPERATURE_LIMITS
from dfer.model.checkpoint import (
    CheckpointInfo,
    describe_checkpoint,
    load_checkpoint,
    read_checkpoint_info,
    save_checkpoint,
)
from dfer.model.export import export_onnx
from dfer.prediction.predictor import Predictor
from dfer.pretrained import find_pretrained, pretrained_name, pretrained_names, write_checksum
from dfer.release.publish import MAX_BYTES, publish_weights, to_half, training_history
from dfer.runs import default_checkpoint, find_checkpoint
from dfer.store import Store, open_store, read_clip
from dfer.store.manifest import write_manifest
from dfer.training import train
from tests.stores import LABELS, small_store
from tests.unit.training.test_loop import tiny_recipe


def _store(root: Path) -> Store:
    """A store with an official validation split, as FER+ has."""
    store = small_store(root, clips_per_class=12, num_folds=1)
    rows = [
        replace(row, folds={1: ("train", "train", "val", "test")[number // 3 % 4]})
        for number, row in enumerate(store.rows)
    ]
    write_manifest(root / "manifest.csv", rows)
    return open_store(root)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return _store(tmp_path_factory.mktemp("data") / "tiny")


@pytest.fixture(scope="module")
def trained(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("runs")
    train(tiny_recipe(store.root, train={"epochs": 8}), folds=[1], out=run, device="cpu")
    return run / "fold1" / "last.safetensors"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of shipped weights, still empty, and a working folder without runs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DFER_CHECKPOINT", raising=False)
    monkeypatch.setattr(pretrained, "FOLDER", tmp_path / "shipped")
    return tmp_path / "shipped"


@pytest.fixture
def shipped(folder: Path, trained: Path, store: Store) -> Path:
    """Weights under the name "default"."""
    published = publish_weights(trained, store.root, folder / "default.safetensors", described="stripes", device="cpu")
    return published.path


# ---- by name


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


def test_without_weights_the_error_says_the_way_out(folder: Path) -> None:
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


def test_a_run_and_the_environment_come_before_the_shipped_weights(
    shipped: Path, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert default_checkpoint() == shipped
    run = Path("runs/mine/fold1")
    run.mkdir(parents=True)
    (run / "last.safetensors").write_bytes(trained.read_bytes())
    assert default_checkpoint() == run / "last.safetensors"
    monkeypatch.setenv("DFER_CHECKPOINT", "default")
    assert default_checkpoint() == shipped


# ---- used by name


def test_predictor_says_which_weights_it_took(shipped: Path, store: Store, tmp_path: Path) -> None:
    for predictor in (Predictor(detector="none"), Predictor("default", detector="none")):
        assert predictor.checkpoint == shipped
        line = describe_checkpoint(predictor.checkpoint, predictor.info)
        assert line.startswith("the default weights: logo_former_s trained on stripes, last; ")
        assert "not what a person feels" in line
    assert predictor(_images(store, tmp_path)).model["checkpoint"] == "default"


def test_predictors_probabilities_are_the_calibrated_ones(trained: Path, store: Store, tmp_path: Path) -> None:
    model, info = load_checkpoint(trained)
    answers = {}
    for temperature in (1.0, 2.0):
        path = tmp_path / f"{temperature}.safetensors"
        save_checkpoint(path, model.state_dict(), replace(info, temperature=temperature))
        (face,) = Predictor(path, detector="none", stride=10.0)(_images(store, tmp_path)).faces
        answers[temperature] = np.array(list(face.probabilities.values()))
    tempered = answers[1.0] ** 0.5
    assert answers[2.0] == pytest.approx(tempered / tempered.sum(), rel=1e-5)


def test_training_starts_from_a_name(shipped: Path, store: Store) -> None:
    settings = tiny_recipe(store.root, model={"init": "default"}).model
    model, weights = build_model(settings, LABELS), load_checkpoint(shipped)[0]
    assert torch.equal(model.head.weight, weights.head.weight)
    assert model.head.weight.dtype == torch.float32


def test_eval_of_a_name_needs_a_store(shipped: Path, store: Store) -> None:
    with pytest.raises(UsageError, match="no data of their own") as caught:
        plan_evaluation(checkpoint=Path("default"))
    assert "--data" in str(caught.value.hint)
    (task,) = plan_evaluation(checkpoint=Path("default"), data=store.root)
    assert (task.fold, task.checkpoint) == (1, shipped)
    fold = evaluate([task], device="cpu")["folds"]["1"]
    metrics = read_checkpoint_info(shipped).metrics
    assert fold["checkpoint"] == "default"
    assert [fold[name] for name in ("war", "uar", "ece")] == [metrics[f"test_{name}"] for name in ("war", "uar", "ece")]


def test_export_of_a_name(shipped: Path, tmp_path: Path) -> None:
    import onnx

    export_onnx(Path("default"), tmp_path / "a.onnx")
    (entry,) = onnx.load(tmp_path / "a.onnx").metadata_props
    assert json.loads(entry.value)["temperature"] == read_checkpoint_info(shipped).temperature


# ---- publishing


def test_published_weights_are_half_calibrated_and_documented(shipped: Path, trained: Path, store: Store) -> None:
    (before, info), (after, own) = load_checkpoint(trained), load_checkpoint(shipped)
    with safe_open(shipped, framework="pt") as stored:
        kinds = {stored.get_tensor(name).dtype for name in stored.keys()}  # noqa: SIM118
    assert kinds == {torch.float16, torch.int64}
    assert {value.dtype for value in after.state_dict().values()} == {torch.float32, torch.int64}
    assert shipped.stat().st_size < 0.6 * trained.stat().st_size
    same = ("model_name", "model_config", "labels", "alignment", "crop_size", "segments", "clip_s")
    assert [getattr(own, name) for name in same] == [getattr(info, name) for name in same]
    assert own.data == info.data | {"described": "stripes"}
    assert own.licence.startswith("MIT")
    assert own.notice
    rows = [row for row in store.rows if row.folds[1] == "val"]
    first, second = (
        run_clips(model, stored_feed(store, rows), rows, segments=2, batch_size=8, device=torch.device("cpu")).logits
        for model in (before, after)
    )
    assert np.abs(second - first).max() < 1e-2 * np.abs(first).max()


def test_the_temperature_is_fitted_on_validation_clips_alone(trained: Path, tmp_path: Path, store: Store) -> None:
    published = publish_weights(trained, store.root, tmp_path / "a.safetensors", described="", device="cpu")
    model, info = load_checkpoint(trained)
    rows = [row for row in store.rows if row.folds[1] == "val"]
    logits = run_clips(
        model, stored_feed(store, rows), rows, segments=2, batch_size=8, device=torch.device("cpu")
    ).logits
    labels = torch.tensor([row.label for row in rows])

    def loss(t: float) -> float:
        return float(torch.nn.functional.cross_entropy(torch.from_numpy(logits) / t, labels))

    found = published.temperature
    low, high = TEMPERATURE_LIMITS
    assert loss(found) <= min(loss(max(low, 0.95 * found)), loss(min(high, 1.05 * found)), loss(1.0)) + 1e-6
    assert info.temperature == 1.0


def test_the_same_fold_gives_the_same_bytes(shipped: Path, trained: Path, store: Store, tmp_path: Path) -> None:
    again = publish_weights(trained, store.root, tmp_path / "default.safetensors", described="stripes", device="cpu")
    assert again.path.read_bytes() == shipped.read_bytes()


def test_other_data_or_no_validation_split_are_refused(trained: Path, store: Store, tmp_path: Path) -> None:
    other = small_store(tmp_path / "other")
    with pytest.raises(DataError, match="other data"):
        publish_weights(trained, other.root, tmp_path / "a.safetensors", described="")
    train(tiny_recipe(other.root, train={"epochs": 1}), folds=[1], out=tmp_path / "run", device="cpu")
    with pytest.raises(DataError, match="no validation split"):
        publish_weights(tmp_path / "run/fold1/last.safetensors", other.root, tmp_path / "a.safetensors", described="")
    assert not (tmp_path / "a.safetensors").exists()


def test_weights_that_are_too_large_are_not_written(
    trained: Path, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dfer.release.publish.MAX_BYTES", 1000)
    with pytest.raises(CheckpointError, match=r"the weights take 0\.\d MB"):
        publish_weights(trained, store.root, tmp_path / "out" / "a.safetensors", described="")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("value", "fits"),
    [
        pytest.param([1.0, -3.5, 0.001], True, id="weights"),
        pytest.param([60_000.0, 1.0], True, id="nearly too large"),
        pytest.param([70_000.0, 1.0], False, id="too large"),
        pytest.param([1e-7, 3e-7], False, id="too small"),
        pytest.param([1e-7, 1.0], True, id="a small one among larger ones"),
        pytest.param([0.0, 0.0], True, id="zeros"),
        pytest.param([float("nan"), 1.0], False, id="no number"),
    ],
)
def test_what_half_precision_cannot_hold_stays(value: list[float], fits: bool) -> None:
    rounded, kept = to_half({"a": torch.tensor(value), "steps": torch.tensor(100_000)})
    assert rounded["a"].dtype == (torch.float16 if fits else torch.float32)
    assert kept == ([] if fits else ["a"])
    assert rounded["steps"] == 100_000


def test_the_default_model_fits_the_limit_and_keeps_its_answers(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = logo_former_s(num_classes=7).eval()
    for name, value in model.named_buffers():  # as training leaves them: not all 0 and 1
        if name.endswith("running_var"):
            value.copy_(torch.rand_like(value) * 2 + 0.01)
    torch.nn.init.normal_(model.head.weight, std=0.1)
    path = tmp_path / "a.safetensors"
    save_checkpoint(path, to_half(model.state_dict())[0], _info(model))
    assert path.stat().st_size < MAX_BYTES
    loaded, _ = load_checkpoint(path)
    clips = torch.randn(1, 16, 3, 112, 112)
    with torch.inference_mode():
        first, second = model(clips), loaded(clips)
    assert (second - first).abs().max() < 1e-2 * first.abs().max()


def test_settings_without_the_newer_keys_still_load(trained: Path, tmp_path: Path) -> None:
    path = _rewritten(trained, tmp_path, lambda values: [values.pop(key) for key in ("temperature", "licence")])
    info = read_checkpoint_info(path)
    assert (info.temperature, info.licence) == (1.0, "")


@pytest.mark.parametrize("temperature", [0.0, -1.0, "warm", None])
def test_a_temperature_that_is_none_is_damage(trained: Path, tmp_path: Path, temperature: object) -> None:
    path = _rewritten(trained, tmp_path, lambda values: values.update(temperature=temperature))
    with pytest.raises(CheckpointError, match="damaged checkpoint settings"):
        load_checkpoint(path)


def test_the_history_goes_back_to_the_first_run_and_leaves_out_the_stores_folder(
    trained: Path, store: Store, tmp_path: Path
) -> None:
    recipe = tiny_recipe(store.root, train={"epochs": 2}, model={"init": str(trained)})
    train(recipe, folds=[1], out=tmp_path / "second", device="cpu")
    first, second = training_history(tmp_path / "second" / "fold1")
    assert [len(run["metrics"]) for run in (first, second)] == [8, 2]
    assert second["recipe"]["train"]["epochs"] == 2
    assert second["data"]["fingerprint"] == store.fingerprint()
    assert str(store.root) not in json.dumps([first, second["recipe"]["data"], second["data"]])
    moved = trained.rename(trained.with_name("moved.safetensors"))
    try:
        with pytest.raises(DataError, match=r"started from .* which is not here"):
            training_history(tmp_path / "second" / "fold1")
    finally:
        moved.rename(trained)
    (tmp_path / "second" / "fold1" / "metrics.jsonl").write_text("{")
    with pytest.raises(DataError, match="no record of the epochs"):
        training_history(tmp_path / "second" / "fold1")
    (tmp_path / "second" / "fold1" / "run.json").unlink()
    with pytest.raises(DataError, match="no run record"):
        training_history(tmp_path / "second" / "fold1")


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


def _images(store: Store, root: Path) -> Path:
    """A clip's crops as a folder of images."""
    folder = root / "faces"
    folder.mkdir(exist_ok=True)
    for number, crop in enumerate(read_clip(store.clip_path("c0"))):
        cv2.imwrite(str(folder / f"{number}.png"), crop[..., ::-1])
    return folder


def _info(model: LogoFormer) -> CheckpointInfo:
    return CheckpointInfo(
        "logo_former_s", asdict(model.config), list(DFEW_LABELS), {}, 128, 8, 0.04, {}, "", "last", 1, {}, "0"
    )


def _rewritten(path: Path, folder: Path, change) -> Path:  # type: ignore[no-untyped-def]
    with safe_open(path, framework="pt") as stored:
        tensors: dict[str, Tensor] = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
        values = json.loads(stored.metadata()["dfer"])
    change(values)
    save_file(tensors, folder / "a.safetensors", metadata={"dfer": json.dumps(values)})
    return folder / "a.safetensors"
