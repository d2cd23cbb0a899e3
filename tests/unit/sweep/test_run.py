"""Sweeps from plan to summary: nothing is done twice, one failure stops nothing, changed settings are refused."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from dfer.errors import DferError, InUseError, UsageError
from dfer.evaluation.predictions import read_predictions
from dfer.runtime.locks import lock_file
from dfer.store import Store
from dfer.sweep import load_sweep, plan_sweep, run_sweep
from dfer.sweep import work as work_module
from dfer.sweep.engines import Outcomes, gpu_places, run_in_processes, run_inline, share_machine
from dfer.sweep.plan import SweepRun, run_status
from tests.integration.program import tree
from tests.stores import small_store
from tests.unit.sweep.conftest import planned

CELLS = ["compact_weight=0", "compact_weight=0.5"]
WITH_PATHS = ("summary.json", "runs.csv")


def nothing(runs: Sequence[SweepRun]) -> Outcomes:
    """An engine for a sweep that is done."""
    assert list(runs) == []
    yield from ()


def test_a_finished_sweep_has_ordinary_runs_and_a_summary(finished: Path) -> None:
    runs = [f"{cell},seed0" for cell in CELLS]
    reports = ["summary.json", "summary.csv", "summary.md", "summary.tex", "summary.png", "summary.pdf", "runs.csv"]
    assert sorted(path.name for path in finished.iterdir()) == sorted([*runs, *reports])
    summary = json.loads((finished / "summary.json").read_text())
    assert summary["schema"] == "dfer.sweep/1"
    for cell, run in zip(summary["cells"], runs, strict=True):
        answers = read_predictions(finished / run)
        assert list(answers) == [1, 2]
        wars = [float((of.truth == of.predicted).mean()) for of in answers.values()]
        assert [of["war"] for of in cell["runs"]] == pytest.approx(wars)
        assert cell["war"]["mean"] == pytest.approx(np.mean(wars))
        assert cell["war"]["standard_deviation"] == pytest.approx(np.std(wars, ddof=1))
        assert {of["status"] for of in cell["runs"]} == {"done"}
        assert {of["selection"] for of in cell["runs"]} == {"best on validation"}
        assert cell["seconds"] > 0
        assert cell["gmacs"] > 0
    (pair,) = summary["comparison"]["pairs"]
    assert (pair["first"], pair["second"]) == tuple(CELLS)
    assert pair["war"]["p_holm"] == pair["war"]["p"], "a single test needs no correction"
    rows = list(csv.DictReader((finished / "runs.csv").open()))
    assert [(row["loss.compact_weight"], row["fold"]) for row in rows] == [
        ("0", "1"),
        ("0", "2"),
        ("0.5", "1"),
        ("0.5", "2"),
    ]


def test_what_is_done_is_never_trained_again(recipe: Path, done: Path) -> None:
    for state in done.glob("*/*/state.pt"):
        state.unlink()  # as people do to save room
    before = tree(done, without=WITH_PATHS)
    plan = planned(recipe, done)
    assert set(plan.status.values()) == {"done"}
    result, failures = run_sweep(plan, engine=nothing)
    assert failures == {}
    assert all(cell.is_complete for cell in result.cells)
    assert tree(done, without=WITH_PATHS) == before


def test_a_run_that_was_only_trained_is_tested(recipe: Path, done: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (done / f"{CELLS[0]},seed0" / "fold2" / "predictions.json").unlink()
    plan = planned(recipe, done)
    assert sorted(plan.status.values()) == ["done", "done", "done", "trained"]
    before = tree(done, without=WITH_PATHS)
    monkeypatch.setattr(work_module, "train", lambda *_, **__: pytest.fail("trained again"))
    assert run_sweep(plan)[1] == {}
    after = tree(done, without=WITH_PATHS)
    assert {name: after[name] for name in before} == before
    assert (done / f"{CELLS[0]},seed0" / "fold2" / "predictions.json").exists()


def test_more_seeds_and_values_use_what_is_there(recipe: Path, done: Path) -> None:
    sweep = load_sweep(recipe, vary={"loss.compact_weight": [0, 0.1, 0.5]}, folds="all", seeds=[0, 1], out=done)
    plan = plan_sweep(sweep)
    assert len(plan.runs) == 12
    assert sum(status == "done" for status in plan.status.values()) == 4
    assert [run.seed for run in plan.runs] == [0] * 6 + [1] * 6, "each cell once before any is repeated"


def test_other_settings_are_refused_before_anything_is_done(recipe: Path, done: Path) -> None:
    before = tree(done)
    sweep = load_sweep(
        recipe, vary={"loss.compact_weight": [0, 0.5]}, folds="all", out=done, overrides=["optim.lr=0.1"]
    )
    with pytest.raises(UsageError, match=r"optim\.lr was 0\.003, is 0\.1.*; and 1 more runs") as caught:
        plan_sweep(sweep)
    assert "--out" in (caught.value.hint or "")
    assert tree(done) == before


def test_other_data_are_refused(recipe: Path, done: Path, flat: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(flat), "fingerprint", lambda _self: "another")
    with pytest.raises(UsageError, match="the data have changed since this run was begun"):
        planned(recipe, done)


def test_settings_that_decide_nothing_may_change(recipe: Path, done: Path) -> None:
    sweep = load_sweep(
        recipe, vary={"loss.compact_weight": [0, 0.5]}, folds="all", out=done, overrides=["train.save_minutes=1"]
    )
    assert set(plan_sweep(sweep).status.values()) == {"done"}


@pytest.mark.parametrize(
    ("vary", "folds", "message"),
    [
        ({"model.dim": [16, 18], "model.heads": [2, 4]}, [1], "must divide"),
        ({}, [3], "no fold 3 in this store"),
        ({"data.path": ["nowhere"]}, [1], "nowhere"),
    ],
)
def test_sizes_folds_and_stores_are_checked_first(
    recipe: Path, tmp_path: Path, vary: dict[str, list[object]], folds: list[int], message: str
) -> None:
    with pytest.raises(DferError, match=message):
        plan_sweep(load_sweep(recipe, vary=vary, folds=folds, out=tmp_path / "s"))
    assert not (tmp_path / "s").exists()


def test_a_folder_that_cannot_take_the_sweep_is_refused(recipe: Path, flat: Store, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="written into the store"):
        plan_sweep(load_sweep(recipe, out=flat.root / "sweep"))
    (tmp_path / "s" / "summary.md").mkdir(parents=True)
    with pytest.raises(DferError, match="not a regular file"):
        plan_sweep(load_sweep(recipe, out=tmp_path / "s"))


def test_cells_of_several_stores_need_one_to_test_on(recipe: Path, flat: Store, tmp_path: Path) -> None:
    second = small_store(tmp_path / "second", clips_per_class=6, num_frames=6)
    overrides = [f"data.path=[{flat.root}, {second.root}]", "train.epochs=1"]
    with pytest.raises(UsageError, match="trained on several stores") as caught:
        plan_sweep(load_sweep(recipe, overrides=overrides, out=tmp_path / "s"))
    assert f"--data {flat.root}" in (caught.value.hint or "")
    for status in ("new", "done"):
        plan = plan_sweep(load_sweep(recipe, overrides=overrides, out=tmp_path / "s", data=second.root))
        assert list(plan.status.values()) == [status]
        result, failures = run_sweep(plan)
        assert failures == {}
        assert result.cells[0].is_complete
    assert (tmp_path / "s" / "base,seed0" / "eval" / "second" / "fold1" / "predictions.csv").exists()


def test_a_run_whose_files_are_damaged_is_shown_as_such(recipe: Path, done: Path) -> None:
    (done / f"{CELLS[1]},seed0" / "fold1" / "metrics.jsonl").write_text("no json\n")
    result, failures = run_sweep(planned(recipe, done), engine=nothing)
    assert failures == {}
    assert [run.status for run in result.cells[1].runs] == ["damaged", "done"]
    assert "metrics.jsonl" in str(result.cells[1].runs[0].error)


def failing(run: SweepRun, **_options: object) -> None:
    if run.cell == CELLS[0]:
        raise ValueError("a bug\nwith details") if run.fold == 1 else DferError("training diverged", hint="lower it")


def test_a_run_that_fails_does_not_stop_the_others(recipe: Path, done: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for fold in (1, 2):
        (done / f"{CELLS[0]},seed0" / f"fold{fold}" / "predictions.json").unlink()
    (done / f"{CELLS[1]},seed0" / "fold1" / "predictions.json").unlink()
    monkeypatch.setattr("dfer.sweep.engines.train_and_test", failing)
    ended: list[tuple[str, str]] = []
    result, failures = run_sweep(
        planned(recipe, done), on_run=lambda run, error, _result: ended.append((str(run), str(error)))
    )
    assert [text for _, text in ended[1:]] == ["training diverged", "None"]
    assert ended[0][1].startswith("unexpected ValueError: a bug (")
    assert len(failures) == 2
    assert [run.status for run in result.cells[0].runs] == ["failed", "failed"]
    assert result.comparison is None
    assert result.notes == [f"no tests yet: {CELLS[0]} is not complete"]
    assert "training diverged" in (done / "summary.md").read_text()


def test_a_run_that_another_process_trains_is_left_to_it(recipe: Path, done: Path) -> None:
    run = next(run for run in planned(recipe, done).runs if run.fold == 2)
    (run.folder / "run.json").unlink()
    plan = planned(recipe, done)
    assert plan.status[run] == "begun"
    with lock_file(run.run / ".fold2.lock"):
        result, failures = run_sweep(plan)
    assert isinstance(failures[run], InUseError)
    assert [of.status for of in result.cells[0].runs] == ["done", "in use"]
    assert run_sweep(planned(recipe, done))[1] == {}
    assert run_status(run) == "done"


def test_shards_are_disjoint_and_leave_the_same_summary(recipe: Path, finished: Path, tmp_path: Path) -> None:
    plan = planned(recipe, tmp_path / "new")
    shards = [plan.shard(number, 3) for number in (1, 2, 3)]
    assert sorted(str(run) for shard in shards for run in shard) == sorted(map(str, plan.runs))
    assert [len(shard) for shard in shards] == [2, 1, 1]
    for number in (2, 3, 1):
        result, failures = run_sweep(planned(recipe, tmp_path / "new"), shard=(number, 3))
        assert failures == {}
        assert (result.comparison is not None) == (number == 1)
    # All but times, and figures on them, is as in one go.
    names = [f"{cell},seed0/fold{fold}/predictions.csv" for cell in CELLS for fold in (1, 2)]
    ours, theirs = tree(tmp_path / "new"), tree(finished)
    assert {name: ours[name] for name in names} == {name: theirs[name] for name in names}


def test_processes_do_the_same(recipe: Path, finished: Path, tmp_path: Path) -> None:
    engine = partial(run_in_processes, workers=2, device="cpu")
    _, failures = run_sweep(planned(recipe, tmp_path / "new"), engine=engine)
    assert failures == {}
    for cell in CELLS:
        ours, theirs = (read_predictions(out / f"{cell},seed0") for out in (tmp_path / "new", finished))
        for fold in (1, 2):
            np.testing.assert_allclose(ours[fold].probabilities, theirs[fold].probabilities, atol=1e-4)


def test_runs_at_the_same_time_share_the_machine(recipe: Path, tmp_path: Path) -> None:
    run = planned(recipe, tmp_path).runs[0]
    alone, shared = share_machine(run, 1, 8, shares_gpu=False), share_machine(run, 4, 2, shares_gpu=True)
    assert (alone.recipe["train"]["workers"], alone.recipe["train"]["memory_gb"]) == (8, 0)
    assert (shared.recipe["train"]["workers"], shared.recipe["train"]["feed"]) == (2, "memory")
    assert shared.recipe["train"]["memory_gb"] > 0
    assert shared == run, "it is still the same run"
    own = run.recipe | {"train": run.recipe["train"] | {"workers": 3, "memory_gb": 1.5, "feed": "stream"}}
    chosen = share_machine(SweepRun(run.cell, 0, 1, run.run, own), 4, 2, shares_gpu=True).recipe["train"]
    assert (chosen["workers"], chosen["memory_gb"], chosen["feed"]) == (3, 1.5, "stream")


@pytest.mark.parametrize(("share", "places"), [(1.0, ["0", "1"]), (0.5, ["0", "1", "0", "1"]), (0.3, ["0", "1"] * 3)])
def test_gpus_are_taken_in_turn(share: float, places: list[str]) -> None:
    assert gpu_places(["0", "1"], share) == places


def test_a_process_that_dies_is_the_failure_of_its_run(
    recipe: Path, done: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (done / f"{CELLS[0]},seed0" / "fold1" / "predictions.json").unlink()
    monkeypatch.setattr("dfer.sweep.engines.work_or_leave", dying)
    ((run, error),) = run_in_processes(planned(recipe, done).shard(1, 1), workers=1, device="cpu")
    assert run.fold == 1
    assert "its process died (exit code 7)" in str(error)
    assert "run fewer at a time" in str(error and error.hint)


def dying(_run: SweepRun, *, device: str) -> None:
    """Die in place of the work."""
    raise SystemExit(7)


def test_the_default_engine_reports_what_begins(recipe: Path, done: Path) -> None:
    (done / f"{CELLS[0]},seed0" / "fold1" / "predictions.json").unlink()
    begun: list[SweepRun] = []
    plan = planned(recipe, done)
    assert list(run_inline(plan.shard(1, 1), device="cpu", on_start=begun.append)) == [(begun[0], None)]
    assert len(begun) == 1
