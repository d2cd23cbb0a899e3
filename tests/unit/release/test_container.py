"""The Dockerfile: it copies what exists and is sent, installs only what the hashed lock names, and runs as no root."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def instructions(checkout: Path) -> list[tuple[str, str]]:
    """The instructions and their arguments, continued lines joined."""
    text = re.sub(r"^#.*\n", "", (checkout / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines if line)]


def test_what_is_copied_exists_and_is_sent(checkout: Path, instructions: list[tuple[str, str]]) -> None:
    rules = (checkout / ".dockerignore").read_text().split("\n")
    assert "*" in rules, "all that is not named stays out"
    sent = {rule[1:] for rule in rules if rule.startswith("!")}
    copied = {
        name for word, rest in instructions if word == "COPY" and "--from" not in rest for name in rest.split()[:-1]
    }
    assert copied == sent
    assert [name for name in sorted(copied) if not (checkout / name).exists()] == []


def test_packages_come_with_their_hashes(instructions: list[tuple[str, str]]) -> None:
    installs = [rest for word, rest in instructions if word == "RUN" and "pip install" in rest]
    assert len(installs) == 2
    assert all("--require-hashes" in rest or "--no-deps" in rest for rest in installs)
    assert all("--no-cache-dir" in rest for rest in installs)


def test_all_stages_have_the_python_of_the_lock(checkout: Path, instructions: list[tuple[str, str]]) -> None:
    bases = {rest.split()[0] for word, rest in instructions if word == "FROM"}
    assert len(bases) == 1
    (version,) = re.findall(r"Python (\d\.\d+)", (checkout / "requirements.hashed.lock").read_text())
    assert re.fullmatch(rf"python:{re.escape(version)}\.\d+-slim-\w+", bases.pop()), "an exact version"


def test_it_runs_the_program_as_no_root(instructions: list[tuple[str, str]]) -> None:
    last = dict(instructions)
    assert last["USER"] == "dfer"
    assert json.loads(last["ENTRYPOINT"]) == ["dfer"]
    words = [word for word, _ in instructions]
    assert words.index("USER") > max(number for number, word in enumerate(words) if word == "RUN")
