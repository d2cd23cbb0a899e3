"""`dfer synth`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EXAMPLES = "Example: [bold]dfer synth raw/drawn --clips 600[/bold], then [bold]dfer preprocess dfew raw/drawn[/bold]"


def synth(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to write the raw data set to.")],
    clips: Annotated[int, typer.Option(min=7, help="Number of clips.")] = 600,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same bytes.")] = 0,
    workers: Annotated[int, typer.Option(min=0, help="Processes; 0: one per core.")] = 0,
) -> None:
    """Generate a raw data set of drawn faces, in DFEW's layout.

    It lets you try the whole pipeline without a licence. The faces are drawn: a model trained on them knows nothing
    about real ones.
    """
    from dfer.cli.console import note
    from dfer.cli.progress import Progress
    from dfer.runtime.machine import usable_cores
    from dfer.synth.dataset import generate_dataset

    with Progress("synth", "clips") as progress:
        generate_dataset(
            out,
            num_clips=clips,
            seed=seed,
            workers=workers or usable_cores(),
            on_clip=progress.set,
        )
    note(f"{clips} clips in {out}")
    note(f"next: dfer preprocess dfew {out}")
