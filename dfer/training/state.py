"""The training state: everything a killed run needs to go on exactly as if it had never stopped.

Frames, augmentation and dropout are drawn from (seed, epoch, step), so no generator has to be saved: the weights,
the optimizer and the place in the epoch are the whole state.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from dfer.errors import CheckpointError, UsageError
from dfer.recipe import Recipe
from dfer.runtime.files import atomic_path

STATE_FORMAT = "dfer.state/1"
# Keys that change how a run is computed but not what it computes.
_INCIDENTAL = {"workers", "memory_gb", "save_minutes", "feed"}


@dataclass
class TrainingState:
    """Where a run is.

    Attributes:
        recipe: the recipe's keys that decide the result.
        fingerprint: of the data.
        epoch: epochs finished.
        step: steps done in the current epoch.
        sums: running totals of the current epoch, by name.
        history: a record per finished epoch, as in metrics.jsonl.
        best: figures of the best epoch so far, None before the first.
        model, optimizer, loss, average: state dicts; `average` is the weights' moving average, or None.
    """

    recipe: dict[str, Any]
    fingerprint: str
    epoch: int = 0
    step: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)
    best: dict[str, float] | None = None
    model: dict[str, Any] = field(default_factory=dict)
    optimizer: dict[str, Any] = field(default_factory=dict)
    loss: dict[str, Any] = field(default_factory=dict)
    average: dict[str, Any] | None = None
    format: str = STATE_FORMAT

    def save(self, path: Path) -> None:
        """Write the state atomically."""
        with atomic_path(path) as temporary:
            # Shallow: asdict would copy every tensor.
            values = {name: getattr(self, name) for name in self.__dataclass_fields__}
            try:
                torch.save(values, temporary)
            except RuntimeError as error:  # torch's word for a write that failed
                raise OSError(28, "no space left on device, or the write failed") from error


def deciding_keys(recipe: Recipe) -> dict[str, Any]:
    """The recipe without the keys that do not change its result."""
    values = recipe.model_dump(mode="json")
    values["train"] = {key: value for key, value in values["train"].items() if key not in _INCIDENTAL}
    return values


def load_state(path: Path, recipe: Recipe, fingerprint: str) -> TrainingState:
    """Read a state to go on from. Nothing in the file is executed.

    Raises:
        CheckpointError: it is damaged.
        UsageError: it belongs to another recipe or other data.
    """
    try:
        values = torch.load(path, map_location="cpu", weights_only=True)
        if values["format"] != STATE_FORMAT:
            raise CheckpointError(f"unknown state format {values['format']!r}", where=path)
        state = TrainingState(**values)
    except CheckpointError:
        raise
    except Exception as error:  # a damaged file makes the restricted unpickler fail in any way
        raise CheckpointError(
            "damaged training state", where=path, hint="start this fold anew with --no-resume"
        ) from error
    different = sorted(_differences(state.recipe, deciding_keys(recipe)))
    if different:
        raise UsageError(
            f"this run was begun with another recipe: {'; '.join(different)}",
            where=path.parent,
            hint="choose another --out, or start anew with --no-resume",
        )
    if state.fingerprint != fingerprint:
        raise UsageError(
            "the data have changed since this run was begun",
            where=path.parent,
            hint="choose another --out, or start anew with --no-resume",
        )
    return state


def _differences(before: Any, now: Any, key: str = "") -> list[str]:
    if isinstance(before, dict) and isinstance(now, dict):
        names = [*before, *(name for name in now if name not in before)]
        return [
            line
            for name in names
            for line in _differences(before.get(name), now.get(name), f"{key}.{name}" if key else str(name))
        ]
    return [] if before == now else [f"{key} was {before!r}, is {now!r}"]
