"""Checkpoint + fold -> metrics: what counts, what is refused, and the JSON contract."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dfer.batches.loaders import ClipLoader
from dfer.errors import CheckpointError, DferError, UsageError
from dfer.evaluation.evaluate import evaluate
from dfer.evaluation.inference import ClipOutputs
from dfer.evaluation.metrics import confusion_matrix
from dfer.evaluation.plan import FoldTask, plan_evaluation
from dfer.evaluation.predictions import UNREAD, read_predictions
from dfer.model.checkpoint import load_checkpoint, save_checkpoint
from dfer.recipe import save_recipe
from dfer.records import Selection
from dfer.runtime.files import sha256_of, write_json
from dfer.store import Store
from dfer.store.joined import StorePart, join_stores
from dfer.training import train
from tests.checkpoints import write_checkpoint
from tests.stores import small_store, tiny_recipe


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return small_store(tmp_path_factory.mktemp("data") / "tiny", clips_per_class=16)


def untrained(path: Path, store: Store, fold: int, selection: Selection, **facts: object) -> FoldTask:
    data = {"name": "tiny", "fold": fold, "fingerprint": store.fingerprint(), **facts}
    changes = {"data": data, "selection": selection, "notice": "stripes, not faces", "epoch": 3, "temperature": 1.5}
    write_checkpoint(path, **changes)
    return FoldTask(fold, path, store.root)


def fixed_outputs(_model: object, loader: ClipLoader, **_: object) -> ClipOutputs:
    place = np.arange(len(loader.rows))
    logits = np.stack([np.cos(place * number) for number in (1, 2, 3)], 1).round(2).astype(np.float32)
    return ClipOutputs(logits, np.stack([place % 3, place // 3], 1).astype(np.float32))


def test_the_json_is_what_it_was_before_results_had_a_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("dfer.evaluation.evaluate.run_clips", fixed_outputs)
    store = small_store(Path("data/tiny"), failed=3)
    selections: list[Selection] = ["best on test", "last"]
    tasks = [
        untrained(Path(f"runs/tiny/fold{fold}/best.safetensors"), store, fold, selection)
        for fold, selection in enumerate(selections, start=1)
    ]
    write_json(Path("evaluation.json"), evaluate(tasks, device="cpu").to_dict())
    assert Path("evaluation.json").read_bytes() == Path(__file__).with_name("evaluation.json").read_bytes()


def test_answers_are_those_of_the_prior_and_the_others_are_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dfer.evaluation.evaluate.run_clips", fixed_outputs)
    store = small_store(tmp_path / "data")
    task = untrained(tmp_path / "a.safetensors", store, 1, "last")
    model, info = load_checkpoint(task.checkpoint)
    shares = {"happy": 0.98, "sad": 0.01, "neutral": 0.01}
    own = {"default": {"shares": {"happy": 0.01, "sad": 0.98, "neutral": 0.01}, "temperature": 9.0}}
    save_checkpoint(task.checkpoint, model.state_dict(), replace(info, prior=shares, priors=own))
    recalls, figures = {}, {}
    for prior in (None, "training", "balanced"):
        result = evaluate([task], device="cpu", prior=prior)
        (fold,) = result.folds
        name = prior or "default"
        recalls[name], figures[name] = fold.recalls, (fold.war, fold.uar, fold.ece)
        assert result.to_dict()["prior"] == fold.to_dict()["prior"] == name
        others = {other.prior: (other.war, other.uar, other.ece) for other in fold.others}
        assert set(others) == {"default", "training", "balanced"} - {name}
        assert set(result.to_dict()["other_priors"]) == set(others)
        assert all(others[known] == figures[known] for known in others if known in figures)
    assert recalls["default"] == [0, 1, 0]  # every clip is taken for sad
    assert recalls["balanced"][0] < recalls["training"][0]  # type: ignore[operator]


def test_a_mirrored_evaluation_runs_both_images(store: Store, tmp_path: Path) -> None:
    task = untrained(tmp_path / "a.safetensors", store, 1, "last")
    plain, both = (evaluate([task], device="cpu", mirror=mirror).folds[0].logits for mirror in (False, True))
    model, info = load_checkpoint(task.checkpoint)
    save_checkpoint(task.checkpoint, model.state_dict(), replace(info, mirror=True))
    assert np.array_equal(evaluate([task], device="cpu").folds[0].logits, both)
    assert np.array_equal(evaluate([task], device="cpu", mirror=False).folds[0].logits, plain)
    assert not np.allclose(plain, both, atol=1e-4)


def several_stores(path: Path, stores: list[Store], fold: int) -> FoldTask:
    """A checkpoint of classes in another order than the stores', trained on both."""
    task = untrained(path, stores[0], fold, "last")
    model, info = load_checkpoint(path)
    joined = join_stores([StorePart(stores[0]), StorePart(stores[1], labels={"neutral": "happy"})])
    data = joined.origin() | {"fingerprint": joined.fingerprint(), "fold": fold}
    save_checkpoint(path, model.state_dict(), replace(info, labels=["neutral", "sad", "happy"], data=data))
    return task


def test_a_checkpoint_of_several_stores_is_tested_on_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("dfer.evaluation.evaluate.run_clips", fixed_outputs)
    stores = [small_store(tmp_path / name, num_folds=folds) for name, folds in (("a", 2), ("b", 1))]
    task = several_stores(tmp_path / "run" / "fold2" / "best.safetensors", stores, fold=2)
    counts = []
    for store in stores:
        result = evaluate([replace(task, data=store.root)], device="cpu")
        assert result.labels == ["neutral", "sad", "happy"]
        counts.append(result.folds[0].confusion.sum(axis=1).tolist())
    # The second store's only fold stands for fold 2, and its neutral clips are happy there.
    assert counts == [[3, 3, 3], [0, 6, 12]]
    assert not caplog.records
    evaluate([replace(task, data=stores[0].root, fold=1)], device="cpu")
    assert "was trained on fold 2" in caplog.text
    other = small_store(tmp_path / "c", num_folds=1)
    evaluate([replace(task, data=other.root)], device="cpu")
    assert "was trained on other data than" in caplog.text


def test_one_of_several_stores_must_be_named(tmp_path: Path) -> None:
    stores = [small_store(tmp_path / name, clips_per_class=1) for name in ("a", "b")]
    task = several_stores(tmp_path / "run" / "fold1" / "best.safetensors", stores, fold=1)
    several, one = ([{"path": str(store.root)} for store in found] for found in (stores, stores[:1]))
    write_json(task.checkpoint.with_name("run.json"), {"data": {"name": "a+b", "stores": several}})
    with pytest.raises(UsageError, match="trained on several stores") as caught:
        plan_evaluation(checkpoint=task.checkpoint)
    assert caught.value.hint == f"test on one of them: --data {stores[0].root} or --data {stores[1].root}"
    write_json(task.checkpoint.with_name("run.json"), {"data": {"name": "a", "stores": one}})
    assert [found.data for found in plan_evaluation(checkpoint=task.checkpoint)] == [stores[0].root]


def test_a_checkpoint_that_is_not_there_is_named_before_its_data_are_sought(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        plan_evaluation(checkpoint=tmp_path / "a.safetensors", folds=[1])


def test_unreadable_test_clips_count_as_errors(tmp_path: Path) -> None:
    store = small_store(tmp_path / "data", clips_per_class=8, failed=4)
    train(tiny_recipe(store.root, train={"epochs": 6, "ema_decay": 0.0}), folds=[1], out=tmp_path / "run", device="cpu")
    (fold,) = evaluate(plan_evaluation(run=tmp_path / "run")).folds
    assert fold.confusion.sum() == 12
    assert (fold.num_clips, fold.num_unreadable) == (16, 4)
    assert fold.war_readable == pytest.approx(np.trace(fold.confusion) / 12)
    assert fold.war == pytest.approx(np.trace(fold.confusion) / 16)
    assert fold.recalls[0] == pytest.approx(fold.confusion[0, 0] / 8)  # 4 readable clips, 4 unreadable


def test_the_answers_that_are_kept_are_those_of_the_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dfer.evaluation.evaluate.run_clips", fixed_outputs)
    store = small_store(tmp_path / "data", failed=2)
    task = replace(untrained(tmp_path / "a.safetensors", store, 1, "best on test"), out=tmp_path / "kept")
    result = evaluate([task], device="cpu")
    (kept,) = read_predictions(tmp_path / "kept").values()
    read = kept.predicted != UNREAD
    confusion = confusion_matrix(kept.truth[read], kept.predicted[read], 3)
    assert confusion.tolist() == result.folds[0].confusion.tolist()
    assert kept.truth[~read].tolist() == [0, 0]
    assert kept.probabilities is not None
    assert kept.probabilities[read] == pytest.approx(result.folds[0].probabilities, abs=1e-6)
    assert kept.record["checkpoint"] == {"path": str(task.checkpoint), "sha256": sha256_of(task.checkpoint)}
    assert kept.record["store"]["fingerprint"] == store.fingerprint()
    facts = {name: kept.record[name] for name in ("selection", "seed", "settings", "prior", "mirror")}
    assert facts == {"selection": "best on test", "seed": None, "settings": None, "prior": "training", "mirror": False}


def test_seeds_of_a_run_share_their_other_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dfer.evaluation.evaluate.run_clips", fixed_outputs)
    store = small_store(tmp_path / "data", clips_per_class=2)
    records = []
    for name, seed, lr, workers in (("a", 1, 3e-3, 1), ("b", 2, 3e-3, 2), ("c", 1, 4e-3, 1)):
        task = untrained(tmp_path / name / "fold1" / "best.safetensors", store, 1, "last")
        recipe = tiny_recipe(store.root, train={"seed": seed, "workers": workers}, optim={"lr": lr})
        save_recipe(recipe.model_copy(update={"name": name}), task.checkpoint.with_name("recipe.yaml"))
        evaluate([replace(task, out=task.checkpoint.parent)], device="cpu")
        records += [answers.record for answers in read_predictions(task.checkpoint.parent).values()]
    assert [record["seed"] for record in records] == [1, 2, 1]
    assert records[0]["settings"] == records[1]["settings"] != records[2]["settings"]


def test_figures_are_given_though_the_answers_cannot_be_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dfer.evaluation.evaluate.run_clips", fixed_outputs)
    store = small_store(tmp_path / "data", clips_per_class=2)
    (tmp_path / "file").touch()
    tasks = [
        replace(untrained(tmp_path / f"{fold}.safetensors", store, fold, "last"), out=tmp_path / out / f"fold{fold}")
        for fold, out in ((1, "file"), (2, "kept"))
    ]
    result = evaluate(tasks, device="cpu")
    assert [fold.fold for fold in result.folds] == [1, 2]
    assert [str(tmp_path / "file") in str(error) for error in result.not_kept] == [True]
    assert list(read_predictions(tmp_path / "kept")) == [2]


def test_results_do_not_depend_on_the_batch_size(store: Store, tmp_path: Path) -> None:
    train(tiny_recipe(store.root), folds=[1], out=tmp_path, device="cpu")
    tasks = plan_evaluation(run=tmp_path)
    (one,), (many,) = evaluate(tasks, batch_size=1).folds, evaluate(tasks, batch_size=64).folds
    assert one.confusion.tolist() == many.confusion.tolist()
    assert one.intra_inter_ratio == pytest.approx(many.intra_inter_ratio, rel=1e-4)


def test_a_fold_that_is_not_its_own_is_warned_of(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    train(tiny_recipe(store.root, train={"epochs": 1}), folds=[1], out=tmp_path / "run", device="cpu")
    checkpoint = tmp_path / "run" / "fold1" / "last.safetensors"
    other = small_store(tmp_path / "other", clips_per_class=4)
    for fold, data, warned in ((1, None, False), (2, None, True), (2, other.root, False)):
        caplog.clear()
        evaluate(plan_evaluation(folds=[fold], checkpoint=checkpoint, data=data), device="cpu")
        assert ("may be among its own" in caplog.text) == warned
        assert ("trained on other data" in caplog.text) == (data is not None)


@pytest.mark.parametrize(
    ("trained_with", "expected"),
    [
        ("haar", []),
        (["haar", "scrfd"], []),
        ("scrfd", ["faces were found with haar, in training with scrfd"]),
        (["scrfd", "centerface"], ["faces were found with haar, in training with scrfd and centerface"]),
    ],
    ids=str,
)
def test_another_detector_than_in_training_is_warned_of(
    store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    trained_with: object,
    expected: list[str],
) -> None:
    monkeypatch.setattr("dfer.evaluation.evaluate.run_clips", fixed_outputs)
    tasks = [untrained(tmp_path / f"{fold}.safetensors", store, fold, "last", detector=trained_with) for fold in (1, 2)]
    result = evaluate(tasks, device="cpu")
    assert [note for note in result.notes if "faces were found" in note] == expected
    assert [record.getMessage() for record in caplog.records] == [f"{store.root}: {text}" for text in expected] * 2


def test_all_folds_are_averaged_and_pooled(store: Store, tmp_path: Path) -> None:
    train(tiny_recipe(store.root, train={"epochs": 1}), out=tmp_path, device="cpu")
    result = evaluate(plan_evaluation(run=tmp_path))
    assert [fold.fold for fold in result.folds] == [1, 2]
    assert result.mean_war == pytest.approx(np.mean([fold.war for fold in result.folds]))
    pooled = result.folds[0].confusion + result.folds[1].confusion
    assert result.pooled.war == pytest.approx(np.trace(pooled) / pooled.sum())


def test_data_with_other_labels_or_alignment_are_refused(store: Store, tmp_path: Path) -> None:
    train(tiny_recipe(store.root, train={"epochs": 1}), folds=[1], out=tmp_path / "run", device="cpu")
    other = small_store(tmp_path / "other", clips_per_class=4)
    text = (other.root / "dataset.json").read_text()
    (other.root / "dataset.json").write_text(text.replace('"happy"', '"swapped"'))
    rows = (other.root / "manifest.csv").read_text()
    (other.root / "manifest.csv").write_text(rows.replace("happy", "swapped"))
    with pytest.raises(DferError, match="swapped"):
        evaluate(plan_evaluation(run=tmp_path / "run", data=other.root))
    (other.root / "dataset.json").write_text(text.replace('"size": 48', '"size": 47'))
    (other.root / "manifest.csv").write_text(rows)
    with pytest.raises(DferError, match="align"):
        evaluate(plan_evaluation(run=tmp_path / "run", data=other.root))


def test_the_data_of_a_fold_that_is_still_being_trained_are_those_of_its_recipe(tmp_path: Path) -> None:
    fold = tmp_path / "run" / "fold1"
    fold.mkdir(parents=True)
    (fold / "last.safetensors").touch()
    (fold / "recipe.yaml").write_text("name: a\ndata: {path: data/mine}\n")  # run.json comes with the last epoch
    task = FoldTask(1, fold / "last.safetensors", Path("data/mine"), out=fold)
    assert plan_evaluation(run=tmp_path / "run") == [task]
