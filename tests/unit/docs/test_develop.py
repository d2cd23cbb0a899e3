"""The development page: its worked examples run, and its tree is the real one."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dfer.video import VideoWriter
from tests.unit.docs.pages import CHECKOUT, code_blocks

PAGE = CHECKOUT / "docs" / "develop.md"


@pytest.fixture
def toyset(tmp_path: Path) -> Path:
    """The raw data set of the page's example, and the recipe."""
    rng = np.random.default_rng(0)
    rows = []
    for number, split in enumerate(["train"] * 6 + ["test"] * 2, start=1):
        word, brightness = ("Happiness", 200) if number % 2 else ("sad", 60)
        rows.append(f"{number}.mp4,{word},{split}\n")
        path = tmp_path / "raw" / "toyset" / "clips" / f"{number}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        with VideoWriter(path, fps=25.0, size_hw=(64, 80)) as writer:
            for _ in range(6):
                writer.write(rng.integers(brightness - 20, brightness + 20, (64, 80, 3)).astype(np.uint8))
    (tmp_path / "raw" / "toyset" / "list.csv").write_text("".join(rows))
    (tmp_path / "toyset.yaml").write_text(code_blocks(PAGE, "yaml")[0])
    return tmp_path


def run(words: list[str], cwd: Path) -> subprocess.CompletedProcess[str]:
    # A process of its own: the registries of this one stay as they are.
    return subprocess.run([sys.executable, "-m", "dfer", *words], cwd=cwd, capture_output=True, text=True, check=False)


def test_the_four_examples_run_as_one_pipeline(toyset: Path) -> None:
    (toyset / "toyset.py").write_text("\n".join(code_blocks(PAGE, "python")))
    commands = [block for block in code_blocks(PAGE, "") if block.startswith("dfer ")][-1].splitlines()
    arguments = [shlex.split(command)[1:] for command in commands]
    arguments[-2] += ["--json", "evaluation.json"]
    arguments[-1] += ["--json", "prediction.json"]
    for words in arguments:
        done = run(words, toyset)
        assert done.returncode == 0, done.stderr
        assert f"plugin {toyset / 'toyset.py'}: " in done.stderr
    # Worker processes load the plugin too.
    words = ["predict", "raw/toyset/clips", *arguments[-1][2:-2], "--workers", "2", "--json", "all.jsonl"]
    assert run(words, toyset).returncode == 0
    assert len((toyset / "all.jsonl").read_text().splitlines()) == 8
    without = run(["eval", "--run", "runs/toyset"], toyset)
    assert without.returncode == 1
    assert "error: its model 'frame_mean' is not one of this dfer" in without.stderr
    assert "hint: if a plugin brings it, name that: --plugin FILE" in without.stderr
    (plugin,) = json.loads((toyset / "runs" / "toyset" / "fold1" / "run.json").read_text())["plugins"]
    assert plugin["adds"]["model"] == ["frame_mean", "frame_mean_wide"]
    assert plugin["sha256"] == hashlib.sha256((toyset / "toyset.py").read_bytes()).hexdigest()

    assert (toyset / "data" / "toyset" / "manifest.csv").read_text().count(",ok,") == 8
    assert json.loads((toyset / "data" / "toyset" / "dataset.json").read_text())["detector"] == "centre"
    evaluation = json.loads((toyset / "evaluation.json").read_text())
    assert (evaluation["labels"], evaluation["folds"]["1"]["num_clips"]) == (["happy", "sad"], 2)
    prediction = json.loads((toyset / "prediction.json").read_text())
    assert prediction["model"]["name"] == "frame_mean"
    assert len(prediction["faces"]) == 1


def test_the_tree_names_every_folder_and_every_file_at_the_top() -> None:
    tree = code_blocks(PAGE, "")[0]
    package = CHECKOUT / "dfer"
    folders = {path.name + "/" for path in package.rglob("*") if (path / "__init__.py").is_file()}
    files = {path.name for path in package.glob("*.py")}
    named = re.findall(r"^ +((?:[\w]+(?:\.py|/) *)+)", tree, re.MULTILINE)
    assert {name for names in named for name in names.split()} == folders | files
