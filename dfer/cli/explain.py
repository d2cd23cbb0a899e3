"""`dfer explain`."""

from __future__ import annotations

import os
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from dfer.cli.options import (
    FACES,
    OUTPUT,
    DetectorOption,
    DetectorWeightsOption,
    DeviceKind,
    DeviceOption,
    FpsOption,
    MirrorOption,
    PriorOption,
    TimeoutOption,
)
from dfer.errors import UsageError
from dfer.faces.detectors import AUTO
from dfer.names import name_text
from dfer.runtime.patience import TIMEOUT_S

EXAMPLES = (
    "Examples: [bold]dfer explain clip.mp4[/bold]\n\n"
    "[bold]dfer explain clip.mp4 --class fear --method attention --sanity --out fear/[/bold]"
)
VIDEO, SHEET, TIMELINE, ARRAYS, JSON = (
    "explanation.mp4", "contact_sheet.png", "timeline.png", "explanation.npz", "explanation.json",
)  # fmt: skip


class MethodKind(str, Enum):
    """Kinds of maps."""

    gradient = "gradient"
    attention = "attention"


def explain(
    source: Annotated[Path, typer.Argument(metavar="INPUT", help="A video, frame folder or image.")],
    out: Annotated[
        Path, typer.Option(help="Folder for the video, pictures and arrays.", rich_help_panel=OUTPUT)
    ] = Path("explanation"),
    label: Annotated[
        str | None,
        typer.Option("--class", metavar="NAME", help="Emotion to explain.", show_default="each face's answer"),
    ] = None,
    method: Annotated[
        MethodKind,
        typer.Option(
            help="Maps of what speaks for the class, or of what the attention lets through, whatever the class."
        ),
    ] = MethodKind.gradient,
    sanity: Annotated[
        bool, typer.Option("--sanity", help="Check that random weights destroy the maps, and report it.")
    ] = False,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            help="A .safetensors file, the folder of a fold or run, or [bold]default[/bold] for the shipped weights.",
            show_default="$DFER_CHECKPOINT, else the shipped weights",
        ),
    ] = None,
    face: Annotated[
        str,
        typer.Option(
            metavar="main|all|ID",
            help="The main face, all, or the one with this number in [bold]dfer predict --faces all[/bold].",
            rich_help_panel=FACES,
        ),
    ] = "main",
    fps: FpsOption = None,
    prior: PriorOption = None,
    mirror: MirrorOption = None,
    detector: DetectorOption = AUTO,
    detector_weights: DetectorWeightsOption = None,
    device: DeviceOption = DeviceKind.auto,
    timeout: TimeoutOption = TIMEOUT_S,
) -> None:
    """Show where in the face and when in the video an answer comes from.

    Writes the video with a heat map over the face and the importance of each time below, a contact sheet, a timeline,
    and the arrays behind them. A map says what the model uses, not whether it is right.
    """
    from dfer.cli.console import note, stdout
    from dfer.cli.outputs import check_outputs, claim_outputs, output
    from dfer.cli.progress import Progress
    from dfer.drawing.style import save_figure
    from dfer.errors import VideoError
    from dfer.explanation.explain import Explainer
    from dfer.model.checkpoint import describe_checkpoint
    from dfer.prediction.predictor import Predictor
    from dfer.reports import explanation as report
    from dfer.runs import find_checkpoint
    from dfer.runtime.files import write_bytes, write_json
    from dfer.video.apart import DecodingProcess

    faces, number = _parse_face(face)
    if not os.path.exists(source):  # noqa: PTH110 - a name may be too long
        raise VideoError("no such file or folder", where=source, hint="check the path")
    outputs = [output("--out", out / name, [Path(name).suffix]) for name in (VIDEO, SHEET, TIMELINE, ARRAYS, JSON)]
    check_outputs(
        *outputs, inputs=[source, detector_weights, None if checkpoint is None else find_checkpoint(checkpoint)]
    )
    with claim_outputs(*outputs), DecodingProcess(timeout_s=timeout) as decoder:
        predictor = Predictor(
            checkpoint,
            detector=detector,
            detector_weights=detector_weights,
            device=device.value,
            faces=faces,
            prior=prior,
            mirror=mirror,
        )
        note(describe_checkpoint(predictor.checkpoint, predictor.info))
        explainer = Explainer(predictor, method=method.value, label=label, face=number, sanity=sanity)
        with Progress(name_text(source.name), "%") as progress:
            frames = decoder.open(source, fps=fps)
            result = explainer(frames, lambda stage, done: progress.set(int(100 * done), 100, stage))
        report.write_arrays(result, out / ARRAYS)
        write_json(out / JSON, report.explanation_dict(result))
        write_bytes(out / SHEET, report.png(report.draw_moments(result)))
        if frames.num_frames > 1:
            save_figure(report.draw_explanation(result), out / TIMELINE)
            with Progress(VIDEO, "%") as progress:
                report.write_explained_video(
                    result,
                    out / VIDEO,
                    predictor.info.crop_size,
                    lambda done: progress.set(int(100 * done), 100, "drawing"),
                )
        else:
            note("an image has no time: no video and no timeline are written")
    stdout.print(report.explanation_table(result))
    note(f"explanation in {name_text(out)}")


def _parse_face(text: str) -> tuple[str, int | None]:
    """Return the faces that the predictor follows, and the number of the one to explain, or None for all of them."""
    if text in ("main", "all"):
        return text, None
    if not (text.isdecimal() and text.isascii()):
        raise UsageError(f"invalid face {text!r}: expected main, all or a number", where="--face")
    return "all", int(text)
