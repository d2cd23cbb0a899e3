"""A prediction as the JSON that other programs read; docs/formats.md describes it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from dfer.records.answers import Bin, FaceBin, FacePart, FacePrediction, Quality, Segment
from dfer.records.summary import summarise_face

if TYPE_CHECKING:
    from dfer.records.prediction import Prediction

SCHEMA = 2
SCHEMAS = (1, SCHEMA)
_DECIMALS = {"size": 1, "sharpness": 4, "brightness": 3, "yaw": 1, "pitch": 1, "roll": 1, "score": 3, "detected": 3}


def schema_name(schema: int) -> str:
    """Return the name of a schema in the JSON."""
    return f"dfer.prediction/{schema}"


def error_dict(source: str, error: str, schema: int = SCHEMA) -> dict[str, Any]:
    """Return the JSON object of an input that could not be read."""
    return {"schema": schema_name(schema), "source": source, "error": error}


def prediction_dict(prediction: Prediction, schema: int = SCHEMA) -> dict[str, Any]:
    """Return the JSON object of a prediction.

    Args:
        prediction: of one input.
        schema: 1 for the keys of the first schema only, whose warnings begin with the model's notice.
    """
    old = schema == 1
    bins = {} if old or prediction.bins is None else {"bins": [_bin(one) for one in prediction.bins]}
    notice = {} if old else {"notice": prediction.notice}
    return {
        "schema": schema_name(schema),
        "source": prediction.source,
        "duration": round(prediction.duration, 3),
        "fps": round(prediction.fps, 3),
        "num_frames": prediction.num_frames,
        "model": prediction.model,
        "faces": [_old_face(face) if old else _face(face) for face in prediction.faces],
        **bins,
        **notice,
        "warnings": prediction.notes if old else prediction.warnings,
    }


def quality_dict(quality: Quality) -> dict[str, float | None]:
    """Return the measures of a quality by name, rounded."""
    values: Mapping[str, float | None] = asdict(quality)
    return {name: None if value is None else round(value, _DECIMALS[name]) for name, value in values.items()}


def _old_face(face: FacePrediction) -> dict[str, Any]:
    return {
        "id": face.id,
        "start": round(face.start, 3),
        "end": round(face.end, 3),
        "label": face.label,
        "probabilities": face.probabilities,
        "segments": [_old_segment(segment) for segment in face.segments],
    }


def _old_segment(segment: Segment) -> dict[str, Any]:
    return {
        "start": round(segment.start, 3),
        "end": round(segment.end, 3),
        "label": segment.label,
        "probabilities": segment.probabilities,
        "box": [round(value, 1) for value in segment.box],
    }


def _face(face: FacePrediction) -> dict[str, Any]:
    parts = {"parts": [_part(part) for part in face.parts]} if face.parts else {}
    return {
        "id": face.id,
        "name": face.name,
        "start": round(face.start, 3),
        "end": round(face.end, 3),
        "visible": round(face.visible, 3),
        "spans": _spans(face.spans),
        "label": face.label,
        "probabilities": face.probabilities,
        **_trust(face),
        "summary": summarise_face(face).to_dict(),
        "segments": [
            {**_old_segment(segment), **_trust(segment), "quality": segment.quality and quality_dict(segment.quality)}
            for segment in face.segments
        ],
        **parts,
    }


def _part(part: FacePart) -> dict[str, Any]:
    answer = {"label": part.label, "probabilities": part.probabilities}
    trust = {"confidence": round(part.confidence, 4), "unsure": bool(part.reasons), "reasons": list(part.reasons)}
    return {"id": part.id, "spans": _spans(part.spans), **answer, **trust}


def _spans(spans: Iterable[tuple[float, float]]) -> list[list[float]]:
    return [[round(start, 3), round(end, 3)] for start, end in spans]


def _trust(answer: FacePrediction | Segment | FaceBin) -> dict[str, Any]:
    confidence = answer.confidence
    return {
        "confidence": None if confidence is None else round(confidence, 4),
        "unsure": answer.unsure,
        "reasons": list(answer.reasons),
    }


def _bin(one: Bin) -> dict[str, Any]:
    return {
        "start": round(one.start, 3),
        "end": round(one.end, 3),
        "visible": round(one.visible, 3),
        "faces": [_face_bin(face) for face in one.faces],
    }


def _face_bin(face: FaceBin) -> dict[str, Any]:
    return {
        "id": face.face,
        "visible": round(face.visible, 3),
        "label": face.label,
        "probabilities": face.probabilities,
        "box": face.box and [round(value, 1) for value in face.box],
        **_trust(face),
        "quality": face.quality and quality_dict(face.quality),
    }
