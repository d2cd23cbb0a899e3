"""The files that answers about videos are written to; --save: many formats, one for all inputs or one for each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dfer.cli.answers import CsvResults
from dfer.cli.console import stdout, warn
from dfer.cli.outputs import CSV_SUFFIXES, JsonResults, Output, csv_output, json_output, output
from dfer.drawing.style import FIGURE_SUFFIXES, save_figure
from dfer.errors import UsageError, VideoError
from dfer.names import name_text
from dfer.prediction.inputs import Input
from dfer.records import Prediction
from dfer.reports.formats import FORMATS, require_library, save_predictions
from dfer.reports.prediction import MAX_FACES, draw_prediction, prediction_table
from dfer.reports.spreadsheets import summary_csv
from dfer.reports.thumbnails import face_pictures
from dfer.runtime.files import write_text
from dfer.video import FrameSource

_OPTION, _NAME = "--save", "{name}"
_PICTURE_SIDE = 224  # pixels of a face in a plot, where it is about an inch wide
# As the programs' own users write them.
_SHOWN = {".textgrid": ".TextGrid"}


@dataclass(frozen=True)
class Saved(Output):
    """A file of --save.

    Attributes:
        sources: the inputs whose answers it gets.
    """

    sources: tuple[str, ...] = ()


class AnswerFiles:
    """The files that the answers of a command go to.

    Args:
        inputs: of the command.
        json: as named, as are the others; None or empty where an option was not given.

    Raises:
        UsageError: a name does not tell a format, or as for `plan_saving`.
        DferError: as for `plan_saving`.
    """

    def __init__(
        self,
        inputs: Sequence[Input],
        *,
        json: str | None,
        csv: Path | None,
        summary: Path | None,
        save: Sequence[Path] | None,
        plot: Path | None,
    ) -> None:
        self.json, self.csv = json_output(json), csv_output(csv)
        self.summary = output("--summary", summary, CSV_SUFFIXES, optional_suffix=True)
        self.plot = output("--plot", plot, FIGURE_SUFFIXES)
        self.saved = plan_saving(save or (), inputs)

    @property
    def tables(self) -> tuple[Output | None, ...]:
        """The files that hold all answers."""
        return self.json, self.csv, self.summary, *self.saved

    def finish(self, results: JsonResults, rows: CsvResults, predictions: Sequence[Prediction]) -> None:
        """Write the tables.

        Args:
            results: that are written to `json`.
            rows: that are written to `csv`.
            predictions: the answers.

        Raises:
            DferError: a library is missing, or a file cannot be written.
        """
        results.finish()
        rows.finish()
        if self.summary:
            write_text(self.summary.path, summary_csv(predictions), to_stream=True)
        save_answers(self.saved, predictions)

    def draw(self, prediction: Prediction, frames: FrameSource | None = None) -> None:
        """Write the plot if there is to be one.

        Args:
            prediction: the answer.
            frames: of the video, for pictures of the faces; None to leave them out.

        Raises:
            DferError: it cannot be written.
        """
        if self.plot is None:
            return
        pictures = None
        if frames is not None:
            shown = replace(prediction, faces=prediction.faces[:MAX_FACES])
            try:
                pictures = face_pictures(shown, frames, side=_PICTURE_SIDE)
            except VideoError as error:
                warn(f"{prediction.source}: the plot shows no faces: {error}")
        save_figure(draw_prediction(prediction, pictures=pictures), self.plot.path, to_stream=True)

    def show(self, predictions: Sequence[Prediction]) -> None:
        """Print the answers as a table, unless a file is standard output."""
        if not any(item and item.is_stdout for item in (*self.tables, self.plot)):
            stdout.print(prediction_table(predictions))


def plan_saving(targets: Sequence[Path], inputs: Sequence[Input]) -> list[Saved]:
    """Return the files to write.

    Args:
        targets: as named; {name} in one stands for the name of each input, without its suffix; in a folder of inputs,
            with the folders that it lies in.
        inputs: of the command.

    Raises:
        UsageError: one file would hold several videos, which its format cannot, or two inputs have the same name.
        DferError: the library that writes a format is not installed.
    """
    return [saved for target in targets for saved in _plan(target, inputs)]


def save_answers(saved: Sequence[Saved], predictions: Sequence[Prediction]) -> None:
    """Write the files whose inputs were answered.

    Args:
        saved: of `plan_saving`.
        predictions: the answers; an input that could not be read has none.

    Raises:
        DferError: a library is missing, or a file cannot be written.
    """
    for item in saved:
        chosen = [prediction for prediction in predictions if prediction.source in item.sources]
        if chosen:
            save_predictions(chosen, item.path)


def _plan(target: Path, inputs: Sequence[Input]) -> list[Saved]:
    suffixes = [*FORMATS]
    if target.suffix.lower() in FORMATS:
        require_library(target.suffix.lower())
    if _NAME in str(target):
        names = Counter(source.stem for source in inputs)
        if doubled := [name for name, count in names.items() if count > 1]:
            what = f"inputs of the same name would be saved to the same file: {doubled[0]}"
            raise UsageError(name_text(what), where=_OPTION, hint="rename them, or run them one by one")
        return [
            Saved(_OPTION, Path(str(target).replace(_NAME, source.stem)), suffixes, sources=(source.name,))
            for source in inputs
        ]
    entry = FORMATS.get(target.suffix.lower())
    if entry is not None and not entry.holds_several and len(inputs) > 1:
        hint = f"write {_NAME} where the input's name belongs, such as {_NAME}{target.suffix}"
        what = f"a {_SHOWN.get(target.suffix.lower(), target.suffix)} file holds one video, and there are {len(inputs)}"
        raise UsageError(what, where=f"{_OPTION} {name_text(target)}", hint=hint)
    return [Saved(_OPTION, target, suffixes, sources=tuple(source.name for source in inputs))]
