"""Every baseline is trained, interrupted and resumed as the default model is."""

from __future__ import annotations

from pathlib import Path

import pytest

from dfer.evaluation.evaluate import evaluate
from dfer.evaluation.plan import plan_evaluation
from dfer.recipe import Recipe
from dfer.store import Store
from dfer.training import train
from tests.stores import small_store
from tests.unit.training.test_loop import StopAfter


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return small_store(tmp_path_factory.mktemp("data") / "tiny", clips_per_class=4)


@pytest.mark.parametrize(
    "name", ["former_dfer", "resnet18_vit", "resnet18_gru", "resnet18_mean", "r2plus1d_18", "vit_b"]
)
def test_an_interrupted_run_resumes_with_the_same_bytes(name: str, store: Store, tmp_path: Path) -> None:
    sizes: dict[str, object] = {"dim": 8, "depth": 1} if name == "vit_b" else {"stem_width": 2}
    sizes |= {"heads": 2} if name in ("former_dfer", "resnet18_vit", "vit_b") else {}
    model = {"name": name, "num_frames": 2, "image_size": 32, "dropout": 0.1, **sizes}
    recipe = Recipe.model_validate(
        {
            "name": "tiny",
            "data": {"path": str(store.root), "segments": 1, "val_fraction": 0},
            "model": model,
            "train": {"epochs": 2, "batch_size": 2, "precision": "float32", "save_minutes": 1e-9},
        }
    )
    for run in ("whole", "stopped"):
        if run == "stopped":
            with pytest.raises(ConnectionAbortedError):
                train(recipe, folds=[1], out=tmp_path / run, device="cpu", observer=StopAfter(4))
        train(recipe, folds=[1], out=tmp_path / run, device="cpu")
    weights = [(tmp_path / run / "fold1" / "last.safetensors").read_bytes() for run in ("whole", "stopped")]
    assert weights[0] == weights[1]
    (fold,) = evaluate(plan_evaluation(run=tmp_path / "whole"), device="cpu").folds
    assert fold.num_clips == 6
