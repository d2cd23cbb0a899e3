"""The registries: models, losses, data sets and detectors by name. Plugins add theirs to them."""

from __future__ import annotations

from collections import UserDict
from collections.abc import Mapping
from typing import Any, TypeVar

from dfer.errors import UsageError

Entry = TypeVar("Entry")

_registries: dict[str, Registry[Any]] = {}


class Registry(UserDict[str, Entry]):
    """The entries of one kind by name, such as `MODELS`; each name can be given once.

    Args:
        kind: the entries' kind, for messages: "model".
        entry_type: the class of an entry; anything else is refused.
        entries: those of dfer itself.
    """

    def __init__(self, kind: str, entry_type: Any, entries: Mapping[str, Entry]) -> None:
        self.kind = kind
        self._entry_type = entry_type
        super().__init__(entries)
        self.own = frozenset(entries)
        _registries[kind] = self

    def __setitem__(self, name: str, entry: Entry) -> None:
        """Add an entry.

        Raises:
            UsageError: the name is taken or is no name, or the entry is of another type.
        """
        if not isinstance(name, str) or not name or not name.isprintable() or name != name.strip():
            raise UsageError(f"the name of a {self.kind} should be a word, not {name!r:.80}")
        if name in self.data:
            raise UsageError(f"there is a {self.kind} {name!r} already", hint="choose another name")
        if not isinstance(entry, self._entry_type):
            expected = getattr(self._entry_type, "__name__", str(self._entry_type))
            raise UsageError(f"the {self.kind} {name!r} should be registered as a {expected}, not as {entry!r:.80}")
        super().__setitem__(name, entry)


def added_names() -> dict[str, list[str]]:
    """Return the names of the entries that are not dfer's own, by kind."""
    added = {kind: [name for name in registry if name not in registry.own] for kind, registry in _registries.items()}
    return {kind: names for kind, names in added.items() if names}


def remove_names(names: Mapping[str, list[str]]) -> None:
    """Remove entries, by kind."""
    for kind, some in names.items():
        for name in some:
            del _registries[kind][name]
