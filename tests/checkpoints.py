"""Checkpoints for tests: a tiny model that knows nothing, its settings, and files of any tensors and settings."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from dfer.faces.align import alignment_settings
from dfer.model import LogoFormer
from dfer.model.checkpoint import CheckpointInfo, save_checkpoint
from dfer.version import __version__
from tests.stores import LABELS, SIZE, TINY_MODEL


def tiny_model(num_classes: int = len(LABELS)) -> LogoFormer:
    """A model of some thousand parameters, always with the same random weights."""
    torch.manual_seed(0)
    return LogoFormer(num_classes=num_classes, **TINY_MODEL)


def checkpoint_info(model: LogoFormer | None = None, **changes: Any) -> CheckpointInfo:
    """The settings of a checkpoint of `small_store`; `changes` replaces fields."""
    info = CheckpointInfo(
        model_name="logo_former_s",
        model_config=model.config.model_dump() if model else {},
        labels=list(LABELS),
        alignment=alignment_settings(SIZE),
        crop_size=SIZE,
        segments=2,
        clip_s=0.4,
        data={"name": "store", "fingerprint": "0" * 64, "fold": 1, "detector": "haar"},
        notice="",
        selection="last",
        epoch=1,
        metrics={"train_loss": 1.0},
        dfer_version=__version__,
    )
    return replace(info, **changes)


def write_checkpoint(path: Path, **changes: Any) -> Path:
    """Write a tiny model's checkpoint; `changes` replaces settings."""
    model = tiny_model(len(changes.get("labels", LABELS)))
    save_checkpoint(path, model.state_dict(), checkpoint_info(model, **changes))
    return path


def read_parts(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return a checkpoint's tensors and settings."""
    with safe_open(path, framework="pt") as stored:
        tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
        return tensors, json.loads(stored.metadata()["dfer"])


def write_parts(path: Path, tensors: dict[str, Tensor], settings: object) -> None:
    """Write a checkpoint of any tensors and settings; settings that are text are written as they are."""
    text = settings if isinstance(settings, str) else json.dumps(settings)
    save_file(tensors, path, metadata={"dfer": text})


def rewrite(path: Path, good: Path, change: Callable[[dict[str, Tensor], dict[str, Any]], object]) -> Path:
    """Write a checkpoint that differs from a good one in what `change` does to its tensors and settings."""
    tensors, settings = read_parts(good)
    change(tensors, settings)
    write_parts(path, tensors, settings)
    return path
