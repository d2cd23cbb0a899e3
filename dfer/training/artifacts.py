"""The files that training leaves in a fold's folder: recipe, checkpoints, metrics, events, state and run record.

Frames, augmentation and dropout are drawn from (seed, epoch, step), so no random generator has to be saved: the
weights, the optimizer and the place in the epoch are the whole training state. On one CPU, a resumed run ends with the
bytes of one that was never stopped. A GPU adds in no fixed order: there the bytes may differ, as between any two runs.
"""

from __future__ import annotations

import errno
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import torch
from pydantic import Field, ValidationError, with_config
from typing_extensions import TypedDict

from dfer.drawing.figures import draw_curves
from dfer.drawing.style import save_figure
from dfer.errors import CheckpointError, UsageError
from dfer.losses.training_loss import TrainingLoss
from dfer.model.checkpoint import CheckpointInfo, save_checkpoint
from dfer.model.video_model import ModelConfig
from dfer.model.weights import load_pickled
from dfer.plugins import changed_plugins, describe_plugins
from dfer.recipe import Recipe, deciding_keys, save_recipe
from dfer.records import Selection
from dfer.run_records import EpochRecord, read_run
from dfer.runs import TENSORBOARD
from dfer.runtime.files import atomic_path, remove_unfinished, write_json, write_text
from dfer.runtime.formatting import shorten_home
from dfer.settings import STRICT, Name, read_record, show_value
from dfer.store import Store
from dfer.store.manifest import ManifestRow
from dfer.training.events import write_events
from dfer.training.setup import Learner
from dfer.version import __version__
from dfer.video.probe import NOMINAL_FPS

logger = logging.getLogger(__name__)

_SHOWN_DIFFERENCES = 8
STATE_FORMAT = "dfer.state/1"


@dataclass
class TrainingState:
    """The progress of a fold's training.

    Attributes:
        epoch: epochs finished.
        step: steps finished in the current epoch.
        sums: running totals of the current epoch, by name.
        history: a record per finished epoch, as in metrics.jsonl.
        best: record of the best epoch so far, None before the first.
    """

    epoch: int = 0
    step: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    best: dict[str, Any] | None = None


@dataclass(frozen=True)
class FinishedEpoch:
    """An epoch whose checkpoint is still to be written.

    Attributes:
        weights: of the evaluated model, in main memory.
        record: its line of metrics.jsonl.
    """

    weights: dict[str, torch.Tensor]
    record: dict[str, Any]


@with_config(STRICT)
class SavedProgress(TypedDict):
    """A `TrainingState` as `state.pt` holds it."""

    epoch: Annotated[int, Field(ge=0, le=10_000_000)]
    step: Annotated[int, Field(ge=0, le=10_000_000_000)]
    sums: dict[Name, float]
    history: list[EpochRecord]
    best: EpochRecord | None


class FoldFolder:
    """The folder of a fold, `foldK/` of a run; each file in it is complete, or as it was before.

    Args:
        path: where it is, or will be.
        recipe: training settings.
        store: the data.
        fold: 1-based.
        rows: the training clips.
    """

    def __init__(self, path: Path, recipe: Recipe, store: Store, fold: int, rows: Sequence[ManifestRow]) -> None:
        self.path, self._state, self._record = path, path / "state.pt", path / "run.json"
        self._recipe, self._store, self._fold, self._rows = recipe, store, fold, rows
        self._fingerprint = store.fingerprint()

    @property
    def selection(self) -> Selection:
        """The rule by which the epoch of best.safetensors is chosen."""
        return "best on test" if self._recipe.train.select == "test" else "best on validation"

    def begin(self) -> None:
        """Remove what a killed run left half written, and write recipe.yaml."""
        remove_unfinished(self.path)
        save_recipe(self._recipe, self.path / "recipe.yaml")

    def write_checkpoints(self, learner: Learner, *, last: FinishedEpoch, best: FinishedEpoch | None) -> None:
        """Write last.safetensors, and best.safetensors if there is a new best epoch."""
        config = learner.model.config
        info = self.checkpoint_info(config, "last", last.record, loss=learner.loss)
        save_checkpoint(self.path / "last.safetensors", last.weights, info)
        if best is not None:
            info = self.checkpoint_info(config, self.selection, best.record, loss=learner.loss)
            save_checkpoint(self.path / "best.safetensors", best.weights, info)

    def write_metrics(self, history: Sequence[dict[str, Any]]) -> None:
        """Write metrics.jsonl, and events of the epochs that it did not hold.

        Args:
            history: the records of all finished epochs.
        """
        path = self.path / "metrics.jsonl"
        known = len(path.read_text(encoding="utf-8").splitlines()) if path.exists() else 0
        write_text(path, "".join(json.dumps(line) + "\n" for line in history))
        for record in history[min(known, len(history) - 1) :]:
            write_events(self.path / TENSORBOARD, record)

    def save_state(self, tensors: dict[str, Any], state: TrainingState) -> None:
        """Write state.pt. It must come last: what it says is finished has been written.

        Args:
            tensors: of `Learner.state_dicts`.
            state: the progress.
        """
        values = {
            "format": STATE_FORMAT,
            "recipe": deciding_keys(self._recipe),
            "fingerprint": self._fingerprint,
            "plugins": describe_plugins(),
        }
        with atomic_path(self._state) as temporary:
            try:
                torch.save(values | vars(state) | tensors, temporary)
            except RuntimeError as error:  # torch's error for a failed write
                raise OSError(errno.ENOSPC, "no space left on device, or the write failed") from error

    def load_state(self) -> dict[str, Any] | None:
        """Read state.pt, None if there is none. Nothing in the file is executed.

        Raises:
            CheckpointError: it is damaged.
            UsageError: it belongs to another recipe or other data.
        """
        if not self._state.exists():
            return None
        state = self._read_state()
        recipe, fingerprint = _completed(state["recipe"]), state["fingerprint"]
        reason = changed_since(recipe, deciding_keys(self._recipe), fingerprint, self._fingerprint)
        if reason:
            hint = "choose another --out, or start from scratch with --no-resume"
            raise UsageError(reason, where=self.path, hint=hint)
        for source in changed_plugins(state.get("plugins", [])):
            logger.warning("the plugin %s is not what it was when this run was begun", source)
        return state

    def _read_state(self) -> dict[str, Any]:
        try:
            state = load_pickled(self._state)
            if (form := state.get("format")) != STATE_FORMAT:
                raise ValueError(f"unknown format {form!r:.40}")
            if not isinstance(state["recipe"], dict) or not isinstance(state["fingerprint"], str):
                raise ValueError("recipe or fingerprint is missing")
            values = {name: state[name] for name in vars(TrainingState())}
            progress = read_record(SavedProgress, values, what="progress", where=self._state, error=CheckpointError)
            numbers = [record["epoch"] for record in progress["history"]]
            if numbers != list(range(1, progress["epoch"] + 1)):
                raise ValueError("the records of the epochs are not complete")
            if progress["step"] and not progress["sums"].get("clips", 0) > 0:
                raise ValueError("the sums of the epoch are missing")
        except CheckpointError as error:
            raise _damaged_state(error.what, self._state) from error
        except Exception as error:  # a damaged file makes the restricted unpickler fail in many ways
            raise _damaged_state(f"{error!s:.100}", self._state) from error
        return state | progress

    def load_into(self, learner: Learner, saved: dict[str, Any]) -> None:
        """Restore weights and optimizer from what `load_state` returned.

        Raises:
            CheckpointError: they do not fit what the recipe builds, or are not finite.
        """
        try:
            learner.load_state_dicts(saved)
        except (CheckpointError, LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            what = error.what if isinstance(error, CheckpointError) else f"{error!s:.100}"
            raise _damaged_state(what, self._state) from error

    def finish(self, record: dict[str, Any], state: TrainingState) -> None:
        """Draw curves.png, and write run.json, which marks the fold as trained."""
        title = f"{self._recipe.name}, fold {self._fold}"
        save_figure(draw_curves(state.history, best=state.best, title=title), self.path / "curves.png")
        write_json(self._record, shorten_home(record))

    def read_record(self) -> dict[str, Any] | None:
        """Return run.json; None if the fold is not trained to its end."""
        return read_run(self.path) if self._record.exists() else None

    def describe(self) -> dict[str, Any]:
        """Return what run.json says of the data and the recipe."""
        info = self._store.info
        data = self._store.describe() | {"fingerprint": self._fingerprint}
        return {
            "fold": self._fold,
            "labels": info.labels,
            "seed": self._recipe.train.seed,
            "epochs": self._recipe.train.epochs,
            "data": data | {"notice": info.notice},
        }

    def checkpoint_info(
        self,
        config: ModelConfig,
        selection: Selection,
        record: Mapping[str, Any],
        *,
        loss: TrainingLoss | None = None,
    ) -> CheckpointInfo:
        """Return the metadata of a checkpoint.

        Args:
            config: the model's settings.
            selection: how this epoch was chosen.
            record: the epoch's line of metrics.jsonl.
            loss: the loss it was trained with; without it, the checkpoint does not say its prior.
        """
        info = self._store.info
        origin = self._store.origin() | {"fingerprint": self._fingerprint, "fold": self._fold}
        return CheckpointInfo(
            model_name=self._recipe.model.name,
            model_config=config.model_dump(),
            labels=info.labels,
            alignment=info.alignment,
            crop_size=info.crop_size,
            segments=self._recipe.data.segments,
            clip_s=round(median(row.num_frames / (row.fps or NOMINAL_FPS) for row in self._rows), 3),
            data=origin,
            notice=info.notice,
            selection=selection,
            epoch=int(record["epoch"]),
            metrics={name: value for name, value in record.items() if name.startswith(("train_", "val_"))},
            dfer_version=__version__,
            logit_adjustment=self._recipe.loss.logit_adjustment,
            **({} if loss is None else _prior_of(loss, info.labels, epoch=record["epoch"] - 1)),
        )


def changed_since(
    recipe: Mapping[str, Any], recipe_now: Mapping[str, Any], fingerprint: str, fingerprint_now: str
) -> str | None:
    """Return why a run cannot go on as it was begun: other settings, or other data; None if it can.

    Args:
        recipe: the keys that decided the run, see `dfer.recipe.deciding_keys`.
        recipe_now: those that would.
        fingerprint: of the data then.
        fingerprint_now: of the data now.
    """
    if different := sorted(_differences(recipe, recipe_now)):
        more = f" and {len(different) - _SHOWN_DIFFERENCES:,} more" if len(different) > _SHOWN_DIFFERENCES else ""
        return f"this run was begun with another recipe: {'; '.join(different[:_SHOWN_DIFFERENCES])}{more}"
    return None if fingerprint == fingerprint_now else "the data have changed since this run was begun"


def _prior_of(loss: TrainingLoss, labels: Sequence[str], *, epoch: float) -> dict[str, Any]:
    """Return the fields of a checkpoint on the prior it was trained under.

    Args:
        loss: the loss it was trained with.
        labels: emotion names, in order.
        epoch: epochs that were done when its last one began.
    """
    shares, weights = (loss.counts / loss.counts.sum()).tolist(), loss.weights_at(epoch)
    equal = bool((weights == 1).all())
    return {
        "prior": dict(zip(labels, shares, strict=True)),
        "class_weights": None if equal else dict(zip(labels, weights.tolist(), strict=True)),
    }


def _damaged_state(reason: str, path: Path) -> CheckpointError:
    hint = "train this fold from scratch with --no-resume"
    return CheckpointError(f"damaged training state: {reason}", where=path, hint=hint)


def _completed(keys: dict[str, Any]) -> dict[str, Any]:
    """Return the deciding keys of a state with defaults for the keys that did not exist when it was written."""
    try:
        return deciding_keys(Recipe.model_validate(keys))
    except ValidationError:  # a key that no longer exists: it is reported as a difference
        return keys


def _differences(before: Any, now: Any, key: str = "") -> list[str]:
    if isinstance(before, dict) and isinstance(now, dict):
        names = [*before, *(name for name in now if name not in before)]
        return [
            line
            for name in names
            for line in _differences(before.get(name), now.get(name), f"{key}.{name}" if key else str(name))
        ]
    return [] if before == now else [f"{key:.100} was {show_value(before)}, is {show_value(now)}"]
