"""The further figures of an evaluation: which are written, which clips are hardest, and what few clips do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dfer.evaluation.evaluate import evaluate
from dfer.evaluation.plan import plan_evaluation
from dfer.evaluation.results import Evaluation
from dfer.reports.evaluation_figures import hardest, write_evaluation_figures
from tests.checkpoints import write_checkpoint
from tests.stores import small_store


@pytest.fixture(scope="module")
def tested(tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    folder = tmp_path_factory.mktemp("tested")
    store = small_store(folder / "store", clips_per_class=10, num_folds=2, failed=1)
    checkpoint = write_checkpoint(folder / "model.safetensors")
    return evaluate(plan_evaluation(folds=[1], run=None, checkpoint=checkpoint, data=store.root, out=folder / "kept"))


def test_all_figures(tested: Evaluation, tmp_path: Path) -> None:
    text = write_evaluation_figures(tested, tmp_path)
    assert {path.name for path in tmp_path.glob("*.png")} == {
        "reliability.png", "precision_recall.png", "features_fold_1.png", "hardest.png",
    }  # fmt: skip
    assert all(f"({path.name})" in text for path in tmp_path.glob("*.png"))
    (fold,) = tested.folds
    assert fold.features is not None
    assert len(fold.features.places) == len(fold.truth) == 15
    with Image.open(tmp_path / "hardest.png") as sheet:
        assert sheet.width > 700


def test_the_hardest_are_the_most_confident_wrong_answers(tested: Evaluation) -> None:
    (fold,) = tested.folds
    truth = np.array([0, 0, 1, 2])
    probabilities = np.array([[0.9, 0.1, 0], [0.2, 0.7, 0.1], [0.95, 0.05, 0], [0.4, 0.3, 0.3]])
    assert hardest(replace(fold, truth=truth, probabilities=probabilities)) == [2, 1, 3]
    assert hardest(replace(fold, truth=truth, probabilities=probabilities), most=1) == [2]
    assert hardest(replace(fold, truth=truth, probabilities=np.eye(3)[truth])) == []


def test_few_clips_have_no_picture_of_features_and_none_no_figures(tested: Evaluation, tmp_path: Path) -> None:
    (fold,) = tested.folds
    assert fold.features is not None
    few = replace(fold.features, places=fold.features.places[:3], values=fold.features.values[:3])
    write_evaluation_figures(replace(tested, folds=[replace(fold, features=few)]), tmp_path)
    assert not (tmp_path / "features_fold_1.png").exists()
    nothing = replace(fold, truth=fold.truth[:0], probabilities=fold.probabilities[:0])
    assert write_evaluation_figures(replace(tested, folds=[nothing]), tmp_path / "none") == ""
    assert not (tmp_path / "none").exists()


def test_a_store_that_has_gone_leaves_a_word_in_place_of_the_picture(tested: Evaluation, tmp_path: Path) -> None:
    (fold,) = tested.folds
    gone = replace(fold, data=tmp_path / "gone")
    assert "hardest.png" in write_evaluation_figures(replace(tested, folds=[gone]), tmp_path)
