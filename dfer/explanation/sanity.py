"""The sanity check of maps: one that stays the same when the weights are random shows the picture, not the model.

Source: J. Adebayo et al., "Sanity Checks for Saliency Maps", NeurIPS 2018, arXiv 1810.03292: cascading randomisation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor

from dfer.explanation.maps import Method, explain_clips
from dfer.model.video_model import VideoModel

MAX_CORRELATION = 0.5  # of the maps of the trained and the random model, in the mean
DRAWS = 3  # of random weights


@dataclass(frozen=True)
class SanityStep:
    """A step of the cascade.

    Attributes:
        part: the part of the model that is randomised in this step, beside those of the steps before.
        correlations: of each clip and draw, the rank correlation of its map with the trained model's.
    """

    part: str
    correlations: list[float]

    @property
    def mean(self) -> float:
        """The mean correlation."""
        return float(np.mean(self.correlations))


@dataclass(frozen=True)
class SanityCheck:
    """The result of the check.

    Attributes:
        method: of the maps.
        steps: the last one has no trained weight left.
    """

    method: Method
    steps: list[SanityStep]

    @property
    def passed(self) -> bool:
        """True if random weights destroy the maps."""
        return self.steps[-1].mean < MAX_CORRELATION


def check_sanity(
    model: VideoModel,
    clips: Tensor,
    classes: Sequence[int],
    *,
    method: Method,
    draws: int = DRAWS,
    on_progress: Callable[[float], None] = lambda _done: None,
) -> SanityCheck:
    """Randomise a model part by part, the head first, and compare the maps of clips with those it gave before.

    Random weights are those that the architecture starts training from.

    Args:
        model: in evaluation mode; left as it is.
        clips: float [B, T, 3, S, S], normalised.
        classes: of each clip.
        method: of the maps.
        draws: of random weights.
        on_progress: called with the progress, 0..1.
    """
    trained = _ranks(model, clips, classes, method)
    parts = _parts(model)
    found: dict[str, list[float]] = {part: [] for part in parts}
    for draw in range(draws):
        randomised, fresh = deepcopy(model), _fresh(model, draw).state_dict()
        for number, (part, names) in enumerate(parts.items()):
            randomised.load_state_dict({name: fresh[name] for name in names}, strict=False)
            maps = _ranks(randomised, clips, classes, method)
            found[part] += [_correlation(*pair) for pair in zip(trained, maps, strict=True)]
            on_progress((draw + (number + 1) / len(parts)) / draws)
    return SanityCheck(method, [SanityStep(part, values) for part, values in found.items()])


def _ranks(model: VideoModel, clips: Tensor, classes: Sequence[int], method: Method) -> np.ndarray:
    maps = [
        explain_clips(model, clip[None], [label], method=method) for clip, label in zip(clips, classes, strict=True)
    ]
    return torch.cat(maps).flatten(1).cpu().numpy()


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Return the rank correlation; 0 for a map that is the same everywhere."""
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return 0.0
    return float(spearmanr(one, other).statistic)


def _fresh(model: VideoModel, seed: int) -> VideoModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        fresh = type(model)(**model.config.model_dump())
    return fresh.eval()


def _parts(model: VideoModel) -> dict[str, list[str]]:
    """Return the tensors of each part, the head first: a child of the model, or of a child that has several."""
    parts: dict[str, list[str]] = {}
    for name in model.state_dict():
        words = name.split(".")
        depth = 2 if len(words) > 2 else 1
        parts.setdefault(".".join(words[:depth]), []).append(name)
    return dict(reversed(parts.items()))
