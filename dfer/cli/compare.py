"""`dfer compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dfer.cli.options import COMPUTE, OUTPUT, WHICH

EXAMPLES = (
    "Examples: [bold]dfer compare runs/a runs/b --report comparison/[/bold]\n\n"
    "[bold]dfer compare ours=runs/a_seed0 ours=runs/a_seed1 theirs=other.csv --latex table.tex[/bold]"
)


def compare(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="[NAME=]RUN",
            help="Runs that [bold]dfer eval[/bold] has tested, or tables with the columns clip_id, label and predicted "
            "(fold). Runs of one NAME are its seeds.",
        ),
    ],
    common: Annotated[
        bool,
        typer.Option("--common", help="Compare the clips that all runs have, if these differ.", rich_help_panel=WHICH),
    ] = False,
    against: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Test the other methods against this one alone: fewer tests, smaller corrections.",
            show_default="all pairs",
            rich_help_panel=WHICH,
        ),
    ] = None,
    json: Annotated[
        str | None, typer.Option(metavar="FILE|-", help="The results as JSON; - is stdout.", rich_help_panel=OUTPUT)
    ] = None,
    markdown: Annotated[
        str | None, typer.Option(metavar="FILE|-", help="The tables in Markdown.", rich_help_panel=OUTPUT)
    ] = None,
    latex: Annotated[
        str | None,
        typer.Option(metavar="FILE|-", help="The tables in LaTeX, for booktabs.", rich_help_panel=OUTPUT),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="The intervals as a forest plot, .png, .pdf or .svg.", rich_help_panel=OUTPUT)
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Folder for all tables and plots.", rich_help_panel=OUTPUT)
    ] = None,
    resamples: Annotated[
        int, typer.Option(min=100, max=1_000_000, help="Resamples of the bootstrap.", rich_help_panel=COMPUTE)
    ] = 10_000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the resamples.", rich_help_panel=COMPUTE)] = 0,
) -> None:
    """Compare runs on the same test clips: WAR, UAR, macro-F1 and recalls with intervals, and tests of each pair.

    Intervals are 95 % bootstrap intervals over the clips, or over the people where the data set names them, drawn
    within each fold. Pairs have a paired bootstrap and McNemar's exact test, corrected by Holm's method. Runs that
    differ only in the seed are repeats of one method: mean ± standard deviation.
    """
    from dfer.cli.console import note
    from dfer.cli.outputs import TextOutputs, output, require_apart
    from dfer.drawing.style import FIGURE_SUFFIXES, save_figure
    from dfer.evaluation.compare import compare as run_comparison
    from dfer.evaluation.compared_runs import path_of, read_runs
    from dfer.reports.comparison import (
        comparison_latex,
        comparison_markdown,
        comparison_view,
        draw_comparison,
        write_comparison_report,
    )

    read = [path_of(run) for run in runs]
    plot_to = output("--plot", plot, FIGURE_SUFFIXES)
    outputs = TextOutputs(json=json, markdown=markdown, latex=latex, others=[plot_to], inputs=read)
    if report:
        require_apart(report, read, option="--report")
    result = run_comparison(read_runs(runs), common=common, resamples=resamples, seed=seed, against=against)
    if plot:
        save_figure(draw_comparison(result), plot, to_stream=True)
    if report:
        write_comparison_report(result, report)
        note(f"report in {report}")
    outputs.write(
        result=result.to_dict(),
        markdown=lambda: comparison_markdown(result),
        latex=lambda: comparison_latex(result),
        view=lambda: comparison_view(result),
    )
