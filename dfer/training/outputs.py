"""What a fold leaves in its folder: `foldK/` of a run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from dfer.drawing.figures import draw_curves
from dfer.drawing.style import save_figure
from dfer.model.checkpoint import CheckpointInfo, save_checkpoint
from dfer.recipe import Recipe, save_recipe
from dfer.runtime.files import remove_unfinished, write_json, write_text
from dfer.training.events import EventLog


class FoldOutputs:
    """The files of a fold; each is there whole, or as it was.

    Args:
        folder: where they go.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / "state.pt"
        self._record = folder / "run.json"

    def begin(self, recipe: Recipe) -> None:
        """Clear away what a killed run has left half written, and write recipe.yaml."""
        remove_unfinished(self.folder)
        save_recipe(recipe, self.folder / "recipe.yaml")

    def write_epoch(
        self,
        weights: dict[str, Tensor],
        history: Sequence[Mapping[str, float]],
        *,
        last: CheckpointInfo,
        best: CheckpointInfo | None,
    ) -> None:
        """Write the checkpoints, metrics.jsonl and the events of an epoch; the training state comes after them.

        Args:
            weights: after the epoch.
            history: the record of each epoch so far.
            last: what last.safetensors carries.
            best: what best.safetensors carries; None leaves it as it is.
        """
        save_checkpoint(self.folder / "last.safetensors", weights, last)
        if best is not None:
            save_checkpoint(self.folder / "best.safetensors", weights, best)
        write_text(self.folder / "metrics.jsonl", "".join(json.dumps(record) + "\n" for record in history))
        EventLog(self.folder).write(history[-1])

    def end(self, record: dict[str, Any], history: list[dict[str, float]], *, title: str) -> None:
        """Draw curves.png and write run.json, which says that the fold is done."""
        save_figure(draw_curves(history, title=title), self.folder / "curves.png")
        write_json(self._record, record)

    def read_record(self) -> dict[str, Any] | None:
        """run.json; None while the fold is not done."""
        if not self._record.is_file():
            return None
        record: dict[str, Any] = json.loads(self._record.read_text())
        return record
