"""`dfer export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EXAMPLES = "Example: [bold]dfer export runs/dfew/fold1/best.safetensors --out logo_former.onnx[/bold]"


def export(
    checkpoint: Annotated[
        Path,
        typer.Argument(
            metavar="CHECKPOINT", help="A .safetensors file of dfer, or [bold]default[/bold] for the shipped weights."
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="FILE.onnx", help="The ONNX file to write.")],
) -> None:
    """Export a model to ONNX and check it with onnxruntime.

    Input: clips, float32, batch x frames x 3 x S x S, normalised. Output: logits, batch x classes. Labels, alignment,
    normalisation, temperature and priors are stored in the file's metadata; the logits know nothing of them.
    """
    from dfer.cli.console import note
    from dfer.cli.outputs import check_outputs, output
    from dfer.model.export import export_onnx
    from dfer.runs import find_checkpoint

    target = output("--out", out, (".onnx",))
    assert target is not None  # --out is required
    check_outputs(target, inputs=[find_checkpoint(checkpoint)])
    result = export_onnx(checkpoint, target.path)
    note(f"{out}: {result.megabytes:.1f} MB, opset {result.opset}")
    note(f"largest difference from torch over {result.num_checked} inputs: {result.max_difference:.1e}")
