"""A training run from top to bottom: its folds, the epochs of a fold, the steps of an epoch.

`train` does the folds, `FoldTrainer.steps` the epochs; `_train_epoch` the steps, and `_finish_epoch` validates and
saves. What they work with is built in `setup`; what they leave behind is written by `artifacts`.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import torch

from dfer.batches.loaders import ClipLoader
from dfer.errors import DferError
from dfer.evaluation.metrics import best_epoch
from dfer.recipe import Recipe
from dfer.runs import RUNS, fold_folder
from dfer.runtime.device import choose_device, choose_precision, used_memory
from dfer.runtime.environment import describe_environment, utc_now
from dfer.runtime.machine import keep_freed_memory
from dfer.runtime.transfer import Readback
from dfer.store import Store
from dfer.store.coverage import find_one_sided_classes
from dfer.store.manifest import ManifestRow
from dfer.training import distributed
from dfer.training.artifacts import FoldFolder, TrainingState
from dfer.training.folder import open_fold
from dfer.training.observer import EpochClock, StepProgress, TrainingObserver
from dfer.training.saving import Saver
from dfer.training.setup import build_learner, open_loaders
from dfer.training.splits import fold_rows, open_stores
from dfer.training.step import Stepper, seed_of
from dfer.training.stopping import DivergenceWatch, Interrupt, diverged, out_of_memory
from dfer.training.validation import own_share, validate

logger = logging.getLogger(__name__)


def train(
    recipe: Recipe,
    *,
    folds: Sequence[int] | None = None,
    out: Path | None = None,
    device: str = "auto",
    resume: bool = True,
    observer: TrainingObserver | None = None,
) -> list[dict[str, Any]]:
    """Train folds of the recipe's stores; a finished fold is not trained again.

    Under `torchrun`, all processes call this, and share every batch.

    Args:
        recipe: training settings, and the stores to train on.
        folds: fold numbers, 1-based; None for all.
        out: the run's folder; None for runs/NAME.
        device: "auto", "cpu" or "cuda".
        resume: continue where an earlier run stopped; otherwise each fold starts from scratch.
        observer: receives the events of the run.

    Returns:
        The run record of each fold.

    Raises:
        DferError: the data, the recipe or an earlier state do not fit, or training failed.
        KeyboardInterrupt: Ctrl-C, after the state was saved.
    """
    chosen = choose_device(device)
    store = open_stores(recipe.data)
    run = out or RUNS / recipe.name
    records = []
    with distributed.process_group(chosen):
        if distributed.rank():  # the first process reports for all
            observer = None
            logging.getLogger("dfer").setLevel(logging.ERROR)
        for fold in folds or sorted({number for row in store.rows for number in row.folds}):
            with nullcontext() if distributed.rank() else open_fold(run, fold, recipe.data.folders, resume=resume):
                # No name is bound to it: its crops and weights make room for those of the next fold.
                records.append(
                    FoldTrainer(recipe, store, fold, run, device=chosen, resume=resume, observer=observer).train()
                )
    return records


class FoldTrainer:
    """Trains one fold of a store.

    Args:
        recipe: training settings.
        store: the data.
        fold: 1-based.
        run: the run's folder; this fold goes into `foldK` there.
        device: the device to train on.
        resume: continue from the state there; otherwise start from scratch.
        observer: receives the events of the run.

    Raises:
        DferError: the data, recipe or state do not fit.
    """

    def __init__(
        self,
        recipe: Recipe,
        store: Store,
        fold: int,
        run: Path,
        *,
        device: torch.device,
        resume: bool = True,
        observer: TrainingObserver | None = None,
    ) -> None:
        self.recipe, self.store, self.fold, self.device = recipe, store, fold, device
        self.observer = observer or TrainingObserver()
        self.dtype = choose_precision(recipe.train.precision, device)
        if device.type == "cpu":
            keep_freed_memory()
        self.train_rows, self.val_rows = fold_rows(store, fold, recipe)
        self.folder = FoldFolder(fold_folder(run, fold), recipe, store, fold, self.train_rows)
        torch.manual_seed(seed_of(recipe.train.seed, fold, 0, 0))  # decides the initial weights
        self.learner = build_learner(recipe, store, self.train_rows, device=device)
        self.stepper = Stepper(recipe, self.learner, device=device, dtype=self.dtype, fold=fold)
        self.state = TrainingState()
        saved = distributed.broadcast(self.folder.load_state() if resume and distributed.rank() == 0 else None)
        if saved is not None:
            self.folder.load_into(self.learner, saved)
            self.state = TrainingState(**{name: saved[name] for name in vars(self.state)})
        self._interrupt = Interrupt()
        self._watch = DivergenceWatch(len(store.info.labels))
        self._saver = Saver(self.folder, self.learner, recipe.train.save_minutes)
        self._stop_agreed = self._save_agreed = False

    def train(self) -> dict[str, Any]:
        """Train to the recipe's last epoch, or find it done.

        Returns:
            The run record, as in run.json.

        Raises:
            DferError: the loss diverged, the device is out of memory, or the disk is full; the last good state is kept.
            KeyboardInterrupt: Ctrl-C; the state was saved first.
        """
        epochs = self.recipe.train.epochs
        finished = distributed.broadcast(self.folder.read_record() if self.state.epoch >= epochs else None)
        if finished is not None:
            self.observer.on_end(self.fold, finished | {"already_trained": True})
            return finished
        started, facts = utc_now(), self._facts()
        self.observer.on_start(self.fold, facts)
        for line in find_one_sided_classes(self.store.rows, self.store.info.labels, fold=self.fold):
            logger.warning("%s", line)
        train_loader, val_loader, facts["feed"] = self.open_loaders()
        self.observer.on_feed(facts["feed"])
        full: torch.OutOfMemoryError | None = None
        try:
            with self._interrupt:
                for _clips in self.steps(train_loader, val_loader):
                    pass
        except torch.OutOfMemoryError as error:
            full = error.with_traceback(None)  # its frames hold the step's tensors
        if full is not None:
            raise self._out_of_memory() from full
        record = facts | {"started": started, "finished": utc_now(), "best": self.state.best}
        record["last"] = self.state.history[-1]
        if distributed.rank() == 0:
            self.folder.finish(record, self.state)
        self.observer.on_end(self.fold, record)
        return record

    def open_loaders(self) -> tuple[ClipLoader, ClipLoader, str]:
        """Begin the fold's folder, and return loaders of training and validation clips, and where their crops lie."""
        if distributed.rank() == 0:
            self.folder.begin()
        on_gpu = self.device.type == "cuda"
        return open_loaders(
            self.store, self.train_rows, own_share(self.val_rows), self.recipe,
            unit=self.stepper.augment.unit, device=self.device, on_load=self.observer.on_load,
            step_bytes=self.stepper.needed_bytes(self.store.info.crop_size) if on_gpu else 0,
        )  # fmt: skip

    def steps(self, train_loader: ClipLoader, val_loader: ClipLoader) -> Iterator[int]:
        """Do the remaining epochs, with all that belongs to them.

        Yields:
            The clips of each step when it has been started, and 0 when an epoch has been validated and saved.

        Raises:
            KeyboardInterrupt: the run was asked to stop; the state was saved first.
        """
        try:
            while self.state.epoch < self.recipe.train.epochs:
                yield from self._train_epoch(train_loader)
                self._finish_epoch(train_loader, val_loader)
                yield 0
                if self._stop_agreed:
                    raise KeyboardInterrupt
        finally:
            self._saver.close()

    def _train_epoch(self, loader: ClipLoader) -> Iterator[int]:
        """Do the remaining steps of an epoch, and yield the clips of each.

        A step's losses are read after the next step has been started, so that a GPU need not wait for Python; the
        state is only ever saved with all losses read and found good. Several processes learn with the losses whether
        to save or to stop, so that all of them read, save and leave at the same step.
        """
        state, settings, steps = self.state, self.recipe.train, len(loader)
        self._clock = EpochClock()
        unread: tuple[int, Sequence[ManifestRow], Readback, float] | None = None
        self.learner.begin_epoch()
        batches = loader.shuffled((settings.seed, self.fold, state.epoch), start=state.step)
        for number, (rows, parts) in enumerate(batches, state.step):
            totals = self.stepper.run(
                rows, parts, epoch=state.epoch, step=number, steps=steps,
                stop=self._interrupt.requested, save=self._saver.due,
            )  # fmt: skip
            if unread is not None:
                self._read_losses(*unread, loader)
            unread = number, rows, Readback(totals), self.learner.lr
            stop = self._stops
            save = self._saver.due if distributed.world_size() == 1 else self._save_agreed
            last = number + 1 == steps
            if last or stop or save:
                self._read_losses(*unread, loader)
                unread = None
            if (stop or save) and not last:
                self._check_weights()
                self._save_state(leaving=stop)
                if stop:
                    raise KeyboardInterrupt
            yield len(rows)

    def _read_losses(
        self, step: int, rows: Sequence[ManifestRow], totals: Readback, lr: float, loader: ClipLoader
    ) -> None:
        """Add a step's losses to the epoch's, or end the run if they are not usable."""
        state = self.state
        entropy, compact, stops, saves = totals.read()
        loss = entropy + compact
        if self._watch.diverged(loss):
            what = "NaN" if math.isnan(loss) else "infinite" if math.isinf(loss) else f"{loss:.3g} in step after step"
            clips = ", ".join(row.clip_id for row in rows[:8])
            raise diverged(
                f"the loss is {what} at epoch {state.epoch + 1}, step {step + 1}",
                where=f"clips {clips}",
                folder=self.folder.path,
            )
        for name, value in {"loss": loss, "entropy": entropy, "compact": compact, "clips": 1.0}.items():
            state.sums[name] = state.sums.get(name, 0.0) + value * len(rows)
        state.step = step + 1
        self._stop_agreed |= stops > 0
        self._save_agreed = saves > 0
        self._clock.count(len(rows))
        self.observer.on_step(
            StepProgress(
                epoch=state.epoch + 1,
                epochs=self.recipe.train.epochs,
                step=state.step,
                steps=len(loader),
                loss=state.sums["loss"] / state.sums["clips"],
                lr=lr,
                memory_bytes=used_memory(self.device),
                **self._clock.speed(loader.waited_s),
            )
        )

    def _finish_epoch(self, train_loader: ClipLoader, val_loader: ClipLoader) -> None:
        """Validate, and save at the end, before a stop, and otherwise when it is time."""
        state = self.state
        self._check_weights()
        clips, seconds, speed = state.sums["clips"], self._clock.seconds, self._clock.speed(train_loader.waited_s)
        record = {
            "epoch": state.epoch + 1,
            "train_loss": state.sums["loss"] / clips,
            "train_entropy": state.sums["entropy"] / clips,
            "train_compact": state.sums["compact"] / clips,
            "lr": self.learner.lr,
            "epoch_s": round(seconds, 3),
            **{name: round(value, 4) for name, value in speed.items()},
            **validate(
                self.learner.evaluated,
                val_loader,
                self.val_rows,
                self.store,
                features_of=self.stepper.evaluated_features,
                dtype=self.dtype,
            ),
        }
        state.epoch, state.step, state.sums = state.epoch + 1, 0, {}
        state.history.append(record)
        state.best = best_epoch(state.history)
        if distributed.rank() == 0:
            self._saver.finish_epoch(state)
        self._stop_agreed |= self._stops
        leaving = self._stop_agreed or state.epoch == self.recipe.train.epochs
        if leaving or self._saver.due:
            self._save_state(leaving=leaving)
        self.observer.on_epoch(record)

    def _save_state(self, *, leaving: bool) -> None:
        """Save in the background, or, before this process leaves the run, to the end."""
        if distributed.rank() == 0:
            self._saver.save(self.state)
        self._saver.restart_clock()
        self._save_agreed = False
        if leaving:
            if distributed.rank() == 0:
                self._saver.wait()
            # The others wait: torchrun would end this process with the first one that leaves.
            distributed.broadcast(None)

    def _check_weights(self) -> None:
        """End the run rather than save a state that is of no use."""
        if not self.learner.is_finite():
            what = f"weights are NaN or infinite after step {self.state.step} of epoch {self.state.epoch + 1}"
            raise diverged(what, where=str(self.folder.path), folder=self.folder.path)

    @property
    def _stops(self) -> bool:
        """True if training must stop now; several processes agree on the step, as each learns of it with the losses."""
        return self._interrupt.requested if distributed.world_size() == 1 else self._stop_agreed

    def _out_of_memory(self) -> DferError:
        world_size = distributed.world_size()
        return out_of_memory(
            # Several processes cannot try: batch norm would wait for the others.
            partial(self.stepper.probe, crop_size=self.store.info.crop_size) if world_size == 1 else None,
            batch=self.recipe.train.batch_size,
            accumulate=self.recipe.optim.accumulate,
            world_size=world_size,
            where=str(self.device),
        )

    def _facts(self) -> dict[str, Any]:
        return {
            **self.folder.describe(),
            **describe_environment(self.device),
            "num_train": len(self.train_rows),
            "num_val": len(self.val_rows),
            "selection": self.folder.selection if self.val_rows else "last",
            "parameters": sum(parameter.numel() for parameter in self.learner.model.parameters()),
            "precision": "bf16 autocast" if self.dtype == torch.bfloat16 else "float32",
            "processes": distributed.world_size(),
            "epochs_done": self.state.epoch,
        }
