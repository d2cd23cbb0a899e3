"""Training one fold: data, model, loop, validation, checkpoints."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from dfer.batches import Feed, MemoryFeed, build_feed, training_plan
from dfer.checkpoint import CheckpointInfo, save_checkpoint
from dfer.decoders import NOMINAL_FPS
from dfer.device import choose_precision
from dfer.errors import DataError, DferError
from dfer.files import remove_unfinished, write_json, write_text
from dfer.inference import run_clips
from dfer.machine import free_memory_bytes, usable_cores
from dfer.metrics import confusion_matrix, uar, war
from dfer.model import LogoFormer
from dfer.pixels import Augmenter
from dfer.recipe import Recipe, save_recipe
from dfer.runs import fold_folder
from dfer.store import ManifestRow, Store
from dfer.training.initial_model import build_model
from dfer.training.interrupt import Interrupt
from dfer.training.observer import StepProgress, TrainingObserver
from dfer.training.optimization import TrainingLoss, build_optimizer, class_weights, lr_factor
from dfer.training.record import describe_environment, timestamp
from dfer.training.splits import split_validation
from dfer.training.state import TrainingState, deciding_keys, load_state
from dfer.version import __version__


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
        self.folder = fold_folder(run, fold)
        self.observer = observer or TrainingObserver()
        self.dtype = choose_precision(recipe.train.precision, device)
        self.train_rows, self.val_rows = self._split()
        self.fingerprint = store.fingerprint()

        num_classes = len(store.info.labels)
        self._seed_step(0, 0)  # the weights' random start
        self.model = build_model(recipe.model, store.info.labels).to(device)
        weights = class_weights([row.label for row in self.train_rows], num_classes, recipe.loss.class_weights)
        dim = self.model.config.dim
        self.loss = TrainingLoss(recipe.loss, num_classes=num_classes, dim=dim, weights=weights).to(device)
        self.optimizer = build_optimizer(self.model, recipe.optim)
        self.average: AveragedModel | None = None
        if recipe.train.ema_decay:
            decay = get_ema_multi_avg_fn(recipe.train.ema_decay)
            self.average = AveragedModel(self.model, multi_avg_fn=decay, use_buffers=True)
        self.augment = Augmenter(recipe.augment, recipe.model.image_size)
        self.state = TrainingState(deciding_keys(recipe), self.fingerprint)
        if resume and self._state_path.exists():
            self._restore(load_state(self._state_path, recipe, self.fingerprint))
        self._interrupt = Interrupt()

    def train(self) -> dict[str, Any]:
        """Train to the recipe's last epoch, or find it done.

        Returns:
            The run record, as in run.json.

        Raises:
            DferError: the loss diverged, memory ran out, or the disk is full; the last good state is kept.
            KeyboardInterrupt: Ctrl-C; the state was saved first.
        """
        epochs = self.recipe.train.epochs
        if self.state.epoch >= epochs and (self.folder / "run.json").is_file():
            record: dict[str, Any] = json.loads((self.folder / "run.json").read_text())
            self.observer.on_end(self.fold, record | {"already_trained": True})
            return record
        started = timestamp()
        remove_unfinished(self.folder)
        save_recipe(self.recipe, self.folder / "recipe.yaml")
        train_feed, val_feed = self._feed(self.train_rows), self._feed(self.val_rows)
        self.observer.on_start(self.fold, self._facts(train_feed))
        try:
            with self._interrupt:
                while self.state.epoch < epochs:
                    self._train_epoch(train_feed, val_feed)
        except torch.cuda.OutOfMemoryError as error:
            raise DferError(
                f"the GPU's memory is full at batch {self.recipe.train.batch_size}",
                where=str(self.device),
                hint=f"try train.batch_size={max(1, self.recipe.train.batch_size // 2)}",
            ) from error
        record = self._facts(train_feed) | {"started": started, "finished": timestamp(), "best": self.state.best}
        record["last"] = self.state.history[-1]
        write_json(self.folder / "run.json", record)
        self.observer.on_end(self.fold, record)
        return record

    # ---- an epoch

    def _train_epoch(self, train_feed: Feed, val_feed: Feed) -> None:
        state, settings = self.state, self.recipe.train
        lengths = [row.num_frames for row in self.train_rows]
        seed = (settings.seed, self.fold, state.epoch)
        plan = training_plan(lengths, self.recipe.model.num_frames, self.recipe.data.segments, seed)
        steps = math.ceil(len(plan) / settings.batch_size)
        begun = saved = time.monotonic()
        first_step, done, waited = state.step, 0, 0.0
        self.model.train()
        batches = train_feed.batches(plan[state.step * settings.batch_size :], settings.batch_size)
        while state.step < steps:
            asked = time.monotonic()
            frames = next(batches)
            waited += time.monotonic() - asked
            start = state.step * settings.batch_size
            rows = [self.train_rows[clip] for clip, _ in plan[start : start + len(frames)]]
            losses = self._step(frames, rows, state.epoch + state.step / steps)
            for name, value in (losses | {"clips": 1.0}).items():
                state.sums[name] = state.sums.get(name, 0.0) + value * len(rows)
            state.step += 1
            done += len(rows)
            spent = time.monotonic() - begun
            loss = state.sums["loss"] / state.sums["clips"]
            lr = self.optimizer.param_groups[-1]["lr"]
            self.observer.on_step(
                StepProgress(
                    state.epoch + 1, settings.epochs, state.step, steps, loss, lr, done / spent, waited / spent
                )
            )
            late = time.monotonic() - saved > 60 * settings.save_minutes
            if (self._interrupt.requested or late) and state.step < steps:
                self._save_state()
                saved = time.monotonic()
            if self._interrupt.requested and state.step < steps:
                raise KeyboardInterrupt
        speed = {"clips_per_s": done / spent, "data_wait": waited / spent} if state.step > first_step else {}
        self._finish_epoch(val_feed, time.monotonic() - begun, speed)
        if self._interrupt.requested:
            raise KeyboardInterrupt

    def _step(self, frames: Tensor, rows: Sequence[ManifestRow], epoch: float) -> dict[str, float]:
        """One optimizer step; gives the losses before it."""
        settings = self.recipe.optim
        self._seed_step(self.state.epoch + 1, self.state.step)
        factor = lr_factor(settings, epoch, self.recipe.train.epochs)
        for group in self.optimizer.param_groups:
            group["lr"] = group["base_lr"] * factor
        generator = torch.Generator().manual_seed(torch.initial_seed() ^ 0x5EED)
        clips = self.augment(frames.to(self.device, non_blocking=True), generator)
        target = torch.tensor([row.label for row in rows], device=self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.dtype == torch.bfloat16):
            features = self.model.forward_features(clips)
            logits = self.model.head(features)
        entropy, compact = self.loss(logits, target, features)
        loss = entropy + compact
        if not torch.isfinite(loss):
            names = ", ".join(row.clip_id for row in rows[:8])
            raise self._diverged(f"epoch {self.state.epoch + 1}, step {self.state.step + 1}", f"clips {names}")
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if settings.clip_grad_norm:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), settings.clip_grad_norm)
        self.optimizer.step()
        if self.average is not None:
            self.average.update_parameters(self.model)
        return {"loss": loss.item(), "entropy": entropy.item(), "compact": compact.item()}

    def _finish_epoch(self, val_feed: Feed, seconds: float, speed: dict[str, float]) -> None:
        state = self.state
        clips = state.sums["clips"]
        if not all(bool(torch.isfinite(value).all()) for value in self.model.parameters()):
            raise self._diverged(f"the end of epoch {state.epoch + 1}", str(self.folder))
        record: dict[str, float] = {
            "epoch": state.epoch + 1,
            "train_loss": state.sums["loss"] / clips,
            "train_entropy": state.sums["entropy"] / clips,
            "train_compact": state.sums["compact"] / clips,
            "lr": self.optimizer.param_groups[-1]["lr"],
            "epoch_s": round(seconds, 3),
            **{name: round(value, 4) for name, value in speed.items()},
            **self._validate(val_feed),
        }
        state.epoch, state.step, state.sums = state.epoch + 1, 0, {}
        state.history.append(record)
        info = self._checkpoint_info("last", record)
        save_checkpoint(self.folder / "last.safetensors", self._weights(), info)
        if self.val_rows and (state.best is None or _rank(record) > _rank(state.best)):
            state.best = record
            info = self._checkpoint_info(self._selection, record)
            save_checkpoint(self.folder / "best.safetensors", self._weights(), info)
        lines = "".join(json.dumps(line) + "\n" for line in state.history)
        write_text(self.folder / "metrics.jsonl", lines)
        self._save_state()
        self.observer.on_epoch(record)

    def _diverged(self, when: str, where: str) -> DferError:
        hint = f"lower optim.lr or set optim.clip_grad_norm; the last good state is kept in {self.folder}"
        return DferError(f"training diverged: the loss or the weights are no numbers at {when}", where=where, hint=hint)

    def _validate(self, feed: Feed) -> dict[str, float]:
        if not self.val_rows:
            return {}
        outputs = run_clips(
            self._evaluated_model(),
            feed,
            self.val_rows,
            segments=self.recipe.data.segments,
            batch_size=self.recipe.train.batch_size,
            device=self.device,
        )
        labels = np.array([row.label for row in self.val_rows])
        confusion = confusion_matrix(labels, outputs.predicted, len(self.store.info.labels))
        loss = torch.nn.functional.cross_entropy(torch.from_numpy(outputs.logits), torch.from_numpy(labels))
        return {"val_loss": float(loss), "val_war": war(confusion), "val_uar": uar(confusion)}

    # ---- data

    def _split(self) -> tuple[list[ManifestRow], list[ManifestRow]]:
        """Train and validation rows that can be read; the test list stays untouched unless it is asked for."""
        train = _readable(self.store.select(self.fold, "train"))
        if not train:
            raise DataError(f"fold {self.fold} has no training clip that could be read", where=self.store.root)
        if self.recipe.train.select == "test":
            return train, _readable(self.store.select(self.fold, "test"))
        official = _readable(self.store.select(self.fold, "val"))
        if official:
            return train, official
        return split_validation(train, self.recipe.data.val_fraction, self.recipe.train.seed)

    def _feed(self, rows: Sequence[ManifestRow]) -> Feed:
        settings = self.recipe.train
        memory = settings.memory_gb * 1e9 if settings.memory_gb else free_memory_bytes() / 3
        return build_feed(self.store, rows, memory_bytes=memory, workers=settings.workers or usable_cores())

    # ---- state and checkpoints

    @property
    def _state_path(self) -> Path:
        return self.folder / "state.pt"

    @property
    def _selection(self) -> str:
        return "best on test" if self.recipe.train.select == "test" else "best on validation"

    def _evaluated_model(self) -> LogoFormer:
        module = self.model if self.average is None else self.average.module
        assert isinstance(module, LogoFormer)
        return module

    def _weights(self) -> dict[str, Tensor]:
        return self._evaluated_model().state_dict()

    def _save_state(self) -> None:
        self.state.model = self.model.state_dict()
        self.state.optimizer = self.optimizer.state_dict()
        self.state.loss = self.loss.state_dict()
        self.state.average = None if self.average is None else self.average.state_dict()
        self.state.save(self._state_path)

    def _restore(self, state: TrainingState) -> None:
        self.model.load_state_dict(state.model)
        self.optimizer.load_state_dict(state.optimizer)
        self.loss.load_state_dict(state.loss)
        if self.average is not None and state.average is not None:
            self.average.load_state_dict(state.average)
        self.state = state

    def _checkpoint_info(self, selection: str, record: dict[str, float]) -> CheckpointInfo:
        info = self.store.info
        return CheckpointInfo(
            model_name=self.recipe.model.name,
            model_config=asdict(self.model.config),
            labels=info.labels,
            alignment=info.alignment,
            crop_size=info.crop_size,
            segments=self.recipe.data.segments,
            clip_s=round(median(row.num_frames / (row.fps or NOMINAL_FPS) for row in self.train_rows), 3),
            data={"name": info.name, "fingerprint": self.fingerprint, "fold": self.fold, "detector": info.detector},
            notice=info.notice,
            selection=selection,
            epoch=int(record["epoch"]),
            metrics={name: value for name, value in record.items() if name.startswith(("train_", "val_"))},
            dfer_version=__version__,
        )

    def _facts(self, feed: Feed) -> dict[str, Any]:
        return {
            "fold": self.fold,
            "labels": self.store.info.labels,
            "seed": self.recipe.train.seed,
            "data": {
                "path": str(self.store.root.resolve()),
                "name": self.store.info.name,
                "fingerprint": self.fingerprint,
                "notice": self.store.info.notice,
            },
            "num_train": len(self.train_rows),
            "num_val": len(self.val_rows),
            "selection": self._selection if self.val_rows else "last",
            "parameters": sum(parameter.numel() for parameter in self.model.parameters()),
            "precision": "bf16 autocast" if self.dtype == torch.bfloat16 else "float32",
            "feed": "decoded in memory" if isinstance(feed, MemoryFeed) else "streamed from the store",
            "epochs_done": self.state.epoch,
            "epochs": self.recipe.train.epochs,
            **describe_environment(self.device),
        }

    # ---- control

    def _seed_step(self, *place: int) -> None:
        """Seed torch (dropout, stochastic depth) from the place in the run alone."""
        seed = np.random.SeedSequence([self.recipe.train.seed, self.fold, *place]).generate_state(1, np.uint64)[0]
        torch.manual_seed(int(seed) >> 1)


def _readable(rows: Sequence[ManifestRow]) -> list[ManifestRow]:
    return [row for row in rows if row.status == "ok"]


def _rank(record: dict[str, float]) -> tuple[float, float, float]:
    """What `best` means: WAR, then UAR, then the lower loss."""
    return record["val_war"], record["val_uar"], -record["val_loss"]
