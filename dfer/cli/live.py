"""The live view of a training run; plain lines where stderr is no terminal."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from dfer.cli.console import note, stderr

if TYPE_CHECKING:
    from dfer.training import StepProgress, TrainingObserver


class TrainingScreen:
    """Shows steps as they happen and keeps a line per epoch."""

    def __init__(self) -> None:
        self._bar = Progress(
            TextColumn("epoch {task.fields[epoch]}/{task.fields[epochs]}"),
            BarColumn(bar_width=24),
            TextColumn("{task.completed:.0f}/{task.total:.0f}"),
            TextColumn(
                "loss {task.fields[loss]:.3f}  lr {task.fields[lr]:.1e}  {task.fields[speed]:.1f} clips/s  "
                "data wait {task.fields[wait]:.0%}"
            ),
            TimeRemainingColumn(),
            console=stderr,
            transient=True,
            disable=not stderr.is_terminal,
        )
        self._task: TaskID | None = None

    def __enter__(self) -> TrainingScreen:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def observer(self) -> TrainingObserver:
        """What `dfer.training` tells how it goes."""
        from dfer.training import TrainingObserver

        screen = self

        class Observer(TrainingObserver):
            def on_start(self, fold: int, facts: dict[str, Any]) -> None:
                screen.start(fold, facts)

            def on_step(self, progress: StepProgress) -> None:
                screen.step(progress)

            def on_epoch(self, record: dict[str, float]) -> None:
                screen.epoch(record)

            def on_end(self, fold: int, record: dict[str, Any]) -> None:
                screen.end(fold, record)

        return Observer()

    def start(self, fold: int, facts: dict[str, Any]) -> None:
        """What is about to be trained, and on what."""
        resumed = f", going on after epoch {facts['epochs_done']}" if facts["epochs_done"] else ""
        note(
            f"fold {fold}: {facts['num_train']} clips to train on, {facts['num_val']} to choose by; "
            f"{facts['parameters'] / 1e6:.1f} M parameters, {facts['precision']}, "
            f"on {facts['machine']}{resumed}"
        )
        if facts["data"]["notice"]:
            note(f"note: {facts['data']['notice']}")

    def step(self, progress: StepProgress) -> None:
        """Move the bar."""
        fields: dict[str, Any] = {
            "epoch": progress.epoch,
            "epochs": progress.epochs,
            "loss": progress.loss,
            "lr": progress.lr,
            "speed": progress.clips_per_s,
            "wait": progress.data_wait,
        }
        if self._task is None:
            self._task = self._bar.add_task("train", total=progress.steps, **fields)
        self._bar.update(self._task, completed=progress.step, total=progress.steps, **fields)

    def epoch(self, record: dict[str, float]) -> None:
        """The line of a finished epoch."""
        line = Text(f"epoch {record['epoch']:3.0f}  loss {record['train_loss']:.4f}")
        if "val_war" in record:
            line += Text(
                f"  val loss {record['val_loss']:.4f}  WAR {record['val_war']:6.2%}  UAR {record['val_uar']:6.2%}",
                "bold",
            )
        line += Text(
            f"  {record.get('clips_per_s', 0):6.1f} clips/s  data wait {record.get('data_wait', 0):4.0%}", "dim"
        )
        stderr.print(line, soft_wrap=True)

    def end(self, fold: int, record: dict[str, Any]) -> None:
        """Where the fold's weights are, and how it ended."""
        if self._task is not None:
            self._bar.remove_task(self._task)
            self._task = None
        if record.get("already_trained"):
            note(f"fold {fold} is trained already (epoch {record['epochs']}); --no-resume trains it anew")
        elif record["best"]:
            best = record["best"]
            figures = f"epoch {best['epoch']:.0f}, WAR {best['val_war']:.2%}"
            note(f"fold {fold} done: {record['selection']}: {figures}")
        else:
            note(f"fold {fold} done")
