"""Do what is left of a sweep, and keep its summary up to date."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

from dfer.errors import DferError
from dfer.evaluation.sweep_results import SweepResult
from dfer.reports.sweep import write_sweep_report
from dfer.sweep.engines import Engine, run_inline
from dfer.sweep.plan import SweepPlan, SweepRun
from dfer.sweep.results import Collector


def run_sweep(
    plan: SweepPlan,
    *,
    shard: tuple[int, int] = (1, 1),
    engine: Engine = run_inline,
    on_run: Callable[[SweepRun, DferError | None, SweepResult], None] = lambda *_: None,
) -> tuple[SweepResult, dict[SweepRun, DferError]]:
    """Train and test the runs that are not done, and write the summary into the sweep's folder after each.

    A run that fails does not keep the others from being done. Several processes may work on one sweep: a run that
    another one is training is left to it.

    Args:
        plan: of `plan_sweep`.
        shard: (i, n): every n-th run only, from the i-th on.
        engine: see `dfer.sweep.engines`.
        on_run: called with each run that has ended, why it failed if it did, and what is known then.

    Returns:
        The results, with tests against the baseline, and why runs failed.

    Raises:
        DferError: the summary cannot be written, or the engine itself failed.
        KeyboardInterrupt: Ctrl-C, after the state of running runs was saved.
    """
    collector = Collector(plan)
    todo = plan.shard(*shard)
    with closing(engine(todo)) as outcomes:
        for run, error in outcomes:
            if error is not None:
                collector.failures[run] = error
            result = collector.collect(tests=False)
            write_sweep_report(result, plan.sweep.out)
            on_run(run, error, result)
    result = collector.collect(tests=True)
    write_sweep_report(result, plan.sweep.out)
    return result, collector.failures
