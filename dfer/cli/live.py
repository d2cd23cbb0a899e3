"""The live view of a training run on a terminal; elsewhere, plain lines."""

from __future__ import annotations

import os
import time
from types import TracebackType
from typing import Any

from rich.console import Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from dfer.cli.console import note, stderr
from dfer.cli.progress import Progress
from dfer.runtime.formatting import format_bytes, format_eta, pluralize
from dfer.training import StepProgress, TrainingObserver

_SEPARATOR = Text("   ")


class TrainingScreen(TrainingObserver):
    """Shows steps as they happen and keeps one line per epoch."""

    def __init__(self) -> None:
        self._reset(0)
        self._live: Live | None = None
        is_first = os.environ.get("RANK", "0") == "0"  # only one of torchrun's processes shows anything
        if is_first and stderr.is_terminal and not stderr.is_dumb_terminal:
            self._live = Live(console=stderr, get_renderable=self.render, transient=True, refresh_per_second=4)

    def _reset(self, fold: int) -> None:
        self._fold = fold
        self._loaded = (0, 0)
        self._progress: Progress | None = None  # replaces the screen where there is no terminal
        self._step: StepProgress | None = None
        self._accuracy = Text("no validation yet", "dim")
        self._begun, self._first_step = time.monotonic(), 0

    def __enter__(self) -> TrainingScreen:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def render(self) -> Group:
        """Return the current screen: progress, quality and speed, a line each."""
        if self._step is None:
            done, total = self._loaded
            loading = [_bar_line(Text("loading crops"), done, total, Text(f"{done:,}/{total:,}"))]
            return Group(*loading if total else [])
        now = self._step
        count = Text(f"{now.step}/{now.steps}{self._time_left(now)}")
        quality = [Text(f"loss {now.loss:.4f}", "bold"), self._accuracy, Text(f"lr {now.lr:.2e}")]
        speed = [
            Text(f"{now.clips_per_s:.1f} clips/s"),
            Text(f"step {now.step_ms:.0f} ms"),
            Text(f"data wait {now.data_wait:.0%}"),
            Text(f"memory {format_bytes(now.memory_bytes)}"),
        ]
        return Group(
            _bar_line(Text(f"fold {self._fold}   epoch {now.epoch}/{now.epochs}"), now.step, now.steps, count),
            _SEPARATOR.join(quality),
            _SEPARATOR.join(speed),
        )

    def _time_left(self, now: StepProgress) -> str:
        """Return the time left for the fold; its average speed includes validation."""
        done = _steps_done(now)
        if done == self._first_step:
            return ""
        seconds_per_step = (time.monotonic() - self._begun) / (done - self._first_step)
        return f"   {format_eta((now.epochs * now.steps - done) * seconds_per_step)} left"

    def on_start(self, fold: int, facts: dict[str, Any]) -> None:
        """Print what is trained, and on which machine."""
        self._reset(fold)
        resumed = f", resuming after epoch {facts['epochs_done']}" if facts["epochs_done"] else ""
        note(
            f"fold {fold}: {pluralize(facts['num_train'], 'training clip')}, "
            f"{pluralize(facts['num_val'], 'validation clip')}; "
            f"{facts['parameters'] / 1e6:.1f} M parameters, {facts['precision']}, "
            f"on {facts['machine']}{resumed}"
        )
        if facts["data"]["notice"]:
            note(f"note: {facts['data']['notice']}")

    def on_load(self, done: int, total: int) -> None:
        """Show how many crops are decoded."""
        self._loaded = done, total
        if self._live is None:
            self._progress = self._progress or Progress("load", "crops")
            self._progress.set(done, total)

    def on_feed(self, description: str) -> None:
        """Print where the clips are kept."""
        self._progress = None
        note(f"clips {description}")

    def on_step(self, progress: StepProgress) -> None:
        """Show a finished step."""
        done = _steps_done(progress)
        if self._step is None:
            self._begun, self._first_step = time.monotonic(), done
        self._step = progress
        if self._live is None:
            self._progress = self._progress or Progress("train", "steps")
            total, earlier = progress.epochs * progress.steps, self._first_step - 1
            self._progress.set(done, total, f"loss {progress.loss:.4f}", earlier=earlier)

    def on_epoch(self, record: dict[str, Any]) -> None:
        """Print the line of a finished epoch."""
        line = Text(f"epoch {record['epoch']:3.0f}  loss {record['train_loss']:.4f}")
        if "val_war" in record:
            self._accuracy = Text(f"WAR {record['val_war']:.2%}   UAR {record['val_uar']:.2%}", "bold")
            line += Text(
                f"  val loss {record['val_loss']:.4f}  WAR {record['val_war']:6.2%}  UAR {record['val_uar']:6.2%}",
                "bold",
            )
        for name, figures in record.get("val", {}).items():
            line += Text(f"  {name} {figures['war']:.2%} / {figures['uar']:.2%}")
        line += Text(
            f"  {record.get('clips_per_s', 0):6.1f} clips/s  data wait {record.get('data_wait', 0):4.0%}  "
            f"step {record.get('step_ms', 0):.0f} ms",
            "dim",
        )
        stderr.print(line, soft_wrap=True)

    def on_end(self, fold: int, record: dict[str, Any]) -> None:
        """Print the result of a fold."""
        self._reset(fold)
        if record.get("already_trained"):
            note(f"fold {fold} is already trained (epoch {record['epochs']}); --no-resume trains it from scratch")
        elif record["best"]:
            best = record["best"]
            note(f"fold {fold} done: {record['selection']}: epoch {best['epoch']:.0f}, WAR {best['val_war']:.2%}")
        else:
            note(f"fold {fold} done")


def _steps_done(now: StepProgress) -> int:
    """Return the number of steps finished, of the fold."""
    return (now.epoch - 1) * now.steps + now.step


def _bar_line(before: Text, done: int, total: int, after: Text) -> Table:
    line = Table.grid(padding=(0, 1))
    line.add_row(before, ProgressBar(total=total, completed=done, width=24), after)
    return line
