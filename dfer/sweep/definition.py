"""The definition of a sweep: a recipe, and cells that each change some of its keys, all of them checked."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dfer.errors import UsageError
from dfer.recipe import KEYS_HINT, Recipe, check_recipe, find_recipe, read_recipe_values
from dfer.runs import RUNS
from dfer.settings import read_settings
from dfer.sweep.cell_names import cell_names, short_keys, value_text
from dfer.sweep.sweep_file import SweepFile, override_text, read_folds, read_seeds, read_varied

MAX_CELLS = 10_000
_NOT_VARIED = {
    "train.seed": "train.seed is varied by --seeds, so that repeats are seen as such",
    "name": "name decides nothing: cells are named by what they vary",
}


@dataclass(frozen=True)
class Cell:
    """A cell of the grid: changes of the recipe, which are trained with every seed on every fold.

    Attributes:
        name: the beginning of the names of its runs' folders.
        label: the name that the user gave it; None where it is named by its settings.
        settings: the varied keys and their values; of a labelled cell, those of `vary` only.
        recipe: all settings, with the first seed.
    """

    name: str
    label: str | None
    settings: dict[str, Any]
    recipe: Recipe = field(repr=False)

    def recipe_with(self, seed: int) -> Recipe:
        """Return the recipe of a repeat."""
        return self.recipe.model_copy(update={"train": self.recipe.train.model_copy(update={"seed": seed})})


@dataclass(frozen=True)
class Sweep:
    """The cells, seeds and folds to train, checked.

    Attributes:
        name: of the sweep.
        out: the folder of its runs.
        source: the recipe or sweep file.
        cells: at least one.
        seeds: at least one, all different.
        folds: None for all of the stores.
        baseline: name of the cell that the others are tested against.
        data: the store to test on; None for the one trained on.
    """

    name: str
    out: Path
    source: Path
    cells: list[Cell]
    seeds: list[int]
    folds: list[int] | None
    baseline: str
    data: Path | None = None


def load_sweep(
    path: Path,
    *,
    vary: Mapping[str, Sequence[Any]] | None = None,
    overrides: Sequence[str] = (),
    seeds: Sequence[int] | None = None,
    folds: Sequence[int] | str | None = None,
    baseline: str | None = None,
    out: Path | None = None,
    data: Path | None = None,
) -> Sweep:
    """Read a recipe or a sweep file, and check every cell.

    Args:
        path: the file, or the name of a shipped one.
        vary: values by key, besides those of the file; a key of the file gets these in place of its own.
        overrides: KEY=VALUE of all cells, after those of the file.
        seeds: None for the file's, by default the recipe's own.
        folds: numbers from 1 up, or "all"; None for the file's, by default 1.
        baseline: name of a cell; None for the file's, by default the first.
        out: the folder; None for runs/NAME.
        data: the store to test on; None for the one trained on.

    Raises:
        UsageError: a file or a key is wrong (all are listed), or two cells are the same.
    """
    found = find_recipe(path)
    values = read_recipe_values(found)
    is_file = "recipe" in values
    file = read_settings(SweepFile, values, where=str(found)) if is_file else SweepFile(recipe=str(path))
    recipe = _recipe_beside(found, file.recipe) if is_file else found
    base = read_recipe_values(recipe) if is_file else values
    if "recipe" in base and is_file:
        raise UsageError("the recipe of a sweep cannot be a sweep", where=found)
    name = (file.name or found.stem) if is_file else f"{base.get('name', found.stem)}_sweep"
    given = seeds if seeds is not None else file.seeds
    cells, chosen = _build_cells(
        base, [*file.overrides, *overrides], file.cells, {**file.vary, **_given(vary)}, where=found, first=given
    )
    wanted = baseline or file.baseline
    return Sweep(
        name=name,
        out=out or RUNS / name,
        source=found,
        cells=cells,
        seeds=read_seeds(list(given)) if given is not None else [chosen],
        folds=read_folds(folds if isinstance(folds, str) else list(folds)) if folds is not None else file.folds,
        baseline=cells[0].name if wanted is None else _find_cell(cells, wanted).name,
        data=data or (Path(file.data).expanduser() if file.data else None),
    )


def _given(vary: Mapping[str, Sequence[Any]] | None) -> dict[str, list[Any]]:
    try:
        return read_varied({key: list(values) for key, values in (vary or {}).items()})
    except ValueError as error:
        raise UsageError(str(error), where="--vary") from error


def _recipe_beside(sweep: Path, named: str) -> Path:
    """Return the recipe that a sweep file names: beside it, from the working folder, or a shipped one."""
    beside = sweep.parent / Path(named).expanduser()
    return beside if beside.is_file() else find_recipe(Path(named).expanduser())


def _build_cells(
    base: dict[str, Any],
    overrides: Sequence[str],
    cells: Sequence[tuple[str | None, dict[str, Any]]],
    vary: Mapping[str, Sequence[Any]],
    *,
    where: Path,
    first: Sequence[int] | None,
) -> tuple[list[Cell], int]:
    """Return the cells, and the seed that the recipe gives.

    Raises:
        UsageError: something is wrong with a key or a cell; all that is wrong is listed.
    """
    problems = [why for key, why in _NOT_VARIED.items() if key in vary or any(key in changes for _, changes in cells)]
    problems += [f"{key} is in a cell and in vary" for key in vary if any(key in changes for _, changes in cells)]
    combinations = [dict(zip(vary, values, strict=True)) for values in _product(vary, len(cells), where)]
    labels = [label for label, _ in cells for _ in combinations]
    settings = [{**({} if label else changes), **varied} for label, changes in cells for varied in combinations]
    built: list[Cell] = []
    same: dict[str, str] = {}
    seed = 0
    changed = [{**changes, **varied} for _, changes in cells for varied in combinations]
    names = cell_names(labels, settings)
    for name, label, shown, changes in zip(names, labels, settings, changed, strict=True):
        texts = [*overrides, *(override_text(key, value) for key, value in changes.items())]
        recipe, wrong = check_recipe(base, texts)
        problems += wrong
        if recipe is None:
            continue
        seed = recipe.train.seed
        cell = Cell(name, label, shown, recipe)
        if first:
            cell = replace(cell, recipe=cell.recipe_with(first[0]))
        earlier = same.setdefault(json.dumps(cell.recipe.model_dump(mode="json"), sort_keys=True), name)
        problems += [f"{name} has the settings of {earlier}"] if earlier != name else []
        built.append(cell)
    twice = [name for number, name in enumerate(names) if name in names[:number]]
    problems += [f"the cell {name} stands twice" for name in twice]
    if problems:
        raise UsageError("; ".join(dict.fromkeys(problems)), where=where, hint=KEYS_HINT)
    return built, seed


def cell_columns(cells: Sequence[Cell]) -> list[dict[str, str]]:
    """Return what tells each cell from the others, by the heading of a table's column: its label, and varied keys."""
    if len({(cell.label is None, *cell.settings) for cell in cells}) > 1:
        return [{"cell": cell.name} for cell in cells]
    shown = short_keys(list(cells[0].settings))
    return [
        ({"cell": cell.label or cell.name} if cell.label or not cell.settings else {})
        | {shown[key]: value_text(value) for key, value in cell.settings.items()}
        for cell in cells
    ]


def _product(vary: Mapping[str, Sequence[Any]], num_cells: int, where: Path) -> list[tuple[Any, ...]]:
    count = num_cells
    for values in vary.values():
        count *= len(values)
    if not 1 <= count <= MAX_CELLS:
        raise UsageError(f"{count:,} cells; from 1 to {MAX_CELLS:,} are possible", where=where)
    return list(itertools.product(*vary.values()))


def _find_cell(cells: Sequence[Cell], wanted: str) -> Cell:
    named = [cell for cell in cells if cell.name == wanted] or [cell for cell in cells if cell.label == wanted]
    if not named:
        shown = ", ".join(cell.name for cell in cells[:8]) + (", ..." if len(cells) > 8 else "")
        raise UsageError(f"no cell {wanted!r:.60}", where="--baseline", hint=f"cells: {shown}")
    return named[0]
