"""`dfer sweep` as users run it: its output, its errors, and interruptions at awkward moments."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
import torch

from dfer.store import Store
from tests.integration.program import dfer, finish, start, temporaries, tree, wait_until
from tests.stores import write_tiny_recipe

VARY = ("--vary", "loss.compact_weight=0,0.5")
ANSWERS = "predictions.csv"


def same_answers(one: Path, other: Path) -> None:
    names = [name for name in tree(other) if name.endswith((ANSWERS, "best.safetensors"))]
    assert names
    ours, theirs = tree(one), tree(other)
    assert {name: ours.get(name) for name in names} == {name: theirs[name] for name in names}


def test_a_sweep_its_runs_and_what_it_prints(tiny_recipe: Path, tmp_path: Path) -> None:
    command = ("sweep", tiny_recipe, *VARY, "train.epochs=1")
    planned = dfer(*command, "--dry-run").succeeded()
    assert "compact_weight" in planned.out
    assert "2 runs of 2 cells (2 new) -> runs/tiny_sweep" in planned.err
    assert not Path("runs").exists()

    outcome = dfer(*command, "--json", tmp_path / "out.json").succeeded()
    assert "run 2 of 2: compact_weight=0.5,seed0 fold 1" in outcome.err
    assert "Against compact_weight=0" in outcome.out
    summary = json.loads((tmp_path / "out.json").read_text())
    assert summary == json.loads(Path("runs/tiny_sweep/summary.json").read_text())

    again = dfer(*command, "--json", "-").succeeded()
    assert "2 runs of 2 cells (2 done)" in again.err
    assert json.loads(again.out)["cells"] == summary["cells"]
    runs = [f"runs/tiny_sweep/compact_weight={weight},seed0" for weight in ("0", "0.5")]
    assert dfer("eval", "--run", runs[0], "--json", "-").succeeded().out
    assert "compact_weight=0.5,seed0" in dfer("compare", *runs, "--resamples", 100).succeeded().out

    dfer(*command, "optim.lr=0.5").failed(2, "optim.lr was 0.003, is 0.5", hint="--out")


def test_a_failed_run_is_exit_1_and_the_others_are_done(tiny_recipe: Path, flat: Store, tmp_path: Path) -> None:
    stem = tmp_path / "gone.pth"
    command = ("sweep", tiny_recipe, "--vary", f"model.backbone={stem},null", "train.epochs=1", "--out", tmp_path / "s")
    outcome = dfer(*command)
    assert outcome.code == 1
    assert f"{stem}" in outcome.err
    (error,) = outcome.lines("error: ")
    assert error.startswith("error: 1 run failed, such as backbone=gone.pth,seed0 fold 1")
    assert "the same command tries them again" in outcome.lines("hint: ")[0]
    cells = json.loads((tmp_path / "s" / "summary.json").read_text())["cells"]
    assert [cell["runs"][0]["status"] for cell in cells] == ["failed", "done"]
    assert str(stem) in cells[0]["runs"][0]["error"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--vary", "loss.compact_wight=0"), "did you mean 'loss.compact_weight'"),
        (("--vary", "loss.compact_weight"), "names no key and values"),
        (("--seeds", "x"), "invalid seeds"),
        (("--folds", "9"), "no fold 9"),
        (("--folds", "x"), "invalid fold"),
        (("--shard", "3/2"), "invalid shard"),
        (("--baseline", "x"), "no cell 'x'"),
        (("--workers", "2"), "--workers has no effect"),
        (("--gpus-per-run", "0", "--engine", "process"), "at least 0.01 of a GPU"),
    ],
)
def test_bad_usage_is_one_error_line(tiny_recipe: Path, options: tuple[str, ...], words: str) -> None:
    dfer("sweep", tiny_recipe, *options).failed(2, words)
    assert not Path("runs").exists()


def test_under_torchrun_a_sweep_is_refused(tiny_recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    dfer("sweep", tiny_recipe).failed(2, "torchrun trains one run", hint="--engine process")


def test_training_a_sweep_file_says_how_to_run_it() -> None:
    dfer("train", "ablations.yaml").failed(2, "a sweep, not a recipe", hint="dfer sweep ablations.yaml")


LONG = (*VARY, "train.epochs=10")


@pytest.fixture(scope="module")
def undisturbed(flat: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a sweep that nobody interrupted."""
    folder = tmp_path_factory.mktemp("undisturbed")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        dfer("sweep", write_tiny_recipe(folder / "tiny.yaml", flat.root), *LONG, "--out", folder / "sweep").succeeded()
    finally:
        torch.set_num_threads(threads)
    return folder / "sweep"


@pytest.mark.parametrize(("engine", "number"), [("inline", signal.SIGINT), ("process", signal.SIGTERM)])
def test_an_interrupted_sweep_goes_on_exactly(
    tiny_recipe: Path, undisturbed: Path, tmp_path: Path, engine: str, number: signal.Signals
) -> None:
    out = tmp_path / "interrupted"
    state = out / "compact_weight=0,seed0" / "fold1" / "state.pt"
    options = ["--workers", 1, "--cores-per-run", 1] if engine == "process" else []
    command = ("sweep", tiny_recipe, *LONG, "--out", out, "--engine", engine, *options)
    process = start(*command, "train.save_minutes=0.001")
    wait_until(state.exists, process)
    if number == signal.SIGINT:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    outcome = finish(process)
    assert outcome.code == 128 + number
    assert "0 of 2 runs are done, the state of running ones is saved" in outcome.err
    assert "hint: run the same command again" in outcome.err
    assert temporaries(out) == []
    saved = torch.load(state, weights_only=True)
    assert saved["epoch"] + saved["step"] > 0
    assert not (state.parent / "run.json").exists()
    finish(start("sweep", tiny_recipe, *LONG, "--out", out)).succeeded()
    same_answers(out, undisturbed)
