"""Predictions as rows of a tidy table: one per face and segment or bin."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence

from dfer.records import Prediction
from dfer.runtime.cells import quote_cell

_FIRST = ["source", "face", "start", "end", "visible", "x1", "y1", "x2", "y2", "label"]


def csv_text(predictions: Sequence[Prediction], *, header: bool = True) -> str:
    """Return a row per face and segment, or per face and bin: source, face, times, box, emotion and all probabilities.

    Text that a spreadsheet would run as a formula is quoted with an apostrophe.

    Args:
        predictions: of one model; see `csv_rows`.
        header: whether the names of the columns come first.
    """
    labels = list(dict.fromkeys(label for prediction in predictions for label in prediction.model["labels"]))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if header:
        writer.writerow(csv_columns(labels))
    for prediction in predictions:
        writer.writerows(csv_rows(prediction, labels))
    return text.getvalue()


def csv_columns(labels: Sequence[str]) -> list[str]:
    """Return the names of the columns.

    Args:
        labels: the emotions; each has a column of its probability.
    """
    return [*_FIRST, *(f"p_{label}" for label in labels)]


def csv_rows(prediction: Prediction, labels: Sequence[str]) -> Iterator[list[str]]:
    """Yield a row per face and segment, or with bins a row per bin and face.

    Where no face is seen, the cells about it are empty and `visible` is 0: in a bin where a face is not seen, in every
    bin of a video without a face, and in the one row of such a video without bins.

    Args:
        prediction: of one video.
        labels: the emotions of the columns.
    """
    source = quote_cell(prediction.source)
    if prediction.bins is not None:
        for one in prediction.bins:
            for face in one.faces:
                found = _answer_cells(face.box, face.label, face.probabilities, labels)
                yield [source, str(face.face), *_times(one.start, one.end, face.visible), *found]
            if not one.faces:
                yield [source, "", *_times(one.start, one.end, 0.0), *_answer_cells(None, None, {}, labels)]
        return
    for face_found in prediction.faces:
        for segment in face_found.segments:
            found = _answer_cells(segment.box, segment.label, segment.probabilities, labels)
            length = segment.end - segment.start
            yield [source, str(face_found.id), *_times(segment.start, segment.end, length), *found]
    if not prediction.faces:
        yield [source, "", *_times(0.0, prediction.duration, 0.0), *_answer_cells(None, None, {}, labels)]


def _times(*seconds: float) -> list[str]:
    return [f"{value:.3f}" for value in seconds]


def _answer_cells(
    box: Sequence[float] | None, label: str | None, probabilities: Mapping[str, float], labels: Sequence[str]
) -> list[str]:
    if box is None or label is None:
        return [""] * (5 + len(labels))
    shares = [f"{probabilities.get(name, 0.0):.6f}" for name in labels]
    return [*(f"{value:.1f}" for value in box), quote_cell(label), *shares]
