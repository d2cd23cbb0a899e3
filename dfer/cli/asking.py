"""Ways of asking for the answers of `dfer predict`: in this process, in worker processes, on a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from dfer.cli.console import is_quiet, warn
from dfer.cli.options import EngineKind
from dfer.cli.progress import Progress
from dfer.errors import VideoError
from dfer.names import name_text
from dfer.prediction.inputs import Input
from dfer.prediction.progress import ProgressFile, Video
from dfer.prediction.time_left import TimeLeft
from dfer.records import Prediction

if TYPE_CHECKING:
    from dfer.prediction.engines import Engine, Task
    from dfer.prediction.predictor import Analysis, Predictor
    from dfer.video.apart import DecodingProcess


class Answered(NamedTuple):
    """The answer about an input, or why there is none.

    Attributes:
        number: of the input in the run.
        prediction: the answer.
        error: why there is none.
        analysis: what the answer was made from, if it was made in this process.
    """

    number: int
    prediction: Prediction | None = None
    error: VideoError | None = None
    analysis: Analysis | None = None


# Takes the inputs that are to be answered, and yields the answers in any order.
Ask = Callable[["Sequence[Task]", ProgressFile | None], Generator[Answered, None, None]]


def choose_ask(
    predictor: Predictor,
    decoder: DecodingProcess,
    inputs: Sequence[Input],
    options: dict[str, Any],
    *,
    engine: EngineKind,
    workers: int,
    timeout_s: float,
    seconds: float | None,
    fetched: ExitStack,
) -> Ask:
    """Return the way of asking that suits a command.

    Args:
        predictor: of this process.
        decoder: decodes for it.
        inputs: of the command; a single one is answered in this process.
        options: that the predictor was built with.
        engine: the user's choice.
        workers: number of processes, or of tasks of a cluster; 0: one per core.
        timeout_s: the longest time without a sign of life.
        seconds: of a stream, how long to record it; None for until it ends.
        fetched: keeps the file of a single input that is fetched.

    Raises:
        DferError: Ray is not installed.
    """
    here = partial(_ask_here, predictor, decoder, len(inputs), seconds, fetched)
    if engine is EngineKind.inline or (engine is EngineKind.local and (workers == 1 or len(inputs) == 1)):
        return here
    from dfer.prediction.engines import Job, ray_engine, run_in_workers
    from dfer.runtime.machine import usable_cores

    job = Job.like(
        predictor, options, workers=min(workers or usable_cores(), len(inputs)), timeout_s=timeout_s, seconds=seconds
    )
    if engine is EngineKind.ray:
        return partial(_ask_engine, predictor, ray_engine(job, workers))
    return partial(_ask_engine, predictor, partial(run_in_workers, job=job, workers=workers))


def _ask_here(
    predictor: Predictor,
    decoder: DecodingProcess,
    total: int,
    seconds: float | None,
    fetched: ExitStack,
    tasks: Sequence[Task],
    kept: ProgressFile | None,
) -> Generator[Answered, None, None]:
    for number, source in tasks:
        title = f"{f'{number + 1}/{total} ' if total > 1 else ''}{name_text(source.path.name)}"
        with ExitStack() as own:
            try:
                file = (fetched if total == 1 else own).enter_context(_fetched(source, seconds, title))
                analysis = _analyse(predictor, decoder, source, file, kept, title)
            except VideoError as error:
                if not source.is_local:  # the error names the copy
                    error = VideoError(error.what, where=source.name, hint=error.hint)
                yield Answered(number, error=error)
            else:
                yield Answered(number, analysis.prediction, analysis=analysis)


@contextmanager
def _fetched(source: Input, seconds: float | None, title: str) -> Iterator[Path]:
    from dfer.prediction.fetching import local_file

    with Progress(title, "%") as progress:

        def report(done: int, total: int | None) -> None:
            if total:
                progress.set(int(100 * done / total), 100, "download")

        opened = local_file(source, seconds=seconds, on_progress=report)
        path = opened.__enter__()
    try:
        yield path
    finally:
        opened.__exit__(None, None, None)


def _analyse(
    predictor: Predictor, decoder: DecodingProcess, source: Input, file: Path, kept: ProgressFile | None, title: str
) -> Analysis:
    video, left = Video.of(source) if kept else None, TimeLeft()
    with Progress(title, "%") as progress:
        frames = decoder.open(file, fps=predictor.fps)
        analysis = predictor.analyse(
            frames,
            lambda stage, done: progress.set(_percent(left, stage, done), 100, stage, left_s=left.seconds),
            time_left=None if is_quiet() else left,  # to know it beforehand takes a rehearsal
        )
    if kept and video:
        kept.add(video, analysis.prediction)
    for warning in analysis.prediction.warnings:
        if warning not in frames.warnings:  # said while the video was read
            warn(f"{source.name}: {warning}")
    return analysis


def _percent(left: TimeLeft, stage: str, done: float) -> int:
    """Return the share of the whole work that is done, in percent: 100 only at the end of the last pass."""
    return 100 if stage == "recognise" and done >= 1 else min(99, int(100 * left.share))


def _ask_engine(
    predictor: Predictor, engine: Engine, tasks: Sequence[Task], kept: ProgressFile | None
) -> Generator[Answered, None, None]:
    failed = 0
    with Progress("predict", "inputs") as progress, closing(engine(tasks)) as answers:
        for task, answer in answers:
            failed += isinstance(answer, VideoError)
            progress.advance(1, len(tasks), f"{failed:,} failed" if failed else "")
            if isinstance(answer, VideoError):
                yield Answered(task.number, error=answer)
                continue
            prediction = replace(answer.prediction, model=predictor.description)
            if kept and answer.video:
                kept.add(answer.video, prediction)
            for warning in prediction.warnings:
                warn(f"{task.source.name}: {warning}")
            yield Answered(task.number, prediction)
