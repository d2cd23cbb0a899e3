"""Measure everything that needs a GPU, in one go, and write the results to files: what docs/benchmarks.md still lacks.

    python docs/gpu_session.py --out gpu_session

It generates a random store with DFEW's number of clips and lengths, and runs, one after the other: the models, reading
clips, training in batches of 64 and 256, compiled and not; two processes on one GPU; a run that is killed and resumed;
all folds, for their time alone; and a profile. Each step has a log and a result of its own; a step that fails is
reported and does not end the session, and one that has a result is not repeated. `--device cpu --scale 0.002` tries the
script itself.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from dfer.bench.random_store import clip_lengths, generate_store
from dfer.errors import DferError
from dfer.recipe import load_recipe, shipped_recipes
from dfer.run_records import read_metrics
from dfer.runs import fold_folder
from dfer.runtime.device import choose_device
from dfer.runtime.environment import describe_environment
from dfer.runtime.files import write_json, write_text
from dfer.store import open_store
from dfer.training.loop import FoldTrainer

TRAINING = [(batch, compiled) for batch in (64, 256) for compiled in ("on", "off")]
PROFILED_STEPS = 5


@dataclass
class Session:
    """The options of a session.

    Attributes:
        out: folder of the results.
        device: "cuda", or "cpu" to try the script.
        scale: share of DFEW's clips.
        seconds: time of each measurement.
        epochs: of the runs that are timed.
        overrides: of recipes/dfew.yaml.
    """

    out: Path
    device: str
    scale: float
    seconds: float
    epochs: int
    overrides: list[str]

    @property
    def store(self) -> Path:
        """The random store."""
        return self.out / "store"

    def dfer(self, name: str, *arguments: object, processes: int = 1) -> dict[str, Any]:
        """Run the program; its output goes to NAME.log.

        Raises:
            DferError: it failed.
        """
        begun = time.monotonic()
        with (self.out / f"{name}.log").open("w") as log:
            code = subprocess.run(_command(processes, *arguments), stdout=log, stderr=log, check=False).returncode
        if code:
            raise DferError(f"exit code {code}", where=self.out / f"{name}.log")
        return {"seconds": time.monotonic() - begun}

    def train(self, *more: object) -> list[object]:
        """Return the arguments of a training run on the random store."""
        changes = [f"data.path={self.store}", f"train.epochs={self.epochs}", "optim.warmup_epochs=0"]
        return ["train", "dfew.yaml", *changes, *self.overrides, "--device", self.device, *more]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("gpu_session"), help="folder of the results")
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--scale", type=float, default=1.0, help="share of DFEW's clips")
    parser.add_argument("--seconds", type=float, default=60.0, help="time of each measurement")
    parser.add_argument("--epochs", type=int, default=2, help="epochs of the runs that are timed")
    parser.add_argument("--only", nargs="*", help="names of steps; all by default")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="overrides of recipes/dfew.yaml")
    options = parser.parse_args()
    session = Session(
        options.out, options.device, options.scale, options.seconds, options.epochs, options.overrides
    )  # fmt: skip
    session.out.mkdir(parents=True, exist_ok=True)
    write_json(session.out / "environment.json", describe_environment(choose_device(options.device)))
    failed = [name for name, step in steps(session).items() if not _done(session, name, step, options.only)]
    print(f"results in {session.out}" + (f"; failed: {', '.join(failed)}" if failed else ""))
    sys.exit(bool(failed))


def steps(session: Session) -> dict[str, Callable[[], dict[str, Any]]]:
    """Return what a session does, by name, in order."""
    out, device = session.out, ["--device", session.device]

    def bench(name: str, *arguments: object) -> Callable[[], dict[str, Any]]:
        def run() -> dict[str, Any]:
            measured = out / f"{name}.measured.json"
            session.dfer(name, "bench", *arguments, "--json", measured)
            result: dict[str, Any] = json.loads(measured.read_text())
            return result

        return run

    seconds = ["--seconds", session.seconds]
    return {
        "store": lambda: _generate(session),
        "models": bench("models", *device, *seconds),
        "feed": bench("feed", "feed", *seconds),
        "step": bench("step", "step", "dfew.yaml", *session.overrides),
        **{
            f"train_{batch}_compile_{compiled}": bench(
                f"train_{batch}_compile_{compiled}",
                "train",
                f"train.compile={compiled}",
                *session.overrides,
                "--batch-size",
                batch,
                "--scale",
                session.scale,
                *seconds,
                *device,
            )
            for batch, compiled in TRAINING
        },
        "two_processes": lambda: session.dfer("two_processes", *session.train("--out", out / "two"), processes=2),
        "killed_and_resumed": lambda: _kill_and_resume(session),
        "five_folds": lambda: session.dfer("five_folds", *session.train("--fold", "all", "--out", out / "folds")),
        "profile": lambda: _profile(session),
    }


def _done(session: Session, name: str, step: Callable[[], dict[str, Any]], only: list[str] | None) -> bool:
    """Do a step and write its result, unless it has one or is not wanted; return whether it did not fail."""
    result = session.out / f"{name}.json"
    if result.exists() or (only and name not in only):
        return True
    print(name, flush=True)
    try:
        write_json(result, step())
    except Exception as error:  # whatever it is, the next step may work
        write_text(session.out / f"{name}.failed.txt", f"{type(error).__name__}: {error}\n")
        print(f"  failed: {error}", flush=True)
        return False
    return True


def _generate(session: Session) -> dict[str, Any]:
    lengths = clip_lengths(None, session.scale)
    begun = time.monotonic()
    generate_store(session.store, lengths, 112, num_folds=5)
    return {"clips": len(lengths), "crops": sum(lengths), "seconds": time.monotonic() - begun}


def _kill_and_resume(session: Session) -> dict[str, Any]:
    """Kill a run once it has saved its state, resume it, and compare its history with that of one left alone."""
    run = session.out / "killed"
    arguments = session.train("train.save_minutes=0.01", "--out", run)
    process = subprocess.Popen(_command(1, *arguments), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and not (fold_folder(run, 1) / "state.pt").exists():
        time.sleep(0.2)
    process.send_signal(signal.SIGKILL)
    code = process.wait()
    session.dfer("resumed", *arguments)
    session.dfer("left_alone", *session.train("--out", session.out / "alone"))
    folders = [fold_folder(folder, 1) for folder in (run, session.out / "alone")]
    losses = [[epoch["train_loss"] for epoch in read_metrics(folder)] for folder in folders]
    return {"killed": code == -signal.SIGKILL, "resumed": losses[0], "left_alone": losses[1]}


def _profile(session: Session) -> dict[str, Any]:
    """Write the operators of some steps by their time, and a trace for a browser."""
    device = choose_device(session.device)
    changes = [f"data.path={session.store}", "train.batch_size=256" if device.type == "cuda" else "train.batch_size=8"]
    recipe = load_recipe(shipped_recipes() / "dfew.yaml", [*changes, *session.overrides])
    trainer = FoldTrainer(recipe, open_store(session.store), 1, session.out / "profiled", device=device, resume=False)
    train_loader, val_loader, feed = trainer.open_loaders()
    running = trainer.steps(train_loader, val_loader)
    for _ in range(2):
        next(running)
    kinds = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA][: 1 + (device.type == "cuda")]
    with torch.profiler.profile(activities=kinds) as profiler:
        clips = sum(next(running) for _ in range(PROFILED_STEPS))
    key = "self_cuda_time_total" if device.type == "cuda" else "self_cpu_time_total"
    write_text(session.out / "profile.txt", profiler.key_averages().table(sort_by=key, row_limit=60))
    profiler.export_chrome_trace(str(session.out / "profile.trace.json"))
    return {"clips": clips, "feed": feed}


def _command(processes: int, *arguments: object) -> list[str]:
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    return [sys.executable, *(launcher if processes > 1 else []), "-m", "dfer", *map(str, arguments)]


if __name__ == "__main__":
    main()
