"""`dfer sweep`."""

from __future__ import annotations

import os
from contextlib import ExitStack
from enum import Enum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dfer.cli.options import COMPUTE, OUTPUT, WHICH, DeviceKind, DeviceOption, parse_folds, parse_shard
from dfer.errors import DferError, InUseError, UsageError

if TYPE_CHECKING:
    from dfer.cli.progress import Progress
    from dfer.evaluation.sweep_results import SweepResult
    from dfer.sweep import SweepPlan
    from dfer.sweep.engines import Engine
    from dfer.sweep.plan import SweepRun
    from dfer.training import TrainingObserver

EXAMPLES = (
    "Examples: [bold]dfer sweep recipes/dfew.yaml --vary loss.compact_weight=0,0.1,0.5 --vary "
    "model.attention=local,global --seeds 3 --folds all[/bold]\n\n"
    "[bold]dfer sweep recipes/ablations.yaml --dry-run[/bold] lists the cells of a sweep file."
)


class SweepEngineKind(str, Enum):
    """Engines of a sweep."""

    inline = "inline"
    process = "process"
    ray = "ray"


def sweep(
    recipe: Annotated[
        Path, typer.Argument(metavar="RECIPE", help="A recipe or a sweep file, or the name of a shipped one.")
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY=VALUE", help="Overrides of the recipe, in all cells.", show_default=False),
    ] = None,
    vary: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=A,B,...",
            help="A key and its values, in YAML; of several, every combination is a cell.",
            show_default=False,
            rich_help_panel=WHICH,
        ),
    ] = None,
    seeds: Annotated[
        str | None,
        typer.Option(
            metavar="N|A,B,...",
            help="Number of seeds, from 0 up, or a list of them.",
            show_default="the recipe's",
            rich_help_panel=WHICH,
        ),
    ] = None,
    folds: Annotated[
        str | None,
        typer.Option(
            "--folds",
            "--fold",
            metavar="N|all",
            help="Fold to train and test on; a list such as 1,4 is possible.",
            show_default="1",
            rich_help_panel=WHICH,
        ),
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option(
            metavar="CELL",
            help="The cell that the others are tested against.",
            show_default="the first",
            rich_help_panel=WHICH,
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything and list the cells; train nothing.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the sweep.", show_default="runs/NAME", rich_help_panel=OUTPUT)
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="The store to test on.", show_default="the one trained on", rich_help_panel=WHICH),
    ] = None,
    json: Annotated[
        str | None, typer.Option(metavar="FILE|-", help="The results as JSON; - is stdout.", rich_help_panel=OUTPUT)
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(metavar="I/N", help="Do every N-th run only, for job arrays.", rich_help_panel=COMPUTE),
    ] = None,
    engine: Annotated[
        SweepEngineKind,
        typer.Option(
            help="[bold]inline[/bold]: one run after another; [bold]process[/bold]: several at a time on this "
            "machine; [bold]ray[/bold]: on a running Ray cluster, on this machine or at $RAY_ADDRESS.",
            rich_help_panel=COMPUTE,
        ),
    ] = SweepEngineKind.inline,
    workers: Annotated[
        int,
        typer.Option(
            min=0,
            help="Runs at a time, of process and ray; 0: as many as there is room for.",
            rich_help_panel=COMPUTE,
        ),
    ] = 0,
    gpus_per_run: Annotated[
        float | None,
        typer.Option(
            max=1,
            metavar="SHARE",
            help="Share of a GPU for each run, such as 0.5; of process and ray.",
            show_default="a whole one, if there is any",
            rich_help_panel=COMPUTE,
        ),
    ] = None,
    cores_per_run: Annotated[
        int,
        typer.Option(
            min=0,
            help="Cores for each run, of process and ray; 0: a fair share, in ray one.",
            rich_help_panel=COMPUTE,
        ),
    ] = 0,
    device: DeviceOption = DeviceKind.auto,
) -> None:
    """Train and test a grid of settings, seeds and folds, with a summary and tests against the first cell.

    Each run has a folder of its own, OUT/CELL,seedN/foldK, for `dfer eval`, `compare` and `predict`. Runs that are done
    are never trained again, interrupted ones continue, and one that fails does not stop the others. The summary is
    in OUT: tables, CSV, JSON and a plot, up to date after each run.
    """
    from dfer.cli.console import note
    from dfer.cli.outputs import check_outputs, give_result, json_output
    from dfer.reports.sweep import plan_view, sweep_title, sweep_view
    from dfer.sweep import load_sweep, plan_sweep, run_sweep
    from dfer.sweep.results import Collector
    from dfer.sweep.sweep_file import parse_seeds, parse_vary

    part, json_to = parse_shard(shard), json_output(json)
    chosen = None if folds is None else parse_folds(folds, "1") or "all"
    _check_engine(engine, workers=workers, gpus_per_run=gpus_per_run, cores_per_run=cores_per_run)
    loaded = load_sweep(
        recipe,
        vary=parse_vary(vary or []),
        overrides=overrides or [],
        seeds=parse_seeds(seeds),
        folds=chosen,
        baseline=baseline,
        out=out,
        data=data,
    )
    check_outputs(
        json_to, inputs=[loaded.source, *(path for cell in loaded.cells for path in cell.recipe.data.folders)]
    )
    plan = plan_sweep(loaded)
    if dry_run:
        found = Collector(plan).collect(tests=False)
        give_result(json_to, found.to_dict(), lambda: plan_view(found))
        note(f"{_counts(plan)} -> {loaded.out}")
        return
    note(f"{loaded.name}: {_counts(plan)} -> {loaded.out}")
    try:
        with _Display(len(plan.shard(*part))) as display:
            result, failures = run_sweep(
                plan,
                shard=part,
                engine=_build_engine(display, engine, device.value, workers, gpus_per_run, cores_per_run),
                on_run=display.end,
            )
    except KeyboardInterrupt:
        note(f"{display.done:,} of {display.total:,} runs are done, the state of running ones is saved")
        raise
    note(sweep_title(result))
    give_result(json_to, result.to_dict(), lambda: sweep_view(result))
    note(f"summary: {loaded.out / 'summary.md'}, .csv, .json, .tex, .png and .pdf; each run: {loaded.out / 'runs.csv'}")
    _report_failures(failures, loaded.out)


def _check_engine(kind: SweepEngineKind, **settings: float | None) -> None:
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        hint = "share the runs instead: --engine process, or --shard I/N in each job"
        raise UsageError("torchrun trains one run on several GPUs, not a sweep", where="dfer sweep", hint=hint)
    for name, value in settings.items():
        option = f"--{name.replace('_', '-')}"
        if value is not None and name == "gpus_per_run" and value < 0.01:
            raise UsageError("a run needs at least 0.01 of a GPU", where=option, hint="--device cpu uses none")
        if value and kind is SweepEngineKind.inline:
            raise UsageError(f"{option} has no effect on runs one after another", hint="add --engine process or ray")


def _counts(plan: SweepPlan) -> str:
    from dfer.runtime.formatting import pluralize

    counts = [f"{list(plan.status.values()).count(name):,} {name}" for name in dict.fromkeys(plan.status.values())]
    runs, cells = pluralize(len(plan.runs), "run"), pluralize(len(plan.sweep.cells), "cell")
    return f"{runs} of {cells} ({', '.join(counts)})"


def _build_engine(
    display: _Display, kind: SweepEngineKind, device: str, workers: int, gpus_per_run: float | None, cores_per_run: int
) -> Engine:
    from dfer.sweep.engines import run_in_processes, run_inline
    from dfer.sweep.on_ray import ray_engine

    if kind is SweepEngineKind.inline:
        return partial(run_inline, device=device, observer=display.screen(), on_start=display.begin)
    shared: dict[str, Any] = {"workers": workers, "device": device, "cores_per_run": cores_per_run}
    display.count_runs()
    if kind is SweepEngineKind.ray:
        return ray_engine(**shared, gpus_per_run=gpus_per_run)
    return partial(run_in_processes, **shared, gpus_per_run=gpus_per_run or 1.0)


class _Display:
    """Shows which run is in training, and how each ended.

    Args:
        total: runs to do.

    Attributes:
        done: runs that have ended well.
    """

    def __init__(self, total: int) -> None:
        self.total, self.done = total, 0
        self._ended, self._failed = 0, 0
        self._progress: Progress | None = None
        self._stack = ExitStack()

    def __enter__(self) -> _Display:
        self._stack.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)

    def screen(self) -> TrainingObserver:
        """Return the live view of training in this process."""
        from dfer.cli.live import TrainingScreen

        return self._stack.enter_context(TrainingScreen())

    def count_runs(self) -> None:
        """Show a bar of runs: they are trained elsewhere."""
        from dfer.cli.progress import Progress

        self._progress = self._stack.enter_context(Progress("sweep", "runs"))
        self._progress.set(0, self.total)

    def begin(self, run: SweepRun) -> None:
        """Say which run begins."""
        from dfer.cli.console import note

        note(f"run {self._ended + 1:,} of {self.total:,}: {run}")

    def end(self, run: SweepRun, error: DferError | None, result: SweepResult) -> None:
        """Say how a run ended."""
        from dfer.cli.console import note, warn
        from dfer.runtime.formatting import percent

        self._ended += 1
        if error is None:
            self.done += 1
            scores = next(of for of in result.runs if (of.path, of.fold) == (run.run, run.fold)).scores
            note(f"{run}: WAR {percent(scores.get('war'))}, UAR {percent(scores.get('uar'))}")
        elif isinstance(error, InUseError):
            note(f"{run}: {error.what}")
        else:
            self._failed += 1
            warn(f"{run} failed: {error}" + (f"; {error.hint}" if error.hint else ""))
        if self._progress is not None:
            self._progress.set(self._ended, self.total, f"{self._failed:,} failed" if self._failed else "")


def _report_failures(failures: dict[SweepRun, DferError], out: Path) -> None:
    """Say what another process is doing, and raise the error of runs that failed.

    Raises:
        DferError: there are any.
    """
    from dfer.cli.console import note
    from dfer.runtime.formatting import pluralize

    failed = [run for run, error in failures.items() if not isinstance(error, InUseError)]
    if others := len(failures) - len(failed):
        note(f"another process is training {pluralize(others, 'run')}; the same command then completes the summary")
    if failed:
        raise DferError(
            f"{pluralize(len(failed), 'run')} failed, such as {failed[0]}",
            where=out,
            hint="the same command tries them again; the others are kept",
        )
