"""Options of the commands that give answers about videos."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dfer.cli.options import OUTPUT
from dfer.records.prediction_json import SCHEMAS

PEOPLE = "People"

JsonOption = Annotated[
    str | None,
    typer.Option(metavar="FILE|-", help="Write JSON, one object per input; - is stdout.", rich_help_panel=OUTPUT),
]
SchemaOption = Annotated[
    int,
    typer.Option(
        min=SCHEMAS[0],
        max=SCHEMAS[-1],
        metavar="1|2",
        help="Version of the JSON; 1 is the older one, without quality and confidence.",
        rich_help_panel=OUTPUT,
    ),
]
CsvOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE|-",
        help="Write a CSV with a row per face and segment, or bin; - is stdout.",
        rich_help_panel=OUTPUT,
    ),
]
SummaryOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE|-",
        help="Write a CSV with a row per face: seconds and share of each emotion, confidence, changes.",
        rich_help_panel=OUTPUT,
    ),
]
SaveOption = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="FILE",
        help="Also save as .xlsx, .parquet, .eaf (ELAN), .TextGrid (Praat), .boris, .vtt or .srt; repeatable. "
        "{name} in it stands for each input's name.",
        rich_help_panel=OUTPUT,
    ),
]
PlotOption = Annotated[
    Path | None,
    typer.Option(
        help="Write the emotion timeline, of an image a bar chart, as .png, .pdf or .svg.", rich_help_panel=OUTPUT
    ),
]
QuietOption = Annotated[
    bool, typer.Option("--quiet", "-q", help="Only results, warnings and errors: no progress, no notes.")
]
NamesOption = Annotated[
    list[str] | None,
    typer.Option(metavar="ID=NAME,...", help="Name faces, such as 0=Anna,3=Ben.", rich_help_panel=PEOPLE),
]
MergeOption = Annotated[
    list[str] | None,
    typer.Option(metavar="ID,ID,...", help="Merge faces that are one person; repeatable.", rich_help_panel=PEOPLE),
]
PeopleOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="YAML with names and merges by input, as the HTML report exports it.",
        show_default="NAME.people.yaml beside NAME.json, if it is there",
        rich_help_panel=PEOPLE,
    ),
]
