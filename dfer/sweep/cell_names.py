"""Names of the cells of a sweep: readable, different from each other on every disk, and always a legal file name."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from dfer.runtime.filenames import composed

BASE = "base"  # the cell that changes nothing
_MAX_BYTES = 100  # of the 143 that some encrypted file systems allow, with room for the seed
_DIGEST = 8


def short_keys(keys: Sequence[str]) -> dict[str, str]:
    """Return the name by which each dotted key is shown: its last part, where that tells it from the others.

    `model.name` is shown as `model`, and so for other sections.
    """
    short = {key: key.rpartition(".")[0] if key.endswith(".name") else key.rpartition(".")[2] for key in keys}
    names = list(short.values())
    return {key: name if names.count(name) == 1 else key for key, name in short.items()}


def value_text(value: Any) -> str:
    """Return a value as a part of a name: `[1, 7, 7]` is `1x7x7`, and of a path its last part remains."""
    if isinstance(value, list | tuple):
        return "x".join(map(value_text, value)) or "empty"
    if isinstance(value, dict):
        return "+".join(f"{_legal(str(key))}-{value_text(item)}" for key, item in value.items()) or "empty"
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    text = str(value)
    return _legal((PurePosixPath(text).name if "/" in text else text).strip()) or "empty"


def _legal(text: str) -> str:
    """Return text in which everything but letters, digits and `_.+-` is replaced."""
    return "-".join(filter(None, re.split(r"[^\w.+-]+", composed(text)))) or ("-" if text else "")


def cell_names(labels: Sequence[str | None], settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the name of each cell.

    Args:
        labels: the name that the user gave; None where there is none.
        settings: the values of the keys that are part of the name.
    """
    shown = short_keys(list(dict.fromkeys(key for values in settings for key in values)))
    names = []
    for label, values in zip(labels, settings, strict=True):
        parts = ["=".join(map(_legal, label.split("=")))] if label else []
        parts += [f"{shown[key]}={value_text(value)}" for key, value in values.items()]
        names.append((",".join(parts) or BASE).lstrip(".") or BASE)
    folded = [name.casefold() for name in names]
    return [
        _with_digest(name, label, values)
        if len(name.encode()) > _MAX_BYTES or folded.count(name.casefold()) > 1
        else name
        for name, label, values in zip(names, labels, settings, strict=True)
    ]


def _with_digest(name: str, label: str | None, values: Mapping[str, Any]) -> str:
    content = json.dumps([label, dict(values)], sort_keys=True, default=str)
    digest = hashlib.sha256(content.encode(errors="surrogatepass")).hexdigest()[:_DIGEST]
    return f"{name.encode()[: _MAX_BYTES - _DIGEST - 1].decode(errors='ignore')}~{digest}"
