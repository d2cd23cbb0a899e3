"""Target probabilities from a file: names, sums, clips, and what is used in training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dfer.errors import DataError
from dfer.faces.align import alignment_settings
from dfer.store import DatasetInfo, Store
from dfer.store.joined import StorePart, join_stores
from dfer.store.manifest import ManifestRow
from dfer.store.targets import write_targets

LABELS = ["happy", "sad", "fear"]


@pytest.fixture
def store() -> Store:
    info = DatasetInfo("a", LABELS, 1, 48, alignment_settings(48), "haar", "", "1.0")
    rows = [ManifestRow(f"c{n}", n % 3, LABELS[n % 3], "ok", {1: "train"}, 3, votes=(1, 1, 2)) for n in range(6)]
    return Store(Path("data/a"), info, rows)


def test_targets_take_the_place_of_label_and_votes(store: Store, tmp_path: Path) -> None:
    file = tmp_path / "targets.csv"
    file.write_text("clip_id,fearful,joy\nc0,0.25,0.75\nc4,1.0,0.0\n")
    joined = join_stores([StorePart(store, targets=file)])
    by_id = {row.clip_id: row for row in joined.rows}
    for soft in (True, False):
        assert by_id["a/c0"].target(soft=soft) == (0.75, 0.0, 0.25)
        assert by_id["a/c4"].target(soft=soft) == (0.0, 0.0, 1.0)
    assert by_id["a/c1"].target(soft=True) == (1, 1, 2)
    assert by_id["a/c1"].target(soft=False) == ()
    file.write_text("clip_id,fear,happy\nc0,0.25,0.75\nc4,0.9,0.1\n")
    assert join_stores([StorePart(store, targets=file)]).fingerprint() != joined.fingerprint()


def test_a_class_that_is_left_out_gives_its_share_to_the_rest(store: Store, tmp_path: Path) -> None:
    file = tmp_path / "targets.csv"
    file.write_text("clip_id,happy,sad,fear\nc0,0.2,0.3,0.5\nc1,0,0,1\n")
    joined = join_stores([StorePart(store, labels={"fear": None}, targets=file)])
    by_id = {row.clip_id: row for row in joined.rows}
    assert by_id["a/c0"].target(soft=False) == pytest.approx((0.4, 0.6))
    assert by_id["a/c1"].target(soft=False) == ()


def test_written_targets_are_read_again(store: Store, tmp_path: Path) -> None:
    values = np.random.default_rng(0).dirichlet(np.ones(3), 6)
    write_targets(tmp_path / "t.csv", [row.clip_id for row in store.rows], LABELS, values)
    joined = join_stores([StorePart(store, targets=tmp_path / "t.csv")])
    assert np.allclose([row.target(soft=False) for row in joined.rows], values, atol=1e-5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("clip_id,happy,sad\nc0,0.5,0.4\n", "1 rows are not probabilities .* clip c0: 0.5, 0.4"),
        ("clip_id,happy,sad\nc0,nan,1\n", "not probabilities"),
        ("clip_id,happy,sad\nc0,-0.5,1.5\n", "not probabilities"),
        ("clip_id,happy,sad\nc0,much,1\n", "not probabilities"),
        ("clip_id,happy,sad\nc9,0.5,0.5\n", "1 clips are not in data/a, the first 'c9'"),
        ("clip_id,happy,sad\nc0,0.5,0.5\nc0,0.5,0.5\n", "clip c0 has two rows"),
        ("clip_id,hapy,sad\nc0,0.5,0.5\n", "no class is named 'hapy'"),
        ("happy,sad\n0.5,0.5\n", "expected the columns clip_id"),
        ("", "cannot read the targets"),
    ],
)
def test_wrong_targets_are_refused(store: Store, tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "targets.csv"
    file.write_text(text)
    with pytest.raises(DataError, match=message) as error:
        join_stores([StorePart(store, targets=file)])
    assert str(error.value.where) == str(file)


def test_missing_targets_are_refused(store: Store, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot read the targets: no such file"):
        join_stores([StorePart(store, targets=tmp_path / "none.csv")])
