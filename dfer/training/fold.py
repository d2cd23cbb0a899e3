"""Training one fold: an epoch from top to bottom, validation, checkpoints."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dfer.batches.loaders import Feed
from dfer.batches.prefetch import on_device
from dfer.batches.sampling import in_batches, training_plan
from dfer.errors import DferError
from dfer.model.checkpoint import CheckpointInfo
from dfer.recipe import Recipe
from dfer.records import Selection
from dfer.runs import fold_folder
from dfer.runtime.device import choose_precision, used_memory
from dfer.store import Store
from dfer.store.manifest import ManifestRow
from dfer.training.clock import EpochClock
from dfer.training.distributed import Peers
from dfer.training.divergence import DivergenceWatch
from dfer.training.feeds import describe_feed, open_feeds
from dfer.training.interrupt import Interrupt
from dfer.training.learner import build_learner
from dfer.training.memory import out_of_memory
from dfer.training.observer import StepProgress, TrainingObserver
from dfer.training.outputs import FoldOutputs
from dfer.training.record import checkpoint_info, describe_run, timestamp
from dfer.training.splits import fold_rows
from dfer.training.state import TrainingState, deciding_keys, load_state
from dfer.training.step import Stepper, seed_of
from dfer.training.validation import own_share, validate


@dataclass(frozen=True)
class _Done:
    """A step whose losses have not been read yet: reading waits for the device."""

    number: int
    rows: Sequence[ManifestRow]
    totals: Tensor
    lr: float


class FoldTrainer:
    """Trains one fold of a store by a recipe.

    Args:
        recipe: how.
        store: on what.
        fold: which, 1-based.
        run: the run's folder; this fold goes into `foldK` there.
        device: where.
        resume: go on from the state there; else start anew.
        observer: told how it goes.
        peers: processes that share the work; the first one reads the state, and alone writes.

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
        peers: Peers | None = None,
    ) -> None:
        self.recipe, self.store, self.fold, self.device = recipe, store, fold, device
        self.outputs = FoldOutputs(fold_folder(run, fold))
        self.observer = observer or TrainingObserver()
        self.peers = peers or Peers()
        self.dtype = choose_precision(recipe.train.precision, device)
        self.train_rows, self.val_rows = fold_rows(store, fold, recipe)
        self.fingerprint = store.fingerprint()

        torch.manual_seed(seed_of(recipe.train.seed, fold, 0, 0))  # the weights' random start
        self.learner = build_learner(recipe, store.info.labels, self.train_rows, device=device, peers=self.peers)
        self.model = self.learner.model
        self.stepper = Stepper(recipe, self.learner, device=device, dtype=self.dtype, fold=fold, peers=self.peers)
        self.state = TrainingState(deciding_keys(recipe), self.fingerprint)
        saved = None
        if resume and self.peers.rank == 0 and self.outputs.state.exists():
            saved = load_state(self.outputs.state, recipe, self.fingerprint)
        saved = self.peers.from_first(saved)
        if saved is not None:
            self.learner.restore_from(saved)
            self.state = saved
        self._interrupt = Interrupt()
        self._watch = DivergenceWatch(len(store.info.labels))
        self._stop_agreed = False

    def train(self) -> dict[str, Any]:
        """Train to the recipe's last epoch, or find it done.

        Returns:
            The run record, as in run.json.

        Raises:
            DferError: the loss diverged, memory ran out, or the disk is full; the last good state is kept.
            KeyboardInterrupt: Ctrl-C; the state was saved first.
        """
        finished = self.peers.from_first(self._finished_record())
        if finished is not None:
            self.observer.on_end(self.fold, finished | {"already_trained": True})
            return finished
        started = timestamp()
        if self.peers.rank == 0:
            self.outputs.begin(self.recipe)
        facts = self._facts()
        self.observer.on_start(self.fold, facts)
        feeds = open_feeds(
            self.store, self.train_rows, own_share(self.val_rows, self.peers), self.recipe.train,
            device=self.device, peers=self.peers, on_load=self.observer.on_load,
        )  # fmt: skip
        facts["feed"] = describe_feed(feeds)
        self.observer.on_feed(facts["feed"])
        full: torch.OutOfMemoryError | None = None
        try:
            with self._interrupt:
                while self.state.epoch < self.recipe.train.epochs:
                    self._train_epoch(feeds.train)
                    self._finish_epoch(feeds.val)
                    if self._stop_agreed:
                        raise KeyboardInterrupt
        except torch.OutOfMemoryError as error:
            full = error.with_traceback(None)  # its frames hold the step's tensors
        if full is not None:
            raise self._out_of_memory() from full
        record = facts | {"started": started, "finished": timestamp(), "best": self.state.best}
        record["last"] = self.state.history[-1]
        if self.peers.rank == 0:
            self.outputs.end(record, self.state.history, title=f"{self.recipe.name}, fold {self.fold}")
        self.observer.on_end(self.fold, record)
        return record

    # ---- an epoch

    def _train_epoch(self, feed: Feed) -> None:
        """The steps of an epoch that are left.

        A step's losses are read after the next step has begun, so that a GPU need not wait for us; the state is only
        ever saved with all losses read and found good.
        """
        state, settings = self.state, self.recipe.train
        lengths = [row.num_frames for row in self.train_rows]
        seed = (settings.seed, self.fold, state.epoch)
        plan = training_plan(lengths, self.recipe.model.num_frames, self.recipe.data.segments, seed)
        plan = plan[: max(1, round(settings.epoch_share * len(plan)))]
        batches = in_batches(plan, settings.batch_size)
        left = batches[state.step :]
        parts = [batch[part.clips] for batch in left for part in self.stepper.parts(len(batch))]
        frames = on_device(feed.batches(parts), self.device)
        self._clock = EpochClock()
        saved = time.monotonic()
        unread: _Done | None = None
        self.model.train()
        for number, batch in enumerate(left, state.step):
            rows = [self.train_rows[clip] for clip, _ in batch]
            outcome = self.stepper.run(
                frames,
                rows,
                epoch=state.epoch,
                step=number,
                steps=len(batches),
                stop=self._interrupt.requested,
            )
            self._clock.waited_s += outcome.waited_s
            if unread is not None:
                self._read(unread, len(batches))
            unread = _Done(number, rows, outcome.totals, self.learner.optimizer.param_groups[-1]["lr"])
            late = self.peers.rank == 0 and time.monotonic() - saved > 60 * settings.save_minutes
            if (self._stops or late) and number + 1 < len(batches):
                self._read(unread, len(batches))
                unread = None
                self._save_state()
                saved = time.monotonic()
                if self._stops:
                    raise KeyboardInterrupt
        if unread is not None:
            self._read(unread, len(batches))

    def _read(self, done: _Done, steps: int) -> None:
        """Take a step's losses into the epoch's, or end the run where they are no good."""
        state = self.state
        entropy, compact, stops = done.totals.tolist()
        loss = entropy + compact
        if self._watch.sees(loss):
            names = ", ".join(row.clip_id for row in done.rows[:8])
            what = f"{loss:.3g} in step after step" if math.isfinite(loss) else "no number"
            raise self._diverged(f"the loss is {what}", f"epoch {state.epoch + 1}, step {done.number + 1}", names)
        for name, value in {"loss": loss, "entropy": entropy, "compact": compact, "clips": 1.0}.items():
            state.sums[name] = state.sums.get(name, 0.0) + value * len(done.rows)
        state.step = done.number + 1
        self._stop_agreed |= stops > 0
        self._clock.clips += len(done.rows)
        self._clock.steps += 1
        figures = self._clock.figures()
        self.observer.on_step(
            StepProgress(
                epoch=state.epoch + 1,
                epochs=self.recipe.train.epochs,
                step=state.step,
                steps=steps,
                loss=state.sums["loss"] / state.sums["clips"],
                lr=done.lr,
                memory_bytes=used_memory(self.device),
                **figures,
            )
        )

    @property
    def _stops(self) -> bool:
        """Whether to stop now. Several processes must do so at the same step: each learns of it with the losses."""
        return self._interrupt.requested if self.peers.alone else self._stop_agreed

    def _finish_epoch(self, val_feed: Feed) -> None:
        state = self.state
        clips = state.sums["clips"]
        if not self.learner.is_finite():
            raise self._diverged("weights are no numbers", f"the end of epoch {state.epoch + 1}", "")
        seconds, figures = self._clock.seconds, self._clock.figures()
        record: dict[str, float] = {
            "epoch": state.epoch + 1,
            "train_loss": state.sums["loss"] / clips,
            "train_entropy": state.sums["entropy"] / clips,
            "train_compact": state.sums["compact"] / clips,
            "lr": self.learner.optimizer.param_groups[-1]["lr"],
            "epoch_s": round(seconds, 3),
            **{name: round(value, 4) for name, value in figures.items()},
            **validate(
                self.learner.evaluated, val_feed, self.val_rows, self.recipe, device=self.device, peers=self.peers
            ),
        }
        state.epoch, state.step, state.sums = state.epoch + 1, 0, {}
        state.history.append(record)
        best = bool(self.val_rows) and (state.best is None or _rank(record) > _rank(state.best))
        if best:
            state.best = record
        if self.peers.rank == 0:
            self.outputs.write_epoch(
                self.learner.weights,
                state.history,
                last=self._checkpoint("last", record),
                best=self._checkpoint(self._selection, record) if best else None,
            )
        self._save_state()
        self._stop_agreed |= self._stops
        self.observer.on_epoch(record)

    # ---- what goes wrong

    def _diverged(self, what: str, when: str, clips: str) -> DferError:
        return DferError(
            f"training diverged: {what} at {when}",
            where=f"clips {clips}" if clips else str(self.outputs.folder),
            hint=f"lower optim.lr or set optim.clip_grad_norm; the last good state is kept in {self.outputs.folder}",
        )

    def _out_of_memory(self) -> DferError:
        def trial(clips: int) -> None:
            self.stepper.probe(clips, self.store.info.crop_size)

        self.learner.optimizer.zero_grad(set_to_none=True)
        return out_of_memory(
            trial if self.peers.alone else None,  # batch norm would wait for the others
            batch=self.recipe.train.batch_size,
            accumulate=self.recipe.optim.accumulate,
            peers=self.peers.count,
            where=str(self.device),
        )

    # ---- state and checkpoints

    @property
    def _selection(self) -> Selection:
        return "best on test" if self.recipe.train.select == "test" else "best on validation"

    def _finished_record(self) -> dict[str, Any] | None:
        """run.json, where this fold was trained to the end."""
        return self.outputs.read_record() if self.state.epoch >= self.recipe.train.epochs else None

    def _save_state(self) -> None:
        if self.peers.rank:
            return
        self.learner.save_to(self.state)
        self.state.save(self.outputs.state)

    def _checkpoint(self, selection: Selection, record: dict[str, float]) -> CheckpointInfo:
        return checkpoint_info(
            self.recipe, self.store, self.train_rows, self.model.config,
            fold=self.fold, fingerprint=self.fingerprint, selection=selection, record=record,
        )  # fmt: skip

    def _facts(self) -> dict[str, Any]:
        return {
            **describe_run(self.recipe, self.store, fold=self.fold, fingerprint=self.fingerprint, device=self.device),
            "num_train": len(self.train_rows),
            "num_val": len(self.val_rows),
            "selection": self._selection if self.val_rows else "last",
            "parameters": sum(parameter.numel() for parameter in self.model.parameters()),
            "precision": "bf16 autocast" if self.dtype == torch.bfloat16 else "float32",
            "processes": self.peers.count,
            "epochs_done": self.state.epoch,
        }


def _rank(record: dict[str, float]) -> tuple[float, float, float]:
    """What `best` means: WAR, then UAR, then the lower loss."""
    return record["val_war"], record["val_uar"], -record["val_loss"]
