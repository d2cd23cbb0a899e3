"""`dfer train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dfer.cli.options import COMPUTE, OUTPUT, WHICH, DeviceKind, DeviceOption, SelectKind, parse_folds
from dfer.errors import UsageError
from dfer.runs import RUNS
from dfer.runtime.files import is_same_file

EXAMPLES = (
    "Examples: [bold]dfer train recipes/dfew.yaml --fold all[/bold]\n\n"
    "[bold]dfer train recipes/dfew.yaml train.epochs=20 model.attention=local --out runs/local[/bold]"
)


def train(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="A YAML file, or the name of a shipped recipe.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Overrides of the recipe.", show_default=False)
    ] = None,
    fold: Annotated[
        str | None,
        typer.Option(
            metavar="N|all",
            help="Fold to train; a list such as 1,4 is possible.",
            show_default="1",
            rich_help_panel=WHICH,
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the run.", show_default="runs/NAME", rich_help_panel=OUTPUT)
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume/--no-resume", help="Continue an interrupted run, or start from scratch.", rich_help_panel=COMPUTE
        ),
    ] = True,
    device: DeviceOption = DeviceKind.auto,
    select: Annotated[
        SelectKind | None,
        typer.Option(
            help="Clips that choose the [bold]best[/bold] epoch; use [bold]test[/bold] only to compare with published "
            "tables, where it is marked.",
            show_default="val",
            rich_help_panel=WHICH,
        ),
    ] = None,
) -> None:
    """Train a model from a recipe.

    Finished folds are skipped; an interrupted one resumes at the step where it stopped. On several GPUs:
    [bold]torchrun --nproc-per-node 8 -m dfer train ...[/bold]
    """
    from dfer.recipe import load_recipe

    loaded = load_recipe(recipe, [*(overrides or []), *([f"train.select={select.value}"] if select else [])])
    folds = parse_folds(fold, "1")
    _require_other_recipe(recipe, out or RUNS / loaded.name)

    from dfer.cli.live import TrainingScreen
    from dfer.training import train as run

    with TrainingScreen() as screen:
        run(loaded, folds=folds, out=out, device=device.value, resume=resume, observer=screen)


def _require_other_recipe(recipe: Path, run: Path) -> None:
    """Refuse a recipe that the run itself would overwrite, or delete with --no-resume."""
    for own in run.glob("fold*/recipe.yaml"):
        if recipe.exists() and is_same_file(own, recipe):
            raise UsageError(
                "the recipe is a file of this run, which would overwrite it",
                where=recipe,
                hint=f"copy it, or choose another folder with --out; {run} is the run's",
            )
