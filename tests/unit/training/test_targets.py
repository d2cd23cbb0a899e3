"""The targets of training clips, and the prior that checkpoints keep of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from dfer.model.checkpoint import read_checkpoint_info
from dfer.store.manifest import ManifestRow
from dfer.training.artifacts import FoldFolder, TrainingState
from dfer.training.saving import Saver
from dfer.training.setup import build_learner
from dfer.training.targets import class_targets
from tests.stores import small_store, tiny_recipe

# Of a clip of each label: the first label has half of the votes of all others.
VOTES = [(8, 0, 0), (4, 4, 0), (1, 0, 1)]


def test_soft_labels_are_the_shares_of_the_votes() -> None:
    rows = [
        ManifestRow("voted", 1, "sad", "ok", {}, votes=(0, 6, 2)),
        ManifestRow("unknown", 2, "neutral", "ok", {}),
        ManifestRow("slips", 0, "happy", "ok", {}, votes=(0, 0, 0)),
    ]
    soft = class_targets(rows, 3, soft=True)
    assert soft.tolist() == [[0.0, 0.75, 0.25], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    assert class_targets(rows, 3, soft=False).argmax(1).tolist() == [1, 2, 0]


def test_a_checkpoint_keeps_the_prior_of_its_targets(tmp_path: Path) -> None:
    store = small_store(tmp_path / "data", clips_per_class=2)
    labels = store.info.labels
    rows = [replace(row, votes=VOTES[row.label]) for row in store.rows]
    recipe = tiny_recipe(store.root, loss={"soft_labels": True, "logit_adjustment": 0.5})
    learner = build_learner(recipe, store, rows, device=torch.device("cpu"))
    record: dict[str, float] = {"epoch": 1, "train_loss": 1.0}
    folder = FoldFolder(tmp_path / "fold1", recipe, store, 1, rows)
    state, saver = TrainingState(history=[record], best=record), Saver(folder, learner, minutes=5.0)
    saver.finish_epoch(state)
    saver.save(state)
    saver.wait()
    for name in ("last", "best"):
        info = read_checkpoint_info(tmp_path / "fold1" / f"{name}.safetensors")
        assert info.logit_adjustment == 0.5
        assert info.prior == pytest.approx(dict(zip(labels, [2 / 3, 1 / 6, 1 / 6], strict=True)))
