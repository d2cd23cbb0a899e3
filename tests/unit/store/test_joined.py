"""Several stores as one: labels joined by name, clips told apart, folds that fit, weights, errors."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dfer.errors import DataError
from dfer.faces.align import alignment_settings
from dfer.store import DatasetInfo, Store
from dfer.store.joined import StorePart, fit_store, join_stores
from dfer.store.manifest import ManifestRow


def _store(
    name: str, labels: list[str], *, folds: int = 1, votes: bool = False, size: int = 48, detector: str = "haar"
) -> Store:
    """A store without files: two clips of each class, one trained on, one tested."""
    info = DatasetInfo(name, labels, folds, size, alignment_settings(size), detector, "", "1.0")
    rows = [
        ManifestRow(
            f"c{2 * label + n}", label, labels[label], "ok",
            dict.fromkeys(range(1, folds + 1), "train" if n else "test"), 3, sha256=name,
            votes=tuple(range(1, len(labels) + 1)) if votes else (),
        )
        for label in range(len(labels))
        for n in range(2)
    ]  # fmt: skip
    return Store(Path("data") / name, info, rows)


def test_labels_are_the_first_stores_then_those_that_only_others_have() -> None:
    joined = join_stores(
        [
            StorePart(_store("a", ["happy", "sad"])),
            StorePart(_store("b", ["anger", "joy", "sad"], votes=True)),
        ]
    )
    assert joined.info.labels == ["happy", "sad", "angry"]
    assert joined.info.name == "a+b"
    found = {row.clip_id: (row.label, row.label_name) for row in joined.rows}
    assert found["a/c2"] == (1, "sad")
    assert found["b/c0"] == (2, "angry")
    assert found["b/c2"] == (0, "happy")
    # Votes were 1 for anger, 2 for joy, 3 for sad.
    assert {row.votes for row in joined.rows if row.clip_id.startswith("b/")} == {(2, 3, 1)}


def test_classes_are_renamed_merged_and_left_out() -> None:
    other = StorePart(
        _store("b", ["glad", "joy", "sad", "tired"], votes=True), labels={"glad": "happiness", "tired": None}
    )
    joined = join_stores([StorePart(_store("a", ["happy", "sad"])), other])
    assert joined.info.labels == ["happy", "sad"]
    assert [(row.clip_id, row.label) for row in joined.rows if row.clip_id.startswith("b/")] == [
        ("b/c0", 0), ("b/c1", 0), ("b/c2", 0), ("b/c3", 0), ("b/c4", 1), ("b/c5", 1),
    ]  # fmt: skip
    assert joined.rows[-1].votes == (3, 3)


def test_an_invented_name_needs_two_classes_that_go_by_it() -> None:
    part = StorePart(_store("a", ["happy", "sad", "angry"]), labels={"sad": "negative", "anger": "negative"})
    assert join_stores([part]).info.labels == ["happy", "negative"]
    with pytest.raises(DataError, match="no class is named 'hapy'") as error:
        join_stores([replace(part, labels={"sad": "hapy"})])
    assert "'happy'" in str(error.value.hint)
    with pytest.raises(DataError, match="no class is named 'saad'") as error:
        join_stores([replace(part, labels={"saad": "happy"})])
    assert "'sad'" in str(error.value.hint)


def test_a_single_fold_stands_for_each_of_the_others() -> None:
    joined = join_stores([StorePart(_store("a", ["happy", "sad"], folds=3)), StorePart(_store("b", ["sad", "happy"]))])
    for fold in (1, 2, 3):
        assert [row.clip_id for row in joined.select(fold, "test")] == ["a/c0", "a/c2", "b/c0", "b/c2"]
    two = join_stores([StorePart(_store("a", ["happy", "sad"], folds=3)), StorePart(_store("b", ["happy"], folds=2))])
    assert {fold for row in two.rows for fold in row.folds} == {1, 2}


def test_stores_of_one_name_are_told_apart_and_crops_are_found_in_their_own() -> None:
    labels = ["happy", "sad"]
    first, second = _store("a", labels), replace(_store("a", labels), root=Path("other/a"))
    joined = join_stores([StorePart(first), StorePart(second), StorePart(_store("a-2", labels))])
    assert list(joined.parts) == ["a", "a-3", "a-2"]
    assert len({row.clip_id for row in joined.rows}) == len(joined.rows)
    assert joined.clip_path("a/c1") == first.clip_path("c1")
    assert joined.clip_path("a-3/c1") == second.clip_path("c1")
    assert {name: len(numbers) for name, numbers in joined.members(joined.rows).items()} == {"a": 4, "a-3": 4, "a-2": 4}


def test_stores_whose_crops_differ_are_refused() -> None:
    first = StorePart(_store("a", ["happy", "sad"]))
    with pytest.raises(DataError, match="crops of 64 pixels"):
        join_stores([first, StorePart(_store("b", ["happy", "sad"], size=64))])
    other = _store("b", ["happy", "sad"])
    other = replace(other, info=replace(other.info, alignment={**other.info.alignment, "template": "other"}))
    with pytest.raises(DataError, match="aligned differently"):
        join_stores([first, StorePart(other)])


def test_the_fingerprint_covers_stores_names_and_order() -> None:
    def fingerprint(*parts: StorePart) -> str:
        return join_stores(parts).fingerprint()

    a, b = StorePart(_store("a", ["happy", "sad"])), StorePart(_store("b", ["happy", "sad", "fear"]))
    ways = [(a, b), (b, a), (a,), (a, replace(b, labels={"fear": "sad"})), (a, replace(b, labels={"fear": None}))]
    assert len({fingerprint(*way) for way in ways}) == len(ways)
    assert fingerprint(a, b) == fingerprint(a, b)


def test_a_checkpoint_names_the_stores_and_all_detectors() -> None:
    stores = [_store("a", ["happy", "sad"]), _store("b", ["happy", "sad"], detector="scrfd")]
    origin = join_stores([StorePart(store) for store in stores]).origin()
    assert origin["detector"] == ["haar", "scrfd"]
    assert [store["fingerprint"] for store in origin["stores"]] == [store.fingerprint() for store in stores]
    assert join_stores([StorePart(stores[0]), StorePart(stores[0])]).origin()["detector"] == "haar"


def test_one_of_the_stores_is_tested_with_the_joined_labels() -> None:
    store = fit_store(_store("b", ["anger", "joy"]), ["happy", "sad", "angry"], {}, fold=3)
    assert [(row.clip_id, row.label) for row in store.select(3, "test")] == [("c0", 2), ("c2", 0)]
    with pytest.raises(DataError, match="class 'fear'"):
        fit_store(_store("b", ["fear", "joy"]), ["happy", "sad", "angry"], {}, fold=1)
