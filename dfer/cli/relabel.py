"""`dfer relabel`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dfer.cli.answer_options import (
    PEOPLE,
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
from dfer.records.prediction_json import SCHEMA

EXAMPLES = (
    "Examples: [bold]dfer relabel out.json --names 0=Anna,3=Ben --merge 0,7 --csv out.csv[/bold]\n\n"
    "[bold]dfer relabel out.json --json out.json[/bold] applies out.people.yaml, which lies beside it"
)


def relabel(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="JSON that dfer predict wrote.")],
    names: NamesOption = None,
    merge: MergeOption = None,
    people: PeopleOption = None,
    reset: Annotated[
        bool,
        typer.Option(
            "--reset", help="First forget the names and merges in FILE, as a people file does.", rich_help_panel=PEOPLE
        ),
    ] = False,
    json: JsonOption = None,
    schema: SchemaOption = SCHEMA,
    csv: CsvOption = None,
    summary: SummaryOption = None,
    save: SaveOption = None,
    plot: PlotOption = None,
    quiet: QuietOption = False,
) -> None:
    """Name faces and merge those that are one person, in answers that are there: nothing is computed again.

    A people file replaces the names and merges that FILE holds; --names and --merge add to them. FILE is not changed
    unless --json names it.
    """
    from dfer.cli.answers import CsvResults
    from dfer.cli.console import be_quiet
    from dfer.cli.outputs import JsonResults, check_outputs, claim_outputs
    from dfer.cli.people import Who
    from dfer.cli.saving import AnswerFiles
    from dfer.errors import UsageError
    from dfer.names import text_name
    from dfer.prediction.inputs import Input
    from dfer.prediction.people_file import people_file_beside
    from dfer.prediction.saved import Unread, read_answers
    from dfer.records import Prediction
    from dfer.records.people import reset_people
    from dfer.records.prediction_json import error_dict

    if quiet:
        be_quiet()
    answers = read_answers(file)
    before = [answer for answer in answers if isinstance(answer, Prediction)]
    if plot and len(before) != 1:
        raise UsageError(f"--plot needs a file with one video, and this has {len(before)}", where=file)
    sources = [prediction.source for prediction in before]
    who = Who(sources, names=names, merge=merge, people=people, beside=people_file_beside(file))
    inputs = [Input.of(text_name(source)) for source in sources]
    files = AnswerFiles(inputs, json=json, csv=csv, summary=summary, save=save, plot=plot)
    given = (*files.tables, files.plot)
    check_outputs(*given, inputs=[who.file])
    check_outputs(*given[1:], inputs=[file])  # only the JSON may replace it
    relabelled = [who.apply(reset_people(one) if reset or who.speaks_of(one.source) else one) for one in before]
    with claim_outputs(*given), JsonResults(files.json) as results, CsvResults(files.csv) as rows:
        known = iter(relabelled)
        for answer in answers:
            if isinstance(answer, Unread):
                results.add(error_dict(answer.source, answer.error, schema))
            else:
                prediction = next(known)
                results.add(prediction.to_dict(schema))
                rows.add(prediction)
        files.finish(results, rows, relabelled)
        if files.plot:
            files.draw(relabelled[0])
    files.show(relabelled)
