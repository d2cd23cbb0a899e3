"""Small stores for tests, real files in the real format with flat patterned crops, and a recipe that trains on them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from dfer.faces.align import alignment_settings
from dfer.recipe import Recipe
from dfer.store import CropRecord, DatasetInfo, Store, clip_path, open_store, write_clip, write_info
from dfer.store.manifest import ManifestRow, write_manifest
from dfer.version import __version__

SIZE = 48
LABELS = ["happy", "sad", "neutral"]
TINY_MODEL: dict[str, Any] = {
    "num_frames": 4, "image_size": 32, "window": [2, 1, 1], "dim": 16, "depth": 1, "heads": 2, "stem_width": 8,
}  # fmt: skip


def small_store(
    root: Path, *, clips_per_class: int = 6, num_frames: int = 10, num_folds: int = 2, failed: int = 0, notice: str = ""
) -> Store:
    """A store whose classes a small model can tell apart: each class has its own stripes and tint, plus noise.

    Args:
        root: the folder to write.
        clips_per_class: clips of each of the three labels.
        num_frames: crops of a clip.
        num_folds: folds; clip n is tested in fold n modulo their number.
        failed: how many further clips of label 0 could not be read; they are in fold 1's test list.
        notice: as in `DatasetInfo`.
    """
    info = DatasetInfo(root.name, LABELS, num_folds, SIZE, alignment_settings(SIZE), "haar", notice, __version__)
    write_info(root, info)
    rows = []
    for number in range(clips_per_class * len(LABELS)):
        label = number % len(LABELS)
        test_fold = number // len(LABELS) % num_folds + 1
        record = CropRecord(
            frames=list(range(num_frames)),
            times_s=[n / 25 for n in range(num_frames)],
            boxes_xyxy=[[0.0, 0.0, 48.0, 48.0]] * num_frames,
            detected=[True] * num_frames,
        )
        digest = write_clip(clip_path(root, f"c{number}"), _crops(number, label, num_frames), record)
        folds = {fold: "test" if fold == test_fold else "train" for fold in range(1, num_folds + 1)}
        rows.append(ManifestRow(f"c{number}", label, LABELS[label], "ok", folds, num_frames, 25.0, sha256=digest))
    for number in range(failed):
        folds = {fold: "test" if fold == 1 else "train" for fold in range(1, num_folds + 1)}
        rows.append(ManifestRow(f"failed{number}", 0, LABELS[0], "no_face", folds, detail="no face in 9 frames"))
    write_manifest(root / "manifest.csv", rows)
    return open_store(root)


def renamed_store(root: Path, labels: list[str], **options: int) -> Store:
    """A store of stripes whose three classes have other names."""
    store = small_store(root, **options)  # type: ignore[arg-type]
    write_info(root, replace(store.info, labels=labels))
    rows = [replace(row, label_name=labels[row.label]) for row in store.rows]
    write_manifest(root / "manifest.csv", rows)
    return open_store(root)


def row_of(clip_id: str, status: str = "ok", label: int = 0, **more: object) -> ManifestRow:
    """A manifest row of ten crops, all detected; `more` replaces further fields."""
    row = ManifestRow(clip_id, label, LABELS[label], status, {1: "train"}, num_frames=10, fps=25.0, detected=1.0)
    return replace(row, **more)  # type: ignore[arg-type]


def tiny_recipe(store: Path, **sections: dict[str, object]) -> Recipe:
    """A model of some thousand parameters on 4 frames of 32 pixels."""
    values: dict[str, dict[str, object]] = {
        "data": {"path": str(store), "segments": 2, "val_fraction": 0.2},
        "model": TINY_MODEL | {"dropout": 0.1, "drop_path": 0.1},
        "augment": {"jitter": 0.1, "flip": 0.5},
        "loss": {"compact_weight": 0.1},
        "optim": {"lr": 3e-3},
        "train": {"epochs": 2, "batch_size": 4, "precision": "float32", "ema_decay": 0.9},
    }
    for name, section in sections.items():
        values[name] = values[name] | section
    return Recipe.model_validate({"name": "tiny", **values})


def write_tiny_recipe(path: Path, store: Path) -> Path:
    """A recipe file of a model that trains on a store in a moment."""
    sections = {
        "data": {"path": str(store), "segments": 2, "val_fraction": 0.2},
        "model": TINY_MODEL,
        "optim": {"lr": 3e-3},
        "train": {"epochs": 2, "batch_size": 4},
    }
    path.write_text(yaml.safe_dump({"name": "tiny", **sections}))
    return path


def _crops(number: int, label: int, num_frames: int) -> list[np.ndarray]:
    rng = np.random.default_rng(number)
    x, y = np.meshgrid(np.arange(SIZE), np.arange(SIZE))
    wave = np.sin((x if label == 0 else y if label == 1 else x + y) / 4 + rng.uniform(0, 6))
    tint = 50 * np.eye(3)[label]
    image = 128 + tint + 40 * wave[..., None] + rng.normal(0, 10, (num_frames, SIZE, SIZE, 3))
    return list(image.clip(0, 255).astype(np.uint8))
