"""The validation split: stratified, subject-disjoint, never from the test list."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dfer.errors import DataError
from dfer.records import Split
from dfer.store import Store
from dfer.store.joined import StorePart, join_stores
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


def _with_soft_clips(store: Store, votes: tuple[int, ...]) -> Store:
    clips = store.select(1, "train")[:4]
    soft = [replace(row, clip_id=f"soft{row.clip_id}", folds={1: "soft"}, votes=votes) for row in clips]
    return replace(store, rows=[*store.rows, *soft])


def test_clips_without_a_label_are_only_trained_on_and_only_with_soft_labels(tmp_path: Path) -> None:
    store = _with_soft_clips(small_store(tmp_path / "data", clips_per_class=6), (1, 2, 0))
    hard, soft = (tiny_recipe(store.root, loss={"soft_labels": soft}) for soft in (False, True))
    train_rows, val_rows = fold_rows(store, 1, soft)
    assert [row.clip_id for row in train_rows if row.is_soft] == [row.clip_id for row in store.rows if row.is_soft]
    assert ([row for row in train_rows if not row.is_soft], val_rows) == fold_rows(store, 1, hard)
    for split in ("train", "val", "test"):
        assert not any(row.is_soft for row in store.select(1, split))


def test_each_of_several_stores_has_its_own_validation(tmp_path: Path) -> None:
    first = _with_soft_clips(small_store(tmp_path / "a", clips_per_class=10), (0, 3, 3))
    second = small_store(tmp_path / "b", clips_per_class=6, num_folds=1)
    folds: list[Split] = ["train", "train", "val", "test"]
    second = replace(second, rows=[replace(row, folds={1: folds[n % 4]}) for n, row in enumerate(second.rows)])
    joined = join_stores([StorePart(first), StorePart(second, labels={"neutral": None})])
    for fold in (1, 2):
        train_rows, val_rows = fold_rows(joined, fold, tiny_recipe(first.root, loss={"soft_labels": True}))
        alone = fold_rows(first, fold, tiny_recipe(first.root, loss={"soft_labels": True}))
        for found, of_first, split in ((train_rows, alone[0], "train"), (val_rows, alone[1], "val")):
            by_store = joined.by_member(found)
            assert [row.clip_id for row in by_store["a"]] == [f"a/{row.clip_id}" for row in of_first]
            own = [row for row in second.select(1, split) if row.label_name != "neutral"]
            assert [row.clip_id for row in by_store["b"]] == [f"b/{row.clip_id}" for row in own]


def test_a_store_without_validation_clips_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    stores = [small_store(tmp_path / name, clips_per_class=size) for name, size in (("a", 10), ("b", 2))]
    fold_rows(join_stores([StorePart(store) for store in stores]), 1, tiny_recipe(stores[0].root))
    assert [record.message for record in caplog.records] == [
        "no validation clips in b: best is chosen on the other stores"
    ]


def test_a_store_without_training_clips_is_named(tmp_path: Path) -> None:
    first = small_store(tmp_path / "a")
    second = replace(first, rows=[replace(row, folds={1: "test"}) for row in first.rows])
    second = replace(second, info=replace(second.info, name="b"))
    with pytest.raises(DataError, match="fold 1 of b has no training clip"):
        fold_rows(join_stores([StorePart(first), StorePart(second)]), 1, tiny_recipe(first.root))


def test_the_test_list_is_neither_trained_nor_chosen_on(tmp_path: Path) -> None:
    store = small_store(tmp_path / "data", clips_per_class=16)
    train_rows, val_rows = fold_rows(store, 1, tiny_recipe(store.root))
    tested = {row.clip_id for row in store.select(1, "test")}
    assert tested
    assert train_rows
    assert val_rows
    assert not tested & {row.clip_id for row in [*train_rows, *val_rows]}
