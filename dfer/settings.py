"""Typed settings: the base class of a recipe's sections and of a model's settings, and how their errors read."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from dfer.errors import UsageError

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
BelowOne = Annotated[float, Field(ge=0.0, lt=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
NonNegative = Annotated[float, Field(ge=0.0)]
Count = Annotated[int, Field(ge=1)]


class Settings(BaseModel):
    """Settings that cannot be changed: unknown keys are errors, a bool is not an int and a string not a number."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


AnySettings = TypeVar("AnySettings", bound=Settings)


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


def describe_problems(error: ValidationError, keys: Collection[str]) -> list[str]:
    """Return one phrase per problem, an unknown key with the nearest of the valid `keys`."""
    return [_describe(item, keys) for item in error.errors()]


def _describe(item: Any, keys: Collection[str]) -> str:
    key = ".".join(str(part) for part in item["loc"])
    if item["type"] == "extra_forbidden":
        return unknown_key(key, keys)
    if item["type"] == "missing":
        *parent, last = item["loc"]
        is_value = isinstance(last, int)  # of a list
        return f"{'.'.join(map(str, parent))}: value {last + 1} is missing" if is_value else f"{key} is missing"
    message = str(item["msg"]).removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    if isinstance(item["input"], dict) and item["type"] == "value_error":
        return f"{key}: {message}" if key else message  # a check of several keys has no single value to show
    return f"{key}: {message}, got {item['input']!r:.60}"


def unknown_key(key: str, keys: Collection[str]) -> str:
    """Return a phrase that says so and names the nearest valid key, or the same key in another section."""
    near = difflib.get_close_matches(key, keys, n=1, cutoff=0.5)
    near = near or [known for known in keys if known.rpartition(".")[2] == key.rpartition(".")[2]]
    return f"unknown key {key!r}" + (f" (did you mean {near[0]!r}?)" if near else "")
