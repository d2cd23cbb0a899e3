"""The settings in a checkpoint: defaults for newer keys, and damage."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from dfer.errors import CheckpointError
from dfer.model.checkpoint import load_checkpoint, read_checkpoint_info


def test_settings_without_the_newer_keys_still_load(trained: Path, tmp_path: Path) -> None:
    path = _rewritten(trained, tmp_path, lambda values: [values.pop(key) for key in ("temperature", "licence")])
    info = read_checkpoint_info(path)
    assert (info.temperature, info.licence) == (1.0, "")


@pytest.mark.parametrize("temperature", [0.0, -1.0, "warm", None])
def test_a_temperature_that_is_none_is_damage(trained: Path, tmp_path: Path, temperature: object) -> None:
    path = _rewritten(trained, tmp_path, lambda values: values.update(temperature=temperature))
    with pytest.raises(CheckpointError, match="damaged checkpoint settings"):
        load_checkpoint(path)


def _rewritten(path: Path, folder: Path, change) -> Path:  # type: ignore[no-untyped-def]
    with safe_open(path, framework="pt") as stored:
        tensors: dict[str, Tensor] = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
        values = json.loads(stored.metadata()["dfer"])
    change(values)
    save_file(tensors, folder / "a.safetensors", metadata={"dfer": json.dumps(values)})
    return folder / "a.safetensors"
