"""`dfer bench`: what prediction is made of."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dfer.cli.options import DetectorOption, DetectorWeightsOption, RecognitionWeightsOption, ResultsOption
from dfer.faces.detectors import AUTO

PREDICT_EXAMPLES = (
    "Example: [bold]dfer bench predict face.mp4[/bold]\n\n"
    "[bold]dfer bench predict face.mp4 --minutes 120[/bold] also checks memory and time left over 2 hours of 1080p."
)
DETECTORS_EXAMPLES = (
    "Example: [bold]dfer bench detectors clip.mp4 photos/*.jpg[/bold]; needs SCRFD's weights, as the reference."
)
IDENTITY_EXAMPLES = "Example: [bold]dfer bench identity anna.mp4 ben.mp4 cem.jpg[/bold]; each input shows one person."
EXPORT_EXAMPLES = "Example: [bold]dfer bench export default --calibration data/faces[/bold]"


def predict(
    video: Annotated[Path, typer.Argument(help="A video that shows one face.")],
    checkpoint: Annotated[
        str, typer.Option(metavar="FILE|RUN|NAME", help="The model, as [bold]dfer predict[/bold] takes it.")
    ] = "default",
    runtime: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A runtime; may be repeated.", show_default="all that there are"),
    ] = None,
    faces: Annotated[
        list[int] | None,
        typer.Option(min=1, help="Copies of the video side by side; may be repeated.", show_default="1 and 3"),
    ] = None,
    detector: DetectorOption = AUTO,
    detector_weights: DetectorWeightsOption = None,
    repeat: Annotated[int, typer.Option(min=1, help="Number of predictions by each runtime.")] = 3,
    seconds: Annotated[float, typer.Option(min=0.1, help="Seconds of measuring the model by itself.")] = 5.0,
    minutes: Annotated[
        float | None, typer.Option(min=0.1, help="Also check memory and time left over a 1080p video of this length.")
    ] = None,
    json: ResultsOption = None,
) -> None:
    """Measure prediction by each runtime: speed beside Former-DFER and real time, answers, start, memory."""
    from dfer.bench.prediction import bench_prediction
    from dfer.cli.console import note
    from dfer.cli.outputs import check_outputs, give_result, json_output
    from dfer.reports.prediction_benchmarks import prediction_bench_table

    json_to = json_output(json)
    check_outputs(json_to, inputs=[video, detector_weights])
    result = bench_prediction(
        video,
        checkpoint=checkpoint,
        detector=detector,
        detector_weights=detector_weights,
        runtimes=runtime or (),
        faces=faces or (1, 3),
        repeat=repeat,
        seconds=seconds,
        minutes=minutes,
        on_step=note,
    )
    give_result(json_to, result, lambda: prediction_bench_table(result))


def detectors(
    sources: Annotated[list[Path], typer.Argument(metavar="INPUT", help="Videos, frame folders or images.")],
    detector_weights: DetectorWeightsOption = None,
    every: Annotated[int, typer.Option(min=1, help="Distance between the frames that are used.")] = 4,
    json: ResultsOption = None,
) -> None:
    """Measure the face detectors beside SCRFD at 640 pixels: faces found, landmarks and speed."""
    from dfer.bench.detectors import bench_detectors
    from dfer.cli.console import note
    from dfer.cli.outputs import check_outputs, give_result, json_output
    from dfer.faces.detectors import resolve_detector
    from dfer.reports.prediction_benchmarks import detectors_bench_table

    json_to = json_output(json)
    check_outputs(json_to, inputs=[*sources, detector_weights])
    _, weights = resolve_detector("scrfd", detector_weights)
    assert weights is not None  # SCRFD has them
    result = bench_detectors(sources, weights, every=every, on_step=note if len(sources) < 20 else lambda _text: None)
    give_result(json_to, result, lambda: detectors_bench_table(result))


def identity(
    people: Annotated[list[Path], typer.Argument(metavar="PERSON", help="Videos or images, each of one person.")],
    shots: Annotated[int, typer.Option(min=2, help="Number of shots of a clip.")] = 24,
    clips: Annotated[int, typer.Option(min=1, help="Number of clips, cut differently.")] = 2,
    detector: DetectorOption = AUTO,
    detector_weights: DetectorWeightsOption = None,
    recognition_weights: RecognitionWeightsOption = None,
    json: ResultsOption = None,
) -> None:
    """Count the errors of who is who in clips cut from known people: switches, splits, merges.

    People return in other shots, at other sizes, in other light, by themselves and side by side.
    """
    from dfer.bench.identity import bench_identity
    from dfer.cli.console import note
    from dfer.cli.outputs import check_outputs, give_result, json_output
    from dfer.reports.prediction_benchmarks import identity_bench_table

    json_to = json_output(json)
    check_outputs(json_to, inputs=[*people, detector_weights])
    result = bench_identity(
        people,
        shots=shots,
        seeds=clips,
        detector=detector,
        detector_weights=detector_weights,
        recognition_weights=recognition_weights,
        on_step=note,
    )
    give_result(json_to, result, lambda: identity_bench_table(result))


def export(
    checkpoint: Annotated[
        Path, typer.Argument(metavar="[CHECKPOINT]", help="A checkpoint of dfer, or [bold]default[/bold].")
    ] = Path("default"),
    calibration: Annotated[
        Path | None, typer.Option(metavar="DATA", help="A store to calibrate and measure int8 models with.")
    ] = None,
    seconds: Annotated[float, typer.Option(min=0.1, help="Seconds per measurement.")] = 5.0,
    json: ResultsOption = None,
) -> None:
    """Measure a model's ONNX forms beside torch: size, speed, and agreement of the int8 ones with float32."""
    from dfer.bench.exported import bench_exported
    from dfer.cli.console import note
    from dfer.cli.outputs import check_outputs, give_result, json_output
    from dfer.reports.prediction_benchmarks import export_bench_table
    from dfer.runs import find_checkpoint

    json_to = json_output(json)
    check_outputs(json_to, inputs=[find_checkpoint(checkpoint), calibration])
    result = bench_exported(checkpoint, data=calibration, seconds=seconds, on_step=note)
    give_result(json_to, result, lambda: export_bench_table(result))
