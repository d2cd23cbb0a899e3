"""The answers of `dfer predict` about its inputs, each written when it is known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from dfer.cli.console import note, print_error, warn
from dfer.cli.outputs import Growing, JsonResults, Output
from dfer.cli.people import Who
from dfer.cli.progress import Progress
from dfer.errors import VideoError
from dfer.names import name_text
from dfer.prediction.inputs import Input
from dfer.prediction.predictor import Analysis, Predictor
from dfer.prediction.progress import ProgressFile, Video
from dfer.records import Prediction
from dfer.records.prediction_json import error_dict
from dfer.reports.prediction_rows import csv_text
from dfer.runtime.files import write_text
from dfer.runtime.streams import is_stream
from dfer.video.apart import DecodingProcess


@contextmanager
def keep_answers(
    predictor: Predictor, inputs: Sequence[Input], outputs: Sequence[Output | None], resume: bool
) -> Iterator[ProgressFile | None]:
    """Keep the answers about several inputs in the block, beside the first of the outputs that is a file.

    Args:
        predictor: answers.
        inputs: of the command.
        outputs: of the command; None where an option was not given.
        resume: use the answers that an earlier run left; otherwise drop them.

    Yields:
        The answers; None where they cannot or need not be kept.

    Raises:
        DferError: as for `ProgressFile`.
    """
    files = [item.path for item in outputs if item is not None and not is_stream(item.path)]
    if len(inputs) == 1 or not files:
        yield None
        return
    with ProgressFile(files[0], predictor.settings, resume=resume) as kept:
        if known := sum(kept.find(source.path) is not None for source in inputs):
            note(f"{known} of {len(inputs)} inputs were answered before ({kept.path}); --no-resume starts from scratch")
        yield kept


class CsvResults(Growing[Prediction]):
    """Predictions as CSV; the target is that of `csv_output`."""

    def part(self, item: Prediction) -> str:
        """Return the rows of a prediction, the first one's below the names of the columns."""
        return csv_text([item], header=not self._items)

    def write_file(self, target: Output, items: Sequence[Prediction]) -> None:
        """Write all rows."""
        write_text(target.path, csv_text(items), to_stream=True)


def answer_inputs(
    predictor: Predictor,
    decoder: DecodingProcess,
    inputs: Sequence[Input],
    results: JsonResults,
    rows: CsvResults,
    kept: ProgressFile | None,
    schema: int,
    who: Who | None = None,
) -> Iterator[tuple[Prediction, Analysis | None]]:
    """Answer inputs one after another; one of several that cannot be read is reported and left out.

    Args:
        predictor: answers.
        decoder: decodes.
        inputs: of the command.
        results: gets the JSON object of each.
        rows: gets each answer.
        kept: answers that are known already, which gets the others.
        schema: of the JSON objects.
        who: says who is who; the answers that are kept do not depend on it.

    Yields:
        Each answer, and what it was made from unless it was known.

    Raises:
        VideoError: the only input cannot be read.
    """
    for source in inputs:
        prediction, analysis = kept.find(source.path) if kept else None, None
        try:
            if prediction is None:
                analysis = _analyse(predictor, decoder, source, kept)
                prediction = analysis.prediction
        except VideoError as error:
            if len(inputs) == 1:
                raise
            print_error(str(error), hint=error.hint)
            results.add(error_dict(source.name, str(error), schema))
            continue
        prediction = replace(prediction, source=source.name)
        if who:
            prediction = who.apply_or_report(prediction)
            analysis = analysis and replace(analysis, prediction=prediction)
        results.add(prediction.to_dict(schema))
        rows.add(prediction)
        yield prediction, analysis


def _analyse(predictor: Predictor, decoder: DecodingProcess, source: Input, kept: ProgressFile | None) -> Analysis:
    video, halves = Video.at(source.path) if kept else None, {"detect": 0, "recognise": 50}
    with Progress(name_text(source.path.name), "%") as progress:
        frames = decoder.open(source.path, fps=predictor.fps)
        analysis = predictor.analyse(
            frames, lambda stage, done: progress.set(halves[stage] + int(50 * done), 100, stage)
        )
    if kept and video:
        kept.add(video, analysis.prediction)
    for warning in analysis.prediction.warnings:
        if warning not in frames.warnings:  # said while the video was read
            warn(f"{source.name}: {warning}")
    return analysis
