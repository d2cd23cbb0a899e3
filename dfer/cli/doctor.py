"""`dfer doctor`."""

from __future__ import annotations

import typer

EXAMPLES = "Example: [bold]dfer doctor[/bold]; exit code 1 says that something needed is missing."


def doctor() -> None:
    """Say what is installed, which device there is, which detector weights, what is missing and how to get it."""
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
