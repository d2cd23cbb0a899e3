"""Predictions for spreadsheets and statistics: .xlsx, .parquet, and a CSV that sums up each face."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dfer.names import printable
from dfer.records import Prediction
from dfer.records.rows import Row, Value, column_names, prediction_rows, summary_names, summary_rows
from dfer.reports.prediction_rows import all_labels
from dfer.runtime.cells import quote_cell

if TYPE_CHECKING:
    from openpyxl.worksheet.worksheet import Worksheet

_ABOUT = ("source", "model", "checkpoint", "prior", "note")


def write_xlsx(predictions: Sequence[Prediction], path: Path) -> None:
    """Write a workbook: the sheet "answers" is the CSV, "summary" has a row per face, "about" model and warnings."""
    from openpyxl import Workbook

    labels = all_labels(predictions)
    book = Workbook()
    sheet = book.active
    sheet.title = "answers"
    _fill(sheet, column_names(labels), (row for one in predictions for row in prediction_rows(one, labels)))
    sums = (row for one in predictions for row in summary_rows(one, labels))
    _fill(book.create_sheet("summary"), summary_names(labels), sums)
    _fill(book.create_sheet("about"), _ABOUT, (row for one in predictions for row in _about(one)))
    book.save(path)


def write_parquet(predictions: Sequence[Prediction], path: Path) -> None:
    """Write the rows of the CSV, each column with its type."""
    import pyarrow
    from pyarrow import parquet

    labels = all_labels(predictions)
    rows = [row for prediction in predictions for row in prediction_rows(prediction, labels)]
    types = dict.fromkeys(("source", "name", "label", "reasons"), "string") | {"face": "int64", "unsure": "bool"}
    schema = pyarrow.schema([(name, types.get(name, "float64")) for name in column_names(labels)])
    parquet.write_table(pyarrow.Table.from_pylist(rows, schema=schema), path)


def summary_csv(predictions: Sequence[Prediction]) -> str:
    """Return a CSV with a row per face that sums up what it showed; see `dfer.records.rows.summary_rows`."""
    labels = all_labels(predictions)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(summary_names(labels))
    for prediction in predictions:
        for row in summary_rows(prediction, labels):
            writer.writerow([quote_cell(value) if isinstance(value, str) else value for value in row.values()])
    return text.getvalue()


def _about(prediction: Prediction) -> Iterator[Row]:
    model = prediction.model
    facts: Row = {"model": model["name"], "checkpoint": model["checkpoint"], "prior": model.get("prior")}
    for text in prediction.notes or [""]:
        yield {"source": prediction.source, **facts, "note": text}


def _fill(sheet: Worksheet, names: Sequence[str], rows: Iterable[Row]) -> None:
    """Write a heading that stays in view, and rows."""
    from openpyxl.styles import Font

    sheet.append(list(names))
    for cell in sheet[1]:
        cell.font = Font(bold=True)
    sheet.freeze_panes = "A2"
    for number, row in enumerate(rows, 2):
        for column, name in enumerate(names, 1):
            _set(sheet, number, column, row[name])


def _set(sheet: Worksheet, row: int, column: int, value: Value) -> None:
    if value is None:
        return
    cell = sheet.cell(row, column, printable(value) if isinstance(value, str) else value)
    if isinstance(value, str):
        cell.data_type = "s"  # text, also where it begins as a formula does
