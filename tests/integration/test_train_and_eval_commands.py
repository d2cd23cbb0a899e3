"""`dfer train` and `dfer eval` on good input: what a run leaves, and what is said of it."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dfer as package
from dfer.evaluation.predictions import read_predictions
from dfer.labels import DFEW_LABELS
from dfer.model.checkpoint import read_checkpoint_info
from dfer.recipe import load_recipe, shipped_recipes
from dfer.store import Store, open_store
from tests.integration.program import dfer


def test_train_without_options_trains_fold_1_into_runs_name(tiny_recipe: Path, flat: Store) -> None:
    outcome = dfer("train", tiny_recipe).succeeded()
    folder = Path("runs/tiny/fold1")
    # Events are there where the optional package is.
    assert sorted(path.name for path in folder.iterdir() if path.name != "tensorboard") == (
        ["best.safetensors", "curves.png", "last.safetensors", "metrics.jsonl", "recipe.yaml", "run.json", "state.pt"]
    )  # fmt: skip
    assert not Path("runs/tiny/fold2").exists()
    assert "fold 1 done: best on validation" in outcome.err
    assert outcome.out == ""
    metrics = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [record["epoch"] for record in metrics] == [1, 2]
    record = json.loads((folder / "run.json").read_text())
    assert record["dfer"] == package.__version__
    assert record["seed"] == 0
    assert record["data"]["fingerprint"] == flat.fingerprint()
    assert record["packages"]["torch"]
    info = read_checkpoint_info(folder / "last.safetensors")
    assert info.labels == flat.info.labels
    assert info.alignment == flat.info.alignment


def test_train_again_by_the_recipe_it_wrote_gives_the_same_weights(tiny_recipe: Path) -> None:
    dfer("train", tiny_recipe, "train.epochs=1", "optim.lr=1e-3", "--out", "first", "--device", "cpu").succeeded()
    written = load_recipe(Path("first/fold1/recipe.yaml"))
    assert (written.train.epochs, written.optim.lr, written.train.batch_size) == (1, 1e-3, 4)
    dfer("train", "first/fold1/recipe.yaml", "--out", "second", "--device", "cpu").succeeded()
    weights = [Path(run, "fold1", "last.safetensors").read_bytes() for run in ("first", "second")]
    assert weights[0] == weights[1]


def test_train_all_folds_or_one_of_them(tiny_recipe: Path) -> None:
    dfer("train", tiny_recipe, "--fold", 2, "--out", "one").succeeded()
    assert [path.name for path in Path("one").iterdir()] == ["fold2"]
    dfer("train", tiny_recipe, "train.epochs=1", "--fold", "all", "--out", "all").succeeded()
    assert sorted(path.name for path in Path("all").iterdir()) == ["fold1", "fold2"]
    infos = [read_checkpoint_info(Path("all", fold, "last.safetensors")) for fold in ("fold1", "fold2")]
    assert [info.data["fold"] for info in infos] == [1, 2]


def test_train_does_not_train_a_finished_fold_again_unless_told(tiny_recipe: Path) -> None:
    folder = Path("runs/tiny/fold1")
    dfer("train", tiny_recipe).succeeded()
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    outcome = dfer("train", tiny_recipe).succeeded()
    assert "fold 1 is already trained" in outcome.err
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    weights = (folder / "last.safetensors").read_bytes()
    outcome = dfer("train", tiny_recipe, "--no-resume").succeeded()
    assert "epoch   2" in outcome.err
    assert (folder / "last.safetensors").stat().st_mtime_ns > before["last.safetensors"]
    assert (folder / "last.safetensors").read_bytes() == weights


SWEEPS = {"ablations.yaml", "ablations_drawn.yaml", "baselines_drawn.yaml"}


@pytest.mark.parametrize("sweep", sorted(SWEEPS))
def test_a_shipped_sweep_is_no_recipe(sweep: str) -> None:
    dfer("train", sweep).failed(2, "a sweep, not a recipe", hint=f"dfer sweep {sweep}")


@pytest.mark.parametrize("recipe", sorted({path.name for path in shipped_recipes().glob("*.yaml")} - SWEEPS))
def test_shipped_recipes_go_by_their_name(recipe: str) -> None:
    dfer("train", recipe, "data.path=nowhere").failed(1, "no store here (nowhere)", hint="dfer preprocess")


# ---- eval


def recomputed_war(fold: dict[str, Any]) -> float:
    return float(np.trace(fold["confusion"]) / fold["num_clips"])


def recomputed_uar(fold: dict[str, Any], unreadable: list[int]) -> float:
    confusion = np.array(fold["confusion"], float)
    totals = confusion.sum(axis=1) + unreadable
    return float((np.diag(confusion)[totals > 0] / totals[totals > 0]).mean())


def test_eval_json_is_what_the_contract_says(workspace: Path, drawn: Path) -> None:
    outcome = dfer("eval", "--json", "-").succeeded()
    assert outcome.out.count("\n") == 1
    result = json.loads(outcome.out)
    assert result["schema"] == "dfer.evaluation/1"
    assert result["dataset"] == "drawn"
    assert list(result["folds"]) == ["1", "2"]
    rows, lost = open_store(drawn).rows, []
    for name, fold in result["folds"].items():
        tested = [row for row in rows if row.folds[int(name)] == "test"]
        unread = [sum(row.label == n and not row.ok for row in tested) for n in range(7)]
        lost.append(unread)
        confusion = np.array(fold["confusion"])
        assert fold["num_clips"] == len(tested) == confusion.sum() + sum(unread)
        truth = [sum(row.label == n and row.ok for row in tested) for n in range(7)]
        assert confusion.shape == (7, 7)
        assert confusion.sum(axis=1).tolist() == truth
        assert fold["war"] == pytest.approx(recomputed_war(fold))
        assert fold["uar"] == pytest.approx(recomputed_uar(fold, unread))
        assert list(fold["per_class_recall"]) == list(DFEW_LABELS)
        for n, recall in enumerate(fold["per_class_recall"].values()):
            total = truth[n] + unread[n]
            assert recall == (pytest.approx(confusion[n, n] / total) if total else None)
        assert fold["checkpoint"] == f"runs/cpu_smoke/fold{name}/best.safetensors"
        assert fold["intra_inter_ratio"] > 0
    assert sum(lost[0]) == 2, "fold 1 tests the two clips that could not be read"
    folds = list(result["folds"].values())
    for figure in ("war", "uar"):
        assert result["mean"][figure] == pytest.approx(np.mean([fold[figure] for fold in folds]))
    both = {
        "confusion": np.sum([fold["confusion"] for fold in folds], axis=0),
        "num_clips": sum(fold["num_clips"] for fold in folds),
    }
    assert result["pooled"]["war"] == pytest.approx(recomputed_war(both))
    assert result["pooled"]["uar"] == pytest.approx(recomputed_uar(both, np.sum(lost, axis=0).tolist()))


def test_eval_of_a_fold_finds_the_newest_run_that_has_it(workspace: Path, trained: Path) -> None:
    shutil.copytree(trained / "fold1", "runs/newer/fold1")
    for number, run in enumerate(("cpu_smoke", "newer")):
        for path in Path("runs", run).glob("*/last.safetensors"):
            os.utime(path, (1_700_000_000 + number, 1_700_000_000 + number))
    assert "fold 1: runs/newer/fold1/best.safetensors" in dfer("eval", "--fold", 1).succeeded().err
    assert "fold 2: runs/cpu_smoke/fold2/best.safetensors" in dfer("eval", "--fold", 2).succeeded().err


@pytest.mark.parametrize(
    ("options", "checkpoints"),
    [
        pytest.param(["--run", "RUN"], ["fold1/best", "fold2/best"], id="a run"),
        pytest.param(["--run", "RUN", "--fold", "2"], ["fold2/best"], id="a fold of a run"),
        pytest.param(["--run", "RUN/fold2"], ["fold2/best"], id="the folder of a fold"),
        pytest.param(["--checkpoint", "RUN/fold2/last.safetensors"], ["fold2/last"], id="a checkpoint"),
        pytest.param(
            ["--checkpoint", "RUN/fold2/last.safetensors", "--data", "DATA"], ["fold2/last"], id="with its data"
        ),
    ],
)
def test_eval_of_what_is_named(trained: Path, drawn: Path, options: list[str], checkpoints: list[str]) -> None:
    named = [option.replace("RUN", str(trained)).replace("DATA", str(drawn)) for option in options]
    outcome = dfer("eval", *named, "--json", "result.json").succeeded()
    result = json.loads(Path("result.json").read_text())
    assert [fold["checkpoint"] for fold in result["folds"].values()] == (
        [f"{trained}/{name}.safetensors" for name in checkpoints]
    )  # fmt: skip
    assert "WAR" in outcome.out


def test_eval_keeps_each_clip_s_answer(trained: Path, drawn: Path) -> None:
    checkpoint = trained / "fold2" / "last.safetensors"
    dfer("eval", "--checkpoint", checkpoint, "--predictions", "with a space").succeeded()
    (answers,) = read_predictions(Path("with a space")).values()
    assert answers.clip_ids == [row.clip_id for row in open_store(drawn).select(2, "test")]
    used = dfer("eval", "--checkpoint", checkpoint, "--predictions", drawn / "kept").failed(2, "write into an input")
    assert not (drawn / "kept").exists()
    assert "--predictions" in used.err
    clash = dfer("eval", "--checkpoint", checkpoint, "--predictions", "b", "--json", "b/fold2/predictions.json")
    clash.failed(2, "--json")


def test_eval_probes_whether_time_matters(trained: Path) -> None:
    checkpoint = trained / "fold2" / "best.safetensors"
    arguments = ["eval", "--checkpoint", checkpoint, "--probe", "--predictions", "kept", "--report", "report"]
    outcome = dfer(*arguments, "--json", "a.json").succeeded()
    probe = json.loads(Path("a.json").read_text())["probe"]
    assert [method["name"] for method in probe["methods"]] == (
        ["as they are", "shuffled", "reversed", "frozen", "subsampled"]
    )  # fmt: skip
    assert probe["verdict"].split()[0] in outcome.out
    assert Path("report/probe.png").is_file()
    plain = json.loads(Path("a.json").read_text())["folds"]["2"]
    assert probe["methods"][0]["war"]["value"] == pytest.approx(plain["war"])


def test_eval_prints_a_table_and_writes_a_report(trained: Path) -> None:
    outcome = dfer("eval", "--run", trained, "--report", "report").succeeded()
    for word in (*DFEW_LABELS, "WAR", "UAR", "mean", "pooled", "readable", "drawings only"):
        assert word in outcome.out, word
    names = {path.name for path in Path("report").iterdir()}
    assert {"README.md", "table.tex", "confusion_fold_1.png", "confusion_all_folds.pdf"} <= names
    text = Path("report/README.md").read_text()
    for image in re.findall(r"\]\((.*?)\)", text):
        assert Path("report", image).is_file()


def test_all_folds_resume_and_a_finished_one_is_not_trained_again(tiny_recipe: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    dfer("train", tiny_recipe, "--fold", 1, "--out", run, "--device", "cpu").succeeded()
    weights = run / "fold1" / "last.safetensors"
    before = weights.stat().st_mtime_ns
    outcome = dfer("train", tiny_recipe, "--fold", "all", "--out", run, "--device", "cpu").succeeded()
    assert "fold 1 is already trained" in outcome.err
    assert "fold 2 done" in outcome.err
    assert outcome.err.count("epoch   1  loss") == 1
    assert weights.stat().st_mtime_ns == before
    again = dfer("train", tiny_recipe, "--fold", "all", "--out", run, "--device", "cpu").succeeded()
    assert again.err.count("is already trained") == 2


def test_selection_on_test_is_an_option_and_is_marked_in_the_table(tiny_recipe: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    dfer("train", tiny_recipe, "--select", "test", "--out", run, "--device", "cpu").succeeded()
    assert "select: test" in (run / "fold1" / "recipe.yaml").read_text()
    assert json.loads((run / "fold1" / "run.json").read_text())["selection"] == "best on test"
    assert "†" in dfer("eval", "--run", run).succeeded().out
    dfer("train", tiny_recipe, "--out", run, "--device", "cpu").failed(2, "train.select was 'test', is 'val'")
