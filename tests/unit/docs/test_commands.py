"""Every `dfer ...` command line in the documentation parses: its command, options and recipe keys exist."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import typer

from dfer.cli.app import app
from dfer.recipe import load_recipe, shipped_recipes
from dfer.sweep import load_sweep
from dfer.sweep.sweep_file import parse_vary
from tests.unit.docs.pages import PAGES, code_blocks, page_name, prose

GROUP: Any = typer.main.get_command(app)
PROGRAM = re.compile(r"^(?:\$ )?(?:\.venv/bin/)?(?:(?:torchrun .*|python )-m )?dfer (.*)$")
GLOBAL_OPTIONS = {"--help", "-h", "--version", "--debug", "--install-completion"}
ENDS_OF_COMMAND = {"&&", "|", ">", ";", "&"}
# `dfer preprocess DATASET RAW`, `dfer train ...`: a name for what is to be written there.
PLACEHOLDER = re.compile(r"\.\.\.|\b[A-Z]+\b|\[OPTIONS\]")


def _command_lines(text: str) -> Iterator[str]:
    """The arguments of each call of dfer; a line continued with a backslash is one."""
    for line in re.sub(r"\\\n\s*", "", text).splitlines():
        match = PROGRAM.match(line.strip())
        if match and not GLOBAL_OPTIONS & set(match[1].split()):
            yield match[1].replace("$SLURM_ARRAY_TASK_ID", "1")


def _words(line: str) -> list[str]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words = list(lexer)
    end = next((number for number, word in enumerate(words) if word in ENDS_OF_COMMAND), len(words))
    return words[:end]


def _resolve(words: list[str]) -> tuple[Any, list[str]]:
    """The command that the words call, and its arguments."""
    command, rest = GROUP, list(words)
    while rest and rest[0] in getattr(command, "commands", {}):
        command = command.commands[rest.pop(0)]
    return command, rest


IN_BLOCKS = [
    pytest.param(line, id=f"{page_name(page)}: {line}"[:90])
    for page in PAGES
    if page.name != "develop.md"  # its commands need its registrations; they run in test_develop
    for block in code_blocks(page, "")
    for line in _command_lines(block)
    if not PLACEHOLDER.search(line) and "\nerror: " not in block
]
IN_SENTENCES = [
    pytest.param(line, id=f"{page_name(page)}: {line}"[:90])
    for page in PAGES
    for code in re.findall(r"`([^`\n]+)`", prose(page))
    for line in _command_lines(code)
]


def test_the_pages_were_read() -> None:
    assert len(IN_BLOCKS) > 30
    assert len(IN_SENTENCES) > 60


@pytest.mark.parametrize("line", IN_BLOCKS)
def test_a_command_in_a_code_block_parses(line: str) -> None:
    command, rest = _resolve(_words(line))
    assert command is not GROUP, "no such command"
    context = command.make_context(command.name, rest)
    if "recipe" in context.params:
        _load(context.params["recipe"], context.params["overrides"], context.params.get("vary"))


def _load(recipe: str | Path, overrides: Sequence[str] | None, vary: Sequence[str] | None = None) -> None:
    """Load a recipe or sweep with its changes; a recipe of the reader's own stands for any."""
    shipped = shipped_recipes() / Path(recipe).name
    path = shipped if shipped.is_file() else Path("dfew.yaml")
    if vary is None:
        load_recipe(path, overrides or [])
    else:
        load_sweep(path, vary=parse_vary(vary), overrides=overrides or [])


@pytest.mark.parametrize("line", IN_SENTENCES)
def test_a_command_within_a_sentence_exists(line: str) -> None:
    words = line.replace("|", " ").split()
    command, rest = _resolve(words)
    assert command is not GROUP or words[0] == "COMMAND", f"no command {words[0]!r}"
    options = {spelling for parameter in command.params for spelling in (*parameter.opts, *parameter.secondary_opts)}
    unknown = [word for word in (word.strip(".,[]") for word in rest) if word.startswith("--") and word not in options]
    assert not unknown
    varied = [word for before, word in pairwise(rest) if before == "--vary" and "." in word]
    changes = [word for word in rest if re.match(r"[a-z]+\.[a-z_]+=", word) and word not in varied]
    if varied:
        _load(rest[0], changes, varied)
    elif changes:
        _load(rest[0], changes)


def test_every_make_target_exists(checkout: Path) -> None:
    makefile = (checkout / "Makefile").read_text(encoding="utf-8")
    targets = set(re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)[1].split())
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    named = set(re.findall(r"(?:^|`)make ([a-z]+)\b", text, re.MULTILINE))
    assert {"demo", "test"} <= named <= targets
