"""`dfer export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dfer.cli.options import MirrorOption, PriorOption

EXAMPLES = (
    "Examples: [bold]dfer export default --out faces.onnx[/bold]\n\n"
    "[bold]dfer export runs/dfew/fold1 --out small.onnx --int8 --calibration data/dfew[/bold]"
)


def export(
    checkpoint: Annotated[
        Path,
        typer.Argument(
            metavar="CHECKPOINT", help="A .safetensors file of dfer, or [bold]default[/bold] for the shipped weights."
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="FILE.onnx", help="The ONNX file to write.")],
    prior: PriorOption = None,
    mirror: MirrorOption = None,
    int8: Annotated[
        bool, typer.Option("--int8", help="Store and compute with 8-bit integers: a third of the size.")
    ] = False,
    calibration: Annotated[
        Path | None,
        typer.Option(
            metavar="DATA",
            help="A store to calibrate and measure an int8 model with; without it, ranges are computed as it runs.",
        ),
    ] = None,
    examples: Annotated[
        bool,
        typer.Option(
            "--examples/--no-examples", help="Write a README and examples in Python and JavaScript beside it."
        ),
    ] = True,
    bare: Annotated[
        bool,
        typer.Option(
            "--bare", help="Write the network alone: clips, float32, normalised, to logits; nothing beside it."
        ),
    ] = False,
) -> None:
    """Export a model to ONNX and check it with onnxruntime.

    Input: crops, uint8, batch x time x S x S x 3, aligned faces; batch and time are free. Output: probabilities, as
    dfer predict gives them, and logits. Labels, alignment and settings are stored in the file's metadata.
    """
    from dfer.cli.console import note, warn
    from dfer.cli.outputs import check_outputs, output
    from dfer.deployment.export import ExportOptions, export_model
    from dfer.runs import find_checkpoint

    target = output("--out", out, (".onnx",))
    assert target is not None  # --out is required
    options = ExportOptions(prior, mirror, bare, int8, calibration, examples)
    check_outputs(target, inputs=[find_checkpoint(checkpoint), calibration])
    exported = export_model(checkpoint, target.path, options)
    result = exported.result
    note(f"{out}: {result.megabytes:.1f} MB, {exported.precision}, opset {result.opset}")
    note(f"largest difference from torch over {result.num_checked} inputs: {result.max_difference:.1e}")
    if int8:
        note(f"float32 takes {exported.float32_megabytes:.1f} MB")
        if exported.agreement is None:
            warn("how far it agrees with float32 was not measured: --calibration DATA does, with a store")
        else:
            note(str(exported.agreement))
    if exported.companions:
        note(f"beside it: {', '.join(path.name for path in exported.companions)}")
