"""`dfer preprocess --check`: what is wrong with a store, a line each, and how it is mended."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from dfer.store.manifest import read_manifest
from tests.integration.program import Outcome, dfer, tree


@pytest.fixture
def store(small_drawn: Path, tmp_path: Path) -> Path:
    shutil.copytree(small_drawn, tmp_path / "store")
    return tmp_path / "store"


def check(store: Path, *more: object) -> Outcome:
    return dfer("preprocess", "dfew", *more, "--out", store, "--check")


def flip_a_bit(store: Path) -> str:
    path = store / "crops" / "1.zip"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    return "1: 1.zip is damaged: its SHA-256 is not the manifest's"


def cut(store: Path) -> str:
    path = store / "crops" / "2.zip"
    path.write_bytes(path.read_bytes()[:-100])
    return "2: 2.zip is damaged"


def lose(store: Path) -> str:
    (store / "crops" / "3.zip").unlink()
    return "3: 3.zip is missing"


def add(store: Path) -> str:
    with zipfile.ZipFile(store / "crops" / "stranger.zip", "w") as archive:
        archive.writestr("clip.json", "{}")
    return "crops/stranger.zip: not a clip of the manifest"


def leave_half_written(store: Path) -> str:
    (store / "crops" / ".1.abc.tmp.zip").write_bytes(b"PK")
    return "crops/.1.abc.tmp.zip: left by a run that was killed"


DAMAGE: list[Callable[[Path], str]] = [flip_a_bit, cut, lose, add, leave_half_written]


def test_a_sound_store(small_raw: Path, store: Path) -> None:
    before = tree(store)
    for more in ([], [small_raw]):
        outcome = check(store, *more).succeeded()
        assert outcome.out == ""
        assert "14 clips, " in outcome.err
        assert " 0 problems" in outcome.err
    crops = sum(row.num_frames for row in read_manifest(store / "manifest.csv"))
    assert f"{crops} crops" in outcome.err
    assert tree(store) == before


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda damage: damage.__name__)
def test_damage_is_found_removed_and_made_again(
    small_raw: Path, small_drawn: Path, store: Path, damage: Callable[[Path], str]
) -> None:
    line = damage(store)
    before = tree(store)
    outcome = check(store).failed(1, "1 problems", str(store))
    assert outcome.out.startswith(line)
    assert len(outcome.out.splitlines()) == 1
    assert tree(store) == before, "--check only looks"
    check(store, "--repair").failed(1, "1 problems")
    dfer("preprocess", "dfew", small_raw, "--out", store, "--detector", "haar", "--engine", "inline").succeeded()
    assert tree(store) == tree(small_drawn)
    check(store).succeeded()


def test_all_damage_at_once(store: Path) -> None:
    lines = [damage(store) for damage in DAMAGE]
    outcome = check(store).failed(1, f"{len(lines)} problems", hint="--repair")
    assert len(outcome.out.splitlines()) == len(lines)
    for line in lines:
        assert line in outcome.out


def test_a_truncated_file_is_made_again_without_a_check(small_raw: Path, small_drawn: Path, store: Path) -> None:
    cut(store)
    outcome = dfer(
        "preprocess", "dfew", small_raw, "--out", store, "--detector", "haar", "--engine", "inline"
    ).succeeded()
    assert "14 ok (1 in this run)" in outcome.err
    assert tree(store) == tree(small_drawn)


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        pytest.param("\n2,", "\n1,", "1: 2 rows in the manifest", id="a row twice"),
        pytest.param(",happy,", ",sad,", "is not sad in dataset.json", id="a wrong label"),
        pytest.param(",train\n", ",exam\n", "impossible folds", id="a wrong split"),
    ],
)
def test_a_manifest_that_was_edited(store: Path, old: str, new: str, line: str) -> None:
    manifest = store / "manifest.csv"
    text = manifest.read_text()
    assert old in text
    manifest.write_text(text.replace(old, new, 1))
    assert line in check(store).failed(1, "problems").out


def test_the_lists_are_the_measure_where_they_are_at_hand(small_raw: Path, store: Path) -> None:
    manifest = store / "manifest.csv"
    lines = manifest.read_text().splitlines(keepends=True)
    gone = lines.pop(5).partition(",")[0]
    manifest.write_text("".join(lines))
    outcome = check(store, small_raw).failed(1, "problems")
    assert f"1 clips of the lists have no row: {gone}" in outcome.out
    assert f"crops/{gone}.zip: not a clip of the manifest" in outcome.out


def test_the_official_sizes_are_the_measure_else(store: Path) -> None:
    about = store / "dataset.json"  # as if these were no drawings
    values = json.loads(about.read_text()) | {"notice": ""}
    about.write_text(json.dumps(values))
    outcome = check(store).failed(1, "problems")
    assert "fold 1 train has " in outcome.out
    assert "officially 9,356" in outcome.out
    assert "happy has 2 clips, officially 2,445" in outcome.out
    dfer("preprocess", "folder", "--out", store, "--check").succeeded()


def test_nothing_to_check(tmp_path: Path) -> None:
    check(tmp_path / "nothing").failed(1, "no store here")
    dfer("preprocess", "nonsense", "--out", tmp_path, "--check").failed(2, "unknown data set")
