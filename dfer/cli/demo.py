"""`dfer demo`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from dfer.records import Prediction

EXAMPLES = "Example: [bold]dfer demo[/bold], then open demo/report/index.html"


def demo(
    out: Annotated[Path, typer.Option(help="Folder for all output.")] = Path("demo"),
    clips: Annotated[
        int | None, typer.Option(min=35, help="Number of clips.", show_default="600", rich_help_panel="Settings")
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Override a key of recipes/demo.yaml.", rich_help_panel="Settings"
        ),
    ] = None,
) -> None:
    """Run the whole pipeline on generated clips: synth, preprocess, train, eval, predict, report. No download.

    It takes minutes on two cores; if it is interrupted, repeat the command to resume. The faces are drawings, and the
    model knows no others.
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
        "This model was trained on drawings only: its predictions on real faces mean nothing.",
        "",
        "Next steps:",
        f"  look at the report            {out / 'report' / 'index.html'}",
        "  predict your own clip         dfer predict clip.mp4    (with weights trained on real faces)",
        "  prepare real data             dfer preprocess dfew ./raw    (or: folder ./my_clips)",
        "  train on it                   dfer train recipes/dfew.yaml --fold all",
        "  test it                       dfer eval",
    ]
    for line in lines:
        stdout.print(line, highlight=False, markup=False, soft_wrap=True)


def _runs(prediction: Prediction) -> str:
    """Return the emotions of the first face, in the order in which they lead."""
    from itertools import groupby

    if not prediction.faces:
        return "no face found"
    return ", then ".join(label for label, _ in groupby(segment.label for segment in prediction.faces[0].segments))
