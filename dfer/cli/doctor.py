"""`dfer doctor`."""

from __future__ import annotations

from typing import Annotated

import typer

from dfer.faces.detectors import DETECTORS, download_weights

EXAMPLES = (
    "Example: [bold]dfer doctor[/bold]. The exit code is 1 if something required is missing. "
    "[bold]dfer doctor --get scrfd[/bold] downloads a detector's weights."
)


def doctor(
    get: Annotated[
        str | None,
        typer.Option(
            metavar="|".join(name for name, entry in DETECTORS.items() if entry.download),
            help="Download the weights of a detector, check them, and end. SCRFD's are for non-commercial research.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Check the installation, the device and the weights, and say how to get what is missing."""
    from rich.text import Text

    from dfer.cli.console import stdout
    from dfer.doctor import examine
    from dfer.errors import EXIT_FAILED
    from dfer.names import printable

    if get is not None:
        stdout.print(str(download_weights(get)), highlight=False, soft_wrap=True)
        return
    checks = examine()
    marks = {"ok": Text("ok", "green"), "note": Text("--", "yellow"), "missing": Text("no", "red")}
    for check in checks:
        name = Text.assemble("  ", (f"{check.name:<18}", "bold"), " ")
        stdout.print(marks[check.state] + name + Text(printable(check.finding)), soft_wrap=True)
        if check.remedy:
            stdout.print(Text(f"    {'':<18} -> {printable(check.remedy)}"), soft_wrap=True)
    if any(check.state == "missing" for check in checks):
        raise typer.Exit(EXIT_FAILED)
