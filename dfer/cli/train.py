"""`dfer train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dfer.cli.options import COMPUTE, OUTPUT, WHICH, DeviceKind, DeviceOption, SelectKind, parse_folds

EXAMPLES = (
    "Examples: [bold]dfer train recipes/dfew.yaml --fold all[/bold]\n\n"
    "[bold]dfer train recipes/dfew.yaml train.epochs=20 model.attention=local --out runs/local[/bold]"
)


def train(
    recipe: Annotated[Path, typer.Argument(help="YAML file; the shipped ones go by their name.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Changes to the recipe.", show_default=False)
    ] = None,
    fold: Annotated[
        str | None, typer.Option(metavar="N|all", help="Fold to train.", show_default="1", rich_help_panel=WHICH)
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The run's folder.", show_default="runs/NAME", rich_help_panel=OUTPUT)
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume/--no-resume", help="Go on where this run stopped.", rich_help_panel=COMPUTE)
    ] = True,
    device: DeviceOption = DeviceKind.auto,
    select: Annotated[
        SelectKind | None,
        typer.Option(
            help="What [bold]best[/bold] is chosen on; [bold]test[/bold] only to compare with published tables, "
            "which it is marked in.",
            show_default="val",
            rich_help_panel=WHICH,
        ),
    ] = None,
) -> None:
    """Train LOGO-Former by a recipe.

    A finished fold is not trained again; an interrupted one goes on at the step where it stopped. Several GPUs:
    [bold]torchrun --nproc-per-node 8 -m dfer train ...[/bold]
    """
    from dfer.recipe import load_recipe

    loaded = load_recipe(recipe, [*(overrides or []), *([f"train.select={select.value}"] if select else [])])
    folds = parse_folds(fold, "1")

    from dfer.cli.live import TrainingScreen
    from dfer.training import train as run

    with TrainingScreen() as screen:
        run(loaded, folds=folds, out=out, device=device.value, resume=resume, observer=screen)
