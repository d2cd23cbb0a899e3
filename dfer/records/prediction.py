"""The record of a prediction: the answers about one video, and the forms that they are given in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

from dfer.records.answers import Bin, FacePrediction
from dfer.records.prediction_json import SCHEMA, prediction_dict
from dfer.records.rows import column_names, prediction_rows, summary_rows

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Prediction:
    """The prediction for one video; `to_dict` gives the `dfer.prediction/2` object.

    Attributes:
        model: name, checkpoint path and labels of the model.
        faces: the one that is seen longest first.
        warnings: what the reader should know of this video (no face, damage, ...).
        bins: the answers on a regular grid, if one was asked for.
        notice: what everybody must know of the model, such as that it has seen drawings only; "" for nothing.
    """

    source: str
    duration: float
    fps: float
    num_frames: int
    model: dict[str, Any]
    faces: list[FacePrediction] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    bins: list[Bin] | None = None
    notice: str = ""

    @property
    def notes(self) -> list[str]:
        """The notice and the warnings."""
        return [*([self.notice] if self.notice else []), *self.warnings]

    def to_dict(self, schema: int = SCHEMA) -> dict[str, Any]:
        """Return the JSON object of the schema `dfer.prediction/2`, or of the older one, 1.

        Times are rounded to 1 ms, boxes to 0.1 pixels, other measures to what is meaningful.
        """
        return prediction_dict(self, schema)

    def relabel(
        self, names: Mapping[int, str] | None = None, merge: Sequence[Sequence[int]] = (), *, reset: bool = False
    ) -> Prediction:
        """Return the prediction with faces named, and with faces that are one person merged.

        Args:
            names: by the number of a face; a merged face has all the numbers of its group.
            merge: groups of faces that are one person.
            reset: first forget all names and merges that the prediction has.

        Raises:
            UsageError: there is no such face, two that are to be merged are seen at the same time, or two people
                would have the same name.
        """
        from dfer.records.people import People, relabel, reset_people

        return relabel(reset_people(self) if reset else self, People(names or {}, merge))

    def to_dataframe(self) -> pd.DataFrame:
        """Return a row per face and segment, or with bins per bin and face, with the columns of the CSV."""
        import pandas as pd

        labels = self.model["labels"]
        frame = pd.DataFrame(list(prediction_rows(self, labels)), columns=column_names(labels))
        return frame.astype({"face": "Int64", "unsure": "boolean"})

    def _repr_html_(self) -> str:
        """Return a table of the faces, for notebooks."""
        import pandas as pd

        labels = self.model["labels"]
        rows = list(summary_rows(self, labels))
        shown = ["face", "name", "label", "confidence", "visible", "unsure", *(f"share_{label}" for label in labels)]
        table = pd.DataFrame(rows)[shown].to_html(index=False, na_rep="–", border=0)
        notes = "".join(f"<li>{escape(note)}</li>" for note in self.notes)
        return f"<p><b>{escape(self.source)}</b></p>{table}<ul>{notes}</ul>"
