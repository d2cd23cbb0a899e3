"""The recipe: everything that decides a training run, typed, read from YAML and `KEY=VALUE` overrides.

All errors of a recipe are reported at once, an unknown key with the nearest valid one. The sections are described in
`dfer.recipe_sections`, but `model` and `loss` beside what they set up, in `dfer.model` and `dfer.losses`.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field, ValidationError, model_validator

from dfer.errors import UsageError
from dfer.losses.training_loss import LossSection
from dfer.model.build import AnyModelSection, read_section, section_classes
from dfer.recipe_sections import AugmentSection, DataSection, OptimSection, StoreSection, TrainSection
from dfer.runtime.files import write_text
from dfer.runtime.formatting import shorten_home
from dfer.runtime.plain_yaml import parse_yaml, read_mapping
from dfer.settings import (
    Settings,
    describe_problems,
    shorten_problems,
    show_value,
    unknown_key,
)

KEYS_HINT = "docs/recipes.md lists every key"
_INCIDENTAL = ("workers", "memory_gb", "save_minutes", "feed")  # keys of `train`


class Recipe(Settings):
    """A training run."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)] = Field(
        description="the run's name: it is written to `runs/NAME`"
    )
    data: DataSection
    model: AnyModelSection = Field(default_factory=lambda: read_section({}))
    augment: AugmentSection = AugmentSection()
    loss: LossSection = LossSection()
    optim: OptimSection = OptimSection()
    train: TrainSection = TrainSection()

    @model_validator(mode="after")
    def _consistent(self) -> Recipe:
        if self.model.num_frames % self.data.segments:
            raise ValueError(
                f"data.segments ({self.data.segments}) must divide model.num_frames ({self.model.num_frames})"
            )
        if self.optim.accumulate > self.train.batch_size:
            raise ValueError("optim.accumulate must not be above train.batch_size")
        if self.optim.schedule == "cosine" and self.optim.warmup_epochs >= self.train.epochs:
            raise ValueError("optim.warmup_epochs must be below train.epochs")
        return self


def deciding_keys(recipe: Recipe) -> dict[str, Any]:
    """Return the recipe without the keys that change how a run is computed, but not what it computes."""
    values = recipe.model_dump(mode="json")
    values["train"] = {key: value for key, value in values["train"].items() if key not in _INCIDENTAL}
    return values


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe and apply overrides.

    Args:
        path: the YAML file; a bare name such as `demo.yaml` that does not exist here is looked up among
            the recipes shipped with dfer.
        overrides: `section.key=value` items, the value in YAML.

    Raises:
        UsageError: the file is missing or not plain YAML, or keys are unknown or ill-typed (all are listed).
    """
    found = find_recipe(path)
    values = read_recipe_values(found)
    if "recipe" in values:
        raise UsageError("a sweep, not a recipe", where=found, hint=f"dfer sweep {path}")
    recipe, problems = check_recipe(values, overrides)
    if recipe is None:
        raise UsageError("; ".join(problems), where=found, hint=KEYS_HINT)
    return recipe


def find_recipe(path: Path) -> Path:
    """Return the file of a recipe; see `load_recipe`.

    Raises:
        UsageError: there is none.
    """
    return path if path.exists() else _shipped(path)


def read_recipe_values(found: Path) -> dict[str, Any]:
    """Return what a recipe's file holds, not checked yet.

    Raises:
        UsageError: it cannot be read, or is not plain YAML of a mapping.
    """
    return read_mapping(found, "recipe", hint="start from recipes/dfew.yaml")


def check_recipe(values: dict[str, Any], overrides: Sequence[str] = ()) -> tuple[Recipe | None, list[str]]:
    """Return the recipe that values and overrides make, and otherwise None and a phrase for each problem.

    Args:
        values: as a file holds them; they are not changed.
        overrides: see `load_recipe`.
    """
    changed = copy.deepcopy(values)
    problems = list(_apply_overrides(changed, overrides))
    problems = shorten_problems(problems, len(problems))
    try:
        recipe = Recipe.model_validate(changed)
    except ValidationError as error:
        return None, problems + describe_problems(error, [*recipe_keys(), *_store_keys(changed)])
    return (None if problems else recipe), problems


def save_recipe(recipe: Recipe, path: Path) -> None:
    """Write the resolved recipe, every key spelled out, so that it can be trained again as it is."""
    values = shorten_home(recipe.model_dump(mode="json"))
    write_text(path, yaml.safe_dump(values, sort_keys=False, allow_unicode=True))


def recipe_keys() -> Iterator[str]:
    """Yield all dotted keys that a recipe may hold, those of every model included."""
    for name, field in Recipe.model_fields.items():
        kind = field.annotation
        sections = section_classes() if name == "model" else [kind]
        for section in sections:
            if isinstance(section, type) and issubclass(section, Settings):
                yield from (f"{name}.{key}" for key in section.model_fields)
            else:
                yield name


def _store_keys(values: dict[str, Any]) -> Iterator[str]:
    """Yield the dotted keys of each of several stores, as errors spell them."""
    data = values.get("data")
    paths = data.get("path") if isinstance(data, dict) else None
    for number in range(len(paths) if isinstance(paths, list) else 0):
        yield from (f"data.path.{number}.{key}" for key in StoreSection.model_fields)


def shipped_recipes() -> Path:
    """Return the folder of the recipes that come with dfer: in the wheel, or at the top of a checkout."""
    package = Path(__file__).parent
    inside = package / "recipes"
    return inside if inside.is_dir() else package.parent / "recipes"


def _shipped(path: Path) -> Path:
    root = shipped_recipes()
    inside = path.relative_to("recipes") if path.parts[:1] == ("recipes",) else path
    if not path.is_absolute() and ".." not in path.parts and (root / inside).is_file():
        return root / inside
    names = ", ".join(sorted(p.relative_to(root).as_posix() for p in root.rglob("*.yaml")))
    raise UsageError("no such recipe", where=path, hint=f"shipped recipes: {names}")


def _apply_overrides(values: dict[str, Any], overrides: Sequence[str]) -> Iterator[str]:
    known = list(recipe_keys())
    for item in overrides:
        key, separator, text = item.partition("=")
        if not separator:
            yield f"override {show_value(item)} is not KEY=VALUE"
            continue
        if key not in known:
            yield unknown_key(key, known)
            continue
        try:
            value = parse_yaml(text)
        except ValueError as error:
            yield f"override {key}: {error}"
            continue
        *sections, last = key.split(".")
        target: Any = values
        for section in sections:
            target = target.setdefault(section, {}) if isinstance(target, dict) else None
        if isinstance(target, dict):
            target[last] = value
