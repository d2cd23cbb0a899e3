"""The generated parts of the reference pages are up to date, and show what the code has."""

from __future__ import annotations

import re
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from dfer.cli.app import app
from dfer.recipe import recipe_keys


@pytest.fixture(scope="module")
def reference(checkout: Path) -> dict[str, Any]:
    return runpy.run_path(str(checkout / "docs" / "reference.py"))


def test_the_committed_pages_are_the_generated_ones(reference: dict[str, Any]) -> None:
    stale = [path.name for path, text in reference["pages"]().items() if path.read_text(encoding="utf-8") != text]
    assert not stale, "run `python docs/reference.py` and commit the pages"


def test_every_recipe_key_has_a_type_and_a_meaning(checkout: Path) -> None:
    text = (checkout / "docs" / "recipes.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `([\w.]+)` (\|.*\|)$", text, re.MULTILINE))
    incomplete = [
        key for key in recipe_keys() if not re.fullmatch(r"\| [^|]+ \| [^|]+ \| \S[^|]+ \|", rows.get(key, ""))
    ]
    assert not incomplete


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("data.path", "| text, or list | required |"),
        ("model.image_size", "| integer, 32 to 512 | 112 |"),
        ("model.window", "| 3 × integer, 1 to 1024 | [2, 4, 4] |"),
        ("model.backbone", "| text, or null | null |"),
        ("loss.soft_labels", "| true or false | false |"),
        ("optim.lr", "| number, above 0 | 0.0005 |"),
        ("optim.schedule", "| `cosine`, `step` | `cosine` |"),
        ("train.seed", "| integer, at least 0, below 2^31 | 0 |"),
    ],
)
def test_a_key_shows_its_type_and_default(checkout: Path, key: str, expected: str) -> None:
    assert f"| `{key}` {expected}" in (checkout / "docs" / "recipes.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "expected",
    [
        "## dfer bench train",
        "dfer export CHECKPOINT --out FILE.onnx",
        "| `--resume, --no-resume` | on |",
        "| `--set KEY=VALUE` |",
        "| `--timeout SECONDS` | `120` |",
        "One of `auto`, `cpu`, `cuda`.",
        "32 to 512.",
    ],
)
def test_the_command_line_page_shows_options_as_they_are_typed(checkout: Path, expected: str) -> None:
    assert expected in (checkout / "docs" / "cli.md").read_text(encoding="utf-8")


def test_a_page_without_its_marks_is_an_error(reference: dict[str, Any], tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- generated: other -->\n<!-- end: other -->\n")
    with pytest.raises(SystemExit, match=r"page\.md.*'commands'.*'other'"):
        reference["_fill"](page, {"commands": "text"})


def test_every_command_has_a_section(checkout: Path) -> None:
    headings = set(
        re.findall(r"^## (dfer .*)$", (checkout / "docs" / "cli.md").read_text(encoding="utf-8"), re.MULTILINE)
    )
    assert set(commands_of(typer.main.get_command(app), "dfer")) <= headings


def commands_of(command: Any, name: str) -> Iterator[str]:
    """The full names of a command's commands, and of theirs."""
    for word, inner in getattr(command, "commands", {}).items():
        yield f"{name} {word}"
        yield from commands_of(inner, f"{name} {word}")
