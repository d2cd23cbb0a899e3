"""`dfer bench`."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from dfer.cli import bench_prediction
from dfer.cli.options import (
    DetectorWeightsOption,
    DeviceKind,
    DeviceOption,
    ResultsOption,
    WorkersOption,
)

EXAMPLES = (
    "Examples: [bold]dfer bench[/bold], or [bold]dfer bench --json - > bench.json[/bold]\n\n"
    "[bold]dfer bench preprocess clip1.mp4 clip2.mp4[/bold] measures preprocessing, "
    "[bold]dfer bench predict face.mp4[/bold] prediction, "
    "[bold]dfer bench detectors clip1.mp4[/bold] face detectors, "
    "[bold]dfer bench identity anna.mp4 ben.mp4[/bold] who is who, [bold]dfer bench train[/bold] training, "
    "[bold]dfer bench feed[/bold] reading clips, "
    "[bold]dfer bench step[/bold] traces a training step on a GPU that need not be there, "
    "[bold]dfer bench export[/bold] measures ONNX files."
)
PREPROCESS_EXAMPLES = (
    "Examples: [bold]dfer bench preprocess clip1.mp4 clip2.mp4[/bold], or, with generated clips, "
    "[bold]dfer bench preprocess[/bold]\n\n"
    "[bold]dfer bench preprocess face.mp4 --memory --minutes 120[/bold] measures a worker's memory."
)
TRAIN_EXAMPLES = (
    "Examples: [bold]dfer bench train[/bold], or, on a GPU with the clip lengths of your data set, "
    "[bold]dfer bench train --frame-counts counts.csv --json bench.json[/bold]\n\n"
    "[bold]dfer bench train model.attention=joint train.compile=off[/bold] measures another model."
)
STEP_EXAMPLES = "Example: [bold]dfer bench step recipes/dfew.yaml train.batch_size=256[/bold]"
app = typer.Typer(context_settings={"help_option_names": ["-h", "--help"]})


@app.callback(invoke_without_command=True)
def bench(
    context: typer.Context,
    model: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="A model; may be repeated.", show_default="all of them")
    ] = None,
    device: DeviceOption = DeviceKind.auto,
    batch_size: Annotated[int, typer.Option(min=1, help="Clips per batch.")] = 4,
    seconds: Annotated[float, typer.Option(min=0.1, help="Seconds per measurement.")] = 5.0,
    json: ResultsOption = None,
) -> None:
    """Measure the models on this machine; with a command, measure preprocessing or training."""
    if context.invoked_subcommand is not None:
        return
    from dfer.bench.models import bench_models
    from dfer.cli.console import note
    from dfer.cli.outputs import check_outputs, give_result, json_output
    from dfer.reports.benchmarks import bench_table

    json_to = json_output(json)
    check_outputs(json_to)
    result = bench_models(model or (), device=device.value, batch_size=batch_size, seconds=seconds, on_case=note)
    give_result(json_to, result, lambda: bench_table(result))


@app.command("preprocess", epilog=PREPROCESS_EXAMPLES)
def preprocess(
    videos: Annotated[
        list[Path] | None, typer.Argument(metavar="VIDEO", help="Videos to process; by default, generated ones.")
    ] = (None),
    detector_weights: DetectorWeightsOption = None,
    workers: WorkersOption = 0,
    repeat: Annotated[int, typer.Option(min=1, help="Number of times the workers process each video.")] = 5,
    memory: Annotated[
        bool, typer.Option("--memory", help="Measure a worker's memory instead, on a long 1080p video.")
    ] = False,
    minutes: Annotated[float, typer.Option(min=0.1, help="Length of the video, with --memory.")] = 120.0,
    clips: Annotated[
        int | None, typer.Option(min=1, help="Number of small clips in place of the long video, with --memory.")
    ] = None,
    json: ResultsOption = None,
) -> None:
    """Compare preprocessing with a plain loop: speed, landmarks and memory."""
    from dfer.bench.memory import bench_memory
    from dfer.bench.preprocess import bench_preprocess
    from dfer.cli.console import note
    from dfer.cli.outputs import check_outputs, give_result, json_output
    from dfer.errors import UsageError
    from dfer.faces.detectors import resolve_detector
    from dfer.reports.benchmarks import memory_table, preprocess_bench_table
    from dfer.runtime.machine import usable_cores

    json_to = json_output(json)
    check_outputs(json_to, inputs=[*(videos or []), detector_weights])
    if memory and len(videos or []) != 1:
        raise UsageError("--memory needs exactly one video, which shows a face", where="--memory")
    _, weights = resolve_detector("scrfd", detector_weights)
    assert weights is not None  # SCRFD has them
    if memory:
        result = bench_memory((videos or [])[0], weights, minutes=minutes, clips=clips, on_step=note)
    else:
        count = workers or usable_cores()
        with TemporaryDirectory(prefix="dfer-bench-") as scratch:
            videos = videos or _generate_videos(Path(scratch))
            result = bench_preprocess(videos, weights, workers=count, repeat=repeat, on_step=note)
    give_result(json_to, result, lambda: memory_table(result) if memory else preprocess_bench_table(result))


def _generate_videos(folder: Path) -> list[Path]:
    from dfer.synth.dataset import generate_dataset

    generate_dataset(folder / "raw", num_clips=7)
    return sorted(folder.glob("raw/Clip/original/**/*.mp4"))


@app.command("train", epilog=TRAIN_EXAMPLES)
def train(
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY=VALUE", help="Overrides of recipes/dfew.yaml.", show_default=False),
    ] = None,
    device: DeviceOption = DeviceKind.auto,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Clips per batch.", show_default="256 on a GPU, 8 on a CPU")
    ] = None,
    image_size: Annotated[int, typer.Option(min=32, max=512, help="Side length of the crops, in pixels.")] = 112,
    scale: Annotated[
        float | None,
        typer.Option(help="Fraction of DFEW's number of clips to generate.", show_default="1 on a GPU, 0.02 on a CPU"),
    ] = None,
    frame_counts: Annotated[
        Path | None,
        typer.Option(help="CSV with a column num_frames and a row per clip; by default, lengths are drawn as in DFEW."),
    ] = None,
    seconds: Annotated[float, typer.Option(min=0.1, help="Seconds per row of the table.")] = 30.0,
    json: ResultsOption = None,
) -> None:
    """Compare training with a plain PyTorch loop: speed, data wait, memory, FLOP/s.

    Clips are random, with DFEW's number and lengths.
    """
    from dfer.bench.training import bench_training
    from dfer.cli.console import note
    from dfer.cli.outputs import check_outputs, give_result, json_output
    from dfer.reports.benchmarks import training_bench_table

    json_to = json_output(json)
    check_outputs(json_to, inputs=[frame_counts])
    result = bench_training(
        device=device.value,
        batch_size=batch_size,
        image_size=image_size,
        seconds=seconds,
        scale=scale,
        frame_counts=frame_counts,
        overrides=overrides or [],
        on_step=note,
    )
    give_result(json_to, result, lambda: training_bench_table(result))


@app.command("step", epilog=STEP_EXAMPLES)
def step(
    recipe: Annotated[
        Path, typer.Argument(metavar="[RECIPE]", help="A YAML file, or the name of a shipped recipe.")
    ] = (Path("dfew.yaml")),
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Overrides of the recipe.", show_default=False)
    ] = None,
    crop_size: Annotated[int, typer.Option(min=32, max=512, help="Side length of the stored crops, in pixels.")] = 128,
    json: ResultsOption = None,
) -> None:
    """Trace a training step on a GPU, without one: copies, bytes and FLOPs by part.

    Tensors are fake: they have shapes, but no values, and no time is measured.
    """
    from dfer.bench.step_trace import trace_step
    from dfer.cli.outputs import check_outputs, give_result, json_output
    from dfer.recipe import load_recipe
    from dfer.reports.benchmarks import step_table

    json_to = json_output(json)
    check_outputs(json_to, inputs=[recipe])
    result = trace_step(load_recipe(recipe, overrides or []), crop_size=crop_size)
    give_result(json_to, result, lambda: step_table(result))


@app.command("feed")
def feed(
    seconds: Annotated[float, typer.Option(min=0.1, help="Seconds per row of the table.")] = 5.0,
    image_size: Annotated[int, typer.Option(min=32, max=512, help="Side length of the crops, in pixels.")] = 112,
    scale: Annotated[float, typer.Option(help="Fraction of DFEW's number of clips to generate.")] = 0.01,
    json: ResultsOption = None,
) -> None:
    """Measure how fast clips are read and decoded while they are streamed."""
    from dfer.bench.feed import bench_feed
    from dfer.cli.console import note
    from dfer.cli.outputs import check_outputs, give_result, json_output
    from dfer.reports.benchmarks import feed_table

    json_to = json_output(json)
    check_outputs(json_to)
    result = bench_feed(seconds=seconds, image_size=image_size, scale=scale, on_step=note)
    give_result(json_to, result, lambda: feed_table(result))


for _command, _epilog in (
    (bench_prediction.predict, bench_prediction.PREDICT_EXAMPLES),
    (bench_prediction.detectors, bench_prediction.DETECTORS_EXAMPLES),
    (bench_prediction.identity, bench_prediction.IDENTITY_EXAMPLES),
    (bench_prediction.export, bench_prediction.EXPORT_EXAMPLES),
):
    app.command(_command.__name__, epilog=_epilog)(_command)
