"""The further figures of `dfer eval --report`: reliability, precision and recall, features, hardest clips."""

from __future__ import annotations

import io
import logging
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from dfer.batches.sampling import evenly_spread
from dfer.drawing.classes import Curve, draw_points, draw_precision_recall
from dfer.drawing.confidence import draw_reliability
from dfer.drawing.contact_sheet import contact_sheet, film_strip, text_strip
from dfer.drawing.style import save_figure
from dfer.drawing.tables import escape_markdown
from dfer.errors import DferError
from dfer.evaluation.confidence import reliability
from dfer.evaluation.features import MIN_POINTS, precision_recall, project
from dfer.evaluation.results import Evaluation, FoldEvaluation
from dfer.runtime.files import write_bytes
from dfer.runtime.formatting import percent, pluralize
from dfer.store import open_store, read_clip

logger = logging.getLogger(__name__)

NUM_HARDEST, FRAMES_SHOWN, COLUMNS = 16, 4, 2
_STRIP_HW = (96, 4 * 98)


def write_evaluation_figures(evaluation: Evaluation, out: Path) -> str:
    """Write the figures of an evaluation, and return the part of the report that shows them, as Markdown.

    Args:
        evaluation: the results.
        out: the folder.

    Raises:
        DferError: a file cannot be written.
    """
    folds = [fold for fold in sorted(evaluation.folds, key=lambda fold: fold.fold) if len(fold.truth)]
    if not folds:
        return ""
    probabilities = np.concatenate([fold.probabilities for fold in folds])
    truth = np.concatenate([fold.truth for fold in folds])
    name = f"fold {folds[0].fold}" if len(folds) == 1 else "all folds"
    clips = f"{evaluation.dataset}, {pluralize(len(truth), 'clip')}"
    figures: list[tuple[str, str, Figure]] = [
        ("reliability", "Reliability", _draw_reliability(probabilities, truth, clips, name))
    ]
    if (figure := _draw_precision_recall(probabilities, truth, evaluation.labels, clips)) is not None:
        figures.append(("precision_recall", "Precision and recall", figure))
    figures += [
        (f"features_fold_{fold.fold}", f"Features, fold {fold.fold}", figure)
        for fold in folds
        if (figure := _draw_features(fold, evaluation.dataset)) is not None
    ]
    text = ""
    for stem, heading, figure in figures:
        for suffix in (".png", ".pdf"):
            save_figure(figure, out / f"{stem}{suffix}")
        text += f"\n### {heading}\n\n![{heading}]({stem}.png)\n"
    return text + _write_hardest(folds, out)


def _draw_reliability(probabilities: NDArray[np.float64], truth: NDArray[np.int64], clips: str, name: str) -> Figure:
    found = reliability(probabilities, truth)
    return draw_reliability(
        [(name, *(values.tolist() for values in found))],
        title=f"{clips}: accuracy over confidence",
        subtitle="on the dashed line, answers are right as often as they say",
    )


def _draw_precision_recall(
    probabilities: NDArray[np.float64], truth: NDArray[np.int64], labels: list[str], clips: str
) -> Figure | None:
    curves: list[Curve] = []
    for number, label in enumerate(labels):
        if (found := precision_recall(probabilities[:, number], truth == number)) is not None:
            curves.append((label, *found))
    if not curves:
        return None
    mean = float(np.mean([average for *_, average in curves]))
    return draw_precision_recall(
        curves, title=f"{clips}: precision over recall", subtitle=f"mean average precision (mAP) {percent(mean, 1)}"
    )


def _draw_features(fold: FoldEvaluation, dataset: str) -> Figure | None:
    chosen = fold.features
    if chosen is None or len(chosen.places) < MIN_POINTS:
        return None
    points, method = project(chosen.values)
    part = "" if len(chosen.places) == chosen.num_clips else f" of {chosen.num_clips:,}, evenly spread"
    classes = [fold.labels[label] for label in fold.truth[chosen.places]]
    return draw_points(
        points,
        classes,
        fold.labels,
        title=f"{dataset}, fold {fold.fold}: features of the test clips by label",
        subtitle=f"{len(chosen.places):,} clips{part} · {method}; distances between groups mean little",
    )


def hardest(fold: FoldEvaluation, most: int = NUM_HARDEST) -> list[int]:
    """Return the places, among the readable clips, of the wrong answers, the most confident first."""
    answers = fold.probabilities.argmax(axis=1)
    confidence = fold.probabilities.max(axis=1, initial=0.0)
    wrong = np.flatnonzero(answers != fold.truth)
    places: list[int] = wrong[np.argsort(-confidence[wrong], kind="stable")][:most].tolist()
    return places


def _write_hardest(folds: list[FoldEvaluation], out: Path) -> str:
    places = [
        (float(fold.probabilities[place].max()), fold, place)
        for fold in folds
        if fold.data is not None
        for place in hardest(fold)
    ]
    shown = sorted(places, key=lambda item: -item[0])[:NUM_HARDEST]
    if not shown:
        return ""
    strips, captions, rows = [], [], []
    for confidence, fold, place in shown:
        row = [row for row in fold.clips if row.ok][place]
        label, answer = fold.labels[fold.truth[place]], fold.labels[int(fold.probabilities[place].argmax())]
        strips.append(_strip(fold, row.clip_id, row.num_frames))
        captions.append(f"{row.clip_id}: labelled {label}, answered {answer} {percent(confidence, 0)} %")
        rows.append(f"- {escape_markdown(captions[-1])}")
    buffer = io.BytesIO()
    Image.fromarray(contact_sheet(strips, captions, COLUMNS, caption_px=13)).save(buffer, "png")
    write_bytes(out / "hardest.png", buffer.getvalue())
    return "\n".join(["", "### Most confident wrong answers", "", "![hardest clips](hardest.png)", "", *rows, ""])


def _strip(fold: FoldEvaluation, clip_id: str, num_frames: int) -> NDArray[np.uint8]:
    try:
        store = open_store(fold.data) if fold.data is not None else None
        if store is None:
            raise DferError("no store")
        crops = read_clip(store.clip_path(clip_id), evenly_spread(num_frames, FRAMES_SHOWN))
    except DferError as error:  # the picture is worth less than the report
        logger.warning("%s: %s", clip_id, error)
        return text_strip(error.what, _STRIP_HW)
    return film_strip(list(crops), FRAMES_SHOWN, _STRIP_HW)
