"""Teachers' targets: means over teachers and mirror images, blended with votes, and used by a student."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from dfer.errors import DataError, UsageError
from dfer.evaluation.inference import evaluation_loader, run_clips
from dfer.model.build import build_model
from dfer.model.calibration import class_probabilities
from dfer.model.checkpoint import load_checkpoint, save_checkpoint
from dfer.release.stability import mirror_crops
from dfer.release.teach import teach
from dfer.store import Store, open_store
from dfer.store.joined import StorePart, join_stores
from dfer.store.manifest import write_manifest
from dfer.training.artifacts import FoldFolder
from tests.stores import small_store, tiny_recipe


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Two clips of each class, votes for some, and a third of clip c3 that has no label."""
    root = tmp_path_factory.mktemp("data") / "tiny"
    found = small_store(root, clips_per_class=2, num_frames=4, num_folds=2)
    rows = [replace(row, votes=(2, 1, 1) if number % 2 else ()) for number, row in enumerate(found.rows)]
    rows[4] = replace(rows[4], folds={1: "soft", 2: "soft"}, votes=(2, 2, 0))
    write_manifest(root / "manifest.csv", rows)
    return open_store(root)


@pytest.fixture(scope="module")
def teachers(store: Store, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return [_teacher(store, tmp_path_factory.mktemp("teacher") / "t.safetensors", seed, 2.0 - seed) for seed in (0, 1)]


def _teacher(store: Store, path: Path, seed: int, temperature: float, **changes: object) -> Path:
    torch.manual_seed(seed)
    recipe = tiny_recipe(store.root)
    model = build_model(recipe.model, store.info.labels)
    torch.nn.init.normal_(model.head.weight)
    info = FoldFolder(path.parent, recipe, store, 1, store.rows).checkpoint_info(model.config, "last", {"epoch": 1})
    save_checkpoint(path, model.state_dict(), replace(info, temperature=temperature, **changes))  # type: ignore[arg-type]
    return path


def _said(teacher: Path, store: Store, clips: list[str]) -> np.ndarray:
    model, info = load_checkpoint(teacher)
    rows = [row for clip in clips for row in store.rows if row.clip_id == clip]
    loader = evaluation_loader(store, rows, model, segments=info.segments, batch_size=3)
    logits = [run_clips(model, loader, change=change).logits for change in (None, mirror_crops)]
    return np.mean([class_probabilities(values, info.temperature) for values in logits], axis=0)


def test_targets_are_the_teachers_mean_blended_with_the_votes(
    store: Store, teachers: list[Path], tmp_path: Path
) -> None:
    out = tmp_path / "t.csv"
    count = teach(teachers, store.root, out, votes_share=0.25, device="cpu")
    table = pd.read_csv(out)
    assert list(table.columns) == ["clip_id", *store.info.labels]
    clips = table["clip_id"].tolist()
    assert clips == [row.clip_id for split in ("train", "soft") for row in store.select(1, split)]  # type: ignore[arg-type]
    assert len(clips) == count
    own = {
        row.clip_id: np.array(row.votes) / sum(row.votes) if row.votes else np.eye(3)[row.label] for row in store.rows
    }
    mean = np.mean([_said(teacher, store, clips) for teacher in teachers], axis=0)
    assert not np.allclose(_said(teachers[0], store, clips), _said(teachers[1], store, clips), atol=0.01)
    wanted = 0.75 * mean + 0.25 * np.stack([own[clip] for clip in clips])
    assert np.allclose(table[store.info.labels], wanted, atol=1e-5)
    student = join_stores([StorePart(store, targets=out)])
    taught = {row.clip_id: row.target(soft=False) for row in student.rows}
    assert np.allclose([taught[f"tiny/{clip}"] for clip in clips], wanted, atol=1e-5)


def test_adjusted_logits_are_brought_back_to_the_training_prior(store: Store, tmp_path: Path) -> None:
    prior = {"happy": 0.7, "sad": 0.2, "neutral": 0.1}
    plain = _teacher(store, tmp_path / "a" / "t.safetensors", 0, 2.0)
    adjusted = _teacher(store, tmp_path / "b" / "t.safetensors", 0, 2.0, prior=prior, logit_adjustment=1.0)
    for name, teacher in (("plain", plain), ("adjusted", adjusted)):
        teach([teacher], store.root, tmp_path / f"{name}.csv", votes_share=0.0, device="cpu")
    found, before = (pd.read_csv(tmp_path / f"{name}.csv")[store.info.labels] for name in ("adjusted", "plain"))
    assert (found["happy"] > before["happy"]).all()
    assert (found["neutral"] < before["neutral"]).all()


def test_wrong_shares_and_empty_lists_are_refused(store: Store, teachers: list[Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="from 0 to 1, got 3"):
        teach(teachers, store.root, tmp_path / "t.csv", votes_share=3)
    with pytest.raises(DataError, match="fold 1 has no val clip"):
        teach(teachers, store.root, tmp_path / "t.csv", split="val", device="cpu")
