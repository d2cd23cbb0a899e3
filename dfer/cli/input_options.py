"""Options of `dfer predict` that say where its frames come from, and who works on them."""

from __future__ import annotations

from typing import Annotated

import typer

from dfer.cli.options import COMPUTE, LIVE, ImagesKind, ViewKind

RawOption = Annotated[
    str | None,
    typer.Option(
        metavar="WxH@FPS[:FORMAT]", help="Stdin holds raw frames, such as 640x360@25:bgr24; rgb24 by default."
    ),
]
DurationOption = Annotated[
    float | None,
    typer.Option(min=0.1, metavar="SECONDS", help="Take this much of a stream or camera."),
]
CameraOption = Annotated[
    str | None,
    typer.Option(
        metavar="NUMBER|DEVICE",
        help="Answer while this camera runs, without an INPUT; a video file plays in its place in real time.",
        rich_help_panel=LIVE,
    ),
]
LiveOption = Annotated[
    bool,
    typer.Option(
        "--live", help="Show the camera, stream or video with its answers, as it plays.", rich_help_panel=LIVE
    ),
]
ViewOption = Annotated[
    ViewKind,
    typer.Option(
        help="Show it in a window or on the terminal; [bold]auto[/bold]: a window if there is a display.",
        rich_help_panel=LIVE,
    ),
]
ImagesOption = Annotated[
    ImagesKind,
    typer.Option(
        help="The images in a folder are the frames of one video, or a picture each; [bold]auto[/bold]: as their "
        "names, sizes and dates suggest.",
    ),
]
PredictWorkersOption = Annotated[
    int,
    typer.Option(
        min=0,
        help="With several inputs: worker processes, each with the model in memory; 0: one per core.",
        rich_help_panel=COMPUTE,
    ),
]
PredictShardOption = Annotated[
    str | None,
    typer.Option(
        metavar="I/N",
        help="Answer about every N-th input only, for job arrays; the same command without it writes the files.",
        rich_help_panel=COMPUTE,
    ),
]
