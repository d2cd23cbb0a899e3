"""What learns: the model, its loss, its optimizer and the moving average of its weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from dfer.losses.training_loss import TrainingLoss
from dfer.model.build import build_model
from dfer.model.video_model import VideoModel
from dfer.recipe import Recipe
from dfer.store.manifest import ManifestRow
from dfer.training.distributed import Peers, synchronise_batch_norm
from dfer.training.optimization import build_optimizer
from dfer.training.state import TrainingState


@dataclass(frozen=True)
class Learner:
    """All that a step changes.

    Attributes:
        model: in training.
        loss: of a batch; the center form of the compact loss keeps centres.
        optimizer: its groups hold their own `base_lr`.
        average: the moving average of the weights, or None.
    """

    model: VideoModel
    loss: TrainingLoss
    optimizer: torch.optim.Optimizer
    average: AveragedModel | None

    @property
    def evaluated(self) -> VideoModel:
        """The model that is validated and saved: the average, where there is one."""
        module = self.model if self.average is None else self.average.module
        assert isinstance(module, VideoModel)
        return module

    @property
    def weights(self) -> dict[str, Tensor]:
        """What a checkpoint holds."""
        return self.evaluated.state_dict()

    def is_finite(self) -> bool:
        """Whether all weights are numbers."""
        return all(bool(torch.isfinite(value).all()) for value in self.model.parameters())

    def save_to(self, state: TrainingState) -> None:
        """Put everything into the state of a run."""
        state.model = self.model.state_dict()
        state.optimizer = self.optimizer.state_dict()
        state.loss = self.loss.state_dict()
        state.average = None if self.average is None else self.average.state_dict()

    def restore_from(self, state: TrainingState) -> None:
        """Take everything from the state of a run."""
        self.model.load_state_dict(state.model)
        self.optimizer.load_state_dict(state.optimizer)
        self.loss.load_state_dict(state.loss)
        if self.average is not None and state.average is not None:
            self.average.load_state_dict(state.average)


def build_learner(
    recipe: Recipe, labels: Sequence[str], rows: Sequence[ManifestRow], *, device: torch.device, peers: Peers
) -> Learner:
    """A learner by a recipe; its random start is torch's seed's.

    Args:
        recipe: how.
        labels: emotion names, in order.
        rows: the training clips.
        device: where.
        peers: that share the work.

    Raises:
        DferError: the sizes fit no model, or a file of weights cannot be loaded.
    """
    model = synchronise_batch_norm(build_model(recipe.model, labels).to(device), device, peers)
    assert isinstance(model, VideoModel)
    counts = torch.bincount(torch.tensor([row.label for row in rows]), minlength=len(labels))
    loss = TrainingLoss(recipe.loss, counts=counts, dim=model.head.in_features).to(device)
    average: AveragedModel | None = None
    if recipe.train.ema_decay:
        decay = get_ema_multi_avg_fn(recipe.train.ema_decay)
        average = AveragedModel(model, multi_avg_fn=decay, use_buffers=True)
    return Learner(model, loss, build_optimizer(model, recipe.optim), average)
