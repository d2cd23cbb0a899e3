"""One optimizer step over a batch, in parts where memory or several processes require it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from contextlib import nullcontext

import numpy as np
import torch
from torch import Tensor

from dfer.batches.augment import AugmentDraw, Augmenter, mix_targets
from dfer.evaluation.inference import FeaturesOf
from dfer.recipe import Recipe
from dfer.recipe_sections import OptimSection
from dfer.runtime.transfer import upload
from dfer.store.manifest import ManifestRow
from dfer.training import distributed
from dfer.training.batch_norm import freeze_batch_norm, uncounted
from dfer.training.setup import Learner, compiled_features, use_compile
from dfer.training.targets import class_targets

_MEASURED_CLIPS = 2
_MARGIN = 1.2  # for what is needed only between two operators


class Stepper:
    """Does the steps of a model's training.

    All random draws depend on the place in the run: augmentation also on the clip's place in the batch, whichever
    process computes it; dropout on the process.

    Attributes:
        evaluated_features: `forward_features` of the model that is validated, compiled where training is.

    Args:
        recipe: training settings.
        learner: what a step changes.
        device: the device that holds the model.
        dtype: number format of autocast.
        fold: 1-based; with the seed it decides all draws.
    """

    def __init__(
        self, recipe: Recipe, learner: Learner, *, device: torch.device, dtype: torch.dtype, fold: int
    ) -> None:
        self.recipe, self.learner, self.model = recipe, learner, learner.model
        self.device, self.dtype, self.fold = device, dtype, fold
        compiles = use_compile(recipe.train.compile, device)
        if compiles:
            # Graphs for an earlier fold's model would count towards the limit of graphs, and keep it in memory.
            torch.compiler.reset()
        size = recipe.model
        self.augment = Augmenter(
            recipe.augment, size.image_size, size.num_frames, dtype=dtype, compiled=compiles and device.type == "cuda"
        ).to(device)
        self._parameters = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        self._features: FeaturesOf = self.model.forward_features
        self.evaluated_features: FeaturesOf = learner.evaluated.forward_features
        if compiles:
            self._features = compiled_features(self.model)
            same = learner.evaluated is self.model
            self.evaluated_features = self._features if same else compiled_features(learner.evaluated)

    def run(
        self,
        rows: Sequence[ManifestRow],
        parts: Iterable[tuple[slice, Tensor]],
        *,
        epoch: int,
        step: int,
        steps: int,
        stop: bool = False,
        save: bool = False,
    ) -> Tensor:
        """Do one step.

        Args:
            rows: the clips of the whole batch.
            parts: this process's parts of it: which clips, and their frames, uint8 [B, T, H, W, 3].
            epoch: epochs finished.
            step: steps finished in this one.
            steps: steps in an epoch.
            stop: whether this process was asked to stop.
            save: whether this process wants the state to be saved.

        Returns:
            float [4] on the device, to be read later so that nobody waits for it now: the classification loss and the
            compact loss of the whole batch, and the numbers of processes that were asked to stop and that want to save.

        Raises:
            torch.OutOfMemoryError: the device's memory is full.
        """
        optimizer, average = self.learner.optimizer, self.learner.average
        progress = epoch + step / steps
        factor = lr_factor(self.recipe.optim, progress, self.recipe.train.epochs)
        for group in optimizer.param_groups:
            group["lr"] = group["base_lr"] * factor
        targets = class_targets(rows, self.model.head.out_features, soft=self.recipe.loss.soft_labels)
        draw, targets, wishes = self._upload(*self._draw(targets, epoch, step), [float(stop), float(save)])
        totals = torch.cat([torch.zeros(2, device=self.device), wishes])
        optimizer.zero_grad(set_to_none=True)
        for clips, frames in parts:
            # Batch norm exchanges messages in every part, so a process without clips of its own computes others, which
            # count in neither its statistics nor the loss.
            idle = clips.start == clips.stop
            used = slice(0, len(frames)) if idle else clips
            with uncounted(self.model) if idle else nullcontext():
                losses = self._losses(frames, draw.part(used), targets[clips], targets, progress, self._features)
                losses.sum().backward()
            totals[:2] += losses.detach()
        distributed.all_reduce([*self._gradients(), totals])
        if self.recipe.optim.clip_grad_norm:
            torch.nn.utils.clip_grad_norm_(self._parameters, self.recipe.optim.clip_grad_norm)
        optimizer.step()
        if average is not None:
            average.update(self.model)
        return totals

    def probe(self, clips: int, crop_size: int) -> None:
        """Compute a number of blank clips, forward and backward, without changing a weight, to see whether they fit.

        Raises:
            torch.OutOfMemoryError: they do not.
        """
        self.learner.optimizer.zero_grad(set_to_none=True)  # a failed step leaves gradients behind
        self._blank_losses(clips, crop_size).sum().backward()
        self.learner.optimizer.zero_grad(set_to_none=True)

    def needed_bytes(self, crop_size: int) -> int:
        """Estimate the memory of a step beyond that of the model: what its backward pass keeps, gradients, optimizer.

        Two blank clips are computed forward, which changes nothing, and what they keep is scaled to the clips that are
        computed at a time. A compiled model keeps less.
        """
        settings, shape = self.recipe, self.recipe.model
        own = {parameter.untyped_storage().data_ptr() for parameter in self.model.parameters()}
        kept: dict[int, int] = {}

        def count(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in own:
                kept[storage.data_ptr()] = storage.nbytes()
            return tensor

        self.model.train()
        freeze_batch_norm(self.model)
        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            self._blank_losses(_MEASURED_CLIPS, crop_size)
        self.learner.begin_epoch()
        at_once = -(-settings.train.batch_size // (settings.optim.accumulate * distributed.world_size()))
        crops = shape.num_frames * max(crop_size, shape.image_size) ** 2 * 3
        # Crops wait as bytes, two batches of them, and are augmented in float32, in and out.
        per_clip = sum(kept.values()) / _MEASURED_CLIPS + crops * (2 + 2 * 4)
        per_parameter = 3 * 4  # its gradient and the optimizer's two averages
        return round(_MARGIN * (at_once * per_clip + per_parameter * sum(p.numel() for p in self._parameters)))

    def _blank_losses(self, clips: int, crop_size: int) -> Tensor:
        shape = (clips, self.recipe.model.num_frames, crop_size, crop_size, 3)
        frames = torch.zeros(shape, dtype=torch.uint8, device=self.device)
        draw, targets, _ = self._upload(*self._draw(torch.eye(self.model.head.out_features)[[0] * clips], 0, 0))
        # A compiler would take longer than the attempt, once for each size.
        return self._losses(frames, draw, targets, targets, 0.0, self.model.forward_features)

    def _draw(self, targets: Tensor, epoch: int, step: int) -> tuple[AugmentDraw, Tensor]:
        """Draw the augmentation of the whole batch, and mix its targets [B, C] accordingly; seed dropout as well."""
        place = (self.recipe.train.seed, self.fold, epoch + 1, step)
        draw = self.augment.draw(len(targets), torch.Generator().manual_seed(seed_of(*place) ^ 0x5EED))
        rank = distributed.rank()
        torch.manual_seed(seed_of(*place, *([rank] if rank else [])))
        return draw, mix_targets(targets, draw) if self.augment.mixes else targets

    def _upload(
        self, draw: AugmentDraw, targets: Tensor, wishes: Sequence[float] = ()
    ) -> tuple[AugmentDraw, Tensor, Tensor]:
        """Return all that a step needs on the device: one copy brings it there."""
        targets, flags, *drawn = upload([targets, torch.tensor(wishes), *draw.tensors()], self.device)
        return draw.with_tensors(drawn), targets, flags

    def _losses(
        self,
        frames: Tensor,
        draw: AugmentDraw,
        targets: Tensor,
        batch: Tensor,
        epoch: float,
        features_of: FeaturesOf,
    ) -> Tensor:
        """Return the part's share of the batch's losses, float [2]; without targets, no clip counts."""
        clips = self.augment.augment(frames, draw)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.dtype == torch.bfloat16):
            features = features_of(clips)
            if not len(targets):
                features = features[:0]
            logits = self.model.head(features)
        return torch.stack(self.learner.loss(logits, targets, features, batch=batch, epoch=epoch))

    def _gradients(self) -> list[Tensor]:
        for parameter in self._parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        return [parameter.grad for parameter in self._parameters if parameter.grad is not None]


def lr_factor(settings: OptimSection, epoch: float, epochs: int) -> float:
    """Return the learning rate relative to the recipe's.

    Args:
        settings: the schedule.
        epoch: epochs done, with fractions.
        epochs: epochs of the whole run.
    """
    if epoch < settings.warmup_epochs:
        return max(epoch / settings.warmup_epochs, 1e-3)
    if settings.schedule == "step":
        return float(settings.step_gamma ** (int(epoch) // settings.step_epochs))
    progress = min(1.0, (epoch - settings.warmup_epochs) / max(1e-9, epochs - settings.warmup_epochs))
    floor = settings.final_lr_fraction
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * progress))


def seed_of(*place: int) -> int:
    """Return a seed, below 2⁶³, that depends only on the place in the run."""
    return int(np.random.SeedSequence(list(place)).generate_state(1, np.uint64)[0]) >> 1
