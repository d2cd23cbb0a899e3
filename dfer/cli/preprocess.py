"""`dfer preprocess`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dfer.cli.options import COMPUTE, OUTPUT, DetectorKind, DetectorOption, DetectorWeightsOption, parse_shard

EXAMPLES = (
    "Examples: [bold]dfer preprocess dfew ./raw[/bold] writes data/dfew.\n\n"
    "[bold]dfer preprocess folder ./my_clips --out data/mine[/bold] takes one sub-folder per emotion, or a CSV."
)
SHOWN_FAILURES = 10


def preprocess(
    dataset: Annotated[str, typer.Argument(help="dfew, ferv39k, mafw, ferplus or folder.")],
    raw: Annotated[Path, typer.Argument(help="The raw data set, as its authors ship it.")],
    out: Annotated[
        Path | None, typer.Option(help="Where the store goes.", show_default="data/DATASET", rich_help_panel=OUTPUT)
    ] = None,
    detector: DetectorOption = DetectorKind.auto,
    detector_weights: DetectorWeightsOption = None,
    size: Annotated[
        int, typer.Option(min=32, max=512, help="Side of the crops, pixels.", rich_help_panel=OUTPUT)
    ] = 128,
    workers: Annotated[
        int | None, typer.Option(min=0, help="Processes.", show_default="one per core", rich_help_panel=COMPUTE)
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(
            metavar="I/N",
            help="Do every N-th clip only, for job arrays; the same command without it then writes the manifest.",
            rich_help_panel=COMPUTE,
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="At most this many clips, spread over the lists.", rich_help_panel=COMPUTE)
    ] = None,
    max_failures: Annotated[
        float, typer.Option(min=0, help="Failed clips that are tolerated: a share, or from 1 up a number.")
    ] = 0.05,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Start anew.", rich_help_panel=OUTPUT)] = False,
) -> None:
    """Turn a raw data set into aligned, packed face crops and a manifest.

    Every clip of the official lists gets a row, whatever happened to it. Interrupted? Run the same command again.
    """
    from dfer.cli.console import note
    from dfer.cli.progress import Progress
    from dfer.datasets import read_dataset
    from dfer.errors import DferError
    from dfer.machine import usable_cores
    from dfer.preprocessing import Settings, settle_detector
    from dfer.preprocessing import preprocess as run
    from dfer.store import ManifestRow
    from dfer.store_report import write_store_report

    part = parse_shard(shard)
    store = out or Path("data") / dataset
    data = read_dataset(dataset, raw)
    for notice in data.notices:
        note(f"note: {notice}")
    aligned = all(clip.aligned or clip.source is None for clip in data.clips)
    kind, weights = settle_detector("none" if aligned else detector.value, detector_weights)
    failed = 0
    with Progress("preprocess", "clips") as progress:

        def on_clip(row: ManifestRow, total: int) -> None:
            nonlocal failed
            failed += row.status != "ok"
            # A missing clip takes no time, and comes first.
            said = f"{failed:,} failed" if failed else ""
            progress.advance(1, total, said, skipped=row.status == "missing")

        summary = run(
            data,
            raw,
            store,
            Settings(size, kind, weights),
            workers=usable_cores() if workers is None else workers,
            shard=part,
            limit=limit,
            overwrite=overwrite,
            on_clip=on_clip,
        )
    report = write_store_report(store, raw, data.notices) if summary.manifest else None
    for row in summary.failures[:SHOWN_FAILURES]:
        note(f"{row.status}: {row.clip_id}: {row.detail}")
    if len(summary.failures) > SHOWN_FAILURES:
        note(f"... and {len(summary.failures) - SHOWN_FAILURES} more, each with its reason in the manifest")
    total = sum(summary.counts.values())
    counts = ", ".join(f"{count} {status}" for status, count in sorted(summary.counts.items(), key=lambda kv: -kv[1]))
    note(f"{total} clips: {counts} ({summary.num_new} in this run) -> {store}")
    if report:
        note(f"report: {report}")
    tolerated = max_failures if max_failures >= 1 else max_failures * total
    if len(summary.failures) > tolerated:
        raise DferError(
            f"{len(summary.failures)} of {total} clips failed",
            where=summary.manifest,
            hint="see the reasons there; --max-failures sets how many are tolerated",
        )
