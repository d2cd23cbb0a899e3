"""A prediction as the rows of tidy tables: one per face and segment or bin, and one per face that sums it up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING

from dfer.records.answers import FaceBin, FacePrediction, Quality, Segment
from dfer.records.prediction_json import quality_dict
from dfer.records.summary import summarise_face

if TYPE_CHECKING:
    from dfer.records.prediction import Prediction

Value = str | int | float | bool | None
Row = dict[str, Value]

_TIMES = ("source", "face", "name", "start", "end", "visible")
_QUALITY = tuple(field.name for field in fields(Quality))
_ANSWER = ("x1", "y1", "x2", "y2", "label", "confidence", "unsure", "reasons")


def column_names(labels: Sequence[str]) -> list[str]:
    """Return the names of the columns of `prediction_rows`.

    Args:
        labels: the emotions; each has a column of its probability.
    """
    return [*_TIMES, *_ANSWER, *_QUALITY, *(f"p_{label}" for label in labels)]


def prediction_rows(prediction: Prediction, labels: Sequence[str]) -> Iterator[Row]:
    """Yield a row per face and segment, or with bins a row per bin and face.

    Where no face is seen, the values about it are None and `visible` is 0: in a bin where a face is not seen, in every
    bin of a video without a face, and in the one row of such a video without bins.

    Args:
        prediction: of one video.
        labels: the emotions of the columns.
    """
    names = {face.id: face.name for face in prediction.faces}
    nobody = prediction.source, None, None
    if prediction.bins is not None:
        for one in prediction.bins:
            for seen in one.faces:
                who = prediction.source, seen.face, names[seen.face]
                yield _row(who, one.start, one.end, seen.visible, seen, labels)
            if not one.faces:
                yield _row(nobody, one.start, one.end, 0.0, None, labels)
        return
    for face in prediction.faces:
        for segment in face.segments:
            who = prediction.source, face.id, face.name
            yield _row(who, segment.start, segment.end, segment.end - segment.start, segment, labels)
    if not prediction.faces:
        yield _row(nobody, 0.0, prediction.duration, 0.0, None, labels)


def summary_names(labels: Sequence[str]) -> list[str]:
    """Return the names of the columns of `summary_rows`."""
    first = ("source", "duration", "face", "name", "visible", "unsure", "label", "confidence", "changes")
    return [*first, "changes_per_minute", *(f"s_{label}" for label in labels), *(f"share_{label}" for label in labels)]


def summary_rows(prediction: Prediction, labels: Sequence[str]) -> Iterator[Row]:
    """Yield a row per face: how long it is seen, and seconds and shares of each emotion; see `FaceSummary`.

    A video without a face has one row, in which `visible` is 0 and the values about a face are None.

    Args:
        prediction: of one video.
        labels: the emotions of the columns.
    """
    given: Row = {"source": prediction.source, "duration": round(prediction.duration, 3)}
    for face in prediction.faces:
        yield {**dict.fromkeys(summary_names(labels)), **given, **_summary(face)}
    if not prediction.faces:
        yield {**dict.fromkeys(summary_names(labels)), **given, "visible": 0.0}


def _summary(face: FacePrediction) -> Row:
    found = summarise_face(face).to_dict()
    row: Row = {"face": face.id, "name": face.name, "label": None if face.unsure else face.label}
    row |= {name: found[name] for name in ("visible", "unsure", "confidence", "changes", "changes_per_minute")}
    row |= {f"s_{label}": value for label, value in found["seconds"].items()}
    return row | {f"share_{label}": value for label, value in found["shares"].items()}


def _row(
    who: tuple[str, int | None, str | None],
    start: float,
    end: float,
    visible: float,
    answer: Segment | FaceBin | None,
    labels: Sequence[str],
) -> Row:
    times = *who, *(round(value, 3) for value in (start, end, visible))
    row: Row = {**dict.fromkeys(column_names(labels)), **dict(zip(_TIMES, times, strict=True))}
    if answer is None or answer.box is None or answer.confidence is None:
        return row
    corners = (round(value, 1) for value in answer.box)
    trust = answer.label, round(answer.confidence, 4), answer.unsure, "; ".join(answer.reasons)
    row |= dict(zip(_ANSWER, (*corners, *trust), strict=True))
    row |= quality_dict(answer.quality) if answer.quality is not None else {}
    return row | {f"p_{label}": round(answer.probabilities.get(label, 0.0), 6) for label in labels}
