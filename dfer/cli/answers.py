"""The answers of `dfer predict` about its inputs, each written when it is known."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace

from dfer.cli.asking import Answered, Ask
from dfer.cli.console import note, print_error
from dfer.cli.outputs import Growing, JsonResults, Output
from dfer.cli.people import Who
from dfer.errors import VideoError
from dfer.prediction.engines import Task
from dfer.prediction.inputs import Input
from dfer.prediction.predictor import Analysis, Predictor
from dfer.prediction.progress import ProgressFile
from dfer.records import Prediction
from dfer.records.prediction_json import error_dict
from dfer.reports.prediction_rows import csv_text
from dfer.runtime.files import write_text
from dfer.runtime.streams import is_stream


@contextmanager
def keep_answers(
    predictor: Predictor,
    inputs: Sequence[Input],
    outputs: Sequence[Output | None],
    resume: bool,
    part: tuple[int, int] = (1, 1),
) -> Iterator[ProgressFile | None]:
    """Keep the answers about several inputs in the block, beside the first of the outputs that is a file.

    Args:
        predictor: answers.
        inputs: of the command.
        outputs: of the command; None where an option was not given.
        resume: use the answers that an earlier run left; otherwise drop them.
        part: the shard, (i, n) with i from 1 to n.

    Yields:
        The answers; None where they cannot or need not be kept.

    Raises:
        DferError: as for `ProgressFile`.
    """
    files = [item.path for item in outputs if item is not None and not is_stream(item.path)]
    if (len(inputs) == 1 and part == (1, 1)) or not files:
        yield None
        return
    with ProgressFile(files[0], predictor.settings, resume=resume, part=part) as kept:
        if known := sum(kept.find(source.path) is not None for source in inputs if source.is_local):
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
    ask: Ask,
    inputs: Sequence[Input],
    results: JsonResults,
    rows: CsvResults,
    kept: ProgressFile | None,
    schema: int,
    who: Who | None = None,
    on_failure: Callable[[Input, VideoError], None] | None = None,
) -> Iterator[tuple[Prediction, Analysis | None]]:
    """Answer inputs; one of several that cannot be read is reported and left out.

    Args:
        ask: for the answers that are not known.
        inputs: of the command.
        results: gets the JSON object of each, in the order of the inputs.
        rows: gets each answer, likewise.
        kept: answers that are known already, which gets the others.
        schema: of the JSON objects.
        who: says who is who; the answers that are kept do not depend on it.
        on_failure: called with one of several inputs that cannot be read, and why.

    Yields:
        Each answer in the order of the inputs, and what it was made from if it was made in this process.

    Raises:
        VideoError: the only input cannot be read.
    """
    found = [kept.find(source.path) if kept and source.is_local else None for source in inputs]
    waiting = {number: Answered(number, known) for number, known in enumerate(found) if known is not None}
    todo = [Task(number, source) for number, source in enumerate(inputs) if number not in waiting]
    with closing(ask(todo, kept)) as answers:
        for number, source in enumerate(inputs):
            while number not in waiting:
                answered = next(answers)
                waiting[answered.number] = answered
            answered = waiting.pop(number)
            if answered.prediction is not None:
                prediction, analysis = replace(answered.prediction, source=source.name), answered.analysis
                if who:
                    prediction = who.apply_or_report(prediction)
                    analysis = analysis and replace(analysis, prediction=prediction)
                results.add(prediction.to_dict(schema))
                rows.add(prediction)
                yield prediction, analysis
            elif answered.error is not None:
                if len(inputs) == 1:
                    raise answered.error
                print_error(str(answered.error), hint=answered.error.hint)
                results.add(error_dict(source.name, str(answered.error), schema))
                if on_failure:
                    on_failure(source, answered.error)
