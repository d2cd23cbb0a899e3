"""The report of `dfer demo`: one HTML file to open, and the same as Markdown."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from dfer.drawing.confusion import draw_confusion
from dfer.drawing.contact_sheet import contact_sheet
from dfer.drawing.figures import draw_curves
from dfer.drawing.pages import Page, Picture, Section, html_page, markdown_page
from dfer.drawing.style import DARK, LIGHT, Theme, png_bytes
from dfer.evaluation.metrics import best_epoch
from dfer.evaluation.results import Evaluation
from dfer.records import Prediction
from dfer.reports.evaluation import evaluation_cells, evaluation_remarks, evaluation_title
from dfer.reports.prediction import draw_prediction, seen_when
from dfer.runtime.files import write_bytes, write_text
from dfer.runtime.formatting import format_duration, percent, pluralize, unique_lines
from dfer.version import __version__

__all__ = ["DRAWINGS_ONLY", "contact_sheet", "write_demo_report"]

DRAWINGS_ONLY = "Drawings only: this model has never seen a real face, and what it says of one means nothing."


def write_demo_report(
    out: Path,
    *,
    evaluation: Evaluation,
    prediction: Prediction,
    contact_sheet: NDArray[np.uint8] | None,
    metrics: Sequence[Mapping[str, Any]],
    machine: str,
    timings: Mapping[str, float],
    notes: Sequence[str],
) -> Path:
    """Write `index.html`, which needs nothing else, and `README.md` with its images beside.

    Args:
        out: the report's folder. A `prediction.mp4` in it is linked.
        evaluation: the results.
        prediction: of one video.
        contact_sheet: of faces, uint8 [H, W, 3], RGB; None for none.
        metrics: a record per epoch, as in metrics.jsonl.
        machine: a line on the hardware.
        timings: seconds by step, in order.
        notes: further remarks for the reader.

    Returns:
        The path of `index.html`.

    Raises:
        DferError: a file cannot be written.
    """
    sections = [
        *_faces_section(contact_sheet),
        _evaluation_section(evaluation),
        _training_section(metrics),
        _timeline_section(prediction, out),
        _time_section(timings, machine),
    ]
    remarks = unique_lines(evaluation.notes, prediction.notes, list(notes))
    if remarks:
        sections.append(Section("Notes", points=remarks))
    page = Page(
        title="dfer demo: from raw clips to an emotion timeline",
        lead=f"A small {prediction.model['name']}, trained and tested on clips that this program drew itself. "
        "Everything here was made on this machine by one command.",
        warning=DRAWINGS_ONLY,
        figures=_headline(evaluation, timings),
        sections=sections,
        closing=f"dfer {__version__} on {machine}",
    )
    for section in sections:
        for image in section.figures:
            write_bytes(out / f"{image.name}.png", image.image)
    write_text(out / "README.md", markdown_page(page))
    write_text(out / "index.html", html_page(page))
    return out / "index.html"


def _headline(evaluation: Evaluation, timings: Mapping[str, float]) -> list[tuple[str, str]]:
    return [
        (f"{percent(evaluation.mean_war)} %", "WAR: clips answered correctly"),
        (f"{percent(evaluation.mean_uar)} %", "UAR: mean recall of the emotions"),
        (f"{evaluation.pooled.num_clips:,}", f"test clips in {pluralize(len(evaluation.folds), 'fold')}"),
        (format_duration(sum(timings.values())), "from nothing to this page"),
    ]


def _faces_section(sheet: NDArray[np.uint8] | None) -> list[Section]:
    if sheet is None:
        return []
    buffer = io.BytesIO()
    Image.fromarray(sheet).save(buffer, "png", optimize=True)
    image = Picture("faces", "drawn faces, cut out and aligned", buffer.getvalue())
    text = "Test clips after detection, tracking and alignment, each a row over time. All of them are drawings."
    return [Section("What the model sees", [text], [image])]


def _evaluation_section(evaluation: Evaluation) -> Section:
    cells, title = evaluation_cells(evaluation), evaluation_title(evaluation)
    subtitle = f"{title} · WAR {percent(evaluation.mean_war)} · UAR {percent(evaluation.mean_uar)}"
    image = _illustrate(
        "confusion",
        f"confusion matrix, {title}",
        lambda theme: draw_confusion(
            evaluation.pooled.confusion,
            evaluation.labels,
            title="Confusion matrix",
            subtitle=subtitle,
            footer=[DRAWINGS_ONLY],
            theme=theme,
        ),
    )
    return Section(
        "How well it tells the emotions apart",
        [
            f"On people whom it did not see in training. {'. '.join(evaluation_remarks(evaluation))}. intra/inter is "
            "the mean distance of clips to the centre of their emotion, divided by the mean distance between centres: "
            "lower is better.",
        ],
        [image],
        table=[["fold", *cells.columns], *(list(row) for row in cells.itertuples(name=None))],
        strong_rows=len(cells) - len(evaluation.folds),
    )


def _training_section(metrics: Sequence[Mapping[str, Any]]) -> Section:
    image = _illustrate(
        "training",
        "losses, WAR and UAR over the epochs",
        lambda theme: draw_curves(
            metrics, best=best_epoch(metrics), title="Training", footer=[DRAWINGS_ONLY], theme=theme
        ),
    )
    validated = any("val_war" in record for record in metrics)
    text = "WAR and UAR on clips held back from training." if validated else "The loss on the clips it trained on."
    return Section("How it learnt", [text], [image])


def _timeline_section(prediction: Prediction, out: Path) -> Section:
    noted = replace(prediction, notice=prediction.notice or DRAWINGS_ONLY)
    name = Path(prediction.source).name
    image = _illustrate("timeline", f"emotion timeline of {name}", lambda theme: draw_prediction(noted, theme=theme))
    faces = [
        f"{face.title}, seen {seen_when(face, prediction.duration)}: "
        f"{face.label}, {percent(face.probabilities[face.label])} %"
        for face in prediction.faces
    ]
    video = "prediction.mp4"
    link = (video, "The same video with the answer drawn in") if (out / video).is_file() else None
    text = f"{name}, a person it had never seen, going through several emotions, segment by segment."
    return Section("What it says of a video", [text], [image], points=faces or ["no face was found"], link=link)


def _time_section(timings: Mapping[str, float], machine: str) -> Section:
    longest = max(timings.values(), default=0.0) or 1.0
    bars = [(step, format_duration(seconds), seconds / longest) for step, seconds in timings.items()]
    return Section("Where the time went", [f"On {machine}."], bars=bars)


def _illustrate(name: str, alt: str, draw: Callable[[Theme], Figure]) -> Picture:
    return Picture(name, alt, png_bytes(draw(LIGHT)), png_bytes(draw(DARK)))
