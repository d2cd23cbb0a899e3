"""A prediction as the page of its video: the values that the page's script draws, and those of the index."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict

from dfer.drawing.pages import data_uri
from dfer.drawing.player import Download, FailedPage, PlayerPage
from dfer.drawing.style import UNSURE_COLOR, emotion_color, ink_on
from dfer.errors import DferError
from dfer.records import FacePrediction, Prediction
from dfer.records.people import MAX_DISSOLVE_S, people_of, split_face
from dfer.records.summary import summarise_face
from dfer.reports.prediction_rows import csv_text
from dfer.reports.thumbnails import jpeg_bytes
from dfer.runtime.formatting import clock, pluralize
from dfer.settings import STRICT
from dfer.version import __version__

_INDEX_FACES, _INDEX_SIDE = 4, 72  # how many faces of a video the index shows, and their pixels: twice what is drawn
CAUTION = "A label says how an expression looks to others, not what a person feels."


@dataclass(frozen=True)
class VideoSummary:
    """The values of a video that the index lists; each page holds its own.

    Attributes:
        schema: of these values.
        key: of what the page was made from.
        source: the input, as the prediction names it.
        duration: seconds; 0 for an image.
        faces: their number.
        visible: seconds in which they are seen, added up.
        unsure: seconds of these whose answers should not be trusted.
        confidence: the mean, weighted by time; None if all is unsure.
        changes_per_minute: of trusted time; None without any.
        seconds: of trusted time, by emotion.
        warnings: their number.
        error: why there is no answer; "" if there is one.
        pictures: of the faces that are seen longest, as addresses that hold them.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    schema: Literal["dfer.page/1"]
    key: str
    source: str
    duration: float
    faces: int
    visible: float
    unsure: float
    confidence: float | None
    changes_per_minute: float | None
    seconds: dict[str, float]
    warnings: int
    error: str = ""
    pictures: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Shown:
    """The pictures of a page.

    Attributes:
        media: address of the video or image, relative to the page; "" for none.
        no_media: why there is none, or what to do if it cannot be shown.
        size_wh: of its frames, in which the boxes are; None if it is not known.
        offset_s: when the player shows the first frame, seconds.
        faces: a picture of each face, uint8 [S, S, 3], RGB, by its number.
    """

    media: str = ""
    no_media: str = ""
    size_wh: tuple[int, int] | None = None
    offset_s: float = 0.0
    faces: Mapping[int, NDArray[np.uint8]] | None = None


def page_key(prediction: Prediction, *options: object) -> str:
    """Return a digest of all that a page depends on but the video's pictures."""
    text = json.dumps([__version__, prediction.to_dict(), [str(option) for option in options]])
    return hashlib.sha256(text.encode(errors="backslashreplace")).hexdigest()[:16]


def video_page(prediction: Prediction, shown: Shown, *, key: str, index: str) -> PlayerPage:
    """Return the page of a prediction.

    Args:
        prediction: of a video or image.
        shown: its pictures.
        key: of `page_key`.
        index: address of the index page.
    """
    title = Path(prediction.source).name or prediction.source
    text = json.dumps(prediction.to_dict(), indent=2, ensure_ascii=False, allow_nan=False)
    return PlayerPage(
        key=key,
        title=title,
        lead=_lead(prediction),
        notes=prediction.notes,
        still=prediction.num_frames == 1,
        media=shown.media,
        no_media=shown.no_media,
        index=index,
        summary=vars(replace(summarise_video(prediction, key), pictures=_index_pictures(prediction, shown))),
        data=page_data(prediction, shown, key),
        files=[
            Download("Answers (JSON)", f"{title}.json", "application/json", f"{text}\n"),
            Download("Table (CSV)", f"{title}.csv", "text/csv", csv_text([prediction])),
        ],
        closing=f"{CAUTION} Made by dfer {__version__}, with the model {_model(prediction)}.",
    )


def summarise_video(prediction: Prediction, key: str) -> VideoSummary:
    """Return the values that the index lists."""
    summaries = [summarise_face(face) for face in prediction.faces]
    seconds: dict[str, float] = dict.fromkeys(prediction.model["labels"], 0.0)
    for summary in summaries:
        for label, value in summary.seconds.items():
            seconds[label] = seconds.get(label, 0.0) + value
    trusted = sum(seconds.values())
    confidence = sum((s.confidence or 0.0) * sum(s.seconds.values()) for s in summaries)
    changes = sum(summary.changes for summary in summaries)
    return VideoSummary(
        schema="dfer.page/1",
        key=key,
        source=prediction.source,
        duration=round(prediction.duration, 3) if prediction.num_frames > 1 else 0.0,
        faces=len(prediction.faces),
        visible=round(sum(summary.visible for summary in summaries), 3),
        unsure=round(sum(summary.unsure for summary in summaries), 3),
        confidence=round(confidence / trusted, 4) if trusted else None,
        changes_per_minute=round(60 * changes / trusted, 2) if trusted else None,
        seconds={label: round(value, 3) for label, value in seconds.items()},
        warnings=len(prediction.warnings),
    )


def failure_page(source: str, error: DferError, *, index: str) -> FailedPage:
    """Return the page of an input that has no answer.

    Args:
        source: the input, as its prediction would name it.
        error: why there is none.
        index: address of the index page.
    """
    summary = VideoSummary(
        schema="dfer.page/1",
        key="",
        source=source,
        duration=0.0,
        faces=0,
        visible=0.0,
        unsure=0.0,
        confidence=None,
        changes_per_minute=None,
        seconds={},
        warnings=0,
        error=error.what,
    )
    return FailedPage(
        title=Path(source).name or source,
        source=source,
        error=error.what,
        hint=error.hint or "",
        index=index,
        summary=vars(summary),
        closing=f"Made by dfer {__version__}.",
    )


def _index_pictures(prediction: Prediction, shown: Shown) -> list[str]:
    """Return the pictures for the index; faces of one person are one."""
    pictures = [(shown.faces or {}).get(face.id) for face in prediction.faces[:_INDEX_FACES]]
    return [data_uri(jpeg_bytes(picture, _INDEX_SIDE)) for picture in pictures if picture is not None]


def page_data(prediction: Prediction, shown: Shown, key: str) -> dict[str, Any]:
    """Return the values that `player_logic.js` unpacks: a column for each value of the segments, in whole numbers."""
    labels: Sequence[str] = prediction.model["labels"]
    reasons: dict[tuple[str, ...], int] = {(): 0}
    colors = [emotion_color(label) for label in labels]
    # Faces that were merged are given apart, so that the page can separate them again.
    parts = [part for face in prediction.faces for part in split_face(face)]
    faces = [_face_data(face, labels, reasons, shown.faces or {}) for face in parts]
    people = people_of(prediction)
    return {
        "key": key,
        "source": prediction.source,
        "duration": round(max([prediction.duration, *(face.end for face in prediction.faces)]), 3),
        "fps": prediction.fps,
        "still": prediction.num_frames == 1,
        "offset": round(shown.offset_s, 6),
        "size": shown.size_wh,
        "dissolve": MAX_DISSOLVE_S,
        "labels": labels,
        "colors": colors,
        "inks": [ink_on(color) for color in colors],
        "unsureColor": UNSURE_COLOR,
        "names": {str(number): name for number, name in people.names.items()},
        "merges": [list(group) for group in people.merge],
        "reasons": [list(found) for found in reasons],
        "faces": faces,
    }


def _face_data(
    face: FacePrediction,
    labels: Sequence[str],
    reasons: dict[tuple[str, ...], int],
    pictures: Mapping[int, NDArray[np.uint8]],
) -> dict[str, Any]:
    places = {label: place for place, label in enumerate(labels)}
    picture = pictures.get(face.id)
    segments = face.segments
    return {
        "id": face.id,
        "thumbnail": "" if picture is None else data_uri(jpeg_bytes(picture)),
        "start": [round(1000 * segment.start) for segment in segments],
        "end": [round(1000 * segment.end) for segment in segments],
        "top": [places[segment.label] for segment in segments],
        "shares": [round(1000 * segment.probabilities.get(label, 0.0)) for segment in segments for label in labels],
        "confidence": [round(10_000 * segment.confidence) for segment in segments],
        "why": [reasons.setdefault(segment.reasons, len(reasons)) for segment in segments],
        "box": [round(value) for segment in segments for value in segment.box],
    }


def _lead(prediction: Prediction) -> str:
    faces = pluralize(len(prediction.faces), "face")
    if prediction.num_frames == 1:
        return f"image · {faces if prediction.faces else 'no face'}"
    length = clock(prediction.duration, total=prediction.duration)
    return f"{length} · {pluralize(prediction.num_frames, 'frame')} · {faces}"


def _model(prediction: Prediction) -> str:
    return f"{prediction.model['name']} ({prediction.model['checkpoint']})"
