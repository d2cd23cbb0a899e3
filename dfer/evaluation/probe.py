"""Is it the dynamics? A run on its test clips with their frames shuffled, reversed, frozen and subsampled.

A model that reads motion loses by each of these; one that averages faces loses by none.

Source: the controls of D.-A. Huang et al., "What Makes a Video a Video", CVPR 2018, and of L. Sevilla-Lara et al.,
    "Only Time Can Tell: Discovering Temporal Data for Temporal Modeling", WACV 2021.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dfer.batches.sampling import evenly_spread
from dfer.evaluation.compare import RESAMPLES, measure
from dfer.evaluation.compared_runs import Run
from dfer.evaluation.comparison import Comparison, PairResult
from dfer.evaluation.evaluate import evaluate
from dfer.evaluation.inference import Change
from dfer.evaluation.keep import fold_predictions
from dfer.evaluation.plan import FoldTask
from dfer.evaluation.results import Evaluation
from dfer.evaluation.statistics import Interval
from dfer.runtime.formatting import pluralize

AS_THEY_ARE = "as they are"
SIGNIFICANT = 0.05


def shuffle_frames() -> Change:
    """Return a change that puts the frames of each clip into a random order of its own.

    It counts the clips that it has seen, so that the orders depend on the list and not on the batches: use it once.
    """
    seen = 0

    def change(frames: Tensor) -> Tensor:
        nonlocal seen
        orders = [np.random.default_rng([0, seen + n]).permutation(frames.shape[1]) for n in range(len(frames))]
        seen += len(frames)
        order = torch.from_numpy(np.stack(orders)).to(frames.device)
        return frames[torch.arange(len(frames), device=frames.device)[:, None], order]

    return change


def reverse_frames() -> Change:
    """Return a change that plays clips backwards."""
    return lambda frames: frames.flip(1)


def freeze_frames() -> Change:
    """Return a change that repeats the frame in the middle of each clip."""
    return lambda frames: frames[:, frames.shape[1] // 2, None].expand_as(frames)


def subsample_frames() -> Change:
    """Return a change that shows half the frames twice each: evenly spread, so that their mean is as it was."""

    def change(frames: Tensor) -> Tensor:
        length = frames.shape[1]
        kept = evenly_spread(length, (length + 1) // 2)
        return frames[:, torch.from_numpy(kept[np.arange(length) * len(kept) // length]).to(frames.device)]

    return change


PROBES: dict[str, Callable[[], Change]] = {
    "shuffled": shuffle_frames,
    "reversed": reverse_frames,
    "frozen": freeze_frames,
    "subsampled": subsample_frames,
}


def probe(
    tasks: Sequence[FoldTask],
    result: Evaluation,
    *,
    on_batch: Callable[[int, int], None] = lambda _count, _total: None,
    resamples: int = RESAMPLES,
    **options: Any,
) -> Comparison:
    """Test a run again with the frames of its clips changed in each way of `PROBES`.

    Args:
        tasks: as for `evaluate`.
        result: of these tasks, with the frames as they are.
        on_batch: called with the number of clips in each batch and in a fold.
        resamples: of the bootstrap.
        options: of `evaluate`, the same as for `result`.

    Returns:
        A method for the frames as they are and one per change; pairs of the first with each of the others.

    Raises:
        DferError: as for `evaluate`.
    """
    unkept = [replace(task, out=None) for task in tasks]
    changed = {name: evaluate(unkept, change=make, on_batch=on_batch, **options) for name, make in PROBES.items()}
    runs = [_run(name, evaluation) for name, evaluation in {AS_THEY_ARE: result, **changed}.items()]
    return measure(runs, resamples=resamples, against=AS_THEY_ARE)


def _run(name: str, evaluation: Evaluation) -> Run:
    folds = {fold.fold: fold_predictions(fold, {}) for fold in evaluation.folds}
    return Run(name, Path(name), folds)


def verdict(comparison: Comparison) -> str:
    """Return one sentence on whether the answers depend on time, from what `probe` returned."""
    lost = {pair.second: pair for pair in comparison.pairs if _is_loss(pair)}
    ordered = [lost[name] for name in ("shuffled", "reversed") if name in lost]
    if ordered:
        worst = min(ordered, key=lambda pair: pair.metrics["war"].value)
        return f"The order of the frames matters: {_cost(worst, comparison.labels)}."
    if "frozen" in lost:
        cost = _cost(lost["frozen"], comparison.labels)
        return f"Several frames matter, but nothing shows that their order does: {cost}."
    if lost:
        return f"The number of frames matters: {_cost(lost['subsampled'], comparison.labels)}."
    clips = pluralize(comparison.num_clips, "clip")
    return f"Nothing shows that the answers depend on time: on these {clips}, no change of the frames costs anything."


def _is_loss(pair: PairResult) -> bool:
    return any(pair.p_holm[name] < SIGNIFICANT and pair.metrics[name].value < 0 for name in ("war", "uar"))


def _cost(pair: PairResult, labels: Sequence[str]) -> str:
    recalls = {label: recall.value for label, recall in zip(labels, pair.recalls, strict=True)}
    worst = min((label for label in recalls if not np.isnan(recalls[label])), key=lambda label: recalls[label])
    war, uar = pair.metrics["war"], pair.metrics["uar"]
    return (
        f"{pair.second}, they cost {_points(war)} points of WAR and {_points(uar)} of UAR, most of it in {worst} "
        f"({-100 * recalls[worst]:.1f} points of its recall)"
    )


def _points(change: Interval) -> str:
    return f"{-100 * change.value:.1f} [{-100 * change.high:.1f}, {-100 * change.low:.1f}]"
