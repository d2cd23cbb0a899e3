"""Invented results for tests: predictions, evaluations, training histories; and readers of what is drawn of them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.text import Text
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console, RenderableType

from dfer.evaluation.results import Evaluation, FoldEvaluation
from dfer.labels import DFEW_LABELS
from dfer.records import FacePrediction, Prediction, Segment, Selection

NOTICE = "trained on drawings only: what it says about real faces means nothing"


def shares(winner: str, labels: tuple[str, ...] = DFEW_LABELS, top: float = 0.7) -> dict[str, float]:
    rest = (1 - top) / (len(labels) - 1)
    return {label: top if label == winner else rest for label in labels}


def face_with(windows: list[tuple[float, float, str]], number: int = 0) -> FacePrediction:
    segments = [Segment(start, end, label, shares(label), (10.0, 10.0, 60.0, 60.0)) for start, end, label in windows]
    label = windows[0][2]
    return FacePrediction(number, windows[0][0], windows[-1][1], label, shares(label), segments)


def even_windows(count: int, step: float = 0.64) -> list[tuple[float, float, str]]:
    return [(n * step, (n + 1) * step, DFEW_LABELS[n // 3 % 7]) for n in range(count)]


def predicted(
    faces: list[FacePrediction], duration: float = 20.0, source: str = "clips/a.mp4", num_frames: int = 500
) -> Prediction:
    warnings = [] if faces else [f"no face found in {num_frames} frames"]
    model = {"name": "logo_former_s", "checkpoint": "runs/demo/fold1/best.safetensors", "labels": list(DFEW_LABELS)}
    return Prediction(source, duration, 25.0, num_frames, model, faces, warnings, notice=NOTICE)


def evaluated(
    labels: tuple[str, ...] = DFEW_LABELS,
    folds: int = 5,
    unreadable: int = 0,
    selection: Selection = "best on validation",
) -> Evaluation:
    """An evaluation of random confusions; the unreadable clips of each fold are of the first class."""
    rng = np.random.default_rng(0)
    results = [
        FoldEvaluation(
            confusion=rng.integers(0, 9, (len(labels), len(labels))) + 40 * np.eye(len(labels), dtype=int),
            unreadable=np.bincount([0] * unreadable, minlength=len(labels)),
            prior="training",
            fold=fold,
            labels=list(labels),
            checkpoint=f"runs/dfew/fold{fold}/best.safetensors",
            selection=selection,
            logits=np.zeros((0, len(labels)), np.float32),
            truth=np.zeros(0, np.int64),
            probabilities=np.zeros((0, len(labels))),
            clips=[],
            ece=0.1,
            intra_inter_ratio=0.4 + fold / 100,
        )
        for fold in range(1, folds + 1)
    ]
    return Evaluation("dfew", list(labels), results, [NOTICE])


def history(epochs: int, validated: bool = True) -> list[dict[str, Any]]:
    records = []
    for epoch in range(1, epochs + 1):
        record: dict[str, Any] = {"epoch": epoch, "train_loss": 2 / epoch, "lr": 1e-3 / epoch, "clips_per_s": 40.0}
        if validated:
            record |= {"val_loss": 2.2 / epoch, "val_war": 0.5 + 0.4 * (epoch == 3), "val_uar": 0.45}
        records.append(record)
    return records


def grey_frame(height: int, width: int) -> NDArray[np.uint8]:
    return np.full((height, width, 3), 128, np.uint8)


def open_png(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.array(image.convert("RGB"))


def has_color(pixels: NDArray[np.uint8], color: str) -> bool:
    return bool((pixels == tuple(bytes.fromhex(color[1:]))).all(-1).any())


def printed(table: RenderableType, width: int = 160) -> str:
    text = io.StringIO()
    Console(file=text, width=width).print(table)
    return text.getvalue()


def texts_of(figure: Any) -> str:
    return " ".join(found.get_text() for found in figure.findobj(Text))
