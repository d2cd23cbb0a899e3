"""The folders of runs, and the choice of a run or checkpoint when the user names none.

runs/NAME/foldK/    recipe.yaml  metrics.jsonl  last.safetensors  best.safetensors  state.pt  run.json
"""

from __future__ import annotations

import os
from pathlib import Path

from dfer.errors import CheckpointError
from dfer.pretrained import DEFAULT, find_pretrained, pretrained_names

RUNS = Path("runs")
DEMO_RUNS = Path("demo/runs")  # what `dfer demo` leaves
CHECKPOINT_VARIABLE = "DFER_CHECKPOINT"
# Files of a fold's folder; see `dfer.training.artifacts`.
FOLD_FILES = (
    "recipe.yaml", "metrics.jsonl", "last.safetensors", "best.safetensors", "state.pt", "run.json", "curves.png",
)  # fmt: skip
TENSORBOARD = "tensorboard"  # the folder of event files beside them


def fold_folder(run: Path, fold: int) -> Path:
    """Return the folder of one fold of a run."""
    return run / f"fold{fold}"


def fold_number(folder: Path) -> int | None:
    """Return the fold of a folder that `fold_folder` names, or None for another folder."""
    number = folder.name.removeprefix("fold")
    is_fold = number.isascii() and number.isdecimal() and folder.name == f"fold{int(number)}"
    return int(number) if is_fold else None


def folds_of(run: Path) -> list[int]:
    """Return the folds of a run that have a checkpoint, ascending."""
    folders = [folder for folder in run.glob("fold*") if (folder / "last.safetensors").is_file()]
    return sorted(number for folder in folders if (number := fold_number(folder)) is not None)


def fold_checkpoint(folder: Path) -> Path:
    """Return the checkpoint of a trained fold to use: `best` if there is one, else `last`.

    Raises:
        CheckpointError: the fold has none yet.
    """
    for name in ("best.safetensors", "last.safetensors"):
        if (folder / name).is_file():
            return folder / name
    raise CheckpointError("no checkpoint here yet", where=folder, hint="train it with `dfer train RECIPE`")


def newest_run(fold: int | None = None) -> Path:
    """Return the run trained last, of those that have this fold; runs/ comes before the demo's.

    Raises:
        CheckpointError: there is none.
    """
    run = _newest_run(RUNS, fold) or _newest_run(DEMO_RUNS, fold)
    if run is None:
        what = "no trained run" if fold is None else f"no trained run with fold {fold}"
        raise CheckpointError(
            what, where=RUNS, hint="train one with `dfer train RECIPE --fold N`, or name it with --run or --checkpoint"
        )
    return run


def _newest_run(runs: Path, fold: int | None = None) -> Path | None:
    found: list[tuple[float, Path]] = []
    for run in runs.glob("*"):
        folds = folds_of(run)
        wanted = folds if fold is None else [fold] if fold in folds else []
        if wanted:
            found.append((max(_trained_at(fold_folder(run, number)) for number in wanted), run))
    return max(found)[1] if found else None


def find_checkpoint(named: str | Path) -> Path:
    """Return the file that a user means by a path, or by the name of shipped weights such as "default".

    A file or folder of that name in the working folder comes first. A fold's folder means its best checkpoint, a run's
    folder the fold that was trained last.

    Raises:
        CheckpointError: the folder has no checkpoint, or the named weights are damaged or not in this installation.
    """
    path, name = Path(named), str(named)
    if path.is_dir():
        return _run_checkpoint(path) if folds_of(path) else fold_checkpoint(path)
    is_name = name in (DEFAULT, *pretrained_names()) and not path.is_file()
    return find_pretrained(name) if is_name else path


def default_checkpoint() -> Path:
    """Return the checkpoint to use when none is named: $DFER_CHECKPOINT, else the shipped default weights.

    An installation without shipped weights uses the newest run's checkpoint, and without a run the demo's.

    Raises:
        CheckpointError: there is none.
    """
    named = os.environ.get(CHECKPOINT_VARIABLE)
    if named:
        return find_checkpoint(named)
    if DEFAULT in pretrained_names():
        return find_pretrained(DEFAULT)
    run = _newest_run(RUNS) or _newest_run(DEMO_RUNS)
    if run is None:
        raise CheckpointError(
            "no checkpoint to predict with",
            where=f"--checkpoint, ${CHECKPOINT_VARIABLE}, {RUNS}/, {DEMO_RUNS}/",
            hint="train one with `dfer train RECIPE`, or try `dfer demo`",
        )
    return _run_checkpoint(run)


def newer_run(checkpoint: Path) -> Path | None:
    """Return the newest run if it was trained after `checkpoint` was written, else None."""
    run = _newest_run(RUNS)
    newer = run is not None and _run_checkpoint(run).stat().st_mtime > checkpoint.stat().st_mtime
    return run if newer else None


def _run_checkpoint(run: Path) -> Path:
    return fold_checkpoint(max((fold_folder(run, fold) for fold in folds_of(run)), key=_trained_at))


def _trained_at(folder: Path) -> float:
    """Return when the last epoch of a fold was saved, as a file's time."""
    return (folder / "last.safetensors").stat().st_mtime
