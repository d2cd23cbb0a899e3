"""The content of a sweep file, and the options that add to it.

recipe: dfew.yaml               # of this folder, or a shipped one
name: ablations                 # the sweep is written to runs/NAME
overrides: {train.epochs: 30}   # of all cells
vary:                           # every combination is a cell
  model.num_frames: [16, 64]
cells:                          # by name, or a list; each with every combination of `vary`
  reference: {}
  local: {model.attention: local}
seeds: 3                        # 0, 1 and 2; or a list
folds: all                      # or a number, or a list
baseline: reference             # the cell that the others are tested against; by default the first
data: data/dfew                 # the store to test on; by default the one trained on
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from dfer.errors import UsageError
from dfer.runtime.plain_yaml import parse_yaml
from dfer.settings import Settings, show_value

MAX_SEEDS = 1000


def read_overrides(value: Any) -> list[str]:
    """Return overrides as KEY=VALUE texts, of a mapping or a list of such texts.

    Raises:
        ValueError: the value has another form.
    """
    if isinstance(value, dict):
        return [override_text(str(key), item) for key, item in value.items()]
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return value
    raise ValueError("input should be a mapping of keys, or a list of KEY=VALUE")


def read_varied(value: Any) -> dict[str, list[Any]]:
    """Return the values of each varied key.

    Raises:
        ValueError: the value has another form.
    """
    if not isinstance(value, dict):
        raise ValueError("input should be a mapping of keys to lists of values")
    for key, values in value.items():
        if not isinstance(values, list) or not values:
            raise ValueError(f"{key} should be a list of values")
    return {str(key): list(map(partial(_plain_value, str(key)), values)) for key, values in value.items()}


def read_cells(value: Any) -> list[tuple[str | None, dict[str, Any]]]:
    """Return the name and the changes of each cell, of a mapping by name or a list without names.

    Raises:
        ValueError: the value has another form.
    """
    named = list(value.items()) if isinstance(value, dict) else None
    if named is None and isinstance(value, list):
        named = [(None, item) for item in value]
    if named is None or not all(item is None or isinstance(item, dict) for _, item in named):
        raise ValueError("input should be a mapping of names to changes, or a list of changes")
    return [(None if name is None else str(name), _plain(item or {})) for name, item in named]


def read_seeds(value: Any) -> list[int]:
    """Return the seeds, of a list or their number.

    Raises:
        ValueError: the value has another form.
    """
    numbers = list(range(min(value, MAX_SEEDS + 1))) if type(value) is int else value
    whole = isinstance(numbers, list) and all(type(number) is int and 0 <= number < 2**31 for number in numbers)
    if not whole or not 1 <= len(numbers) <= MAX_SEEDS:
        raise ValueError(f"input should be a number of seeds, up to {MAX_SEEDS:,}, or a list of seeds from 0 up")
    return list(dict.fromkeys(numbers))


def read_folds(value: Any) -> list[int] | None:
    """Return the folds, of a list or a single one; None for all.

    Raises:
        ValueError: the value has another form.
    """
    numbers = [value] if type(value) is int else value
    if value == "all":
        return None
    if not isinstance(numbers, list) or not numbers or not all(type(n) is int and n >= 1 for n in numbers):
        raise ValueError("input should be all, a fold, or a list of folds from 1 up")
    return list(dict.fromkeys(numbers))


class SweepFile(Settings):
    """The content of a sweep file."""

    recipe: str
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)] | None = None
    overrides: Annotated[Any, AfterValidator(read_overrides)] = Field([], validate_default=True)
    vary: Annotated[Any, AfterValidator(read_varied)] = Field({}, validate_default=True)
    cells: Annotated[Any, AfterValidator(read_cells)] = Field([{}], validate_default=True)
    seeds: Annotated[Any, AfterValidator(lambda value: None if value is None else read_seeds(value))] = None
    folds: Annotated[Any, AfterValidator(read_folds)] = Field(1, validate_default=True)
    baseline: str | None = None
    data: str | None = None


def override_text(key: str, value: Any) -> str:
    """Return a KEY=VALUE override; JSON is YAML.

    Raises:
        ValueError: the value is none that a recipe could hold.
    """
    try:
        return f"{key}={json.dumps(value, ensure_ascii=False, default=str)}"
    except (TypeError, RecursionError) as error:
        raise ValueError(f"{key} cannot be {show_value(value)}") from error


def _plain(changes: Mapping[Any, Any]) -> dict[str, Any]:
    """Return changes as overrides spell them: JSON has no dates, and no infinite numbers."""
    return {str(key): _plain_value(str(key), value) for key, value in changes.items()}


def _plain_value(key: str, value: Any) -> Any:
    return parse_yaml(override_text(key, value)[len(key) + 1 :])


def parse_vary(options: Sequence[str]) -> dict[str, list[Any]]:
    """Parse options such as `model.window=[1,7,7],[4,4,4]`: the values are those of a YAML list.

    Raises:
        UsageError: one is not of this form, or a key stands twice.
    """
    found: dict[str, list[Any]] = {}
    for text in options:
        key, separator, values = text.partition("=")
        try:
            listed = parse_yaml(f"[{values}]") if separator else None
        except ValueError as error:
            raise UsageError(f"cannot read the values of {show_value(key)}: {error}", where="--vary") from error
        if not listed or not key or not isinstance(listed, list):
            hint = "KEY=VALUE,VALUE,... with values in YAML, such as loss.compact_weight=0,0.1"
            raise UsageError(f"{show_value(text)} names no key and values", where="--vary", hint=hint)
        if key in found:
            raise UsageError(f"{key} is varied twice", where="--vary", hint="list all its values in one --vary")
        found[key] = listed
    return found


def parse_seeds(text: str | None) -> list[int] | None:
    """Parse `--seeds`: "3" means 0, 1 and 2; "1,5,7" and "7," name them.

    Raises:
        UsageError: the text is none of these.
    """
    if text is None:
        return None
    parts = text.removesuffix(",").split(",")
    try:
        return read_seeds(int(text) if "," not in text else [int(part) for part in parts])
    except ValueError:
        hint = "3 for seeds 0, 1 and 2; or a list such as 1,5,7, or 7, for one"
        raise UsageError(f"invalid seeds {text!r:.60}", where="--seeds", hint=hint) from None
