"""`dfer preprocess`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dfer.cli.options import (
    COMPUTE,
    OUTPUT,
    DetectorOption,
    DetectorWeightsOption,
    EngineKind,
    EngineOption,
    FpsOption,
    ImagesKind,
    TimeoutOption,
    WorkersOption,
    parse_shard,
)
from dfer.datasets import DATASETS
from dfer.errors import DferError, UsageError
from dfer.faces.detectors import AUTO
from dfer.runtime.patience import TIMEOUT_S

if TYPE_CHECKING:
    from dfer.datasets import FolderOptions, RawDataset
    from dfer.preprocessing import Summary
    from dfer.preprocessing.engines import Engine

EXAMPLES = (
    "Examples: [bold]dfer preprocess dfew ./raw[/bold] writes data/dfew.\n\n"
    "[bold]dfer preprocess folder ./my_clips --out data/mine[/bold] reads one sub-folder per emotion, or a CSV.\n\n"
    "[bold]dfer preprocess dfew --check[/bold] verifies data/dfew against its manifest."
)
SHOWN_FAILURES = 10
SHOWN_PROBLEMS = 100
AFTERWARDS = "After the run"
RECORDINGS = "Your own recordings"
DATASET_HELP = "".join(f"[bold]{name}[/bold]: {entry.help}. " for name, entry in DATASETS.items())


def preprocess(
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help=DATASET_HELP)],
    raw: Annotated[
        Path | None,
        typer.Argument(
            metavar="RAW",
            help="Folder of the raw data set, as distributed by its authors; optional with --check.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the store.", show_default="data/DATASET", rich_help_panel=OUTPUT)
    ] = None,
    detector: DetectorOption = AUTO,
    detector_weights: DetectorWeightsOption = None,
    size: Annotated[
        int, typer.Option(min=32, max=512, help="Side length of the crops, in pixels.", rich_help_panel=OUTPUT)
    ] = 128,
    workers: WorkersOption = 0,
    engine: EngineOption = EngineKind.local,
    timeout: TimeoutOption = TIMEOUT_S,
    shard: Annotated[
        str | None,
        typer.Option(
            metavar="I/N",
            help="Process every N-th clip only, for job arrays; --merge writes the manifest afterwards.",
            rich_help_panel=COMPUTE,
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            min=1, help="Process at most this many clips, spread evenly over the lists.", rich_help_panel=COMPUTE
        ),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            metavar="CLASS=NAME,...",
            help="Names of classes that are numbers, for folder, such as [bold]1=happy,2=sad[/bold].",
            show_default=False,
            rich_help_panel=RECORDINGS,
        ),
    ] = None,
    images: Annotated[
        ImagesKind,
        typer.Option(
            help="For folder: images directly in the folder of a class are the frames of one clip, or a clip each; "
            "[bold]auto[/bold]: as the structure of the folders suggests.",
            rich_help_panel=RECORDINGS,
        ),
    ] = ImagesKind.auto,
    fps: FpsOption = None,
    max_failures: Annotated[
        float, typer.Option(min=0, help="Number of failed clips to tolerate; below 1, a fraction of all clips.")
    ] = 0.05,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Delete the store and start from scratch.", rich_help_panel=OUTPUT)
    ] = False,
    merge: Annotated[
        bool,
        typer.Option("--merge", help="Write the manifest from the results of all shards.", rich_help_panel=AFTERWARDS),
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Verify the store against its manifest.", rich_help_panel=AFTERWARDS)
    ] = False,
    repair: Annotated[
        bool,
        typer.Option(
            "--repair",
            help="With --check: delete damaged files, so that the next normal run recreates them.",
            rich_help_panel=AFTERWARDS,
        ),
    ] = False,
) -> None:
    """Turn a raw data set into aligned, packed face crops and a manifest.

    Every clip of the official lists gets a row in the manifest, whatever happens to it. If the run is interrupted,
    repeat the command to resume.
    """
    part = parse_shard(shard)
    chosen = [name for name, given in (("--merge", merge), ("--check", check), ("--shard", shard)) if given]
    if len(chosen) > 1:
        raise UsageError(f"{' and '.join(chosen)} cannot be combined", hint="use one of them")
    if repair and not check:
        raise UsageError("--repair needs --check", hint="dfer preprocess DATASET --check --repair")
    if raw is None and not check:
        raise UsageError(
            "missing argument: the folder of the raw data set", where="RAW", hint=f"dfer preprocess {dataset} RAW"
        )
    store = out or Path("data") / dataset
    data = None if raw is None else _read_lists(dataset, raw, _folder_options(labels, images))
    if check:
        _check(dataset, data, store, limit=limit, repair=repair)
        return
    assert raw is not None  # for mypy: only --check does without
    assert data is not None
    if merge:
        from dfer.preprocessing import merge as run_merge

        _conclude(run_merge(data, store, limit=limit), data, raw, store, max_failures)
        return

    from dfer.cli.console import note
    from dfer.cli.progress import Progress
    from dfer.faces.detectors import resolve_detector
    from dfer.preprocessing import Settings, has_frame_folders
    from dfer.preprocessing import preprocess as run
    from dfer.store.manifest import ManifestRow
    from dfer.video.limits import check_rate

    check_rate(fps)
    if fps is None and has_frame_folders(data.clips):
        note("note: frame folders have no times: 25 frames a second are assumed; --fps sets the rate")
    aligned = all(clip.aligned or clip.source is None for clip in data.clips)
    kind, weights = resolve_detector("none" if aligned else detector, detector_weights)
    failed = 0
    with Progress("preprocess", "clips") as progress:

        def on_clip(row: ManifestRow, total: int) -> None:
            nonlocal failed
            failed += not row.ok
            # Missing clips come first and take no time.
            extra = f"{failed:,} failed" if failed else ""
            progress.advance(1, total, extra, skipped=row.status == "missing")

        summary = run(
            data,
            raw,
            store,
            Settings(size, kind, weights, fps),
            workers=workers,
            engine=_build_engine(engine, workers),
            timeout_s=timeout,
            shard=part,
            limit=limit,
            overwrite=overwrite,
            on_clip=on_clip,
        )
    _conclude(summary, data, raw, store, max_failures)


def _build_engine(kind: EngineKind, workers: int) -> Engine | None:
    from dfer.preprocessing import ray_engine, run_in_process

    if kind is EngineKind.ray:
        return ray_engine(workers)
    return run_in_process if kind is EngineKind.inline else None


def _folder_options(labels: str | None, images: ImagesKind) -> FolderOptions | None:
    """Return the user's decisions on own recordings; None without any."""
    if labels is None and images is ImagesKind.auto:
        return None
    from dfer.datasets.folder.options import FolderOptions, parse_names

    return FolderOptions(parse_names(labels), images.value)


def _read_lists(dataset: str, raw: Path, options: FolderOptions | None) -> RawDataset:
    from dfer.cli.console import note
    from dfer.datasets import read_dataset

    data = read_dataset(dataset, raw, options=options)
    for notice in data.notices:
        note(f"note: {notice}")
    return data


def _conclude(summary: Summary, data: RawDataset, raw: Path, store: Path, max_failures: float) -> None:
    """Write the report of a finished store, and print the outcome.

    Raises:
        DferError: more clips failed than are tolerated.
    """
    from dfer.cli.console import note
    from dfer.reports.shown_clips import write_store_report
    from dfer.store.coverage import find_one_sided_classes

    report = write_store_report(store, raw, data.notices) if summary.manifest else None
    for row in summary.failures[:SHOWN_FAILURES]:
        note(f"{row.status}: {row.clip_id}: {row.detail}")
    if len(summary.failures) > SHOWN_FAILURES:
        note(f"... and {len(summary.failures) - SHOWN_FAILURES:,} more; the manifest has the reason for each")
    total = sum(summary.counts.values())
    counts = ", ".join(f"{count} {status}" for status, count in sorted(summary.counts.items(), key=lambda kv: -kv[1]))
    note(f"{total} clips: {counts} ({summary.num_new} in this run) -> {store}")
    if report:
        note(f"report: {report}")
    for notice in find_one_sided_classes(summary.rows, data.labels) if summary.manifest else []:
        if notice not in data.notices:
            note(f"note: {notice}")
    tolerated = max_failures if max_failures >= 1 else max_failures * total
    if len(summary.failures) > tolerated:
        raise DferError(
            f"{len(summary.failures)} of {total} clips failed",
            where=summary.manifest,
            hint="the manifest has the reasons; --max-failures sets how many are tolerated",
        )


def _check(dataset: str, data: RawDataset | None, store: Path, *, limit: int | None, repair: bool) -> None:
    """Verify a store and print the problems to stdout, a line each.

    Raises:
        DferError: there are any.
    """
    from dfer.cli.console import note
    from dfer.cli.progress import Progress
    from dfer.datasets import official_sizes
    from dfer.datasets.merge import spread_clips
    from dfer.store.check import check_store, remove_damaged

    clips = None if data is None else spread_clips(data.clips, limit)
    official = official_sizes(dataset) if data is None and limit is None else None
    with Progress("check", "clips") as progress:
        report = check_store(store, clips=clips, official=official, on_clip=progress.set)
    for problem in report.problems[:SHOWN_PROBLEMS]:
        typer.echo(problem)
    if len(report.problems) > SHOWN_PROBLEMS:
        typer.echo(f"... and {len(report.problems) - SHOWN_PROBLEMS} more problems")
    note(f"{report.num_clips:,} clips, {report.num_crops:,} crops, {len(report.problems)} problems in {store}")
    if not report.problems:
        return
    hint = None
    if report.damaged and not repair:
        hint = f"--check --repair deletes the {len(report.damaged)} damaged or unexpected files"
    elif report.damaged or report.lost:
        hint = f"dfer preprocess {dataset} RAW --out {store} recreates what is missing"
    if repair:
        remove_damaged(report)
        note(f"deleted {len(report.damaged)} damaged or unexpected files")
    raise DferError(f"{len(report.problems)} problems", where=store, hint=hint)
