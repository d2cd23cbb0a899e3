"""`dfer published`."""

from __future__ import annotations

from typing import Annotated

import typer

from dfer.cli.options import OUTPUT, WHICH

EXAMPLES = (
    "Examples: [bold]dfer published dfew[/bold]\n\n[bold]dfer published dfew --with runs/dfew --latex table.tex[/bold]"
)


def published(
    dataset: Annotated[str, typer.Argument(metavar="dfew|ferv39k|mafw", help="The data set.")],
    runs: Annotated[
        list[str] | None,
        typer.Option(
            "--with",
            metavar="[NAME=]RUN",
            help="A run to put into the table, once [bold]dfer eval[/bold] has tested it; may be repeated.",
            rich_help_panel=WHICH,
        ),
    ] = None,
    json: Annotated[
        str | None, typer.Option(metavar="FILE|-", help="The results as JSON; - is stdout.", rich_help_panel=OUTPUT)
    ] = None,
    markdown: Annotated[
        str | None, typer.Option(metavar="FILE|-", help="The table in Markdown.", rich_help_panel=OUTPUT)
    ] = None,
    latex: Annotated[
        str | None,
        typer.Option(metavar="FILE|-", help="The table in LaTeX, for booktabs.", rich_help_panel=OUTPUT),
    ] = None,
) -> None:
    """Show the published results on a data set, newest first, and your own runs among them with their intervals.

    None of these figures was reproduced here; each names its source.
    """
    from dfer.cli.outputs import TextOutputs
    from dfer.evaluation.compare import measure
    from dfer.evaluation.compared_runs import path_of, read_runs
    from dfer.evaluation.published import protocol_notes, read_published, require_dataset
    from dfer.reports.published import (
        PublishedTable,
        published_latex,
        published_markdown,
        published_remarks,
        published_table,
    )
    from dfer.reports.result_table import terminal_table

    given = runs or []
    outputs = TextOutputs(json=json, markdown=markdown, latex=latex, inputs=[path_of(run) for run in given])
    results, own = read_published(dataset), read_runs(given)
    for run in own:
        require_dataset(run, dataset)
    methods = {run.name: [other for other in own if other.name == run.name] for run in own}
    table = PublishedTable(dataset, results, [measure(of) for of in methods.values()], protocol_notes(own, dataset))
    outputs.write(
        result=table.to_dict(),
        markdown=lambda: published_markdown(table),
        latex=lambda: published_latex(table),
        view=lambda: terminal_table(published_table(table), published_remarks(table)),
    )
