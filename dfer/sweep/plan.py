"""The runs of a sweep, one per cell, seed and fold: where each lies, how far it is, and what it costs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch

from dfer.errors import CheckpointError, DferError, UsageError
from dfer.evaluation.plan import plan_evaluation
from dfer.evaluation.predictions import RECORD
from dfer.model import MODELS
from dfer.model.complexity import count_gmacs, count_parameters
from dfer.model.weights import WithoutDraws
from dfer.recipe import Recipe, deciding_keys, load_recipe
from dfer.reports.sweep import SWEEP_FILES
from dfer.run_records import read_run
from dfer.runs import fold_checkpoint, fold_folder
from dfer.runtime.files import is_inside, require_places, sha256_of
from dfer.runtime.reading import read_json
from dfer.store import Store
from dfer.sweep.definition import Cell, Sweep
from dfer.training.artifacts import changed_since
from dfer.training.splits import open_stores

Status = Literal["new", "begun", "trained", "done"]
_SHOWN_CHANGES = 3


@dataclass(frozen=True)
class SweepRun:
    """A run of a sweep: plain values, as it goes to other processes and machines.

    Attributes:
        cell: name of its cell.
        seed: of its training.
        fold: 1-based.
        run: the run's folder; the fold is `foldK` in it.
        recipe: all settings, as JSON has them.
        data: the store to test on; None for the one trained on.
    """

    cell: str
    seed: int
    fold: int
    run: Path
    recipe: dict[str, Any] = field(repr=False, compare=False)
    data: Path | None = None

    @property
    def folder(self) -> Path:
        """The folder of the fold."""
        return fold_folder(self.run, self.fold)

    def __str__(self) -> str:
        return f"{self.run.name} fold {self.fold}"


@dataclass(frozen=True)
class Cost:
    """The cost of a cell's model: parameters, and 10⁹ multiply-adds for a clip."""

    parameters: int
    gmacs: float


@dataclass(frozen=True)
class SweepPlan:
    """A sweep, checked against its stores.

    Attributes:
        sweep: what to vary.
        runs: of all cells, the first seed of every cell first.
        costs: by the name of the cell.
        status: of each run when the plan was made.
    """

    sweep: Sweep
    runs: list[SweepRun]
    costs: dict[str, Cost]
    status: dict[SweepRun, Status]

    def shard(self, index: int, count: int) -> list[SweepRun]:
        """Return the runs of a shard, 1-based, that are not done."""
        return [run for run in self.runs[index - 1 :: count] if self.status[run] != "done"]


def plan_sweep(sweep: Sweep) -> SweepPlan:
    """Return the runs of a sweep, after checking all that can be checked before training.

    Raises:
        DferError: a store is missing or has no such fold, sizes fit no model, or a run was begun with other settings
            or data; all such runs are counted, and the first are named.
    """
    _check_places(sweep)
    stores: dict[str, Store] = {}
    for cell in sweep.cells:
        key = _key(cell.recipe.data)
        stores[key] = stores.get(key) or open_stores(cell.recipe.data)
    costs = _costs(sweep.cells, stores)
    runs = [run for seed in sweep.seeds for cell in sweep.cells for run in _runs_of(sweep, cell, seed, stores)]
    prints = {key: store.fingerprint() for key, store in stores.items()}
    by_cell = {cell.name: prints[_key(cell.recipe.data)] for cell in sweep.cells}
    changed = [(run, why) for run in runs if (why := _why_changed(run, by_cell[run.cell]))]
    if changed:
        listed = "; ".join(f"{run}: {why}" for run, why in changed[:_SHOWN_CHANGES])
        more = f"; and {len(changed) - _SHOWN_CHANGES:,} more runs" if len(changed) > _SHOWN_CHANGES else ""
        hint = "write to another folder with --out, or remove the folders of these runs to train them again"
        raise UsageError(f"{listed}{more}", where=sweep.out, hint=hint)
    return SweepPlan(sweep, runs, costs, {run: run_status(run) for run in runs})


def _check_places(sweep: Sweep) -> None:
    """Refuse a folder that cannot be written or is in a store, and cells of several stores without one to test on."""
    require_places(sweep.out, SWEEP_FILES)
    for cell in sweep.cells:
        for store in cell.recipe.data.folders:
            if is_inside(sweep.out, store):
                hint = "choose another folder with --out"
                raise UsageError("the sweep would be written into the store", where=sweep.out, hint=hint)
        if len(cell.recipe.data.folders) > 1 and sweep.data is None:
            hint = f"test on one of them: --data {' or --data '.join(map(str, cell.recipe.data.folders))}"
            raise UsageError("trained on several stores", where=cell.name, hint=hint)


def _key(section: Any) -> str:
    return json.dumps(section.model_dump(mode="json"), sort_keys=True)


def _runs_of(sweep: Sweep, cell: Cell, seed: int, stores: dict[str, Store]) -> list[SweepRun]:
    store = stores[_key(cell.recipe.data)]
    available = sorted({number for row in store.rows for number in row.folds})
    if missing := [fold for fold in sweep.folds or () if fold not in available]:
        raise UsageError(f"no fold {missing[0]} in this store", where=store.root, hint=f"its folds: {available}")
    values = cell.recipe_with(seed).model_dump(mode="json")
    run = sweep.out / f"{cell.name},seed{seed}"
    return [SweepRun(cell.name, seed, fold, run, values, sweep.data) for fold in sweep.folds or available]


def _costs(cells: Sequence[Cell], stores: dict[str, Store]) -> dict[str, Cost]:
    """Return the cost of each cell's model, which is built without memory for its weights.

    Raises:
        UsageError: the sizes of some fit no model; all of them are listed.
    """
    known: dict[str, Cost] = {}
    costs: dict[str, Cost] = {}
    problems: list[str] = []
    for cell in cells:
        labels = stores[_key(cell.recipe.data)].info.labels
        key = f"{len(labels)} {_key(cell.recipe.model)}"
        try:
            costs[cell.name] = known[key] = known.get(key) or _cost(cell.recipe, len(labels))
        except DferError as error:
            problems.append(f"{cell.name}: {error}")
    if problems:
        raise UsageError("; ".join(problems[:_SHOWN_CHANGES]), where="cells of the sweep")
    return costs


def _cost(recipe: Recipe, num_classes: int) -> Cost:
    section = recipe.model
    settings = section.model_dump(exclude={"name", "backbone", "init"})
    build = partial(MODELS[section.name].build, num_classes=num_classes, **settings)
    try:
        with torch.device("meta"), WithoutDraws():
            model = build()
    except DferError:
        raise
    except Exception:  # a plugin's model may compute with its weights when it is built
        model = build()
    return Cost(count_parameters(model), count_gmacs(model, section.num_frames, section.image_size))


def _why_changed(run: SweepRun, fingerprint: str) -> str | None:
    """Return why what lies in a run's folder is not the run that is asked for; None if it is, or nothing is there."""
    if not (run.folder / "recipe.yaml").is_file():
        return None
    try:
        begun = deciding_keys(load_recipe(run.folder / "recipe.yaml"))
    except UsageError as error:
        return f"its recipe cannot be read any more: {error.what}"
    trained = _fingerprint_of(run.folder)
    return changed_since(begun, deciding_keys(Recipe.model_validate(run.recipe)), trained or fingerprint, fingerprint)


def _fingerprint_of(folder: Path) -> str | None:
    """Return the fingerprint of the data of a trained fold; None for another one, which training checks."""
    return read_run(folder)["data"].get("fingerprint") if (folder / "run.json").exists() else None


def run_status(run: SweepRun) -> Status:
    """Return how far a run is: "done" is trained and tested; a run that is trained needs no state to stay so."""
    if not (run.folder / "run.json").exists():
        return "begun" if (run.folder / "recipe.yaml").exists() else "new"
    try:
        answers = answers_folder(run)
        record = read_json(answers / RECORD)
        tested = record["checkpoint"]["sha256"] == sha256_of(fold_checkpoint(run.folder))
    except CheckpointError:  # someone removed the weights
        return "begun"
    except (OSError, ValueError, KeyError, TypeError):
        tested = False
    return "done" if tested else "trained"


def answers_folder(run: SweepRun) -> Path:
    """Return the folder of the answers for the test clips of a trained run.

    Raises:
        DferError: it is not trained, or nothing tells the store to test on.
    """
    (task,) = plan_evaluation(run=run.run, folds=[run.fold], data=run.data)
    assert task.out is not None  # for mypy: the default is a folder
    return task.out
