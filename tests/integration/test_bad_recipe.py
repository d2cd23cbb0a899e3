"""Bad recipes: broken, misspelt and hostile ones. All mistakes are told at once, and nothing is executed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.integration.program import dfer

HOSTILE_TAG = "!!python/object/apply:os.system ['touch executed']"
BILLION_LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "\n".join(
    f"{after}: &{after} [{','.join([f'*{before}'] * 9)}]"
    for before, after in zip("abcdefgh", "bcdefghi", strict=True)
)  # fmt: skip


@pytest.mark.parametrize(
    ("recipe", "messages"),
    [
        pytest.param("", ["the recipe is empty"], id="empty"),
        pytest.param("# nothing\n", ["the recipe is empty"], id="comments alone"),
        pytest.param("name: [unclosed", ["not a valid YAML recipe"], id="broken"),
        pytest.param("name: a\n\tdata: b", ["not a valid YAML recipe"], id="tabs"),
        pytest.param("- a\n- b\n", ["must be a mapping"], id="a list"),
        pytest.param("just words", ["must be a mapping"], id="words"),
        pytest.param("name: a\nname: b\n", ["'name' stands twice"], id="a key twice"),
        pytest.param("\x00\x01", ["not a valid YAML recipe"], id="control characters"),
        pytest.param(f"name: {HOSTILE_TAG}\n", ["not a valid YAML recipe"], id="code in a tag"),
        pytest.param(f"name: a\ndata: {HOSTILE_TAG}\n", ["not a valid YAML recipe"], id="code in a section"),
        pytest.param(BILLION_LAUGHS, ["aliases", "not allowed"], id="a billion laughs"),
        pytest.param("a: " + "[" * 100_000, ["not a valid YAML recipe"], id="nested without end"),
        pytest.param("a: '" + "x" * 1_000_001 + "'", ["more than 200,000 bytes"], id="huge"),
        pytest.param("name: a\n", ["data is missing"], id="without data"),
        pytest.param("name: ../../escaped\ndata: {path: x}\n", ["name: "], id="a name that leads out of runs"),
        pytest.param("name: a\ndata: {path: x}\ntrain: {epochs: many}\n", ["train.epochs", "'many'"], id="a word"),
        pytest.param("name: a\ndata: {path: x}\ntrain: {epochs: true}\n", ["train.epochs"], id="a bool for a number"),
        pytest.param("name: a\ndata: {path: x}\noptim: {lr: .nan}\n", ["optim.lr"], id="not a number"),
        pytest.param("name: a\ndata: {path: x}\noptim: {lr: -1}\n", ["optim.lr", "greater than 0"], id="negative"),
        pytest.param("name: a\ndata: {path: x}\nmodel: {num_frames: 15}\n", ["must divide"], id="no whole segments"),
        pytest.param(
            "name: a\ndata: {path: x, pth: y}\ntrian: {epochs: 1}\noptim: {rl: 1}\nmodel: {depth: -2}\n",
            ["'data.pth' (did you mean 'data.path'?)", "'trian'", "'optim.rl'", "model.depth"],
            id="several mistakes, all told",
        ),
    ],
)
def test_a_bad_recipe(tmp_path: Path, recipe: str, messages: list[str]) -> None:
    (tmp_path / "bad.yaml").write_text(recipe)
    dfer("train", "bad.yaml").failed(2, *messages, "(bad.yaml)")
    assert os.listdir() == ["bad.yaml"], "nothing was executed, nothing begun"  # noqa: PTH208


@pytest.mark.parametrize(
    ("override", "messages"),
    [
        pytest.param("train.epoch=1", ["'train.epoch' (did you mean 'train.epochs'?)"], id="misspelt key"),
        pytest.param("trian.epochs=1", ["'trian.epochs' (did you mean 'train.epochs'?)"], id="misspelt section"),
        pytest.param("epochs=1", ["'epochs' (did you mean 'train.epochs'?)"], id="key without its section"),
        pytest.param("train.epochs", ["is not KEY=VALUE"], id="no value"),
        pytest.param("train.epochs=two", ["train.epochs", "'two'"], id="a word for a number"),
        pytest.param("model.attention=locl", ["model.attention", "'local'"], id="misspelt choice"),
        pytest.param(f"name={HOSTILE_TAG}", ["override name"], id="code in a tag"),
        pytest.param("train=1", ["'train'"], id="a value for a section"),
        pytest.param("train.epochs=[", ["override train.epochs"], id="broken YAML"),
        pytest.param("optim.warmup_epochs=5", ["warmup_epochs must be below train.epochs"], id="longer than the run"),
    ],
)
def test_a_bad_override(tiny_recipe: Path, override: str, messages: list[str]) -> None:
    dfer("train", tiny_recipe, override).failed(2, *messages)
    assert os.listdir() == ["tiny.yaml"]  # noqa: PTH208


def test_a_missing_recipe_names_the_shipped_ones() -> None:
    dfer("train", "nowhere.yaml").failed(2, "no such recipe (nowhere.yaml)", hint="cpu_smoke.yaml")


def test_a_folder_for_a_recipe(tmp_path: Path) -> None:
    (tmp_path / "folder.yaml").mkdir()
    dfer("train", "folder.yaml").failed(2, "this is a folder, not a recipe (folder.yaml)")
