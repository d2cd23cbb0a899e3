"""`dfer predict`."""

from __future__ import annotations

import os
from contextlib import ExitStack, nullcontext
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from dfer.cli.answer_options import (
    CsvOption,
    JsonOption,
    MergeOption,
    NamesOption,
    PeopleOption,
    PlotOption,
    QuietOption,
    SaveOption,
    SchemaOption,
    SummaryOption,
)
from dfer.cli.hiding import HideKind
from dfer.cli.input_options import (
    CameraOption,
    DurationOption,
    ImagesOption,
    LiveOption,
    PredictShardOption,
    PredictWorkersOption,
    RawOption,
    ViewOption,
)
from dfer.cli.options import (
    FACES,
    OUTPUT,
    RUNTIME_AUTO,
    DetectorOption,
    DetectorWeightsOption,
    DeviceKind,
    DeviceOption,
    EngineKind,
    EngineOption,
    FpsOption,
    ImagesKind,
    MirrorOption,
    PageVideo,
    PriorOption,
    RecognitionWeightsOption,
    RuntimeOption,
    TimeoutOption,
    ViewKind,
    parse_shard,
)
from dfer.faces.detectors import AUTO
from dfer.names import name_text
from dfer.records.prediction_json import SCHEMA
from dfer.runtime.patience import TIMEOUT_S

if TYPE_CHECKING:
    from dfer.drawing.hide import HideStyle
    from dfer.prediction.predictor import Analysis
    from dfer.records import Prediction

EXAMPLES = (
    "Examples: [bold]dfer predict clip.mp4 --video annotated.mp4 --plot timeline.png[/bold]\n\n"
    "[bold]dfer predict interviews --faces all --csv interviews.csv[/bold] answers about every video in a folder.\n\n"
    "[bold]dfer predict recordings/*.mp4 --faces all --json - | jq .faces[/bold]"
)


class FacesKind(str, Enum):
    """Faces to recognise."""

    main = "main"
    all = "all"


def predict(
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="INPUT",
            help="Videos, frame folders, images, folders of these at any depth, quoted patterns, URLs; - is stdin.",
            show_default=False,
        ),
    ] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            help="A .safetensors file, the folder of a fold or run, or [bold]default[/bold] for the shipped weights.",
            show_default="$DFER_CHECKPOINT, else the shipped weights",
        ),
    ] = None,
    json: JsonOption = None,
    schema: SchemaOption = SCHEMA,
    csv: CsvOption = None,
    summary: SummaryOption = None,
    save: SaveOption = None,
    video: Annotated[
        Path | None, typer.Option(help="Write the video with the prediction drawn in.", rich_help_panel=OUTPUT)
    ] = None,
    sound: Annotated[
        bool | None,
        typer.Option(
            "--sound/--no-sound",
            help="Keep the sound in the video.",
            show_default="kept, but not with --anonymise",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    anonymise: Annotated[
        HideKind | None,
        typer.Option(
            metavar="blur|pixelate",
            help="Make all faces in the video and the report unrecognisable, and leave them out of the plot; without "
            "a value: blur.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    plot: PlotOption = None,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Write a page for each video, on which it plays beside its timeline, and an index of them.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    report_video: Annotated[
        PageVideo,
        typer.Option(
            help="The video of a page: linked where it lies, and copied only if browsers do not play it; always copied "
            "into the report; or none.",
            rich_help_panel=OUTPUT,
        ),
    ] = PageVideo.auto,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume/--no-resume",
            help="With several inputs and a file of answers: go on where an interrupted run stopped, or start from "
            "scratch.",
            rich_help_panel=OUTPUT,
        ),
    ] = True,
    faces: Annotated[
        FacesKind, typer.Option(help="Recognise the main face, or all.", rich_help_panel=FACES)
    ] = FacesKind.main,
    stride: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            help="Length of a segment, counted from 0 at any frame rate.",
            show_default="the model's 16 frames",
        ),
    ] = None,
    window: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            help="Time span around each segment over which the model's frames are spread.",
            show_default="a training clip's length",
        ),
    ] = None,
    bin: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            help="Answer in JSON and CSV on a regular grid from 0: every bin, also where no face is seen.",
        ),
    ] = None,
    fps: FpsOption = None,
    raw: RawOption = None,
    duration: DurationOption = None,
    camera: CameraOption = None,
    live: LiveOption = False,
    view: ViewOption = ViewKind.auto,
    images: ImagesOption = ImagesKind.auto,
    smooth: Annotated[
        bool, typer.Option("--smooth/--no-smooth", help="Smooth each face's timeline lightly, without lag.")
    ] = True,
    prior: PriorOption = None,
    mirror: MirrorOption = None,
    names: NamesOption = None,
    merge: MergeOption = None,
    people: PeopleOption = None,
    detector: DetectorOption = AUTO,
    detector_weights: DetectorWeightsOption = None,
    recognition_weights: RecognitionWeightsOption = None,
    device: DeviceOption = DeviceKind.auto,
    runtime: RuntimeOption = RUNTIME_AUTO,
    workers: PredictWorkersOption = 1,
    engine: EngineOption = EngineKind.local,
    shard: PredictShardOption = None,
    timeout: TimeoutOption = TIMEOUT_S,
    quiet: QuietOption = False,
) -> None:
    """Recognise the emotions of the faces in a video over time.

    The model sees 16 frames at a time, spread over the length of a training clip. Times are the video's own
    timestamps. The answers about several inputs are kept in FILE.progress until FILE is written, so that the same
    command goes on after an interruption.
    """
    from dfer.cli.answers import CsvResults, answer_inputs, keep_answers
    from dfer.cli.asking import choose_ask
    from dfer.cli.console import be_quiet, note, stdout
    from dfer.cli.outputs import JsonResults, check_outputs, claim_outputs, csv_output, json_output, output
    from dfer.cli.pages import PageReport
    from dfer.cli.people import Who
    from dfer.cli.saving import AnswerFiles
    from dfer.cli.watching import watch_source
    from dfer.errors import EXIT_FAILED, DferError, UsageError, VideoError
    from dfer.model.checkpoint import describe_checkpoint
    from dfer.prediction.fetching import check_sources, keep_standard_input, standard_input
    from dfer.prediction.inputs import find_inputs
    from dfer.prediction.people_file import people_file_beside
    from dfer.prediction.predictor import Predictor
    from dfer.reports.prediction import prediction_table
    from dfer.runs import find_checkpoint, newer_run
    from dfer.runtime.streams import is_stream
    from dfer.video.apart import DecodingProcess
    from dfer.video.writer import WRITABLE_SUFFIXES

    if quiet:
        be_quiet()
    options: dict[str, Any] = {
        "detector": detector,
        "detector_weights": detector_weights,
        "recognition_weights": recognition_weights,
        "device": device.value,
        "faces": faces.value,
        "stride": stride,
        "window": window,
        "prior": prior,
        "mirror": mirror,
        "fps": fps,
        "bin": bin,
        "smooth": smooth,
        "runtime": runtime,
    }
    if camera is not None or live:
        others = {
            "--video": video, "--plot": plot, "--summary": summary, "--save": save, "--report": report, "--bin": bin,
            "--names": names, "--merge": merge, "--people": people, "--shard": shard, "--raw": raw,
        }  # fmt: skip
        watch_source(
            inputs or (),
            camera,
            checkpoint=checkpoint,
            options=options,
            outputs=(csv_output(csv), json_output(json)),
            view=view if live else None,
            seconds=duration,
            refused=[name for name, value in others.items() if value],
        )
        return
    if not inputs:
        raise UsageError("missing argument: INPUT", hint="dfer predict clip.mp4, or --camera 0")
    part = parse_shard(shard)
    found, notices = find_inputs(inputs, images=images.value)
    if len(found) > 1 and (video or plot):
        raise UsageError("--video and --plot need a single input", where="--video, --plot")
    if anonymise and not (video or report or plot):
        hint = "only the video, the report and the plot hold pictures: table, JSON and CSV show no face"
        raise UsageError("--anonymise needs --video, --report or --plot", where="--anonymise", hint=hint)
    hide = cast("HideStyle | None", anonymise and anonymise.value)
    files = AnswerFiles(found, json=json, csv=csv, summary=summary, save=save, plot=plot)
    video_to = output("--video", video, WRITABLE_SUFFIXES)
    priors = None if prior is None else Path(prior)
    local = [item.path for item in found if item.is_local]
    weights = [detector_weights, priors, None if checkpoint is None else find_checkpoint(checkpoint)]
    read = [*dict.fromkeys([*filter(os.path.lexists, map(Path, inputs)), *local]), *weights]
    form = check_sources(found, raw=raw, duration=duration)
    pages = None if report is None else PageReport(report, found, video=report_video, hide=hide, fps=fps)
    listed = () if pages is None else pages.outputs
    copies = () if pages is None else pages.copies
    given = (*files.tables, files.plot, video_to, *listed)
    beside = people_file_beside(files.json.path) if files.json and not is_stream(files.json.path) else None
    who = Who([item.name for item in found], names=names, merge=merge, people=people, beside=beside)
    check_outputs(*given, *copies, inputs=[*read, who.file])
    for notice in notices:
        note(f"note: {notice}")
    missing = [item for item in found if item.is_local and not os.path.exists(item.path)]  # noqa: PTH110 - a name may be too long
    if len(missing) == len(found):
        raise VideoError("no such file or folder", where=missing[0].path, hint="check the path")
    is_whole, found = part == (1, 1), found[part[0] - 1 :: part[1]]
    with (
        ExitStack() as fetched,
        claim_outputs(*(given if is_whole else ())),
        DecodingProcess(timeout_s=timeout) as decoder,
    ):
        if any(item.is_stdin for item in found):
            found = keep_standard_input(found, fetched.enter_context(standard_input(form)))
        predictor = Predictor(checkpoint, **options)
        note(describe_checkpoint(predictor.checkpoint, predictor.info))
        if predictor.encoder:
            note(predictor.encoder.description)
        note(f"prior: {predictor.answering.prior}{', averaged with the mirror image' if predictor.mirror else ''}")
        if checkpoint is None and (run := newer_run(predictor.checkpoint)):
            note(f"{run} is newer; --checkpoint {run} uses it")
        predictions: list[Prediction] = []
        analysis: Analysis | None = None
        with (
            JsonResults(files.json) as results,
            CsvResults(files.csv) as rows,
            keep_answers(predictor, found, (*files.tables, *listed), resume, part) as kept,
            pages if pages and is_whole else nullcontext() as shown,
        ):
            ask = choose_ask(
                predictor,
                decoder,
                found,
                options,
                engine=engine,
                workers=workers,
                timeout_s=timeout,
                seconds=duration,
                fetched=fetched,
            )
            on_failure = shown.add_failure if shown else None
            try:
                for prediction, analysis in answer_inputs(ask, found, results, rows, kept, schema, who, on_failure):
                    predictions.append(prediction)
                    if shown:
                        shown.add(prediction, analysis.source if analysis else None, decoder)
            except (KeyboardInterrupt, DferError):
                if predictions and not (files.json or files.csv):
                    stdout.print(prediction_table(predictions))
                raise
            if is_whole:
                files.finish(results, rows, predictions)
                if shown:
                    shown.finish()
                if kept:
                    kept.remove()
            elif kept:
                note(f"shard {shard}: {kept.path}; the same command without --shard writes the files")
        if analysis:
            files.draw(analysis.prediction, None if hide else analysis.source)
        if analysis and video_to:
            _write_video(analysis, video_to.path, hide, sound)
    files.show(predictions)
    if len(predictions) < len(found) or who.failed:
        raise typer.Exit(EXIT_FAILED)


def _write_video(analysis: Analysis, path: Path, hide: HideStyle | None, sound: bool | None) -> None:
    from dfer.cli.console import note
    from dfer.cli.progress import Progress
    from dfer.reports.prediction import write_annotated_video

    with Progress(name_text(path.name), "%") as progress:

        def on_progress(done: float) -> None:
            progress.set(int(100 * done), 100, "drawing")

        write_annotated_video(analysis, path, on_progress, hide=hide, sound=sound)
    if hide:
        note("faces were hidden where a detector finds them: watch the video before you pass it on")
