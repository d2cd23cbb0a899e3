"""The results of a sweep, read from the folders of its runs: also of those that other processes have done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dfer.errors import DferError, InUseError
from dfer.evaluation.predictions import read_predictions
from dfer.evaluation.sweep_results import CellResult, RunResult, SweepResult, compare_cells, scores_of
from dfer.run_records import read_metrics
from dfer.runtime.device import describe_machine
from dfer.sweep.definition import cell_columns
from dfer.sweep.plan import SweepPlan, SweepRun, answers_folder, run_status


@dataclass
class Collector:
    """Collects the results of a plan's runs; each is read once, when it is done.

    Attributes:
        plan: the runs.
        failures: why runs failed in this process.
    """

    plan: SweepPlan
    failures: dict[SweepRun, DferError] = field(default_factory=dict)
    _known: dict[SweepRun, RunResult] = field(default_factory=dict)

    def collect(self, *, tests: bool) -> SweepResult:
        """Return what is known now; the tests take seconds where there are thousands of clips."""
        sweep = self.plan.sweep
        by_cell: dict[str, list[RunResult]] = {cell.name: [] for cell in sweep.cells}
        for run in self.plan.runs:
            by_cell[run.cell].append(self.result(run))
        cells = [
            CellResult(cell.name, cell.settings, columns, by_cell[cell.name], **vars(self.plan.costs[cell.name]))
            for cell, columns in zip(sweep.cells, cell_columns(sweep.cells), strict=True)
        ]
        comparison, notes = compare_cells(cells, sweep.baseline) if tests else (None, [])
        return SweepResult(sweep.name, sweep.baseline, cells, describe_machine(), comparison, notes)

    def result(self, run: SweepRun) -> RunResult:
        """Return what is known of a run now."""
        known = self._known.get(run)
        if known is None:
            known = _read_result(run, self.failures)
            if known.answers is not None:
                self._known[run] = known
        return known


def _read_result(run: SweepRun, failures: Mapping[SweepRun, DferError]) -> RunResult:
    status, failure = run_status(run), failures.get(run)
    if status != "done":
        if failure is not None:
            status_text = "in use" if isinstance(failure, InUseError) else "failed"
            return RunResult(run.seed, run.fold, run.run, status_text, error=str(failure))
        return RunResult(run.seed, run.fold, run.run, status)
    try:
        (answers,) = read_predictions(answers_folder(run)).values()
        seconds = [record["epoch_s"] for record in read_metrics(run.folder) if "epoch_s" in record]
    except DferError as error:
        return RunResult(run.seed, run.fold, run.run, "damaged", error=str(error))
    return RunResult(
        run.seed,
        run.fold,
        run.run,
        status,
        scores=scores_of(answers),
        seconds=sum(seconds) if seconds else None,
        selection=answers.record.get("selection"),
        answers=answers,
    )
