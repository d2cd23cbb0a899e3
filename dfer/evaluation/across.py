"""A checkpoint and a store that may have other classes: labels joined by name, and the clips of classes of both.

A class of the data goes to the class of the checkpoint that has its name, or a synonym of it (`dfer.labels`), or the
one that the user gives. Known emotions without a counterpart are left out and counted; other names are refused, since
they may be a counterpart in another spelling.

Two protocols say what may be answered where the checkpoint knows classes that the data lack:

restricted    only the classes of both: their probabilities are divided by their sum. The default: the choice of a
              class set is a part of a data set, and no clip of it could have got another label.
open          all classes of the checkpoint, as in use; an answer that the data lack counts as wrong.
"""

from __future__ import annotations

import csv
import difflib
import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from dfer.errors import DataError, UsageError
from dfer.labels import canonical_emotion
from dfer.model.checkpoint import CheckpointInfo
from dfer.records import Split
from dfer.store import Store
from dfer.store.joined import fit_store, own_fold, rename_store
from dfer.store.manifest import ManifestRow
from dfer.store.names import Renamed, nearest_class, our_name, own_names

Protocol = Literal["restricted", "open"]
TEST_ONLY: tuple[Split, ...] = ("test",)
ALL_LISTS: tuple[Split, ...] = ("train", "val", "test")
RESTRICTED: Protocol = "restricted"
OPEN: Protocol = "open"


@dataclass(frozen=True)
class Across:
    """The user's decisions on data with other classes.

    Attributes:
        renamed: class of the data -> class of the checkpoint; None leaves its clips out.
        protocol: None for the default.
    """

    renamed: Renamed = field(default_factory=dict)
    protocol: Protocol | None = None

    def words(self) -> list[str]:
        """Return words for the names of folders, which tell these decisions from others."""
        words: list[str] = [] if self.protocol is None else [self.protocol]
        if self.renamed:
            digest = hashlib.sha256(json.dumps(sorted(self.renamed.items())).encode()).hexdigest()
            words.append(f"map{digest[:6]}")
        return words


@dataclass(frozen=True)
class JoinedClasses:
    """The classes of a store and those of a checkpoint, joined.

    Attributes:
        names: each class of the data -> its class of the checkpoint; None for one without a counterpart.
        labels: classes of the checkpoint, in its order.
        common: those of them that have clips in the data.
        protocol: what may be answered.
        merged: class of the checkpoint that is a synonym of a common one, which the data do not tell from it -> that
            class, as which its answers count; such as calm -> neutral.
    """

    names: dict[str, str | None]
    labels: list[str]
    common: list[str]
    protocol: Protocol
    merged: dict[str, str] = field(default_factory=dict)

    def shown(self, protocol: Protocol | None = None) -> list[str]:
        """Return the classes that can be answered under a protocol, by default this one's."""
        if (protocol or self.protocol) == RESTRICTED:
            return self.common
        return [label for label in self.labels if label not in self.merged]

    @property
    def model_only(self) -> list[str]:
        """The classes of the checkpoint that the data lack."""
        return [label for label in self.labels if label not in self.common and label not in self.merged]

    @property
    def other_protocol(self) -> Protocol | None:
        """The protocol that would give other answers; None if none would."""
        if not self.model_only or len(self.common) < 2:
            return None
        return OPEN if self.protocol == RESTRICTED else RESTRICTED

    def to_dict(self) -> dict[str, Any]:
        """Return the object `across` of `dfer.evaluation/1`."""
        return {
            "protocol": self.protocol, "common": self.common, "model_only": self.model_only, "map": self.names,
            "merged": self.merged,
        }  # fmt: skip


def join_classes(
    store: Store, info: CheckpointInfo, fold: int, across: Across | None = None
) -> tuple[Store, JoinedClasses | None]:
    """Return a store with a checkpoint's labels, without the clips of classes that have no counterpart.

    A store that the checkpoint was not trained on and that has a single fold shows it for every fold.

    Args:
        store: the data to test on.
        info: of the checkpoint.
        fold: the fold that is asked for.
        across: the user's decisions.

    Returns:
        The store, and how the classes were joined; None where both have the same.

    Raises:
        UsageError: a class that the user names does not exist.
        DataError: a class of the data is neither known nor named by the user, or too few classes are common.
    """
    across = across or Across()
    known = trained_store(store, info)
    if across == Across() and known is not None:
        if "stores" in info.data:
            return store_as_trained(store, info, fold), None
        if store.info.labels == info.labels:
            return store, None
    taught = (known or {}).get("labels", {})
    names = _joined_names(store, info.labels, {**taught, **across.renamed})
    is_own = known is not None and "stores" not in info.data
    joined = rename_store(store, info.labels, names, None if is_own else fold)
    if across == Across() and set(names.values()) == set(info.labels) and len(names) == len(info.labels):
        return joined, None
    present = {row.label for row in joined.rows}
    common = [label for number, label in enumerate(info.labels) if number in present]
    classes = JoinedClasses(
        names, list(info.labels), common, across.protocol or RESTRICTED, _synonyms(info.labels, common, store)
    )
    if len(common) < (2 if classes.protocol == RESTRICTED else 1):
        raise DataError(
            f"the data set and the checkpoint have {_count_classes(common)} in common",
            where=store.root,
            hint=f"the data's: {', '.join(store.info.labels)}; the checkpoint's: {', '.join(info.labels)}; "
            "--map a=b joins two of them",
        )
    return joined, classes


def _synonyms(labels: Sequence[str], common: Sequence[str], store: Store) -> dict[str, str]:
    """Return the common class of which each other class of the checkpoint is a synonym, if the data lack that class."""
    by_our_name = {our_name(label): label for label in reversed(common)}
    known = {*common, *(_class_named(name, labels) for name in store.info.labels)}
    others = [label for label in labels if label not in known and our_name(label) in by_our_name]
    return {label: by_our_name[our_name(label)] for label in others}


def _count_classes(common: Sequence[str]) -> str:
    return f"only the class {common[0]}" if common else "no class"


def count_left_out(store: Store, classes: JoinedClasses | None, fold: int, splits: Sequence[Split]) -> dict[str, int]:
    """Count the clips of a fold's lists whose class has no counterpart, by class, in the store's order.

    Args:
        store: the data, with their own classes.
        classes: as joined; None for the same classes.
        fold: the fold that is asked for.
        splits: its lists.
    """
    if classes is None:
        return {}
    rows = tested_rows(store, own_fold(store, fold), splits)
    tested = Counter(store.info.labels[row.label] for row in rows)
    return {name: tested[name] for name in store.info.labels if classes.names[name] is None and tested[name]}


def tested_rows(store: Store, fold: int, splits: Sequence[Split]) -> list[ManifestRow]:
    """Return the clips to test on: of some lists of a fold, or of all lists, whichever folds they are in.

    Raises:
        DataError: the store has no such fold.
    """
    if tuple(splits) != ALL_LISTS:
        return store.select(fold, *splits)
    return [row for row in store.rows if not set(ALL_LISTS).isdisjoint(row.folds.values())]


def _joined_names(store: Store, labels: Sequence[str], renamed: Renamed) -> dict[str, str | None]:
    """Return the checkpoint's class of each class of a store."""
    try:
        given = own_names(store.info.labels, renamed, where=store.root)
    except DataError as error:
        raise UsageError(error.what, where="--map", hint=error.hint) from error
    return {
        name: _given_class(given[name], labels) if name in given else _same_class(name, labels, store)
        for name in store.info.labels
    }


def _given_class(name: str | None, labels: Sequence[str]) -> str | None:
    if name is None:
        return None
    found = _class_named(name, labels)
    if found is None:
        hint = f"{nearest_class(name, labels)}the checkpoint's classes: {', '.join(labels)}"
        raise UsageError(f"no class of the checkpoint is named {name!r}", where="--map", hint=hint)
    return found


def _same_class(name: str, labels: Sequence[str], store: Store) -> str | None:
    found = _class_named(name, labels)
    if found is None and canonical_emotion(name) is None:
        near = difflib.get_close_matches(name, labels, n=1, cutoff=0.5)
        raise DataError(
            f"the data set's class {name!r} is no class of the checkpoint, nor a known emotion",
            where=store.root,
            hint=f"--map {name}={near[0] if near else labels[0]} joins it to a class, --map {name}= leaves it out; "
            f"the checkpoint's classes: {', '.join(labels)}",
        )
    return found


def _class_named(name: str, labels: Sequence[str]) -> str | None:
    """Return the class of this name, or of a synonym: the name that dfer itself uses comes first."""
    if name in labels:
        return name
    ours = our_name(name)
    return ours if ours in labels else next((label for label in labels if our_name(label) == ours), None)


def store_as_trained(store: Store, info: CheckpointInfo, fold: int) -> Store:
    """Return a store with a checkpoint's labels, if that was trained on several stores; else as it is.

    Args:
        store: one of them, or another one.
        info: of the checkpoint.
        fold: the fold that is asked for.

    Raises:
        DataError: the checkpoint does not know a class of the store.
    """
    if "stores" not in info.data:
        return store
    known = trained_store(store, info) or {}
    return fit_store(store, info.labels, known.get("labels", {}), fold)


def trained_store(store: Store, info: CheckpointInfo) -> dict[str, Any] | None:
    """Return what a checkpoint says of a store that it was trained on, maybe in another state; None for others."""
    stores: list[dict[str, Any]] = info.data.get("stores") or [info.data]
    same = [known for known in stores if known.get("fingerprint") == store.fingerprint()]
    return next(iter([*same, *(known for known in stores if known.get("name") == store.info.name)]), None)


def parse_class_map(text: Sequence[str] | None) -> Mapping[str, str | None]:
    """Parse "a=b,c=": class a of the data is class b of the checkpoint, class c is left out.

    Args:
        text: such lists; names that hold a comma are quoted, as in a CSV: '"a,b=c"'.

    Raises:
        UsageError: a part does not have this form, or a class is named twice.
    """
    found: dict[str, str | None] = {}
    parts = [part.strip() for row in csv.reader(text or [], skipinitialspace=True) for part in row]
    for part in filter(None, parts):
        name, equals, other = (piece.strip() for piece in part.partition("="))
        if not (name and equals):
            hint = "--map happiness=happy,boredom= joins one class and leaves the other out"
            raise UsageError(f"expected CLASS=CLASS or CLASS=, got {part!r:.80}", where="--map", hint=hint)
        if found.setdefault(name, other or None) != (other or None):
            raise UsageError(f"the class {name!r} is mapped twice", where="--map")
    return found
