"""Publishing a trained fold: half precision, calibration, checksum and history."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from dfer.errors import CheckpointError, DataError
from dfer.evaluation.evaluate import evaluate_fold
from dfer.evaluation.inference import evaluation_loader, run_clips
from dfer.labels import DFEW_LABELS
from dfer.model import logo_former_s
from dfer.model.calibration import TEMPERATURE_LIMITS, fit_temperature
from dfer.model.checkpoint import load_checkpoint, save_checkpoint
from dfer.model.priors import choose_answering, tempered_shares
from dfer.release.publish import MAX_BYTES, publish_weights, to_half, training_history
from dfer.shares import DATASET_COUNTS
from dfer.store import Store, open_store
from dfer.training import train
from tests.checkpoints import checkpoint_info
from tests.stores import small_store, tiny_recipe


def test_published_weights_are_half_calibrated_and_documented(shipped: Path, trained: Path, split_store: Store) -> None:
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
    rows = [row for row in split_store.rows if row.folds[1] == "val"]
    first, second = (
        run_clips(model, evaluation_loader(split_store, rows, model, segments=2, batch_size=8)).logits
        for model in (before, after)
    )
    assert np.abs(second - first).max() < 1e-2 * np.abs(first).max()


def test_the_temperature_is_fitted_on_validation_clips_only(trained: Path, tmp_path: Path, split_store: Store) -> None:
    published = publish_weights(trained, split_store.root, tmp_path / "a.safetensors", described="", device="cpu")
    model, info = load_checkpoint(trained)
    rows = [row for row in split_store.rows if row.folds[1] == "val"]
    logits = run_clips(model, evaluation_loader(split_store, rows, model, segments=2, batch_size=8)).logits
    labels = torch.tensor([row.label for row in rows])

    def loss(t: float) -> float:
        return float(torch.nn.functional.cross_entropy(torch.from_numpy(logits) / t, labels))

    found = published.temperature
    low, high = TEMPERATURE_LIMITS
    assert loss(found) <= min(loss(max(low, 0.95 * found)), loss(min(high, 1.05 * found)), loss(1.0)) + 1e-6
    assert info.temperature == 1.0


def test_several_stores_are_calibrated_under_the_prior_of_each(
    trained: Path, split_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = {"happy": 7, "sad": 2, "neutral": 1}
    monkeypatch.setitem(DATASET_COUNTS, "other", counts)
    shutil.copytree(split_store.root, tmp_path / "other")
    described = tmp_path / "other" / "dataset.json"
    described.write_text(described.read_text().replace('"name": "tiny"', '"name": "other"'))
    info = publish_weights(
        trained, [split_store.root, tmp_path / "other"], tmp_path / "a.safetensors",
        described="", default_prior=0.5, mirror=True, device="cpu",
    )  # fmt: skip
    assert (info.mirror, set(info.priors)) == (True, {"default", "other"})
    assert info.prior is not None
    assert info.priors["default"]["shares"] == pytest.approx(tempered_shares(info.prior, 0.5))
    assert info.priors["other"]["shares"] == pytest.approx({"happy": 0.7, "sad": 0.2, "neutral": 0.1})
    assert info.priors["default"]["temperature"] == info.temperature != info.priors["other"]["temperature"]
    model, loaded = load_checkpoint(tmp_path / "a.safetensors")
    assert loaded == info
    tested = evaluate_fold(model, info, open_store(tmp_path / "other"), 1, checkpoint=trained, prior="other")
    assert info.metrics["test_other_war"] == tested.war
    assert info.metrics["test_war"] == info.metrics["test_tiny_war"]
    rows = [row for row in split_store.rows if row.folds[1] == "val"]
    loader = evaluation_loader(split_store, rows, model, segments=2, batch_size=8)
    logits, labels = run_clips(model, loader, mirror=True).logits, np.array([row.label for row in rows])
    shift = choose_answering(info, "other", where=trained).shift
    assert fit_temperature(logits, labels, shift) == pytest.approx(info.priors["other"]["temperature"], rel=1e-5)


def test_the_same_fold_gives_the_same_bytes(shipped: Path, trained: Path, split_store: Store, tmp_path: Path) -> None:
    again = tmp_path / "default.safetensors"
    publish_weights(trained, split_store.root, again, described="stripes", device="cpu")
    assert again.read_bytes() == shipped.read_bytes()


def test_other_data_or_no_validation_split_are_refused(trained: Path, split_store: Store, tmp_path: Path) -> None:
    other = small_store(tmp_path / "other")
    with pytest.raises(DataError, match="other data"):
        publish_weights(trained, other.root, tmp_path / "a.safetensors", described="")
    train(tiny_recipe(other.root, train={"epochs": 1}), folds=[1], out=tmp_path / "run", device="cpu")
    with pytest.raises(DataError, match="no validation split"):
        publish_weights(tmp_path / "run/fold1/last.safetensors", other.root, tmp_path / "a.safetensors", described="")
    assert not (tmp_path / "a.safetensors").exists()


def test_weights_that_are_too_large_are_not_written(
    trained: Path, split_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dfer.release.publish.MAX_BYTES", 1000)
    with pytest.raises(CheckpointError, match=r"the weights take 0\.\d MB"):
        publish_weights(trained, split_store.root, tmp_path / "out" / "a.safetensors", described="")
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
        pytest.param([float("nan"), 1.0], False, id="NaN"),
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
    save_checkpoint(path, to_half(model.state_dict())[0], checkpoint_info(model, labels=list(DFEW_LABELS)))
    assert path.stat().st_size < MAX_BYTES
    loaded, _ = load_checkpoint(path)
    clips = torch.randn(1, 16, 3, 112, 112)
    with torch.inference_mode():
        first, second = model(clips), loaded(clips)
    assert (second - first).abs().max() < 1e-2 * first.abs().max()


def test_the_history_goes_back_to_the_first_run_and_leaves_out_the_stores_folder(
    trained: Path, split_store: Store, tmp_path: Path
) -> None:
    recipe = tiny_recipe(split_store.root, train={"epochs": 2}, model={"init": str(trained)})
    train(recipe, folds=[1], out=tmp_path / "second", device="cpu")
    first, second = training_history(tmp_path / "second" / "fold1")
    assert [len(run["metrics"]) for run in (first, second)] == [8, 2]
    assert second["recipe"]["train"]["epochs"] == 2
    assert second["data"]["fingerprint"] == split_store.fingerprint()
    assert str(split_store.root) not in json.dumps([first, second["recipe"]["data"], second["data"]])
    moved = trained.rename(trained.with_name("moved.safetensors"))
    try:
        with pytest.raises(DataError, match=r"started from .* which is not here"):
            training_history(tmp_path / "second" / "fold1")
    finally:
        moved.rename(trained)
    (tmp_path / "second" / "fold1" / "metrics.jsonl").write_text("{")
    with pytest.raises(DataError, match="record of the epochs missing"):
        training_history(tmp_path / "second" / "fold1")
    (tmp_path / "second" / "fold1" / "run.json").unlink()
    with pytest.raises(DataError, match="run record missing"):
        training_history(tmp_path / "second" / "fold1")


def test_the_history_follows_both_the_checkpoint_and_the_backbone_that_a_run_started_from(
    trained: Path, split_store: Store, tmp_path: Path
) -> None:
    def run(name: str, **model: str) -> Path:
        recipe = tiny_recipe(split_store.root, train={"epochs": 1}, model=model)
        train(recipe, folds=[1], out=tmp_path / name, device="cpu")
        return tmp_path / name / "fold1" / "last.safetensors"

    stem = run("stem", backbone=str(trained))
    whole = run("whole", init=str(trained), backbone=str(stem))
    first, second, third = (run["recipe"]["model"] for run in training_history(whole.parent))  # the shared one once
    assert (first["init"], first["backbone"]) == (None, None)
    assert second["backbone"] == str(trained)
    assert third["backbone"] == str(stem)


def test_a_run_on_several_stores_is_published_by_one_of_them(split_store: Store, tmp_path: Path) -> None:
    other = small_store(tmp_path / "other", clips_per_class=3)
    stores: list[dict[str, object]] = [{"path": str(other.root), "weight": 2.0}, {"path": str(split_store.root)}]
    recipe = tiny_recipe(Path(), data={"path": stores}, train={"epochs": 1})
    train(recipe, folds=[1], out=tmp_path / "run", device="cpu")
    fold = tmp_path / "run" / "fold1"
    info = publish_weights(
        fold / "last.safetensors", split_store.root, tmp_path / "a.safetensors", described="stripes", device="cpu"
    )
    assert info.metrics["test_war"] >= 0
    assert [store["name"] for store in info.data["stores"]] == ["other", "tiny"]
    (run,) = training_history(fold)
    assert [store["path"] for store in run["recipe"]["data"]["path"]] == ["other", "tiny"]
    assert [store["path"] for store in run["data"]["stores"]] == ["other", "tiny"]
    assert str(tmp_path) not in json.dumps([run["recipe"]["data"], run["data"]])
