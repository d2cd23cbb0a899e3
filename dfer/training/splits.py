"""Open the stores of a recipe, and split a fold's clips into training and validation, never from the test list."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dfer.errors import DataError
from dfer.recipe import Recipe
from dfer.recipe_sections import DataSection
from dfer.store import Store, open_store
from dfer.store.joined import StorePart, join_stores
from dfer.store.manifest import ManifestRow

logger = logging.getLogger(__name__)


def open_stores(settings: DataSection) -> Store:
    """Open the store of a recipe, or several as one.

    Raises:
        DataError: one is missing or damaged, or they do not go together.
    """
    if isinstance(settings.path, str):
        return open_store(Path(settings.path))
    return join_stores([
        StorePart(
            open_store(Path(part.path)), part.weight, part.labels, None if part.targets is None else Path(part.targets)
        )
        for part in settings.path
    ])  # fmt: skip


def fold_rows(store: Store, fold: int, recipe: Recipe) -> tuple[list[ManifestRow], list[ManifestRow]]:
    """Return the readable training and validation rows; the test list stays untouched unless the recipe selects on it.

    Clips without a label (split "soft") are trained on if they have something else to be trained on, see
    `ManifestRow.target`. Of several stores, each is validated on its own validation list, where it has one, else on a
    share of its own train list.

    Raises:
        DataError: the store has no such fold, or it has no readable training clip.
    """
    train = store.by_member(_readable(store.select(fold, "train")))
    without = [name for name in store.weights if name not in train]
    if without:
        of = f" of {without[0]}" if len(store.weights) > 1 else ""
        raise DataError(f"fold {fold}{of} has no training clip that could be read", where=store.root)
    unlabelled = _readable(store.select(fold, "soft"))
    soft = store.by_member([row for row in unlabelled if row.target(soft=recipe.loss.soft_labels)])
    on_test = recipe.train.select == "test"
    official = store.by_member(_readable(store.select(fold, "test" if on_test else "val")))
    train_rows, val_rows = [], []
    for name, rows in train.items():
        if name in official or on_test:
            trained, validated = rows, official.get(name, [])
        else:
            trained, validated = split_validation(rows, recipe.data.val_fraction, recipe.train.seed)
        train_rows += [*trained, *soft.get(name, ())]
        val_rows += validated
    validated_stores = store.members(val_rows)
    without = [name for name in train if name not in validated_stores]
    if val_rows and without:
        logger.warning("no validation clips in %s: best is chosen on the other stores", ", ".join(without))
    return train_rows, val_rows


def _readable(rows: Sequence[ManifestRow]) -> list[ManifestRow]:
    return [row for row in rows if row.ok]


def split_validation(
    rows: Sequence[ManifestRow], fraction: float, seed: int
) -> tuple[list[ManifestRow], list[ManifestRow]]:
    """Split a stratified share off the training clips, disjoint in subjects where they are known.

    Args:
        rows: the train list.
        fraction: share of the clips to validate on.
        seed: random seed of the choice.

    Returns:
        Training and validation rows, in their given order. A class of one clip stays in training.
    """
    rng = np.random.default_rng([seed, 0x5EED])
    if rows and all(row.subject for row in rows):
        chosen = _whole_subjects(rows, fraction, rng)
    else:
        chosen = set()
        for label in sorted({row.label for row in rows}):
            clips = [row.clip_id for row in rows if row.label == label]
            count = min(round(fraction * len(clips)), len(clips) - 1)
            chosen.update(str(clip) for clip in rng.permutation(clips)[:count])
    train = [row for row in rows if row.clip_id not in chosen]
    return train, [row for row in rows if row.clip_id in chosen]


def _whole_subjects(rows: Sequence[ManifestRow], fraction: float, rng: np.random.Generator) -> set[str]:
    """Take subjects in random order, each only if it brings the share of every class closer to the one wanted."""
    num_classes = max(row.label for row in rows) + 1
    counts: dict[str, NDArray[np.int64]] = {}
    for row in rows:
        counts.setdefault(row.subject, np.zeros(num_classes, np.int64))[row.label] += 1
    missing = fraction * sum(counts.values())
    chosen: set[str] = set()
    for subject in rng.permutation(sorted(counts)):
        left = missing - counts[subject]
        if np.square(left).sum() < np.square(missing).sum():
            chosen.add(str(subject))
            missing = left
    return {row.clip_id for row in rows if row.subject in chosen}
