"""The run record: what a result depends on, written beside it."""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Any

import torch

from dfer.model import ModelConfig
from dfer.model.checkpoint import CheckpointInfo
from dfer.recipe import Recipe
from dfer.records import Selection
from dfer.runtime.device import describe_machine
from dfer.store import Store
from dfer.store.manifest import ManifestRow
from dfer.version import __version__
from dfer.video.probe import NOMINAL_FPS

_PACKAGES = ("torch", "numpy", "opencv-python", "insightface", "onnxruntime", "decord", "av", "safetensors")


def describe_run(recipe: Recipe, store: Store, *, fold: int, fingerprint: str, device: torch.device) -> dict[str, Any]:
    """What a fold is trained on and by: data, seed, versions, git commit, device of this process.

    Args:
        recipe: it is trained by.
        store: it is trained on.
        fold: 1-based.
        fingerprint: of the data.
        device: where.
    """
    return {
        "fold": fold,
        "labels": store.info.labels,
        "seed": recipe.train.seed,
        "epochs": recipe.train.epochs,
        "data": {
            "path": str(store.root.resolve()),
            "name": store.info.name,
            "fingerprint": fingerprint,
            "notice": store.info.notice,
        },
        "dfer": __version__,
        "git": git_commit(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "platform": platform.platform(),
        "device": str(device),
        "machine": describe_machine(device),
        "threads": torch.get_num_threads(),
        "command": " ".join(sys.argv),
    }


def checkpoint_info(
    recipe: Recipe,
    store: Store,
    rows: Sequence[ManifestRow],
    config: ModelConfig,
    *,
    fold: int,
    fingerprint: str,
    selection: Selection,
    record: dict[str, float],
) -> CheckpointInfo:
    """What a checkpoint carries with it.

    Args:
        recipe: it was trained by.
        store: it was trained on.
        rows: the clips it was trained on.
        config: of the model.
        fold: 1-based.
        fingerprint: of the data.
        selection: why this epoch.
        record: the epoch's line of metrics.jsonl.
    """
    info = store.info
    return CheckpointInfo(
        model_name=recipe.model.name,
        model_config=asdict(config),
        labels=info.labels,
        alignment=info.alignment,
        crop_size=info.crop_size,
        segments=recipe.data.segments,
        clip_s=round(median(row.num_frames / (row.fps or NOMINAL_FPS) for row in rows), 3),
        data={"name": info.name, "fingerprint": fingerprint, "fold": fold, "detector": info.detector},
        notice=info.notice,
        selection=selection,
        epoch=int(record["epoch"]),
        metrics={name: value for name, value in record.items() if name.startswith(("train_", "val_"))},
        dfer_version=__version__,
    )


def git_commit() -> str | None:
    """The commit of the checkout dfer runs from, with "+" if files were changed; None outside a checkout."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return None
    try:
        commit = _git(root, "rev-parse", "HEAD")
        return commit + ("+" if _git(root, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def timestamp() -> str:
    """Now, in UTC, to the second."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True, timeout=10)
    return done.stdout.strip()


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
