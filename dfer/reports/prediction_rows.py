"""Predictions as CSV: tidy rows, one per face and segment or bin."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from dfer.records import Prediction
from dfer.records.rows import Value, column_names, prediction_rows
from dfer.runtime.cells import quote_cell

_DECIMALS = {"start": 3, "end": 3, "visible": 3, "x1": 1, "y1": 1, "x2": 1, "y2": 1, "confidence": 4}


def csv_text(predictions: Sequence[Prediction], *, header: bool = True) -> str:
    """Return a row per face and segment, or per face and bin; see `dfer.records.rows.prediction_rows`.

    Text that a spreadsheet would run as a formula is quoted with an apostrophe.

    Args:
        predictions: of one model.
        header: whether the names of the columns come first.
    """
    labels = all_labels(predictions)
    text = io.StringIO()
    text.write(csv_header(labels) if header else "")
    writer = csv.writer(text, lineterminator="\n")
    for prediction in predictions:
        for row in prediction_rows(prediction, labels):
            writer.writerow([_cell(name, value) for name, value in row.items()])
    return text.getvalue()


def csv_header(labels: Sequence[str]) -> str:
    """Return the line with the names of the columns."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(column_names(labels))
    return text.getvalue()


def all_labels(predictions: Sequence[Prediction]) -> list[str]:
    """Return the emotions of all predictions, each once."""
    return list(dict.fromkeys(label for prediction in predictions for label in prediction.model["labels"]))


def _cell(name: str, value: Value) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        decimals = 6 if name.startswith("p_") else _DECIMALS.get(name)
        return str(value) if decimals is None else f"{value:.{decimals}f}"
    return quote_cell(str(value))
