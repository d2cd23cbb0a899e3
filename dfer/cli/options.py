"""Options shared by several commands, and parsers of their values."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from dfer.errors import UsageError
from dfer.faces.detectors import AUTO, DETECTORS, FALLBACK, PREFERRED, require_detector_name
from dfer.shares import BALANCED, DATASET_COUNTS, TRAINING

OUTPUT, WHICH, COMPUTE, FACES, ANSWERS, LIVE = "Output", "Selection", "Compute", "Faces", "Answers", "Live"
ACROSS = "Data with other classes"


class ViewKind(str, Enum):
    """Places to show a stream."""

    auto = "auto"
    window = "window"
    terminal = "terminal"


class EngineKind(str, Enum):
    """Engines of preprocessing and prediction."""

    local = "local"
    inline = "inline"
    ray = "ray"


class ImagesKind(str, Enum):
    """Readings of images directly in the folder of a class."""

    auto = "auto"
    sequence = "sequence"
    still = "still"


class PageVideo(str, Enum):
    """Ways for a page to come by its video."""

    auto = "auto"
    copy = "copy"
    none = "none"


class DeviceKind(str, Enum):
    """Devices to compute on."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


class SelectKind(str, Enum):
    """Clips that choose the best epoch."""

    val = "val"
    test = "test"


class ProtocolKind(str, Enum):
    """Classes that compete where data and model have different ones."""

    restricted = "restricted"
    open = "open"


class ClipsKind(str, Enum):
    """Clips of a fold that are tested."""

    test = "test"
    all = "all"


DetectorOption = Annotated[
    str,
    typer.Option(
        metavar="|".join((AUTO, *DETECTORS)),
        callback=require_detector_name,
        help=f"Face detector. [bold]{AUTO}[/bold]: {PREFERRED} if its weights are found, else {FALLBACK}. "
        + "".join(f"[bold]{name}[/bold]: {entry.help}. " for name, entry in DETECTORS.items()),
        rich_help_panel=FACES,
    ),
]
DetectorWeightsOption = Annotated[
    Path | None,
    typer.Option(
        "--detector-weights",
        help="SCRFD's weights, a folder or .onnx file; else $DFER_DETECTOR_WEIGHTS or dfer's or insightface's cache.",
        rich_help_panel=FACES,
    ),
]
RecognitionWeightsOption = Annotated[
    str | None,
    typer.Option(
        "--recognition-weights",
        metavar="PATH|none",
        help="A face recognition network, .onnx or its folder, that tells who is who after cuts, such as "
        "insightface's w600k_mbf.onnx (non-commercial research only).",
        show_default="$DFER_RECOGNITION_WEIGHTS, insightface's cache, else none",
        rich_help_panel=FACES,
    ),
]
PriorOption = Annotated[
    str | None,
    typer.Option(
        metavar="|".join((BALANCED, TRAINING, *DATASET_COUNTS, "FILE")),
        help="How often each emotion is expected: equally often, as in the model's training, as in a data set, or by a "
        "YAML, JSON or CSV file of label: share.",
        show_default="the model's own",
        rich_help_panel=ANSWERS,
    ),
]
MirrorOption = Annotated[
    bool | None,
    typer.Option(
        "--mirror/--no-mirror",
        help="Average each answer with that for the mirror image; takes twice the time.",
        show_default="what the model says",
        rich_help_panel=ANSWERS,
    ),
]
TimeoutOption = Annotated[
    float,
    typer.Option(
        min=1,
        metavar="SECONDS",
        help="Time limit for a short clip; long clips get more.",
        rich_help_panel=COMPUTE,
    ),
]
FpsOption = Annotated[
    float | None,
    typer.Option(
        metavar="RATE",
        help="Frames per second of sources without times, such as frame folders.",
        show_default="25, which is said",
    ),
]
WorkersOption = Annotated[int, typer.Option(min=0, help="Worker processes; 0: one per core.", rich_help_panel=COMPUTE)]
EngineOption = Annotated[
    EngineKind,
    typer.Option(
        help="[bold]local[/bold]: worker processes on this machine; [bold]inline[/bold]: this process, for "
        "debugging; [bold]ray[/bold]: a running Ray cluster, on this machine or at $RAY_ADDRESS.",
        rich_help_panel=COMPUTE,
    ),
]
DeviceOption = Annotated[DeviceKind, typer.Option(help="Device to compute on.", rich_help_panel=COMPUTE)]
RUNTIME_AUTO = "auto"
RuntimeOption = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="How the model is computed: float32, bf16, int8, openvino or onnxruntime. [bold]auto[/bold]: the fastest "
        "number format of this machine that keeps the answers.",
        rich_help_panel=COMPUTE,
    ),
]


def parse_folds(text: str | None, default: str) -> list[int] | None:
    """Parse fold numbers from "3", "1,4" or "all"; None means all.

    Raises:
        UsageError: the text is none of these.
    """
    text = default if text is None else text
    if text == "all":
        return None
    try:
        folds = [int(part) for part in text.split(",")]
    except ValueError:
        folds = []
    if not folds or min(folds) < 1:
        raise UsageError(
            f"invalid fold {text!r}: expected all, a number from 1 up, or a list such as 1,4", where="--fold"
        )
    return list(dict.fromkeys(folds))


def parse_shard(text: str | None) -> tuple[int, int]:
    """Parse (i, n) from "i/n", 1-based; None means (1, 1).

    Raises:
        UsageError: the text does not have this form.
    """
    if text is None:
        return 1, 1
    index, separator, count = text.partition("/")
    if not (separator and index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count)):
        raise UsageError(f"invalid shard {text!r}: expected I/N with I from 1 to N", where="--shard")
    return int(index), int(count)


ResultsOption = Annotated[
    str | None, typer.Option(metavar="FILE|-", help="Write the results as JSON; - is stdout.", rich_help_panel=OUTPUT)
]
