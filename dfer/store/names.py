"""Names of a store's classes: those written there, and those that they go by where stores are joined."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path

from dfer.errors import DataError
from dfer.labels import canonical_emotion

Renamed = Mapping[str, str | None]  # a store's name of a class -> ours, or None to leave the class out


def class_names(labels: Sequence[str], renamed: Renamed, *, where: Path) -> dict[str, str | None]:
    """Return our name of each class of a store, in the store's order; None for one that is left out.

    Args:
        labels: the store's names.
        renamed: other names; a synonym such as "anger" means the class "angry" too.
        where: the store.

    Raises:
        DataError: `renamed` names a class that the store does not have.
    """
    given = own_names(labels, renamed, where=where)
    return {
        name: None if name in given and given[name] is None else our_name(given.get(name) or name) for name in labels
    }


def own_names(labels: Sequence[str], renamed: Renamed, *, where: Path) -> dict[str, str | None]:
    """Return other names by the store's own spelling of its classes; arguments and errors as of `class_names`."""
    by_our_name = {our_name(name): name for name in labels}
    given: dict[str, str | None] = {}
    for name, other in renamed.items():
        own = name if name in labels else by_our_name.get(our_name(name))
        if own is None:
            raise unknown_class(name, labels, where=where)
        given[own] = other
    return given


def our_name(name: str) -> str:
    """Return our name of an emotion; any other name as it is."""
    return canonical_emotion(name) or name


def unknown_class(name: str, known: Sequence[str], *, where: Path) -> DataError:
    """Return the error for a name that is no class's, with the nearest that is."""
    hint = f"{nearest_class(name, known)}the classes here: {', '.join(known)}"
    return DataError(f"no class is named {name!r}", where=where, hint=hint)


def nearest_class(name: str, known: Sequence[str]) -> str:
    """Return the beginning of a hint on the class that may be meant, "" if there is none."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}? " if near else ""
