"""The plan of an evaluation: checkpoints, folds and stores, and the folders in which the answers are kept.

runs/NAME/foldK/               of a run on its own data
runs/NAME/eval/STORE/foldK/    on other data, under another prior, or of another checkpoint of the run
evaluations/NAME/STORE/foldK/  of a checkpoint that is in no run
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dfer.errors import DferError, UsageError
from dfer.model.checkpoint import read_checkpoint_info
from dfer.pretrained import pretrained_name
from dfer.recipe import load_recipe
from dfer.run_records import read_run
from dfer.runs import find_checkpoint, fold_checkpoint, fold_folder, fold_number, folds_of, newest_run
from dfer.runtime.files import is_same_file

EVALUATIONS = Path("evaluations")


@dataclass(frozen=True)
class FoldTask:
    """A checkpoint, and the fold of the store `data` to test it on; `out` is where each clip's answer is kept."""

    fold: int
    checkpoint: Path
    data: Path
    out: Path | None = None


def plan_evaluation(
    *,
    folds: Sequence[int] | None = None,
    run: Path | None = None,
    checkpoint: Path | None = None,
    data: Path | None = None,
    out: Path | None = None,
    variant: Sequence[str] = (),
) -> list[FoldTask]:
    """Return what to evaluate, from what the user named; by default all folds of the newest run.

    Args:
        folds: None for all that the run has.
        run: a run's folder, or that of one of its folds.
        checkpoint: instead of a run, a file or the name of shipped weights; its own fold unless `folds` names one.
        data: the store; by default the one it was trained on.
        out: folder for the folds' answers; by default see above.
        variant: words for what differs from the checkpoint's own way of answering, such as a prior.

    Raises:
        DferError: there is no such run, fold, checkpoint or store.
    """
    if checkpoint is not None:
        tasks = [_plan_checkpoint(find_checkpoint(checkpoint), folds, data)]
    else:
        tasks = _plan_run(run, folds, data)
    return [
        replace(task, out=_default_out(task, variant) if out is None else fold_folder(out, task.fold)) for task in tasks
    ]


def _plan_run(run: Path | None, folds: Sequence[int] | None, data: Path | None) -> list[FoldTask]:
    if run is None:
        run = newest_run(folds[0] if folds else None)
    elif (number := fold_number(run)) is not None and not folds_of(run) and folds_of(run.parent):
        folds = folds or [number]
        run = run.parent
    available = folds_of(run)
    missing = [fold for fold in folds or () if fold not in available]
    if missing or not available:
        raise UsageError(
            f"this run has no fold {missing[0]}" if missing else "no trained fold here",
            where=run,
            hint=f"its folds: {available}" if available else "train it with `dfer train RECIPE`",
        )
    folders = [(fold, fold_folder(run, fold)) for fold in folds or available]
    return [FoldTask(fold, fold_checkpoint(folder), data or _data_of(folder)) for fold, folder in folders]


def _plan_checkpoint(checkpoint: Path, folds: Sequence[int] | None, data: Path | None) -> FoldTask:
    own = read_checkpoint_info(checkpoint).data.get("fold")
    fold = folds[0] if folds else own
    if fold is None or (folds and len(folds) > 1):
        raise UsageError("a checkpoint is evaluated on one fold", where=checkpoint, hint="name it with --fold N")
    if data is None and pretrained_name(checkpoint):
        raise UsageError("shipped weights have no data of their own", where=checkpoint, hint="name a store: --data")
    return FoldTask(fold, checkpoint, data or _data_of(checkpoint.parent))


def _data_of(folder: Path) -> Path:
    """Return the store that a fold was trained on, or is being trained on: run.json comes with the last epoch.

    Raises:
        UsageError: there are several.
    """
    if (folder / "recipe.yaml").is_file() and not (folder / "run.json").exists():
        stores = list(map(str, load_recipe(folder / "recipe.yaml").data.folders))
    else:
        data = read_run(folder)["data"]
        stores = [data["path"]] if "path" in data else [store["path"] for store in data["stores"]]
    if len(stores) > 1:
        hint = f"test on one of them: --data {' or --data '.join(stores)}"
        raise UsageError("trained on several stores", where=folder, hint=hint)
    return Path(stores[0]).expanduser()


def _default_out(task: FoldTask, variant: Sequence[str]) -> Path:
    folder = task.checkpoint.parent
    number = fold_number(folder)
    in_run = number is not None and (folder / "recipe.yaml").is_file()
    changes = [*variant]
    if in_run and task.checkpoint != fold_checkpoint(folder):
        changes.insert(0, task.checkpoint.stem)
    if in_run and not changes and task.fold == number and _is_own(task.data, folder):
        return folder
    base = (
        folder.parent / "eval" if in_run else EVALUATIONS / (pretrained_name(task.checkpoint) or task.checkpoint.stem)
    )
    return fold_folder(base / "-".join([task.data.resolve().name, *changes]), task.fold)


def _is_own(data: Path, folder: Path) -> bool:
    try:
        return is_same_file(data, _data_of(folder))
    except DferError:  # several stores, or a damaged record
        return False
