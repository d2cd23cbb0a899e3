"""Sweeps from options and files: every cell is checked, and all that is wrong is said at once."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from dfer.errors import UsageError
from dfer.sweep import load_sweep
from dfer.sweep.definition import cell_columns
from dfer.sweep.sweep_file import parse_seeds, parse_vary

DFEW = Path("dfew.yaml")


def write(path: Path, **values: Any) -> Path:
    path.write_text(yaml.safe_dump({"recipe": "dfew.yaml", **values}, sort_keys=False))
    return path


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("0,0.1, 1e-3", [0, 0.1, 1e-3]),
        ("[1, 7, 7],[4,4,4]", [[1, 7, 7], [4, 4, 4]]),
        ("'a,b',\"c\",d e", ["a,b", "c", "d e"]),
        ("null,true", [None, True]),
        ("a=b", ["a=b"]),
    ],
)
def test_values_are_those_of_a_yaml_list(text: str, values: list[Any]) -> None:
    assert parse_vary([f"x.y={text}", "z=1"]) == {"x.y": values, "z": [1]}


@pytest.mark.parametrize("text", ["x", "x=", "=1", "x=[1", "x=a,,b", "x=!!python/object:os.system", "x=&a 1,*a"])
def test_what_is_no_list_of_values_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--vary"):
        parse_vary([text])


def test_a_key_twice_is_refused() -> None:
    with pytest.raises(UsageError, match=r"optim\.lr is varied twice"):
        parse_vary(["optim.lr=1", "optim.lr=2"])


@pytest.mark.parametrize(("text", "seeds"), [(None, None), ("3", [0, 1, 2]), ("1,5,7", [1, 5, 7]), ("7,", [7])])
def test_seeds_are_a_number_or_a_list(text: str | None, seeds: list[int] | None) -> None:
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["0", "-1", "x", "", ",", "1,,2", "99999999999", "1.5"])
def test_other_seeds_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="invalid seeds"):
        parse_seeds(text)


def test_every_combination_is_a_cell() -> None:
    sweep = load_sweep(
        DFEW,
        vary={"loss.compact_weight": [0, 0.5], "model.attention": ["local", "global"]},
        overrides=["train.epochs=9"],
    )
    assert [cell.name for cell in sweep.cells] == [
        "compact_weight=0,attention=local",
        "compact_weight=0,attention=global",
        "compact_weight=0.5,attention=local",
        "compact_weight=0.5,attention=global",
    ]
    last = sweep.cells[-1].recipe
    assert (last.loss.compact_weight, last.model.attention, last.train.epochs) == (0.5, "global", 9)
    assert (sweep.name, sweep.out, sweep.seeds, sweep.folds) == ("dfew_sweep", Path("runs/dfew_sweep"), [0], [1])
    assert sweep.cells[0].recipe_with(4).train.seed == 4
    assert cell_columns(sweep.cells)[3] == {"compact_weight": "0.5", "attention": "global"}


def test_all_that_is_wrong_is_said_at_once_and_once() -> None:
    vary = {"loss.compact_wight": [0, 1], "model.attention": ["local", "globl"], "train.seed": [1, 2]}
    with pytest.raises(UsageError) as caught:
        load_sweep(DFEW, vary=vary, overrides=["lr=3"])
    text = str(caught.value)
    for part in ("did you mean 'loss.compact_weight'", "got 'globl'", "unknown key 'lr'", "varied by --seeds"):
        assert text.count(part) == 1, text


@pytest.mark.parametrize("values", [[0, 0.0], [0.1], [1, 1]])
def test_cells_with_the_same_settings_are_refused(values: list[float]) -> None:
    vary: dict[str, list[Any]] = {"loss.compact_weight": values, "train.epochs": [50, 50]}
    with pytest.raises(UsageError, match=r"has the settings of|stands twice"):
        load_sweep(DFEW, vary=vary)


def test_too_many_cells_are_refused_before_they_are_built() -> None:
    vary = {f"optim.{key}": list(range(1000)) for key in ("lr", "weight_decay", "momentum")}
    with pytest.raises(UsageError, match="1,000,000,000 cells"):
        load_sweep(DFEW, vary=vary)


def test_a_file_names_cells_that_go_with_every_combination(tmp_path: Path) -> None:
    path = write(
        tmp_path / "mine.yaml",
        overrides={"train.epochs": 7},
        vary={"model.num_frames": [16, 64]},
        cells={"ours": None, "joint": {"model.attention": "joint"}},
        seeds=[3, 5],
        folds="all",
        baseline="joint",
    )
    sweep = load_sweep(path)
    assert [cell.name for cell in sweep.cells] == [
        "ours,num_frames=16", "ours,num_frames=64", "joint,num_frames=16", "joint,num_frames=64"
    ]  # fmt: skip
    assert (sweep.name, sweep.seeds, sweep.folds, sweep.baseline) == ("mine", [3, 5], None, "joint,num_frames=16")
    assert {cell.recipe.train.epochs for cell in sweep.cells} == {7}
    assert {cell.recipe.train.seed for cell in sweep.cells} == {3}
    assert cell_columns(sweep.cells)[3] == {"cell": "joint", "num_frames": "64"}
    changed = load_sweep(
        path, vary={"model.num_frames": [8]}, seeds=[0], folds=[2], baseline="ours", out=tmp_path / "o"
    )
    assert [cell.name for cell in changed.cells] == ["ours,num_frames=8", "joint,num_frames=8"]
    assert (changed.seeds, changed.folds, changed.baseline) == ([0], [2], "ours,num_frames=8")


def test_a_list_of_cells_is_named_by_what_they_change(tmp_path: Path) -> None:
    cells = [{}, {"model.attention": "local"}, {"loss.compact_form": "center", "loss.compact_weight": 1}]
    sweep = load_sweep(write(tmp_path / "s.yaml", cells=cells, overrides=["train.epochs=30"]))
    assert [cell.name for cell in sweep.cells] == ["base", "attention=local", "compact_form=center,compact_weight=1"]
    assert [columns["cell"] for columns in cell_columns(sweep.cells)] == [cell.name for cell in sweep.cells]


def test_a_recipe_beside_the_file_comes_first(tmp_path: Path) -> None:
    (tmp_path / "dfew.yaml").write_text("name: other\ndata: {path: data/other}\n")
    assert load_sweep(write(tmp_path / "s.yaml")).cells[0].recipe.name == "other"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"cell": {}}, "unknown key 'cell' .did you mean 'cells'"),
        ({"vary": {"optim.lr": 3}}, "optim.lr should be a list of values"),
        ({"vary": [1]}, "vary: input should be a mapping"),
        ({"cells": {"a": 3}}, "cells: input should be a mapping of names"),
        ({"seeds": 0}, "seeds: input should be a number of seeds"),
        ({"seeds": [1, "x"]}, "seeds: input should be"),
        ({"folds": [0]}, "folds: input should be all"),
        ({"overrides": 3}, "overrides: input should be"),
        ({"name": "../x"}, "name: string should match"),
        ({"baseline": "nobody"}, "no cell 'nobody'"),
        ({"recipe": "nowhere.yaml"}, "no such recipe"),
        ({"recipe": "ablations.yaml"}, "cannot be a sweep"),
        ({"cells": {"a": {"optim.lr": 1}}, "vary": {"optim.lr": [2]}}, "optim.lr is in a cell and in vary"),
        ({"cells": {}}, "0 cells"),
        ({"cells": {1: {2: 3}}}, "unknown key '2'"),
        ({"cells": [{"train.epochs": {datetime.date(2020, 1, 1): 3}}]}, "train.epochs cannot be"),
        ({"vary": {"data.path": [float("nan"), float("inf")]}, "overrides": {"optim.lr": float("nan")}}, "optim.lr"),
        ({"vary": {"train.epochs": [datetime.date(2020, 1, 1)]}}, "got '2020-01-01'"),
    ],
)
def test_what_is_wrong_in_a_file_is_one_clear_error(tmp_path: Path, values: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_sweep(write(tmp_path / "s.yaml", **values))
