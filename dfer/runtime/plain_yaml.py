"""YAML from untrusted files: plain values only, no tags, no aliases (their expansion can exhaust memory)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from dfer.errors import UsageError, os_reason
from dfer.runtime.reading import read_input

MAX_BYTES = 200_000  # a long recipe has 5,000; reading takes seconds per megabyte


def read_mapping(path: Path, kind: str, *, hint: str) -> dict[str, Any]:
    """Return the mapping that a YAML file holds.

    Args:
        path: the file.
        kind: what it should be, for the error messages.
        hint: for a file that is empty or holds something else.

    Raises:
        UsageError: the file cannot be read, is too large, or is not plain YAML of a mapping.
    """
    try:
        values = parse_yaml(read_input(path, MAX_BYTES).decode("utf-8"))
    except IsADirectoryError as error:
        raise UsageError(f"this is a folder, not a {kind}", where=path) from error
    except OSError as error:
        raise UsageError(f"cannot read the {kind}: {os_reason(error)}", where=path) from error
    except ValueError as error:
        raise UsageError(f"not a valid YAML {kind}: {error}", where=path) from error
    if values is None:
        raise UsageError(f"the {kind} is empty", where=path, hint=hint)
    if not isinstance(values, dict):
        raise UsageError(f"the {kind} must be a mapping of sections", where=path, hint=hint)
    return values


def parse_yaml(text: str) -> Any:
    """Return the value that a YAML text holds.

    Raises:
        ValueError: it is not plain YAML; the message is one line.
    """
    try:
        return yaml.load(text, Loader=_PlainLoader)  # a SafeLoader: it builds only plain values
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    except (yaml.YAMLError, ValueError, TypeError) as error:
        raise ValueError(" ".join(str(error).split())[:200]) from error


class _PlainLoader(yaml.SafeLoader):
    """SafeLoader without aliases and duplicate keys, which reads 1e-3 as a number."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases (*name) are not allowed")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            name = str(key.value)
            if name in seen:
                raise yaml.YAMLError(f"the key {name!r} stands twice (line {key.start_mark.line + 1})")
            seen.add(name)
        return super().construct_mapping(node, deep)


_PlainLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)$|^[-+]?(?:\d+\.\d*|\.\d+)$"),
    list("-+0123456789."),
)
