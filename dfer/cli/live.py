"""The live view of a training run; plain lines where stderr is no terminal."""

from __future__ import annotations

import os
import time
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from dfer.cli.console import note, stderr
from dfer.cli.progress import Progress

if TYPE_CHECKING:
    from dfer.training import StepProgress, TrainingObserver

_SEPARATOR = Text("   ")


class TrainingScreen:
    """Shows steps as they happen and keeps a line per epoch."""

    def __init__(self) -> None:
        self._reset(0)
        self._live: Live | None = None
        first = os.environ.get("RANK", "0") == "0"  # of the processes that torchrun starts, one shows
        if first and stderr.is_terminal and not stderr.is_dumb_terminal:
            self._live = Live(console=stderr, get_renderable=self.render, transient=True, refresh_per_second=4)

    def _reset(self, fold: int) -> None:
        self._fold = fold
        self._loaded = (0, 0)
        self._lines: Progress | None = None  # in place of the screen
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
        """The screen as it is now: a bar, how well it goes, how fast it goes."""
        if self._step is None:
            done, total = self._loaded
            loading = [_bar_line(Text("loading crops"), done, total, Text(f"{done:,}/{total:,}"))]
            return Group(*loading if total else [])
        now = self._step
        count = Text(f"{now.step}/{now.steps}   {self._time_left(now)} left")
        quality = [Text(f"loss {now.loss:.4f}", "bold"), self._accuracy, Text(f"lr {now.lr:.2e}")]
        speed = [
            Text(f"{now.clips_per_s:.1f} clips/s"),
            Text(f"step {now.step_ms:.0f} ms"),
            Text(f"data wait {now.data_wait:.0%}"),
            Text(f"memory {now.memory_bytes / 1e9:.1f} GB"),
        ]
        return Group(
            _bar_line(Text(f"fold {self._fold}   epoch {now.epoch}/{now.epochs}"), now.step, now.steps, count),
            _SEPARATOR.join(quality),
            _SEPARATOR.join(speed),
        )

    def _time_left(self, now: StepProgress) -> str:
        """Of the fold, by the steps seen so far."""
        done = _steps_done(now)
        seen = done - self._first_step
        left = (now.epochs * now.steps - done) * (time.monotonic() - self._begun) / max(1, seen)
        return str(timedelta(seconds=round(left)))

    def observer(self) -> TrainingObserver:
        """What `dfer.training` tells how it goes."""
        from dfer.training import TrainingObserver

        screen = self

        class Observer(TrainingObserver):
            def on_start(self, fold: int, facts: dict[str, Any]) -> None:
                screen.start(fold, facts)

            def on_load(self, done: int, total: int) -> None:
                screen.load(done, total)

            def on_feed(self, description: str) -> None:
                screen.feed(description)

            def on_step(self, progress: StepProgress) -> None:
                screen.step(progress)

            def on_epoch(self, record: dict[str, float]) -> None:
                screen.epoch(record)

            def on_end(self, fold: int, record: dict[str, Any]) -> None:
                screen.end(fold, record)

        return Observer()

    def start(self, fold: int, facts: dict[str, Any]) -> None:
        """What is about to be trained, and on what."""
        self._reset(fold)
        resumed = f", going on after epoch {facts['epochs_done']}" if facts["epochs_done"] else ""
        note(
            f"fold {fold}: {facts['num_train']} clips to train on, {facts['num_val']} to choose by; "
            f"{facts['parameters'] / 1e6:.1f} M parameters, {facts['precision']}, "
            f"on {facts['machine']}{resumed}"
        )
        if facts["data"]["notice"]:
            note(f"note: {facts['data']['notice']}")

    def load(self, done: int, total: int) -> None:
        """So many crops are decoded."""
        self._loaded = done, total
        if self._live is None:
            self._lines = self._lines or Progress("load", "crops")
            self._lines.set(done, total)

    def feed(self, description: str) -> None:
        """Where the clips lie."""
        self._lines = None
        note(f"clips {description}")

    def step(self, progress: StepProgress) -> None:
        """Take over the figures of a step."""
        if self._step is None:
            self._begun = time.monotonic()
            self._first_step = _steps_done(progress)
        self._step = progress
        if self._live is None:
            self._lines = self._lines or Progress("train", "steps")
            self._lines.set(_steps_done(progress), progress.epochs * progress.steps, f"loss {progress.loss:.4f}")

    def epoch(self, record: dict[str, float]) -> None:
        """The line of a finished epoch."""
        line = Text(f"epoch {record['epoch']:3.0f}  loss {record['train_loss']:.4f}")
        if "val_war" in record:
            self._accuracy = Text(f"WAR {record['val_war']:.2%}   UAR {record['val_uar']:.2%}", "bold")
            line += Text(
                f"  val loss {record['val_loss']:.4f}  WAR {record['val_war']:6.2%}  UAR {record['val_uar']:6.2%}",
                "bold",
            )
        line += Text(
            f"  {record.get('clips_per_s', 0):6.1f} clips/s  data wait {record.get('data_wait', 0):4.0%}  "
            f"step {record.get('step_ms', 0):.0f} ms",
            "dim",
        )
        stderr.print(line, soft_wrap=True)

    def end(self, fold: int, record: dict[str, Any]) -> None:
        """Where the fold's weights are, and how it ended."""
        self._reset(fold)
        if record.get("already_trained"):
            note(f"fold {fold} is trained already (epoch {record['epochs']}); --no-resume trains it anew")
        elif record["best"]:
            best = record["best"]
            figures = f"epoch {best['epoch']:.0f}, WAR {best['val_war']:.2%}"
            note(f"fold {fold} done: {record['selection']}: {figures}")
        else:
            note(f"fold {fold} done")


def _steps_done(now: StepProgress) -> int:
    """Of the fold."""
    return (now.epoch - 1) * now.steps + now.step


def _bar_line(before: Text, done: int, total: int, after: Text) -> Table:
    line = Table.grid(padding=(0, 1))
    line.add_row(before, ProgressBar(total=total, completed=done, width=24), after)
    return line
