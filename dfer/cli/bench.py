"""`dfer bench`."""

from __future__ import annotations

from typing import Annotated

import typer

from dfer.cli.options import DeviceKind, DeviceOption

EXAMPLES = "Example: [bold]dfer bench[/bold], or [bold]dfer bench --json - > bench.json[/bold]"


def bench(
    device: DeviceOption = DeviceKind.auto,
    batch_size: Annotated[int, typer.Option(min=1, help="Clips at a time.")] = 4,
    seconds: Annotated[float, typer.Option(min=0.1, help="Time for each figure.")] = 5.0,
    json: Annotated[str | None, typer.Option(metavar="FILE|-", help="The figures as JSON; - is stdout.")] = None,
) -> None:
    """Measure speed, parameters and GMACs of the models on this machine."""
    from dfer.bench import bench_models
    from dfer.cli.console import note, stdout
    from dfer.cli.output import write_json_result
    from dfer.report.tables import bench_table

    result = bench_models(device=device.value, batch_size=batch_size, seconds=seconds, on_case=lambda name: note(name))
    if json:
        write_json_result(json, [result])
    if json != "-":
        stdout.print(bench_table(result))
