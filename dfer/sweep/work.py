"""One run of a sweep, from its recipe to the answers for its test clips: what every engine does."""

from __future__ import annotations

import logging

from dfer.errors import DferError, UsageError
from dfer.evaluation.evaluate import evaluate
from dfer.evaluation.plan import plan_evaluation
from dfer.recipe import Recipe
from dfer.sweep.plan import SweepRun, run_status
from dfer.training import TrainingObserver, train

logger = logging.getLogger(__name__)


def train_and_test(run: SweepRun, *, device: str = "auto", observer: TrainingObserver | None = None) -> None:
    """Train and test a run, as far as that is not done; an interrupted one continues exactly.

    Args:
        run: of a plan.
        device: "auto", "cpu" or "cuda".
        observer: of the training.

    Raises:
        InUseError: another process is training it.
        DferError: it failed.
        KeyboardInterrupt: Ctrl-C, after the state was saved.
    """
    status = run_status(run)  # another process may have done it since the sweep began
    if status == "done":
        return
    if status != "trained":
        try:
            train(Recipe.model_validate(run.recipe), folds=[run.fold], out=run.run, device=device, observer=observer)
        except UsageError as error:  # its hint is on options of `dfer train`
            hint = "write the sweep to another folder with --out, or remove this folder to train it again"
            raise DferError(error.what, where=error.where, hint=hint) from error
    result = evaluate(plan_evaluation(run=run.run, folds=[run.fold], data=run.data), device=device)
    if result.not_kept:
        raise result.not_kept[0]


def failure_of(run: SweepRun, error: Exception) -> DferError:
    """Return the error that reports why a run failed."""
    if isinstance(error, DferError):
        return error
    logger.debug("%s", run, exc_info=error)
    if isinstance(error, MemoryError):
        return DferError("out of memory", where=run.folder, hint="run fewer at a time, or lower train.memory_gb")
    first = (str(error).splitlines() or [""])[0]
    return DferError(f"unexpected {type(error).__name__}: {first}", where=run.folder)
