"""One optimizer step over a batch, in parts where memory or several processes ask for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dfer.batches.augment import AugmentDraw, Augmenter, mix_targets
from dfer.batches.sampling import cut
from dfer.recipe import Recipe
from dfer.store.manifest import ManifestRow
from dfer.training.compiled import Compiled
from dfer.training.distributed import Peers
from dfer.training.learner import Learner
from dfer.training.optimization import lr_factor


@dataclass(frozen=True)
class Part:
    """Clips of a batch that are computed at a time.

    Attributes:
        clips: which of the batch.
        counts: False for a stand-in: a process left without clips must still take part in every message.
    """

    clips: slice
    counts: bool = True


@dataclass(frozen=True)
class StepOutcome:
    """What a step gave.

    Attributes:
        totals: float [3] on the device, to be read later, so as not to wait for it now: the classification loss and
            the compact loss of the whole batch, and how many processes were asked to stop.
        waited_s: for data.
    """

    totals: Tensor
    waited_s: float


class Stepper:
    """Does steps of a model by a recipe.

    All that is drawn depends on the place in the run: augmentation on the clip's place in the batch too, whoever
    computes it; dropout on the process.

    Args:
        recipe: how.
        learner: what a step changes.
        device: where the model is.
        dtype: of autocast.
        fold: 1-based; with the seed it decides all draws.
        peers: that share the work.
    """

    def __init__(
        self,
        recipe: Recipe,
        learner: Learner,
        *,
        device: torch.device,
        dtype: torch.dtype,
        fold: int,
        peers: Peers,
    ) -> None:
        self.recipe, self.learner, self.model = recipe, learner, learner.model
        self.device, self.dtype, self.fold, self.peers = device, dtype, fold, peers
        self.augment = Augmenter(recipe.augment, recipe.model.image_size, recipe.model.num_frames)
        self._parameters = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        self._features: Callable[[Tensor], Tensor] = self.model.forward_features
        if compiles(recipe.train.compile, device, peers):
            self._features = Compiled(self.model.forward_features)

    def parts(self, size: int) -> list[Part]:
        """This process's parts of a batch; all processes have equally many, and no clip is in two.

        Args:
            size: clips in the whole batch.
        """
        unit = 2 if self.augment.pairs else 1
        most = -(-size // (unit * self.peers.count))  # units of the largest share
        share = cut(size, self.peers.count, unit)[self.peers.rank]
        inner = cut(share.stop - share.start, min(self.recipe.optim.accumulate, most), unit)
        parts = [slice(share.start + part.start, share.start + part.stop) for part in inner]
        return [Part(part) if part.stop > part.start else Part(slice(0, unit), counts=False) for part in parts]

    def run(
        self, batches: Iterator[Tensor], rows: Sequence[ManifestRow], *, epoch: int, step: int, steps: int, stop: bool
    ) -> StepOutcome:
        """One step.

        Args:
            batches: gives uint8 [B, T, H, W, 3] for each of this process's parts.
            rows: the clips of the whole batch.
            epoch: epochs finished.
            step: steps finished in this one.
            steps: in an epoch.
            stop: whether this process was asked to stop.

        Raises:
            torch.OutOfMemoryError: the device's memory is full.
        """
        progress = epoch + step / steps
        factor = lr_factor(self.recipe.optim, progress, self.recipe.train.epochs)
        for group in self.learner.optimizer.param_groups:
            group["lr"] = group["base_lr"] * factor
        targets = class_targets(rows, self.model.config.num_classes, soft=self.recipe.loss.soft_labels)
        draw, targets = self._draw(targets, epoch, step)
        totals = torch.zeros(3, device=self.device)
        totals[2] = float(stop)
        waited = 0.0
        self.learner.optimizer.zero_grad(set_to_none=True)
        for part in self.parts(len(rows)):
            asked = time.monotonic()
            frames = next(batches)
            waited += time.monotonic() - asked
            losses = self._losses(frames, draw.part(part.clips), targets[part.clips], targets, progress)
            if not part.counts:
                losses = 0.0 * losses
            losses.sum().backward()
            totals[:2] += losses.detach()
        self.peers.sum([*self._gradients(), totals])
        if self.recipe.optim.clip_grad_norm:
            torch.nn.utils.clip_grad_norm_(self._parameters, self.recipe.optim.clip_grad_norm)
        self.learner.optimizer.step()
        if self.learner.average is not None:
            self.learner.average.update_parameters(self.model)
        return StepOutcome(totals, waited)

    def probe(self, clips: int, crop_size: int) -> None:
        """Compute so many blank clips, forward and backward, and change no weight: do they fit?

        Raises:
            torch.OutOfMemoryError: they do not.
        """
        shape = (clips, self.recipe.model.num_frames, crop_size, crop_size, 3)
        frames = torch.zeros(shape, dtype=torch.uint8, device=self.device)
        draw, targets = self._draw(torch.eye(self.model.config.num_classes)[[0] * clips], 0, 0)
        self._losses(frames, draw, targets, targets, 0.0).sum().backward()
        self.learner.optimizer.zero_grad(set_to_none=True)

    def _draw(self, targets: Tensor, epoch: int, step: int) -> tuple[AugmentDraw, Tensor]:
        """What the whole batch is changed by, and its classes after mixing, [B, C]; seeds dropout as well."""
        place = (self.recipe.train.seed, self.fold, epoch + 1, step)
        draw = self.augment.draw(len(targets), torch.Generator().manual_seed(seed_of(*place) ^ 0x5EED))
        torch.manual_seed(seed_of(*place, *([self.peers.rank] if self.peers.rank else [])))
        targets = targets.to(self.device)
        return draw, mix_targets(targets, draw) if self.augment.mixes else targets

    def _losses(self, frames: Tensor, draw: AugmentDraw, targets: Tensor, batch: Tensor, epoch: float) -> Tensor:
        """The part's share of the batch's losses, float [2]."""
        clips = self.augment.apply(frames, draw)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.dtype == torch.bfloat16):
            features = self._features(clips)
            logits = self.model.head(features)
        return torch.stack(self.learner.loss(logits, targets, features, batch=batch, epoch=epoch))

    def _gradients(self) -> list[Tensor]:
        for parameter in self._parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        return [parameter.grad for parameter in self._parameters if parameter.grad is not None]


def class_targets(rows: Sequence[ManifestRow], num_classes: int, *, soft: bool) -> Tensor:
    """What clips should be answered with, probabilities float [B, C].

    Args:
        rows: the clips.
        num_classes: C.
        soft: take the shares of the votes, where they are known, in place of the label.
    """
    targets = F.one_hot(torch.tensor([row.label for row in rows]), num_classes).float()
    for number, row in enumerate(rows):
        if soft and any(row.votes):
            votes = torch.tensor(row.votes, dtype=torch.float32)
            targets[number] = votes / votes.sum()
    return targets


def compiles(setting: str, device: torch.device, peers: Peers) -> bool:
    """Whether `train.compile` asks for it here; `auto` does on a single GPU."""
    return setting == "on" or (setting == "auto" and device.type == "cuda" and peers.alone)


def seed_of(*place: int) -> int:
    """A seed, below 2⁶³, that depends on the place in the run alone."""
    return int(np.random.SeedSequence(list(place)).generate_state(1, np.uint64)[0]) >> 1
