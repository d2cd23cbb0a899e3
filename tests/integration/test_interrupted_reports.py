"""Commands that compute and write reports, stopped while they write: no half-written file, and the usual exit code."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from dfer.labels import DFEW_LABELS
from dfer.store import Store
from tests.answers import write_run
from tests.integration.program import dfer, temporaries, tree
from tests.stores import write_tiny_recipe


@pytest.fixture(scope="module")
def run(flat: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained run."""
    folder = tmp_path_factory.mktemp("run")
    recipe = write_tiny_recipe(folder / "tiny.yaml", flat.root)
    dfer("train", recipe, "train.epochs=1", "--out", folder / "tiny").succeeded()
    return folder / "tiny"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the commands write; besides, what they read."""
    for name in ("a", "b"):
        write_run(tmp_path / "read" / name, right=[0.6] * 7, seed=ord(name), labels=DFEW_LABELS)
    return tmp_path / "written"


def commands(folder: Path, run: Path) -> dict[str, list[object]]:
    read = folder.parent / "read"
    texts = ["--json", folder / "a.json", "--markdown", folder / "a.md", "--latex", folder / "a.tex"]
    return {
        "compare": ["compare", read / "a", read / "b", "--resamples", 100, *texts, "--report", folder / "report"],
        "published": ["published", "dfew", "--with", read / "a", *texts],
        "probe": [
            "eval", "--run", run, "--fold", 1, "--probe", "--predictions", folder / "answers",
            "--json", folder / "a.json", "--report", folder / "report",
        ],
    }  # fmt: skip


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    ("command", "file"),
    [("compare", 1), ("compare", 3), ("published", 1), ("published", 3), ("probe", 2), ("probe", 6)],
)
def test_a_stop_while_a_file_is_written_leaves_whole_files_only(
    folder: Path, run: Path, monkeypatch: pytest.MonkeyPatch, command: str, file: int, number: signal.Signals
) -> None:
    """The signal comes when the content of the n-th file is written, but has not got its name yet."""
    seen: list[list[str]] = []

    def stop(_handle: int) -> None:
        seen.append(temporaries(folder))
        if len(seen) == file:
            os.kill(os.getpid(), number)
            time.sleep(0)  # the handler runs here

    monkeypatch.setattr("dfer.runtime.files.os.fsync", stop)
    outcome = dfer(*commands(folder, run)[command])
    assert len(seen) == file, "nothing more was written"
    assert len(seen[-1]) == 1, "there was a half-written file"
    outcome.failed(128 + number, "interrupted", hint="run the same command again")
    assert temporaries(folder.parent) == []
    assert len(tree(folder)) == file - 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_while_resamples_are_drawn(
    folder: Path, run: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    draws = []

    def interval(*_: object) -> None:
        draws.append(1)
        os.kill(os.getpid(), number)
        time.sleep(0)

    monkeypatch.setattr("dfer.evaluation.compare.interval", interval)
    outcome = dfer(*commands(folder, run)["compare"])
    assert draws == [1]
    outcome.failed(128 + number, "interrupted", hint="run the same command again")
    assert not folder.exists() or tree(folder) == {}
