"""The summary of a sweep: its tables in every form, and its plot."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest

from dfer.evaluation.predictions import FoldPredictions
from dfer.evaluation.sweep_results import CellResult, RunResult, SweepResult, compare_cells, scores_of
from dfer.reports.sweep import (
    draw_sweep,
    plan_view,
    runs_csv,
    sweep_csv,
    sweep_latex,
    sweep_markdown,
    sweep_tables,
    sweep_view,
)
from tests.results import printed, texts_of

LABELS = ["happy", "sad"]


def answers(right: int, clips: str = "c") -> FoldPredictions:
    """Forty clips of two classes, the first so many right."""
    truth = np.arange(40) % 2
    predicted = np.where(np.arange(40) < right, truth, 1 - truth)
    return FoldPredictions(LABELS, [f"{clips}{n}" for n in range(40)], truth, predicted)


def cell(
    name: str, *right: int, clips: str = "c", missing: int = 0, selection: str = "best on validation"
) -> CellResult:
    runs = [
        RunResult(
            seed,
            1,
            Path(f"runs/s/{name},seed{seed}"),
            "done",
            scores_of(given),
            60.0 * (seed + 1),
            selection,
            None,
            given,
        )
        for seed, given in enumerate(answers(count, clips) for count in right)
    ]
    runs += [RunResult(9, 1, Path("runs/s/x"), "failed", error="training diverged")] * missing
    return CellResult(name, {"loss.compact_weight": name}, {"compact_weight": name}, runs, 9_240_391, 10.18)


def result(*cells: CellResult) -> SweepResult:
    comparison, notes = compare_cells(cells, cells[0].name, resamples=500)
    return SweepResult("s", cells[0].name, cells, "a machine", comparison, notes)


@pytest.fixture
def three() -> SweepResult:
    return result(cell("0", 20, 24), cell("0.1", 36, 38), cell("0.5", 22, missing=1))


def test_means_and_deviations_are_over_all_runs(three: SweepResult) -> None:
    first = three.cells[0]
    assert first.mean("war") == pytest.approx(0.55)
    assert first.deviation("war") == pytest.approx(np.std([0.5, 0.6], ddof=1))
    assert first.seconds == pytest.approx(90)
    assert three.cells[2].deviation("war") is None
    assert not three.cells[2].is_complete
    figures, tests = sweep_tables(three)
    assert figures.heading == ["compact_weight", "runs", "WAR", "UAR", "time of a run", "params M", "GMACs"]
    assert figures.rows[0] == ["0", "2/2", "55.00 ± 7.07", "55.00 ± 7.07", "1 min 30 s", "9.24", "10.18"]
    assert figures.rows[2][:3] == ["0.5", "1/2", "55.00"]
    assert figures.best == {(1, 2), (1, 3)}
    assert [row[0] for row in tests.rows] == ["0.1"], "an incomplete cell is not tested"
    assert tests.rows[0][1].startswith("+37.50 [")
    assert tests.title == "Against 0"


def test_p_is_corrected_for_the_number_of_cells() -> None:
    one = result(cell("a", 20, 24), cell("b", 23, 27)).pairs["b"]
    more = result(cell("a", 20, 24), cell("b", 23, 27), cell("c", 21, 22), cell("d", 20, 25))
    assert more.pairs["b"].p["war"] == one.p["war"]
    assert one.p_holm["war"] == one.p["war"]
    smallest = min(pair.p["war"] for pair in more.pairs.values())
    assert min(pair.p_holm["war"] for pair in more.pairs.values()) == pytest.approx(min(1.0, 3 * smallest))


def test_the_baseline_need_not_be_the_first() -> None:
    cells = [cell("a", 20, 24), cell("b", 36, 38)]
    comparison, _ = compare_cells(cells, "b", resamples=200)
    assert comparison is not None
    (pair,) = comparison.pairs
    assert (pair.first, pair.second) == ("b", "a")
    assert pair.metrics["war"].value == pytest.approx(-0.375)


def test_other_test_clips_are_not_compared() -> None:
    other = result(cell("a", 20, 24), cell("b", 36, 38, clips="other"))
    assert other.pairs == {}
    assert other.notes == ["b has other test clips than a: not tested"]


def test_the_terminal_has_figures_tests_and_failures(three: SweepResult) -> None:
    text = printed(sweep_view(three))
    for part in ("55.00 ± 7.07", "Against 0", "Holm's method", "epoch of each run: best on validation"):
        assert part in text
    assert "failed: x fold 1: training diverged" in text
    assert "1 done, 1 failed" in printed(plan_view(three))


def test_markdown_and_latex_hold_the_same(three: SweepResult) -> None:
    markdown, latex = sweep_markdown(three), sweep_latex(three)
    assert "## s: 3 cells, 3 seeds, 1 fold, 5 of 6 runs done" in markdown
    assert "**92.50 ± 3.54**" in markdown
    assert markdown.endswith("![all runs](summary.png)\n")
    assert latex.count(r"\begin{tabular}") == 2
    assert r"\textbf{92.50 $\pm$ 3.54}" in latex
    assert r"\toprule" in latex


def test_a_choice_on_the_test_list_is_marked_everywhere() -> None:
    marked = result(cell("a", 20, 24, selection="best on test"), cell("b", 30, 31))
    for text in (printed(sweep_view(marked)), sweep_markdown(marked), texts_of(draw_sweep(marked))):
        assert "a†" in text
        assert "the epoch was chosen on the test fold" in text
    assert marked.to_dict()["cells"][0]["best_on_test"]


def test_tables_for_programs_have_a_row_per_cell_and_per_run(three: SweepResult) -> None:
    cells, runs = (list(csv.DictReader(io.StringIO(text))) for text in (sweep_csv(three), runs_csv(three)))
    assert [(row["cell"], row["runs"], row["done"]) for row in cells] == [
        ("0", "2", "2"),
        ("0.1", "2", "2"),
        ("0.5", "2", "1"),
    ]
    assert float(cells[1]["war"]) == pytest.approx(0.925)
    assert [row["war_p_holm"] != "" for row in cells] == [False, True, False]
    assert len(runs) == 6
    assert (runs[-1]["status"], runs[-1]["war"], runs[-1]["error"]) == ("failed", "", "training diverged")


def test_the_plot_shows_every_run_and_cell(three: SweepResult) -> None:
    figure = draw_sweep(three)
    assert [axes.get_title(loc="left") or axes.get_title() for axes in figure.axes] == ["WAR, %", "UAR, %"]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["0", "0.1", "0.5"]
    war = figure.axes[0]
    dots = [line.get_xdata() for line in war.get_lines() if line.get_alpha() is not None]
    assert [sorted(round(float(x), 6) for x in of) for of in dots] == [[50.0, 60.0], [90.0, 95.0], [55.0]]


def test_a_sweep_of_nothing_yet_is_drawn_too() -> None:
    empty = CellResult("a", {}, {"cell": "a"}, [RunResult(0, 1, Path("x"), "new")], 1, 0.1)
    nothing = SweepResult("s", "a", [empty], "a machine")
    assert "0/1" in printed(sweep_view(nothing))
    assert "a" in texts_of(draw_sweep(nothing))
    assert nothing.to_dict()["comparison"] is None
