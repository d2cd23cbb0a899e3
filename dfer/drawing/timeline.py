"""The emotion timeline of a video, drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, MaxNLocator, MultipleLocator

from dfer.drawing.style import LIGHT, MARGIN, SMALL_PT, TEXT_PT, Sheet, Theme, emotion_color, ink_on, text_width
from dfer.prediction.timeline import cut_stretches, emotion_runs
from dfer.records import FacePrediction, Prediction
from dfer.runtime.formatting import clock, percent, pluralize, span

WIDTH = 10.0
LEFT, RIGHT = 0.8, 0.3  # inches beside the panels
CAPTION, STRIP, GAP = 0.27, 0.24, 0.3  # inches: a face's heading, its winning emotion, to the next face
MAX_FACES = 20  # that are drawn; an image of more could not be opened
_TIME_STEPS_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400)


def draw_timeline(prediction: Prediction, *, theme: Theme = LIGHT) -> Figure:
    """Per face the probabilities over time, stacked in the emotions' colours, and a strip of the winning emotion.

    Args:
        prediction: its warnings are printed below.
        theme: the colours.
    """
    ends = [segment.end for face in prediction.faces for segment in face.segments]
    total = max([prediction.duration, *ends]) if prediction.num_frames > 1 else 0.0  # an image has no time
    longest = sorted(prediction.faces, key=lambda face: face.start - face.end)[:MAX_FACES]
    faces = [face if total else _over_the_axis(face) for face in sorted(longest, key=lambda face: face.id)]
    left_out = len(prediction.faces) - len(faces)
    footer = [f"{pluralize(left_out, 'face')} seen more briefly not shown"] if left_out else []

    panel = 2.2 if len(faces) <= 1 else 1.4 if len(faces) <= 3 else 1.0
    legend = _place_legend([str(label) for label in prediction.model["labels"]]) if faces else []
    legend_height = 0.24 * len(legend) + 0.1 if faces else 0.0
    each = CAPTION + panel + 0.05 + STRIP
    body = legend_height + max(1, len(faces)) * (each + GAP) - GAP + 0.3
    sheet = Sheet(
        WIDTH,
        body,
        title=Path(prediction.source).name or prediction.source,
        subtitle=_facts(prediction, total),
        footer=[*prediction.warnings, *footer],
        theme=theme,
    )
    if not faces:
        _draw_empty(sheet, each, total)
        return sheet.figure
    _draw_legend(sheet, legend)
    for number, face in enumerate(faces):
        top = legend_height + number * (each + GAP)
        _write_caption(sheet, face, top, total)
        area = sheet.axes(LEFT, top + CAPTION, WIDTH - LEFT - RIGHT, panel)
        strip = sheet.axes(LEFT, top + CAPTION + panel + 0.05, WIDTH - LEFT - RIGHT, STRIP)
        _draw_probabilities(area, face, prediction.model["labels"], theme)
        _draw_winners(strip, face, total)
        sheet.fill(area)
        sheet.fill(strip)
        _mark_time(area, total, labelled=False)
        _mark_time(strip, total, labelled=number == len(faces) - 1)
    return sheet.figure


def _facts(prediction: Prediction, total: float) -> str:
    model = prediction.model
    facts = ["image"]
    if total:
        frames = f"{pluralize(prediction.num_frames, 'frame')} at {prediction.fps:.2f} a second"
        facts = [clock(total, total=total), frames]
    return " · ".join([*facts, f"{model['name']}, {model['checkpoint']}"])


def _over_the_axis(face: FacePrediction) -> FacePrediction:
    return replace(face, segments=[replace(segment, start=0.0, end=1.0) for segment in face.segments])


def _draw_probabilities(axes: Axes, face: FacePrediction, labels: Sequence[str], theme: Theme) -> None:
    colors = [emotion_color(label) for label in labels]
    for stretch in cut_stretches(face):
        values = stretch.probabilities(labels)
        values = np.concatenate([values, values[:, -1:]], axis=1)  # a step ends where the next edge is
        axes.stackplot(stretch.edges, values, colors=colors, step="post", linewidth=0, zorder=1)
    axes.set_ylim(0, 1)
    axes.set_yticks([0, 0.5, 1], ["0", "50", "100 %"])
    axes.set_axisbelow(False)
    axes.grid(color=theme.paper, alpha=0.35, linewidth=0.8)


def _draw_winners(axes: Axes, face: FacePrediction, total: float) -> None:
    inches_per_second = (WIDTH - LEFT - RIGHT) / (total or 1.0)
    for run in emotion_runs(face):
        length = run.end - run.start
        color = emotion_color(run.label)
        axes.add_patch(Rectangle((run.start, 0), length, 1, color=color, linewidth=0))
        if text_width(run.label, SMALL_PT) + 0.1 < length * inches_per_second:
            middle = run.start + length / 2
            axes.text(middle, 0.46, run.label, ha="center", va="center", fontsize=SMALL_PT, color=ink_on(color))
    axes.set(ylim=(0, 1), yticks=[])
    axes.grid(visible=False)


def _mark_time(axes: Axes, total: float, *, labelled: bool) -> None:
    axes.set_xlim(0, total or 1.0)
    if not total:
        axes.set_xticks([])
        return
    step = next((step for step in _TIME_STEPS_S if total / step <= 12), None)
    axes.xaxis.set_major_locator(MultipleLocator(step) if step else MaxNLocator(10))
    decimals = 1 if step and step < 1 else 0
    axes.xaxis.set_major_formatter(FuncFormatter(lambda time, _: clock(time, total=total, decimals=decimals)))
    axes.tick_params(labelbottom=labelled)


def _write_caption(sheet: Sheet, face: FacePrediction, top: float, total: float) -> None:
    name = f"face {face.id}"
    sheet.text(LEFT, top + 0.04, name, bold=True)
    verdict = f"{face.label} {percent(face.probabilities[face.label], 0)} %"
    when = f"{verdict} over {span(face.start, face.end, total=total)}" if total else verdict
    sheet.text(LEFT + text_width(name, TEXT_PT, bold=True) + 0.14, top + 0.04, when, color=sheet.theme.muted)


def _place_legend(labels: Sequence[str]) -> list[list[tuple[float, str]]]:
    """Rows of (inches from the left, label)."""
    rows: list[list[tuple[float, str]]] = [[]]
    x = LEFT
    for label in labels:
        taken = 0.2 + text_width(label, SMALL_PT) + 0.22
        if x + taken > WIDTH - MARGIN and rows[-1]:
            rows.append([])
            x = LEFT
        rows[-1].append((x, label))
        x += taken
    return rows


def _draw_legend(sheet: Sheet, rows: Sequence[Sequence[tuple[float, str]]]) -> None:
    for number, row in enumerate(rows):
        top = 0.24 * number
        for x, label in row:
            sheet.swatch(x, top + 0.015, 0.13, emotion_color(label))
            sheet.text(x + 0.2, top, label, size=SMALL_PT)


def _draw_empty(sheet: Sheet, height: float, total: float) -> None:
    axes = sheet.axes(LEFT, 0.0, WIDTH - LEFT - RIGHT, height)
    sheet.fill(axes)
    axes.set_yticks([])
    _mark_time(axes, total, labelled=True)
    middle: dict[str, Any] = {"transform": axes.transAxes, "ha": "center", "va": "center"}
    axes.text(0.5, 0.55, "no face was found in this video", fontsize=TEXT_PT + 3, color=sheet.theme.ink, **middle)
    axes.text(0.5, 0.42, "so there is no emotion to show", fontsize=TEXT_PT, color=sheet.theme.muted, **middle)
