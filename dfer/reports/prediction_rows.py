"""Predictions as rows of a tidy table: one per face and segment or bin."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import fields

from dfer.records import FaceBin, Prediction, Quality, Segment
from dfer.records.prediction_json import quality_dict
from dfer.runtime.cells import quote_cell

_FIRST = ["source", "face", "start", "end", "visible"]
_ANSWER = ["x1", "y1", "x2", "y2", "label", "confidence", "unsure", "reasons"]
_QUALITY = [field.name for field in fields(Quality)]


def csv_text(predictions: Sequence[Prediction], *, header: bool = True) -> str:
    """Return a row per face and segment, or per face and bin, with the columns of `csv_columns`.

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
    return [*_FIRST, *_ANSWER, *_QUALITY, *(f"p_{label}" for label in labels)]


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
            for seen in one.faces:
                yield [source, str(seen.face), *_times(one.start, one.end, seen.visible), *_answer(seen, labels)]
            if not one.faces:
                yield [source, "", *_times(one.start, one.end, 0.0), *_answer(None, labels)]
        return
    for face in prediction.faces:
        for segment in face.segments:
            times = _times(segment.start, segment.end, segment.end - segment.start)
            yield [source, str(face.id), *times, *_answer(segment, labels)]
    if not prediction.faces:
        yield [source, "", *_times(0.0, prediction.duration, 0.0), *_answer(None, labels)]


def _times(*seconds: float) -> list[str]:
    return [f"{value:.3f}" for value in seconds]


def _answer(answer: Segment | FaceBin | None, labels: Sequence[str]) -> list[str]:
    if answer is None or answer.box is None or answer.label is None or answer.confidence is None:
        return [""] * (len(_ANSWER) + len(_QUALITY) + len(labels))
    trust = [f"{answer.confidence:.4f}", str(answer.unsure).lower(), "; ".join(answer.reasons)]
    measures = [""] * len(_QUALITY)
    if answer.quality is not None:
        measures = ["" if value is None else str(value) for value in quality_dict(answer.quality).values()]
    shares = [f"{answer.probabilities.get(name, 0.0):.6f}" for name in labels]
    return [*(f"{value:.1f}" for value in answer.box), quote_cell(answer.label), *trust, *measures, *shares]
