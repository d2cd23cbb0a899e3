"""`dfer demo`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from dfer.records import Prediction

EXAMPLES = "Example: [bold]dfer demo[/bold], then open demo/report/index.html"


def demo(
    out: Annotated[Path, typer.Option(help="Folder for everything.")] = Path("demo"),
    clips: Annotated[
        int | None, typer.Option(min=35, help="Number of clips.", show_default="600", rich_help_panel="Smaller")
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change recipes/demo.yaml.", rich_help_panel="Smaller"),
    ] = None,
) -> None:
    """The whole pipeline on generated clips: synth, preprocess, train, eval, predict, report. No download.

    Minutes on two cores. Interrupted? Run it again: it goes on. Its faces are drawings, and its model knows no others.
    """
    from dfer.cli.console import note, stdout
    from dfer.cli.live import TrainingScreen
    from dfer.cli.progress import Progress
    from dfer.demo import NUM_CLIPS, run_demo

    with TrainingScreen() as screen:
        evaluation, prediction = run_demo(
            out,
            num_clips=clips or NUM_CLIPS,
            overrides=overrides or [],
            say=note,
            show=Progress,
            observer=screen,
        )
    lines = [
        "",
        f"WAR {evaluation.mean_war:.2%}, UAR {evaluation.mean_uar:.2%} on people never seen in training",
        f"{prediction.source}: {_runs(prediction)}",
        "This model has seen drawings only: what it says about real faces means nothing.",
        "",
        "What next:",
        f"  look at the report            {out / 'report' / 'index.html'}",
        "  predict a clip of your own    dfer predict clip.mp4    (by weights that know real faces)",
        "  prepare real data             dfer preprocess dfew ./raw    (or: folder ./my_clips)",
        "  train on it                   dfer train recipes/dfew.yaml --fold all",
        "  test it                       dfer eval",
    ]
    for line in lines:
        stdout.print(line, highlight=False, markup=False, soft_wrap=True)


def _runs(prediction: Prediction) -> str:
    """The emotions of the first face in the order in which they win."""
    from itertools import groupby

    if not prediction.faces:
        return "no face found"
    return ", then ".join(label for label, _ in groupby(segment.label for segment in prediction.faces[0].segments))
