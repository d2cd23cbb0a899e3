"""Several stores as one: labels joined by name, clips told apart by their store's name.

A joined store has no files of its own. It looks to loaders, splits and losses like any store, and says besides which
clips come from which store, and how often an epoch shall see them.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from dfer.errors import DataError
from dfer.faces.align import require_same_alignment
from dfer.labels import canonical_emotion
from dfer.records import Split
from dfer.store.manifest import ManifestRow
from dfer.store.names import Renamed, class_names, our_name, unknown_class
from dfer.store.store import Store
from dfer.store.targets import read_targets


@dataclass(frozen=True)
class StorePart:
    """One of the stores that are joined.

    Attributes:
        store: the store.
        weight: how often an epoch sees each of its clips.
        labels: other names for its classes; None leaves a class out.
        targets: CSV of target probabilities, see `dfer.store.targets`.
    """

    store: Store
    weight: float = 1.0
    labels: Renamed = field(default_factory=dict)
    targets: Path | None = None


@dataclass(frozen=True)
class TaughtRow(ManifestRow):
    """A clip with target probabilities from a file.

    Attributes:
        probabilities: of the classes.
    """

    probabilities: tuple[float, ...] = ()

    def target(self, *, soft: bool) -> tuple[float, ...]:  # noqa: ARG002  # they take the place of label and votes
        """Return the probabilities."""
        return self.probabilities


@dataclass(frozen=True)
class JoinedStore(Store):
    """Several stores as one; `rows` are theirs, with ids such as "ferplus/fer0000000" and labels of the joined order.

    Attributes:
        parts: by a name that no two of them share.
    """

    parts: dict[str, StorePart] = field(default_factory=dict, repr=False)

    @property
    def weights(self) -> dict[str, float]:
        """The number of times that an epoch sees each clip, by the name of its store."""
        return {name: part.weight for name, part in self.parts.items()}

    def clip_path(self, clip_id: str) -> Path:
        """Return the path of a clip's ZIP."""
        name, _, own_id = clip_id.partition("/")
        return self.parts[name].store.clip_path(own_id)

    def members(self, rows: Sequence[ManifestRow]) -> dict[str, list[int]]:
        """Return the numbers of those rows that come from each store, by its name."""
        found: dict[str, list[int]] = {name: [] for name in self.parts}
        for number, row in enumerate(rows):
            found[row.clip_id.partition("/")[0]].append(number)
        return {name: numbers for name, numbers in found.items() if numbers}

    @cached_property
    def _fingerprint(self) -> str:
        """The SHA-256 of what a training run depends on: the stores, their other names, and targets."""
        digest = hashlib.sha256(json.dumps(self.info.labels).encode())
        for name, part in self.parts.items():
            digest.update(json.dumps([name, part.store.fingerprint(), sorted(part.labels.items())]).encode())
        for row in self.rows:
            if isinstance(row, TaughtRow):
                digest.update(f"{row.clip_id}\0{row.probabilities}\n".encode())
        return digest.hexdigest()

    def describe(self) -> dict[str, Any]:
        """Return what run.json says of the data, without the fingerprint: name, and each store with its own."""
        return {"name": self.info.name, "stores": [self._describe(name) for name in self.parts]}

    def origin(self) -> dict[str, Any]:
        """Return what a checkpoint says of the data, without fingerprint and fold: names and detectors."""
        detectors = list(dict.fromkeys(part.store.info.detector for part in self.parts.values()))
        described = [self._describe(name) for name in self.parts]
        kept = ("name", "fingerprint", "detector", "labels")
        return {
            "name": self.info.name,
            "detector": detectors[0] if len(detectors) == 1 else detectors,
            "stores": [{key: item[key] for key in kept if key in item} for item in described],
        }

    def _describe(self, name: str) -> dict[str, Any]:
        part = self.parts[name]
        own = {"name": name, "path": str(part.store.root.resolve()), "fingerprint": part.store.fingerprint()}
        own |= {"detector": part.store.info.detector}
        train_clips = sum(row.ok and "train" in row.folds.values() for row in part.store.rows)
        return {
            **own, "weight": part.weight, "train_clips": train_clips,
            **({"labels": dict(part.labels)} if part.labels else {}),
            **({"targets": str(part.targets)} if part.targets else {}),
        }  # fmt: skip


def join_stores(parts: Sequence[StorePart]) -> JoinedStore:
    """Join stores: the labels of the first one, then those that only others have; all clips of all.

    A store with a single fold takes part in every fold of the others.

    Args:
        parts: at least one.

    Raises:
        DataError: crops differ in size or alignment, names of classes are unknown, or no fold is in all stores.
    """
    first = parts[0].store
    for part in parts[1:]:
        _require_same_crops(first, part.store)
    names = _unique_names([part.store.info.name for part in parts])
    labels = _joined_labels(parts)
    folds = _joined_folds([part.store for part in parts])
    rows: list[ManifestRow] = []
    for name, part in zip(names, parts, strict=True):
        own = relabel(part.store, labels, part.labels)
        targets = {} if part.targets is None else read_targets(part.targets, part.store, labels, part.labels)
        own_folds = {fold for row in own for fold in row.folds}
        for row in own:
            joined = replace(_in_folds(row, own_folds, folds), clip_id=f"{name}/{row.clip_id}")
            target = targets.get(row.clip_id)
            rows.append(joined if target is None else TaughtRow(**vars(joined), probabilities=target))
    notices = dict.fromkeys(part.store.info.notice for part in parts if part.store.info.notice)
    info = replace(first.info, name="+".join(names), labels=labels, num_folds=len(folds), notice="; ".join(notices))
    root = Path(" + ".join(str(part.store.root) for part in parts))  # for messages only
    return JoinedStore(root, info, rows, dict(zip(names, parts, strict=True)))


def fit_store(store: Store, labels: Sequence[str], renamed: Renamed, fold: int) -> Store:
    """Return a store as it was one of several: its labels in their order, a single fold of its own for each of theirs.

    Args:
        store: the store.
        labels: the joined order.
        renamed: other names for the store's classes; None leaves a class out.
        fold: the fold that is asked for.

    Raises:
        DataError: `labels` lacks a class of the store, or `renamed` names a class that it does not have.
    """
    return rename_store(store, labels, _known_names(store, labels, renamed), fold)


def rename_store(store: Store, labels: Sequence[str], names: Renamed, fold: int | None) -> Store:
    """Return a store with other labels.

    Args:
        store: the store.
        labels: their order.
        names: the label of each class of the store; None leaves its clips out.
        fold: that a single fold of the store's own shall stand for; None to leave it as it is.
    """
    rows = _renamed_rows(store, labels, names)
    if fold is not None and (own := own_fold(store, fold)) != fold:
        rows = [_in_folds(row, [own], [fold]) for row in rows]
    return replace(store, info=replace(store.info, labels=list(labels)), rows=rows)


def own_fold(store: Store, fold: int) -> int:
    """Return the store's fold that stands for the one that is asked for: its only one, if there is no other."""
    folds = {number for row in store.rows for number in row.folds}
    return folds.pop() if len(folds) == 1 else fold


def relabel(store: Store, labels: Sequence[str], renamed: Renamed) -> list[ManifestRow]:
    """Return the rows of a store with labels and votes in another order, without those of classes left out.

    Args:
        store: the store.
        labels: the order.
        renamed: other names for the store's classes; None leaves a class out.

    Raises:
        DataError: `labels` lacks a class of the store, or `renamed` names a class that it does not have.
    """
    return _renamed_rows(store, labels, _known_names(store, labels, renamed))


def _known_names(store: Store, labels: Sequence[str], renamed: Renamed) -> dict[str, str | None]:
    names = class_names(store.info.labels, renamed, where=store.root)
    unknown = [name for name in names.values() if name is not None and name not in labels]
    if unknown:
        raise DataError(
            f"class {unknown[0]!r} is not one of {', '.join(labels)}",
            where=store.root,
            hint="give it another name, or leave it out with null, in `labels` of this store",
        )
    return names


def _renamed_rows(store: Store, labels: Sequence[str], names: Renamed) -> list[ManifestRow]:
    new = [names[own] for own in store.info.labels]
    place = [None if name is None else list(labels).index(name) for name in new]
    rows = []
    for row in store.rows:
        votes = _reordered(row.votes, place, len(labels)) if row.votes else ()
        label = place[row.label]
        if row.is_soft:  # its label is only the most frequent vote
            label = votes.index(max(votes)) if any(votes) else None
        if label is not None:
            rows.append(replace(row, label=label, label_name=labels[label], votes=votes))
    return rows


def _joined_labels(parts: Sequence[StorePart]) -> list[str]:
    named = [class_names(part.store.info.labels, part.labels, where=part.store.root) for part in parts]
    _require_known([other for part in parts for other in part.labels.values() if other is not None], parts)
    labels = list(dict.fromkeys(name for names in named for name in names.values() if name is not None))
    if len(labels) < 2:
        raise DataError(
            f"{len(labels)} class is left after renaming: {', '.join(labels) or 'none'}",
            where=", ".join(str(part.store.root) for part in parts),
        )
    return labels


def _require_known(others: Sequence[str], parts: Sequence[StorePart]) -> None:
    """Check that each new name is an emotion, a class of some store, or given at least twice: else it is a slip."""
    classes = list(dict.fromkeys(our_name(name) for part in parts for name in part.store.info.labels))
    counts = Counter(map(our_name, others))
    for part in parts:
        for other in part.labels.values():
            name = other if other is None else our_name(other)
            if name is None or name in classes or canonical_emotion(name) or counts[name] > 1:
                continue
            raise unknown_class(name, classes, where=part.store.root)


def _joined_folds(stores: Sequence[Store]) -> list[int]:
    own = [{fold for row in store.rows for fold in row.folds} for store in stores]
    several = [folds for folds in own if len(folds) > 1] or [set().union(*own)]
    common = sorted(set.intersection(*several))
    if not common:
        given = "; ".join(f"{store.root}: {sorted(folds)}" for store, folds in zip(stores, own, strict=True))
        raise DataError("no fold is in all stores", where=given)
    return common


def _in_folds(row: ManifestRow, own: Iterable[int], folds: Sequence[int]) -> ManifestRow:
    """Return a row of a store in the joined folds; a single fold stands for each of them."""
    (only, *others) = sorted(own)
    if others:
        return replace(row, folds={fold: split for fold, split in row.folds.items() if fold in folds})
    split: Split | None = row.folds.get(only)
    return replace(row, folds={} if split is None else dict.fromkeys(folds, split))


def _reordered(votes: Sequence[int], place: Sequence[int | None], count: int) -> tuple[int, ...]:
    summed = [0] * count
    for number, votes_for in zip(place, votes, strict=True):
        if number is not None:
            summed[number] += votes_for
    return tuple(summed)


def _unique_names(names: Sequence[str]) -> list[str]:
    unique: list[str] = []
    for name in (name.replace("/", "-") for name in names):
        numbered = (f"{name}-{number}" for number in range(2, 2 * len(names) + 2))
        free = (other for other in numbered if other not in {*unique, *names})
        unique.append(next(free) if name in unique else name)
    return unique


def _require_same_crops(first: Store, other: Store) -> None:
    ours, theirs = first.info, other.info
    if ours.crop_size != theirs.crop_size:
        raise DataError(
            f"crops of {theirs.crop_size} pixels, those of {first.root} have {ours.crop_size}",
            where=other.root,
            hint=f"preprocess one of them again: --size {ours.crop_size}",
        )
    require_same_alignment(ours.alignment, theirs.alignment, where=f"{first.root}, {other.root}")
