"""Training the folds a user asks for."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dfer.recipe import Recipe
from dfer.runs import RUNS, fold_folder
from dfer.runtime.device import choose_device
from dfer.store import open_store
from dfer.training.distributed import join_processes
from dfer.training.fold import FoldTrainer
from dfer.training.observer import TrainingObserver


def train(
    recipe: Recipe,
    *,
    folds: Sequence[int] | None = None,
    out: Path | None = None,
    device: str = "auto",
    resume: bool = True,
    observer: TrainingObserver | None = None,
) -> list[dict[str, Any]]:
    """Train folds of the recipe's store; a finished fold is not trained again.

    Under `torchrun`, all processes call this, and share every batch.

    Args:
        recipe: how, and on what.
        folds: which, 1-based; None for all.
        out: the run's folder; None for runs/NAME.
        device: "auto", "cpu" or "cuda".
        resume: go on where an earlier run stopped; else each fold starts anew.
        observer: told how it goes.

    Returns:
        The run record of each fold.

    Raises:
        DferError: the data, the recipe or an earlier state do not fit, or training failed.
        KeyboardInterrupt: Ctrl-C, after the state was saved.
    """
    chosen = choose_device(device)
    store = open_store(Path(recipe.data.path))
    run = out or RUNS / recipe.name
    records = []
    with join_processes(chosen) as peers:
        if peers.rank:  # the first process speaks for all
            observer = None
            logging.getLogger("dfer").setLevel(logging.ERROR)
        for fold in folds or sorted({number for row in store.rows for number in row.folds}):
            if not resume and peers.rank == 0:
                shutil.rmtree(fold_folder(run, fold), ignore_errors=True)
            trainer = FoldTrainer(
                recipe, store, fold, run, device=chosen, resume=resume, observer=observer, peers=peers
            )
            records.append(trainer.train())
    return records
