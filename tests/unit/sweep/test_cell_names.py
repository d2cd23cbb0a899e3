"""Names of cells: readable, legal on every disk, and different from each other."""

from __future__ import annotations

import pytest

from dfer.sweep.cell_names import cell_names, short_keys, value_text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.5, "0.5"),
        (1e-5, "1e-05"),
        (-1, "-1"),
        (True, "true"),
        (None, "null"),
        ("local", "local"),
        ([1, 7, 7], "1x7x7"),
        ([], "empty"),
        ("", "empty"),
        ("weights/stem.pth", "stem.pth"),
        ("a b:c*?", "a-b-c"),
        ("..", ".."),
        ("Zoë", "Zoë"),
        ("Zoe\u0308", "Zoë"),
        ("\udcff\n", "-"),
        ({"a": 1, "b": "x/y"}, "a-1+b-y"),
    ],
)
def test_a_value_is_readable_and_legal(value: object, text: str) -> None:
    assert value_text(value) == text


def test_keys_are_as_short_as_they_can_be() -> None:
    assert short_keys(["loss.compact_weight", "model.name", "optim.name"]) == {
        "loss.compact_weight": "compact_weight",
        "model.name": "model",
        "optim.name": "optim",
    }
    assert short_keys(["model.depth", "other.depth"]) == {"model.depth": "model.depth", "other.depth": "other.depth"}


def test_cells_are_named_by_label_and_settings() -> None:
    settings = [{}, {"model.window": [1, 2, 2], "optim.lr": 1e-3}]
    assert cell_names([None, None], settings) == ["base", "window=1x2x2,lr=0.001"]
    assert cell_names(["a/b", "λ=0"], settings) == ["a-b", "λ=0,window=1x2x2,lr=0.001"]


def test_names_that_would_be_the_same_get_a_digest() -> None:
    names = cell_names([None] * 3, [{"data.path": text} for text in ("x/dfew", "y/DFEW", "z/mafw")])
    assert names[2] == "path=mafw"
    assert all(name.casefold().startswith("path=dfew~") for name in names[:2])
    assert len({name.casefold() for name in names}) == 3


@pytest.mark.parametrize("text", ["x" * 300, "é" * 200, "../../etc/passwd", "...", "con"])
def test_no_name_leaves_the_folder_or_is_too_long(text: str) -> None:
    (name,) = cell_names([text], [{}])
    assert 0 < len(name.encode()) <= 100
    assert "/" not in name
    assert not name.startswith(".")
