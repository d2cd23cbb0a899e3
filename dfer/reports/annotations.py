"""Predictions for annotation programs: ELAN, Praat, BORIS, and subtitles.

Each face has a tier with its runs of one emotion. Time that should not be trusted says so in place of an emotion, and
time in which the face is not seen is empty.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from dfer.drawing.style import NOT_SURE
from dfer.names import printable
from dfer.records import FacePrediction, Prediction
from dfer.records.timeline import emotion_runs
from dfer.reports.prediction_rows import all_labels

Mark = tuple[float, float, str]  # start and end in seconds, and what is said of the time between

_BORIS_FORMAT = "7.0"
_NO_MARKUP = str.maketrans("{}<>", "()‹›")  # which subtitles take for markup


def face_marks(face: FacePrediction) -> list[Mark]:
    """Return a face's runs: start and end, seconds, and the emotion, or that and why it is not sure."""
    return [
        (run.start, run.end, f"{NOT_SURE}: {', '.join(run.reasons)}" if run.reasons else run.label)
        for run in emotion_runs(face)
    ]


def write_eaf(predictions: Sequence[Prediction], path: Path) -> None:
    """Write the prediction of one video for ELAN: a tier per face, linked to the video."""
    from pympi.Elan import Eaf

    (prediction,) = predictions
    file = Eaf(author="dfer")
    source = Path(prediction.source)
    file.add_linked_file(printable(source.absolute().as_uri()), relpath=printable(source.name), mimetype="video/*")
    file.remove_tier("default")
    for tier, face in _tiers(prediction):
        file.add_tier(tier)
        for start, end, text in face_marks(face):
            first, after = round(1000 * start), round(1000 * end)
            if first < after:
                file.add_annotation(tier, first, after, text)
    path.unlink(missing_ok=True)  # of a file that is there, pympi keeps a copy beside it
    file.to_file(str(path))


def write_textgrid(predictions: Sequence[Prediction], path: Path) -> None:
    """Write the prediction of one video for Praat: an interval tier per face, from 0 to the video's end."""
    from praatio import textgrid

    (prediction,) = predictions
    end = _end(prediction)
    grid = textgrid.Textgrid(0.0, end)
    for tier, face in _tiers(prediction):
        grid.addTier(textgrid.IntervalTier(tier, _apart(face_marks(face)), 0.0, end))
    if not prediction.faces:
        grid.addTier(textgrid.IntervalTier("no face", [], 0.0, end))
    grid.save(str(path), format="long_textgrid", includeBlankSpaces=True)


def write_subtitles(predictions: Sequence[Prediction], path: Path) -> None:
    """Write the prediction of one video as WebVTT or SubRip: a subtitle per run, with who it is if needed."""
    import pysubs2

    (prediction,) = predictions
    subtitles = pysubs2.SSAFile()
    for tier, face in _tiers(prediction):
        for start, end, text in face_marks(face):
            shown = f"{tier.translate(_NO_MARKUP)}: {text}" if len(prediction.faces) > 1 or face.name else text
            first, after = pysubs2.make_time(s=start), pysubs2.make_time(s=end)
            subtitles.append(pysubs2.SSAEvent(first, after, text=shown))
    subtitles.sort()
    subtitles.save(str(path), format_=path.suffix.lower()[1:])


def write_boris(predictions: Sequence[Prediction], path: Path) -> None:
    """Write predictions as a BORIS project: an observation per video, a subject per face, a state event per emotion.

    Source: the projects of BORIS' own tests; it has no library that writes them.
    """
    labels = all_labels(predictions)
    subjects = dict.fromkeys(face.title for one in predictions for face in one.faces)
    now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
    project = {
        "time_format": "hh:mm:ss",
        "project_date": now,
        "project_name": "dfer",
        "project_description": "emotions as dfer predict saw them",
        "project_format_version": _BORIS_FORMAT,
        "subjects_conf": {
            str(number): {"key": "", "name": name, "description": ""} for number, name in enumerate(subjects)
        },
        "behaviors_conf": {str(number): _behaviour(label) for number, label in enumerate([*labels, NOT_SURE])},
        "behavioral_categories": [],
        "independent_variables": {},
        "coding_map": {},
        "behaviors_coding_map": [],
        "converters": {},
        "observations": {_observation_name(n, one): _observation(one, now) for n, one in enumerate(predictions, 1)},
    }
    path.write_text(json.dumps(project, indent=1), encoding="utf-8")


def _behaviour(code: str) -> dict[str, str]:
    empty = dict.fromkeys(("key", "description", "color", "category", "modifiers", "excluded", "coding map"), "")
    return {"type": "State event", "code": code, **empty}


def _observation_name(number: int, prediction: Prediction) -> str:
    return f"{number} {printable(Path(prediction.source).stem)}"


def _observation(prediction: Prediction, now: str) -> dict[str, Any]:
    source = printable(str(Path(prediction.source).absolute()))
    events = []
    for tier, face in _tiers(prediction):
        for run in emotion_runs(face):
            code, comment = (NOT_SURE, ", ".join(run.reasons)) if run.reasons else (run.label, "")
            # A state event is two events: where it begins, and where it stops.
            events += [[round(run.start, 3), tier, code, "", comment], [round(run.end, 3), tier, code, "", comment]]
    return {
        "date": now,
        "description": "\n".join(prediction.notes),
        "type": "MEDIA",
        "file": {"1": [source]},
        "media_info": {
            "length": {source: round(_end(prediction), 3)},
            "fps": {source: round(prediction.fps, 3)},
            "hasVideo": {source: True},
            "hasAudio": {source: False},
            "offset": {"1": 0.0},
        },
        "time offset": 0.0,
        "visualize_spectrogram": False,
        "close_behaviors_between_videos": False,
        "scan_sampling_time": 0,
        "independent_variables": {},
        "events": sorted(events, key=lambda event: event[0]),
    }


def _tiers(prediction: Prediction) -> Iterator[tuple[str, FacePrediction]]:
    return ((face.title, face) for face in prediction.faces)


def _end(prediction: Prediction) -> float:
    return max([prediction.duration, *(face.end for face in prediction.faces)])


def _apart(marks: Sequence[Mark]) -> list[Mark]:
    """Return the marks without the overlaps that rounding leaves."""
    found: list[Mark] = []
    for start, end, text in marks:
        start = max(start, found[-1][1]) if found else start
        if start < end:
            found.append((start, end, text))
    return found
