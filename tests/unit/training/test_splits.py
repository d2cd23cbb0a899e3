"""The validation split: stratified, subject-disjoint, never from the test list."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dfer.store.manifest import ManifestRow
from dfer.training.splits import fold_rows, split_validation
from tests.stores import small_store, tiny_recipe


def _rows(counts: list[int], subjects: int = 0) -> list[ManifestRow]:
    rows = []
    for label, count in enumerate(counts):
        for n in range(count):
            subject = f"s{(n * 7 + label) % subjects}" if subjects else ""
            rows.append(ManifestRow(f"{label}-{n}", label, "x", "ok", {1: "train"}, 9, subject=subject))
    return rows


def test_validation_is_stratified_and_disjoint() -> None:
    rows = _rows([100, 50, 20, 1])
    train_rows, val = split_validation(rows, 0.1, seed=0)
    assert np.bincount([row.label for row in val], minlength=4).tolist() == [10, 5, 2, 0]
    assert sorted([*train_rows, *val], key=rows.index) == rows
    assert split_validation(rows, 0.1, seed=0) == (train_rows, val)
    assert split_validation(rows, 0.1, seed=1)[1] != val
    assert split_validation(rows, 0.0, seed=0) == (rows, [])


def test_validation_keeps_subjects_apart() -> None:
    train_rows, val = split_validation(_rows([60, 60], subjects=12), 0.25, seed=0)
    assert not {row.subject for row in train_rows} & {row.subject for row in val}
    assert 0.15 < len(val) / 120 < 0.35


@pytest.mark.parametrize("seed", range(5))
def test_whole_subjects_are_chosen_so_that_every_class_has_its_share(seed: int) -> None:
    # Each person shows mostly one emotion: a random share of the subjects could leave an emotion out.
    rows = [
        ManifestRow(f"{person}-{n}", person % 3 if n else (person + 1) % 3, "x", "ok", {}, 9, subject=f"p{person}")
        for person in range(30)
        for n in range(5)
    ]
    _, val = split_validation(rows, 0.2, seed=seed)
    shares = np.bincount([row.label for row in val], minlength=3) / np.bincount([row.label for row in rows])
    assert shares == pytest.approx([0.2] * 3, abs=0.06)


def test_the_test_list_is_neither_trained_nor_chosen_on(tmp_path: Path) -> None:
    store = small_store(tmp_path / "data", clips_per_class=16)
    train_rows, val_rows = fold_rows(store, 1, tiny_recipe(store.root))
    tested = {row.clip_id for row in store.select(1, "test")}
    assert tested
    assert train_rows
    assert val_rows
    assert not tested & {row.clip_id for row in [*train_rows, *val_rows]}
