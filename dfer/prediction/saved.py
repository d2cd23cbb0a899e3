"""Predictions read back from the JSON that `dfer predict` wrote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from pydantic import ConfigDict

from dfer.errors import DataError, os_reason
from dfer.records import FacePrediction, Prediction, Segment
from dfer.records.prediction_json import SCHEMA, schema_name
from dfer.runtime.reading import parse_json, read_input
from dfer.settings import Labels, read_record

_MAX_BYTES = 4_000_000_000
_HINT = "give a file that `dfer predict --json` wrote"
# What the JSON says twice, so that its readers need not compute it.
_DERIVED = {"face": ("visible", "spans", "unsure", "summary"), "answer": ("unsure",)}


@dataclass(frozen=True)
class Unread:
    """An input that could not be read, in place of its prediction."""

    source: str
    error: str


@dataclass(frozen=True)
class _Saved:
    """A prediction whose numbers are numbers; keys of later versions are left out."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="ignore", strict=True, allow_inf_nan=False)

    prediction: Prediction


def read_predictions(path: str | Path) -> list[Prediction]:
    """Return the predictions that a file of `dfer predict --json` holds, in their order.

    Args:
        path: JSON of one input, or JSON Lines. Inputs that could not be read are left out.

    Raises:
        DataError: it cannot be read, or is no such file.
    """
    return [answer for answer in read_answers(Path(path)) if isinstance(answer, Prediction)]


def read_answers(path: Path) -> list[Prediction | Unread]:
    """Return what a file of `dfer predict --json` holds about each input, in their order.

    Raises:
        DataError: it cannot be read, or is no such file.
    """
    try:
        content = read_input(path, _MAX_BYTES)
    except OSError as error:
        raise DataError(f"cannot read the answers: {os_reason(error)}", where=path, hint=_HINT) from error
    if not content.strip():
        raise DataError("the file is empty", where=path, hint=_HINT)
    try:
        values = [parse_json(content)]
    except ValueError as error:
        values = _parse_lines(content, path, error)
    return [_answer(value, path) for value in values]


def is_possible(prediction: Prediction, labels: Sequence[str]) -> bool:
    """Return whether a prediction could be a model's, as far as its values tell.

    Args:
        prediction: of one video.
        labels: the model's, in order.
    """
    timed: list[FacePrediction | Segment] = [
        *prediction.faces,
        *(segment for face in prediction.faces for segment in face.segments),
    ]
    in_bins = [face for one in prediction.bins or () for face in one.faces if face.label is not None]
    ids = [face.id for face in prediction.faces]
    return (
        prediction.num_frames > 0
        and len(set(ids)) == len(ids)
        and all(face.segments for face in prediction.faces)
        and all(0 <= part.start <= part.end for part in [*timed, *(prediction.bins or ())])
        and all(_is_answer(part.label, part.probabilities, labels) for part in [*timed, *in_bins])
        and all(
            part.spans and _is_answer(part.label, part.probabilities, labels)
            for face in prediction.faces
            for part in face.parts
        )
        and all([face.face for face in one.faces] == ids for one in prediction.bins or ())
    )


def _is_answer(label: str | None, probabilities: Mapping[str, float], labels: Sequence[str]) -> bool:
    is_complete = list(probabilities) == list(labels) and label in probabilities
    return is_complete and all(0 <= share <= 1 for share in probabilities.values())


def _parse_lines(content: bytes, path: Path, failure: ValueError) -> list[Any]:
    """Return the values of JSON Lines; if not even the first line is one, the file is broken JSON of another form."""
    values: list[Any] = []
    for number, line in enumerate(content.splitlines(), 1):
        try:
            values += [parse_json(line)] if line.strip() else []
        except ValueError as error:
            if not values:
                raise DataError(f"no JSON: {failure!s:.100}", where=path, hint=_HINT) from failure
            raise DataError(f"no JSON in line {number}: {error!s:.100}", where=path, hint=_HINT) from error
    return values


def _answer(value: Any, path: Path) -> Prediction | Unread:
    what = "these are not the answers of `dfer predict`"
    if not isinstance(value, dict) or not str(value.get("schema", "")).startswith("dfer.prediction/"):
        raise DataError(what, where=path, hint=_HINT)
    if value["schema"] != schema_name(SCHEMA):
        hint = f"without --schema, `dfer predict` writes {schema_name(SCHEMA)}, which says how sure each answer is"
        raise DataError(f"answers of the schema {value['schema']!s:.40} cannot be used", where=path, hint=hint)
    if "error" in value:
        return Unread(str(value.get("source")), str(value["error"]))
    fields = {key: item for key, item in value.items() if key != "schema"}
    fields |= {"faces": _each(value.get("faces"), _face)}
    if value.get("bins") is not None:
        fields |= {"bins": _each(value["bins"], _bin)}
    saved = read_record(_Saved, {"prediction": fields}, what=what, where=path, error=DataError, hint=_HINT)
    prediction = saved.prediction
    labels = read_record(
        Labels, prediction.model.get("labels"), what=f"{what}: model.labels", where=path, error=DataError, hint=_HINT
    )
    if not is_possible(prediction, labels) or not {"name", "checkpoint"} <= prediction.model.keys():
        raise DataError(f"{what}: its values contradict each other", where=path, hint=_HINT)
    return prediction


def _each(values: Any, convert: Any) -> Any:
    """Return the converted dicts of a list; what is none stays as it is, for `read_record` to refuse."""
    if not isinstance(values, list):
        return values
    return [convert(value) if isinstance(value, dict) else value for value in values]


def _face(value: dict[str, Any]) -> dict[str, Any]:
    face = _without(value, "face") | {"segments": _each(value.get("segments"), _segment)}
    return face | ({"parts": _each(value["parts"], _segment)} if "parts" in value else {})


def _segment(value: dict[str, Any]) -> dict[str, Any]:
    return _without(value, "answer")


def _bin(value: dict[str, Any]) -> dict[str, Any]:
    return value | {"faces": _each(value.get("faces"), _face_bin)}


def _face_bin(value: dict[str, Any]) -> dict[str, Any]:
    return {"face" if key == "id" else key: item for key, item in _without(value, "answer").items()}


def _without(value: dict[str, Any], kind: str) -> dict[str, Any]:
    return {key: item for key, item in value.items() if key not in _DERIVED[kind]}
