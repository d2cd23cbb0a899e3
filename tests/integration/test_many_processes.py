"""Several processes under torchrun: the figures of one, and a clean end when one of them dies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dfer.training.peers import PATIENCE_S
from tests.integration.program import Outcome, dfer, environment, finish, wait_until

SETTINGS = [
    "train.epochs=4", "train.batch_size=5", "train.ema_decay=0.9",
    "augment.jitter=0.2", "augment.mixup=0.4", "augment.cutmix=1.0", "loss.class_weights=sqrt",
]  # fmt: skip


def torchrun(processes: int, *arguments: object) -> subprocess.Popen[str]:
    """Start the program in so many processes, on a free port."""
    launcher = ["-m", "torch.distributed.run", "--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0"]
    return subprocess.Popen(
        [sys.executable, *launcher, "--nproc-per-node", str(processes), "-m", "dfer", *map(str, arguments)],
        text=True,
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    )


def worker(launcher: subprocess.Popen[str], rank: int) -> int:
    """The process id of a rank."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            variables = (folder / "environ").read_bytes().split(b"\0")
        except (OSError, ValueError, IndexError):
            continue
        if parent == launcher.pid and f"RANK={rank}".encode() in variables:
            return int(folder.name)
    raise AssertionError(f"no process of rank {rank}")


def history(folder: Path) -> list[dict[str, float]]:
    path = folder / "fold1" / "metrics.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def assert_same_curve(ours: list[dict[str, float]], theirs: list[dict[str, float]], close: float) -> None:
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        for name in ("train_loss", "train_entropy", "train_compact", "val_loss", "val_war", "val_uar", "lr"):
            assert one[name] == pytest.approx(other[name], rel=close, abs=close), (one["epoch"], name)


@pytest.fixture(params=["float32", "bf16"])
def precision(request: pytest.FixtureRequest) -> str:
    """The number format: `auto` is bf16 on CPUs that compute in it, float32 on others."""
    return str(request.param)


@pytest.fixture
def command(tiny_recipe: Path, precision: str) -> list[object]:
    return ["train", tiny_recipe, *SETTINGS, f"train.precision={precision}", "--device", "cpu", "--out"]


def test_two_processes_give_the_curve_of_one(command: list[object], precision: str, tmp_path: Path) -> None:
    """Batches of 5 over 2 processes, and a last one that is smaller."""
    dfer(*command, tmp_path / "one").succeeded()
    outcome = finish(torchrun(2, *command, tmp_path / "two")).succeeded()
    one, two = history(tmp_path / "one"), history(tmp_path / "two")
    assert_same_curve(one, two, close=1e-3 if precision == "float32" else 2e-2)
    assert one[0]["train_loss"] - one[-1]["train_loss"] > 0.01, "a curve, not a line"
    assert outcome.err.count("epoch   1") == 1, "one process speaks"
    assert json.loads((tmp_path / "two" / "fold1" / "run.json").read_text())["processes"] == 2


def test_a_process_that_dies_ends_the_job_and_the_next_one_goes_on(command: list[object], tmp_path: Path) -> None:
    long = [*command[:-1], "train.epochs=12", "train.save_minutes=0.001", "optim.accumulate=2", "--out"]
    killed = tmp_path / "killed"
    for victim, moment in ((1, 2), (0, 5)):
        launcher = torchrun(2, *long, killed)
        wait_until(lambda moment=moment: len(history(killed)) >= moment, launcher)  # type: ignore[misc]
        os.kill(worker(launcher, victim), signal.SIGKILL)
        outcome = finish(launcher)
        assert outcome.code == 1
        assert one_error(outcome).startswith("error: another process of this training job has ended")
        assert moment <= len(history(killed)) < 12
    assert "resuming after epoch" in finish(torchrun(2, *long, killed)).succeeded().err
    finish(torchrun(2, *long, tmp_path / "undisturbed")).succeeded()
    for name in ("last.safetensors", "best.safetensors"):
        ours, theirs = (run / "fold1" / name for run in (killed, tmp_path / "undisturbed"))
        assert ours.read_bytes() == theirs.read_bytes()


def test_an_error_of_all_processes_is_reported_once(command: list[object], tmp_path: Path) -> None:
    outcome = finish(torchrun(2, *command[:-1], "optim.lr=1e6", "--out", tmp_path / "run"))
    assert outcome.code == 1
    assert one_error(outcome).startswith("error: training diverged")


def test_a_process_that_hangs_ends_the_job(command: list[object], tmp_path: Path) -> None:
    """No message fails, as over NCCL when a process has ended."""
    launcher = torchrun(2, *command[:-1], "train.epochs=5000", "train.save_minutes=0.001", "--out", tmp_path / "run")
    wait_until(lambda: len(history(tmp_path / "run")) >= 1, launcher)
    waiting, hung = (Path(f"/proc/{worker(launcher, rank)}") for rank in (0, 1))
    os.kill(int(hung.name), signal.SIGSTOP)
    end = time.monotonic() + 3 * PATIENCE_S
    while (waiting / "cmdline").exists() and (waiting / "cmdline").read_bytes() and time.monotonic() < end:
        time.sleep(0.1)
    os.kill(int(hung.name), signal.SIGKILL)
    outcome = finish(launcher)
    assert outcome.code == 1
    assert one_error(outcome).startswith("error: another process of this training job has ended")


def one_error(outcome: Outcome) -> str:
    (line,) = outcome.lines("error: ")
    (_hint,) = outcome.lines("hint: ")
    return line
