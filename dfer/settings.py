"""Typed settings and records: a recipe's sections, a model's settings, the content of files; how their errors read.

A file that dfer wrote may come back damaged or hostile: its values are checked as a whole, types and bounds, before
anything is built or allocated from them.
"""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Collection, Mapping
from functools import cache
from typing import Annotated, Any, TypeVar, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    TypeAdapter,
    ValidationError,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from dfer.errors import DferError, UsageError

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
BelowOne = Annotated[float, Field(ge=0.0, lt=1.0)]
Positive = Annotated[float, Field(gt=0.0, le=1e6)]
NonNegative = Annotated[float, Field(ge=0.0, le=1e6)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
MAX_CROP_SIZE = 1024
CropSize = Annotated[int, Field(ge=8, le=MAX_CROP_SIZE)]  # side, pixels
FoldNumber = Annotated[int, Field(ge=1, le=10_000)]
Name = Annotated[str, Field(min_length=1, max_length=500)]
# Records write the home folder as ~.
PathText = Annotated[str, Field(max_length=4096), AfterValidator(os.path.expanduser)]
Note = Annotated[str, Field(max_length=2000)]  # a sentence or two

MAX_CLASSES = 1000
_SHOWN_PROBLEMS = 8
_UNKNOWN_KEY = ("extra_forbidden", "unexpected_keyword_argument")  # of a model, and of a dataclass
_SHOWN_LETTERS = 60

# Unknown keys are errors, a bool is not an int, and a string not a number. The config of a dataclass whose instances
# `read_record` makes.
STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
# The same, but further keys are kept as they are.
STRICT_AND_OPEN = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)


def _require_distinct(labels: list[str]) -> list[str]:
    if len(set(labels)) < len(labels):
        twice = next(label for n, label in enumerate(labels) if label in labels[:n])
        raise ValueError(f"the label {twice!r:.60} stands twice")
    if any(not label.strip() for label in labels):
        raise ValueError("a label is blank")
    return labels


# Emotion names in the order of the logits.
Labels = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=200)]],
    Field(min_length=1, max_length=MAX_CLASSES),
    AfterValidator(_require_distinct),
]


class Settings(BaseModel):
    """Settings that cannot be changed, and are as strict as `STRICT` says."""

    model_config = ConfigDict(**STRICT, frozen=True)


AnySettings = TypeVar("AnySettings", bound=Settings)
AnyRecord = TypeVar("AnyRecord")


class NameIn:
    """The allowed values of a setting that names an entry of a registry, as it is when the setting is read.

    Args:
        registry: its keys are the names.
    """

    def __init__(self, registry: Mapping[str, object]) -> None:
        self.registry = registry

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {**handler(schema), "enum": list(self.registry)}

    def _check(self, name: str) -> str:
        if name not in self.registry:
            *others, last = map(repr, self.registry)
            raise ValueError(f"input should be {' or '.join(filter(None, [', '.join(others), last]))}")
        return name


def read_settings(kind: type[AnySettings], values: Mapping[str, Any], *, where: str) -> AnySettings:
    """Return validated settings.

    Args:
        kind: their class.
        values: by key.
        where: the place that an error names.

    Raises:
        UsageError: a key is unknown, missing or ill-typed; all of them are listed.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise UsageError("; ".join(describe_problems(error, list(kind.model_fields))), where=where) from error


def read_record(
    kind: type[AnyRecord], values: Any, *, what: str, where: object, error: type[DferError], hint: str | None = None
) -> AnyRecord:
    """Return the record that a file holds, its types and bounds checked.

    Args:
        kind: a dataclass with `STRICT` as its `__pydantic_config__`, a `TypedDict` with it, or a container of them.
        values: plain values, as JSON gives them.
        what: beginning of the error's message, such as "damaged dataset.json".
        where: the file, for the error.
        error: its class.
        hint: of the error.

    Raises:
        DferError: of the class `error`; values are missing, unknown, ill-typed or out of bounds.
    """
    try:
        # As JSON, in which a mapping is a record and a list a tuple, while all other types stay strict.
        record: AnyRecord = _adapter(cast("Any", kind)).validate_json(json.dumps(values))
        return record
    except ValidationError as problem:
        listed = "; ".join(describe_problems(problem, list(getattr(kind, "__annotations__", ()))))
        raise error(f"{what}: {listed}", where=str(where), hint=hint) from problem
    except (TypeError, ValueError, RecursionError) as problem:  # values that JSON does not have
        raise error(f"{what}: {problem!s:.100}", where=str(where), hint=hint) from problem


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def describe_problems(error: ValidationError, keys: Collection[str]) -> list[str]:
    """Return one phrase per problem, an unknown key with the nearest of the valid `keys`; many are cut short."""
    found: list[Any] = list(error.errors(include_url=False))
    if len(found) > _SHOWN_PROBLEMS:  # what is wrong with a known key tells more than that another is unknown
        found.sort(key=lambda item: item["type"] in _UNKNOWN_KEY)
    return shorten_problems([_describe(item, keys) for item in found[:_SHOWN_PROBLEMS]], len(found))


def shorten_problems(problems: list[str], count: int) -> list[str]:
    """Return the first problems, and a phrase that says how many more of the `count` there are."""
    shown = problems[:_SHOWN_PROBLEMS]
    return [*shown, f"and {count - len(shown):,} more"] if count > len(shown) else shown


def _describe(item: Any, keys: Collection[str]) -> str:
    key = ".".join(_shorten(str(part)) for part in item["loc"])
    if item["type"] in _UNKNOWN_KEY:
        return unknown_key(key, keys)
    if item["type"] == "missing":
        *parent, last = item["loc"]
        is_value = isinstance(last, int)  # of a list
        return f"{'.'.join(map(str, parent))}: value {last + 1} is missing" if is_value else f"{key} is missing"
    message = str(item["msg"]).removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    if isinstance(item["input"], dict) and item["type"] == "value_error":
        return f"{key}: {message}" if key else message  # a check of several keys has no single value to show
    return f"{key}: {message}, got {show_value(item['input'])}" if key else message


def show_value(value: Any) -> str:
    """Return a value as an error shows it: in one line, and short."""
    try:
        return _shorten(repr(value))
    except (ValueError, RecursionError):  # thousands of digits
        return f"a value of type {type(value).__name__} that is too long to show"


def _shorten(text: str) -> str:
    return text if len(text) <= _SHOWN_LETTERS else f"{text[:_SHOWN_LETTERS]}…"


def unknown_key(key: str, keys: Collection[str]) -> str:
    """Return a phrase that says so and names the nearest valid key, or the same key in another section."""
    if key in keys:  # a recipe's keys are those of all models
        return f"unknown key {_shorten(repr(key))} of this model, though others have it"
    near = difflib.get_close_matches(key, keys, n=1, cutoff=0.5)
    near = near or [known for known in keys if known.rpartition(".")[2] == key.rpartition(".")[2]]
    return f"unknown key {_shorten(repr(key))}" + (f" (did you mean {near[0]!r}?)" if near else "")
