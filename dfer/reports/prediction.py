"""Predictions for people: table, timeline and annotated video."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from rich.table import Table
from rich.text import Text

from dfer.drawing.annotate import annotate_frame
from dfer.drawing.bars import FaceBars, draw_bars
from dfer.drawing.hide import HideStyle, hide_faces
from dfer.drawing.style import LIGHT, NOT_SURE, Theme, emotion_color
from dfer.drawing.tables import new_table, with_notes
from dfer.drawing.timeline import FaceLane, draw_timeline
from dfer.faces.tracking.cover import cover_faces
from dfer.prediction.predictor import Analysis
from dfer.prediction.timeline import probability_steps
from dfer.records import FacePrediction, Prediction
from dfer.records.timeline import Run, emotion_runs, gaps
from dfer.runtime.formatting import MISSING, clock, percent, pluralize, span, unique_lines
from dfer.video import VideoWriter

if TYPE_CHECKING:  # slow to import, and only figures need it
    from matplotlib.figure import Figure

MAX_RUNS = 8  # of a face, in the terminal
MAX_FACES = 20  # in a figure; an image of more could not be opened

_NO_FACE = [Text(cell, "dim") for cell in (MISSING, "no face", MISSING, MISSING, "")]


def prediction_table(predictions: Sequence[Prediction]) -> Table:
    """Return a row per face: its emotion, probability, for how long it is seen, and what it shows when.

    Args:
        predictions: of one model; a video without a face has a row that says so.
    """
    several = len(predictions) > 1
    table = new_table(None)
    if several:
        table.add_column("video", overflow="fold", min_width=12, max_width=40)
    named = any(face.name for prediction in predictions for face in prediction.faces)
    table.add_column("face", justify="left" if named else "right", overflow="fold", max_width=24)
    table.add_column("emotion", no_wrap=True)
    table.add_column("%", justify="right", style="bold", no_wrap=True)
    table.add_column("seen", no_wrap=not several, min_width=7)
    table.add_column("over time", no_wrap=not several, overflow="fold", min_width=16)
    for prediction, shown in zip(predictions, _names(predictions), strict=True):
        rows = [_face_cells(face, prediction) for face in prediction.faces] or [_NO_FACE]
        for number, cells in enumerate(rows):
            name = [Text("" if number else shown)] if several else []
            table.add_row(*name, *cells, end_section=number == len(rows) - 1)
    return with_notes(table, [], _warnings(predictions))


def _face_cells(face: FacePrediction, prediction: Prediction) -> list[Text]:
    seen = _visible(face, prediction.duration) if prediction.num_frames > 1 else MISSING
    return [
        Text(f"{face.id} {face.name}" if face.name else str(face.id)),
        Text(f"{NOT_SURE} ({face.label})", "dim")
        if face.unsure
        else Text(face.label, f"bold {emotion_color(face.label)}"),
        Text(percent(face.probabilities[face.label]), "dim" if face.unsure else ""),
        Text(seen),
        _course(face, prediction) if prediction.num_frames > 1 else Text(),
    ]


def _visible(face: FacePrediction, total: float) -> str:
    """Return how long a face is seen, such as "1.0 s, 22 %"."""
    share = _share(min(1.0, face.visible / total)) if total else MISSING
    return f"{clock(face.visible, total=total)}, {share} %"


def _course(face: FacePrediction, prediction: Prediction) -> Text:
    """Return a line per run of one emotion and per gap; if there are many, each emotion's share of the time instead."""
    runs, missing = emotion_runs(face), gaps(face)
    total = prediction.duration
    if len(runs) + len(missing) <= MAX_RUNS:
        parts = [(run.start, run.end, *_named(run)) for run in runs]
        parts += [(start, end, "not seen", "dim") for start, end in missing]
        shown = [(span(start, end, total=total), name, style) for start, end, name, style in sorted(parts)]
        widest = max((len(when) for when, _, _ in shown), default=0)
        lines = [Text.assemble((f"{when:>{widest}}  ", "dim"), (name, style)) for when, name, style in shown]
        return Text("\n").join(lines)
    lengths: dict[tuple[str, str], float] = {}
    for run in runs:
        named = (NOT_SURE, "dim") if run.reasons else (run.label, emotion_color(run.label))
        lengths[named] = lengths.get(named, 0.0) + run.end - run.start
    seen = sum(lengths.values()) or 1.0
    lines = [
        Text.assemble((f"{_share(length / seen):>3} %  ", "dim"), named)
        for named, length in sorted(lengths.items(), key=lambda item: -item[1])
    ]
    changes = [pluralize(len(runs) - 1, "change"), *([pluralize(len(missing), "gap")] if missing else [])]
    return Text("\n").join([*lines, Text(", ".join(changes), "dim")])


def _named(run: Run) -> tuple[str, str]:
    """Return what a run shows, and in which style."""
    return (f"{NOT_SURE}: {run.reasons[0]}", "dim") if run.reasons else (run.label, emotion_color(run.label))


def _share(fraction: float) -> str:
    return "<1" if 0 < fraction < 0.005 else percent(fraction, 0)


def _warnings(predictions: Sequence[Prediction]) -> list[str]:
    """Return each warning once, with the video's name unless it holds for all."""
    every = unique_lines(*(prediction.notes for prediction in predictions))
    common = [text for text in every if all(text in prediction.notes for prediction in predictions)]
    named = zip(predictions, _names(predictions), strict=True)
    own = [f"{name}: {text}" for prediction, name in named for text in prediction.notes if text not in common]
    return [*common, *own]


def _names(predictions: Sequence[Prediction]) -> list[str]:
    """Return the videos' names, with their folders where several have one name."""
    names = [_name(prediction) for prediction in predictions]
    return [
        prediction.source if names.count(name) > 1 else name
        for prediction, name in zip(predictions, names, strict=True)
    ]


def _name(prediction: Prediction) -> str:
    return Path(prediction.source).name or prediction.source


def draw_prediction(
    prediction: Prediction, *, pictures: Mapping[int, NDArray[np.uint8]] | None = None, theme: Theme = LIGHT
) -> Figure:
    """Draw the emotion timeline of a video, or a bar chart of an image: the probabilities of each face.

    Args:
        prediction: its notice and warnings are printed below.
        pictures: of faces, uint8 [S, S, 3], by their numbers; see `face_pictures`. A face without one is drawn too.
        theme: the colours.
    """
    ends = [segment.end for face in prediction.faces for segment in face.segments]
    total = max([prediction.duration, *ends]) if prediction.num_frames > 1 else 0.0  # an image has no time
    shown = prediction.faces[:MAX_FACES]
    seen = pictures or {}
    labels = prediction.model["labels"]
    left_out = len(prediction.faces) - len(shown)
    notes = [f"{pluralize(left_out, 'face')} seen more briefly not shown"] if left_out else []
    around: dict[str, Any] = {
        "title": _name(prediction),
        "subtitle": _facts(prediction, total),
        "footer": [*prediction.notes, *notes],
        "theme": theme,
    }
    if not total:
        return draw_bars([replace(_bars(face, labels), picture=seen.get(face.id)) for face in shown], labels, **around)
    lanes = [replace(_lane(face, labels, total), picture=seen.get(face.id)) for face in shown]
    return draw_timeline(lanes, labels, total=total, **around)


def _lane(face: FacePrediction, labels: Sequence[str], total: float) -> FaceLane:
    edges, probabilities = probability_steps(face, labels)
    runs = emotion_runs(face)
    sure = [(run.start, run.end, run.label) for run in runs if not run.reasons]
    unsure = [(run.start, run.end) for run in runs if run.reasons]
    summary = f"{_answer(face)} · seen {seen_when(face, total)}"
    return FaceLane(face.title, summary, edges, probabilities, sure, unsure)


def _bars(face: FacePrediction, labels: Sequence[str]) -> FaceBars:
    probabilities = np.array([face.probabilities[label] for label in labels], np.float64)
    return FaceBars(face.title, _answer(face), probabilities, bool(face.unsure))


def _answer(face: FacePrediction) -> str:
    if face.unsure:
        return f"{NOT_SURE}: {face.reasons[0]}"
    return f"{face.label} {percent(face.probabilities[face.label], 0)} %"


def seen_when(face: FacePrediction, total: float) -> str:
    """Return when a face is seen: from when to when, or for how long and with how many gaps.

    Args:
        face: with one segment or more.
        total: length of the video, seconds.
    """
    if missing := gaps(face):
        return f"{clock(face.visible, total=total)} of {clock(total, total=total)}, {pluralize(len(missing), 'gap')}"
    return span(face.start, face.end, total=total)


def _facts(prediction: Prediction, total: float) -> str:
    facts = ["image"]
    if total:
        frames = f"{pluralize(prediction.num_frames, 'frame')} at {prediction.fps:.2f} a second"
        facts = [clock(total, total=total), frames]
    return " · ".join([*facts, f"{prediction.model['name']}, {prediction.model['checkpoint']}"])


def write_annotated_video(
    analysis: Analysis,
    path: Path,
    on_progress: Callable[[float], None] | None = None,
    *,
    hide: HideStyle | None = None,
    sound: bool | None = None,
) -> None:
    """Write the video with each face's box, emotion and probabilities drawn in, at its own frame times.

    Args:
        analysis: from `Predictor.analyse`.
        path: the video to write.
        on_progress: called with the progress, 0..1.
        hide: makes all faces unrecognisable, also those without a prediction; see `dfer.drawing.hide`.
        sound: whether the recording's sound is copied; None for yes, but where faces are hidden: voices are known too.

    Raises:
        DferError: it cannot be written.
    """
    source, prediction = analysis.source, analysis.prediction
    report, passes = on_progress or (lambda _done: None), 2 if hide else 1
    places = [{int(frame): place for place, frame in enumerate(track.frames)} for track in analysis.tracks]
    owners = {number: face for face in prediction.faces for number in (face.id, *(part.id for part in face.parts))}
    covered = {}
    if hide:
        covered = cover_faces(source.watch_frames(lambda done: report(done / 2)), source.times_s)
    footer = next(iter(prediction.notes), None)
    heard = source.sound if sound or (sound is None and not hide) else None
    with VideoWriter(path, fps=source.fps, size_hw=source.size_hw, sound=heard) as writer:
        for index, frame in source.watch_frames(lambda done: report(1 - (1 - done) / passes)):
            time_s = float(source.times_s[index])
            shown = []
            for track, place in zip(analysis.tracks, places, strict=True):
                if index in place:
                    face = owners[track.track_id]
                    segment = next((s for s in face.segments if time_s < s.end), face.segments[-1])
                    doubt = segment.reasons[0] if segment.unsure else ""
                    box = track.boxes_xyxy[place[index]]
                    shown.append((box, segment.label, segment.probabilities, face.name or face.id, doubt))
            if hide:
                frame = hide_faces(frame, [*covered.get(index, ()), *(box for box, *_ in shown)], hide)
            writer.write(annotate_frame(frame, shown, time_s=time_s, footer=footer), time_s)
