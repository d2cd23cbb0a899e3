"""Fixtures of several areas: a store with a validation split, a fold trained on it, and weights published from it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dfer import pretrained
from dfer.records import Split
from dfer.release.publish import publish_weights
from dfer.store import Store, open_store
from dfer.store.manifest import write_manifest
from dfer.training import train
from tests.stores import small_store, tiny_recipe

SPLITS: tuple[Split, ...] = ("train", "train", "val", "test")


@pytest.fixture(scope="session")
def split_store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store with an official validation split, as FER+ has."""
    root = tmp_path_factory.mktemp("data") / "tiny"
    store = small_store(root, clips_per_class=12, num_folds=1)
    rows = [replace(row, folds={1: SPLITS[number // 3 % 4]}) for number, row in enumerate(store.rows)]
    write_manifest(root / "manifest.csv", rows)
    return open_store(root)


@pytest.fixture(scope="session")
def trained(split_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint of fold 1 of `split_store`."""
    run = tmp_path_factory.mktemp("runs")
    train(tiny_recipe(split_store.root, train={"epochs": 8}), folds=[1], out=run, device="cpu")
    return run / "fold1" / "last.safetensors"


@pytest.fixture
def weights_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of shipped weights, still empty, and a working folder without runs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DFER_CHECKPOINT", raising=False)
    monkeypatch.setattr(pretrained, "FOLDER", tmp_path / "shipped")
    return tmp_path / "shipped"


@pytest.fixture
def shipped(weights_folder: Path, trained: Path, split_store: Store) -> Path:
    """Weights published under the name "default"."""
    path = weights_folder / "default.safetensors"
    publish_weights(trained, split_store.root, path, described="stripes", device="cpu")
    return path
