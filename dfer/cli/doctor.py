"""`dfer doctor`."""

from __future__ import annotations

import typer

EXAMPLES = "Example: [bold]dfer doctor[/bold]. The exit code is 1 if something required is missing."


def doctor() -> None:
    """Check the installation, the device and the weights, and say how to get what is missing."""
    from dfer.cli.console import stdout
    from dfer.doctor import examine
    from dfer.errors import EXIT_FAILED

    checks = examine()
    marks = {"ok": "[green]ok[/green]", "note": "[yellow]--[/yellow]", "missing": "[red]no[/red]"}
    for check in checks:
        stdout.print(
            f"{marks[check.state]}  [bold]{check.name:<18}[/bold] {check.finding}", highlight=False, soft_wrap=True
        )
        if check.remedy:
            stdout.print(f"    {'':<18} -> {check.remedy}", highlight=False, soft_wrap=True, markup=False)
    if any(check.state == "missing" for check in checks):
        raise typer.Exit(EXIT_FAILED)
