"""Set up the training of a fold: model, loss, optimizer, moving average, compilation, loaders."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from dfer.batches.crops import CropLocation, SharedMemory, choose_location, crop_bytes
from dfer.batches.loaders import ClipLoader
from dfer.batches.sampling import Portion
from dfer.errors import DferError
from dfer.evaluation.inference import FeaturesOf
from dfer.losses.training_loss import TrainingLoss
from dfer.model.build import build_model
from dfer.model.video_model import DividedModel, VideoModel
from dfer.model.weights import require_finite, require_same_tensors
from dfer.recipe import Recipe
from dfer.recipe_sections import TrainSection
from dfer.runtime.compiled import Compiled
from dfer.runtime.device import free_device_memory
from dfer.runtime.machine import free_memory_bytes, usable_cores
from dfer.store import Store
from dfer.store.manifest import ManifestRow
from dfer.training import distributed
from dfer.training.average import MovingAverage
from dfer.training.batch_norm import freeze_batch_norm, has_shared_batch_norm, share_batch_norm
from dfer.training.optimizer import build_optimizer, fitting_optimizer_state
from dfer.training.targets import class_targets

logger = logging.getLogger(__name__)

_USABLE_SHARE = 0.95  # of a GPU's free memory: the allocator leaves gaps
_LOCATIONS = {"device": "decoded on the device", "memory": "decoded in memory", "stream": "streamed from the store"}


@dataclass(frozen=True)
class Learner:
    """Everything that a training step changes.

    Attributes:
        model: the model in training.
        loss: the loss of a batch; the center form of the compact loss keeps centres.
        optimizer: each of its groups holds its `base_lr`, which the schedule scales.
        average: the moving average of the weights, or None.
        frozen_norm: batch norm keeps its statistics.
    """

    model: VideoModel
    loss: TrainingLoss
    optimizer: torch.optim.Optimizer
    average: MovingAverage | None
    frozen_norm: bool = False

    def begin_epoch(self) -> None:
        """Put the model into training mode."""
        self.model.train()
        if self.frozen_norm:
            freeze_batch_norm(self.model)

    @property
    def evaluated(self) -> VideoModel:
        """The model that is validated and saved: the moving average, if there is one."""
        return self.model if self.average is None else self.average.module

    @property
    def lr(self) -> float:
        """The learning rate now, of parameters whose rate is not scaled."""
        lr: float = self.optimizer.param_groups[-1]["lr"]
        return lr

    def is_finite(self) -> bool:
        """Return whether nothing that is saved is NaN or infinite."""
        states = [self.model.state_dict(), self.loss.state_dict()]
        states += [] if self.average is None else [self.average.state_dict()]
        saved = [value for state in states for value in state.values()]
        saved += [
            value for state in self.optimizer.state.values() for value in state.values() if torch.is_tensor(value)
        ]
        # The flags are read in one transfer: a GPU must not be waited for once per tensor.
        flags = [torch.isfinite(value).all().to(self.model.head.weight.device) for value in saved]
        return bool(torch.stack(flags).all())

    def state_dicts(self) -> dict[str, Any]:
        """Return what the training state keeps of model, optimizer, loss and average."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "loss": self.loss.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
        }

    def load_state_dicts(self, state: dict[str, Any]) -> None:
        """Restore what `state_dicts` returned; nothing is changed unless all of it fits.

        Raises:
            CheckpointError: tensors are missing, unexpected, of another shape, NaN or infinite.
        """
        own = self.state_dicts()
        for name in ("model", "loss", "average"):
            if own[name] is not None and state[name] is not None:
                require_same_tensors(own[name], state[name], where=None)
                require_finite(state[name], where=None)
        optimizer = fitting_optimizer_state(self.optimizer, state["optimizer"])
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(optimizer)
        self.loss.load_state_dict(state["loss"])
        if self.average is not None and state["average"] is not None:
            self.average.load_state_dict(state["average"])


def build_learner(recipe: Recipe, store: Store, rows: Sequence[ManifestRow], *, device: torch.device) -> Learner:
    """Build what a recipe trains; torch's random seed decides its initial weights.

    Args:
        recipe: training settings.
        store: the data.
        rows: the training clips.
        device: the device to train on.

    Raises:
        DferError: the sizes fit no model, or a file of weights cannot be loaded.
    """
    model = build_model(recipe.model, store.info.labels).to(device)
    if not recipe.train.frozen_norm:
        share_batch_norm(model)
    counts = class_counts(store, rows, soft=recipe.loss.soft_labels)
    loss = TrainingLoss(recipe.loss, counts=counts, dim=model.head.in_features).to(device)
    decay = recipe.train.ema_decay
    average = MovingAverage(model, decay) if decay else None
    return Learner(model, loss, build_optimizer(model, recipe.optim), average, recipe.train.frozen_norm)


def class_counts(store: Store, rows: Sequence[ManifestRow], *, soft: bool) -> Tensor:
    """Return the clips of each class that an epoch sees, or the sums of their soft labels, float64 [C].

    Args:
        store: the data; a store's weight counts its clips.
        rows: the training clips.
        soft: see `class_targets`.
    """
    counts = torch.zeros(len(store.info.labels), dtype=torch.float64)
    for name, of_store in store.by_member(rows).items():
        counts += store.weights[name] * class_targets(of_store, len(counts), soft=soft).double().sum(dim=0)
    return counts


def epoch_portions(store: Store, rows: Sequence[ManifestRow]) -> list[Portion] | None:
    """Return how often an epoch sees which of the clips; None if it is each of them once."""
    if all(weight == 1 for weight in store.weights.values()):
        return None
    return [(numbers, store.weights[name]) for name, numbers in store.members(rows).items()]


def use_compile(setting: str, device: torch.device) -> bool:
    """Return whether `train.compile` asks for torch.compile here; "auto" does on GPUs."""
    return setting == "on" or (setting == "auto" and device.type == "cuda")


def compiled_features(model: VideoModel) -> FeaturesOf:
    """Return the model's `forward_features`, compiled: as a whole, or, if its batch norm is shared, what follows it."""
    if not has_shared_batch_norm(model):
        return Compiled(model.forward_features)
    if not isinstance(model, DividedModel):
        return model.forward_features
    encode = Compiled(model.encode)

    def features(clips: Tensor, repeats: int = 1) -> Tensor:
        return encode(model.frame_maps(clips), repeats)

    return features


def open_loaders(
    store: Store,
    train_rows: Sequence[ManifestRow],
    val_rows: Sequence[ManifestRow],
    recipe: Recipe,
    *,
    unit: int,
    device: torch.device,
    on_load: Callable[[int, int], None] = lambda _done, _total: None,
    step_bytes: int = 0,
) -> tuple[ClipLoader, ClipLoader, str]:
    """Open the clips of a fold where the recipe says; by default in the fastest place that has room for them.

    Args:
        store: the store that holds the clips.
        train_rows: the training clips.
        val_rows: the clips that this process validates on.
        recipe: training settings.
        unit: clips of a batch that must stay together.
        device: the device to train on.
        on_load: called with the number of crops decoded so far and their total.
        step_bytes: memory of the device that a step needs.

    Returns:
        A loader of the training clips, one of the validation clips, and a line that says where their crops lie.

    Raises:
        DferError: the device has no room for the crops that the recipe puts there.
    """
    settings, world_size = recipe.train, distributed.world_size()
    location, description = _choose_location(store, train_rows, val_rows, settings, device, step_bytes)
    train_crops, val_crops = (sum(row.num_frames for row in rows) for rows in (train_rows, val_rows))
    opened = partial(
        ClipLoader,
        store,
        num_frames=recipe.model.num_frames,
        segments=recipe.data.segments,
        device=device,
        location=location,
        workers=settings.workers or max(1, usable_cores() // distributed.local_world_size()),
    )
    try:
        train = opened(
            train_rows,
            batch_size=settings.batch_size,
            epoch_share=settings.epoch_share,
            portions=epoch_portions(store, train_rows),
            accumulate=recipe.optim.accumulate,
            unit=unit,
            rank=distributed.rank(),
            world_size=world_size,
            on_load=lambda done, _: on_load(done, train_crops + val_crops),
            memory=_shared_memory(crop_bytes(store, train_rows)) if location == "memory" else None,
        )
        distributed.all_gather(None)  # the crops in shared memory are all there
        val = opened(
            val_rows,
            batch_size=max(1, settings.batch_size // world_size),
            on_load=lambda done, _: on_load(train_crops + done, train_crops + val_crops),
        )
    except torch.OutOfMemoryError as error:
        raise DferError(
            f"out of memory: {description}", where=str(device), hint="train.feed=auto chooses a place that has room"
        ) from error
    return train, val, description


def _shared_memory(size: int) -> SharedMemory | None:
    """Return memory for crops that all processes of this machine read; None where each must have its own."""
    memory, count = distributed.node_memory(size), distributed.local_world_size()
    return None if memory is None else SharedMemory(memory, distributed.rank() % count, count)


def _choose_location(
    store: Store,
    train_rows: Sequence[ManifestRow],
    val_rows: Sequence[ManifestRow],
    settings: TrainSection,
    device: torch.device,
    step_bytes: int,
) -> tuple[CropLocation, str]:
    """Return where the decoded crops of clips will lie, and a line that says so."""
    validated = crop_bytes(store, val_rows)
    needed = crop_bytes(store, train_rows) + validated
    memory = settings.memory_gb * 1e9 or free_memory_bytes() / 3
    # The processes of a machine hold the training clips once, and each its own validation clips.
    memory = max(0.0, memory - (distributed.local_world_size() - 1) * validated)
    # All processes must choose the same location, or the slowest would silently set the pace.
    memory = min(distributed.all_gather(memory))
    device_memory = max(0.0, _USABLE_SHARE * free_device_memory(device) - step_bytes)
    device_memory = min(distributed.all_gather(device_memory))
    location = settings.feed
    if location == "auto":
        most = max(distributed.all_gather(needed))
        location = choose_location(most, device_bytes=device_memory, memory_bytes=memory)
    room = f"{memory / 1e9:.1f} GB of main memory"
    room += f" and {device_memory / 1e9:.1f} GB of the device" if device_memory else ""
    return location, f"{_LOCATIONS[location]}: {needed / 1e9:.1f} GB decoded, room for {room}"
