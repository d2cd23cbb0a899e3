"""The tables of an evaluation and the folder of its report."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dfer.labels import DFEW_LABELS, MAFW_LABELS
from dfer.records import BEST_ON_TEST_NOTE
from dfer.reports.evaluation import evaluation_latex, evaluation_markdown, evaluation_table, write_evaluation_report
from dfer.reports.grid import evaluation_grid
from dfer.runtime.formatting import percent
from tests.results import (
    NOTICE,
    evaluated,
    printed,
)


def test_evaluation_table_has_all_figures() -> None:
    evaluation = evaluated()
    lines = printed(evaluation_table(evaluation, width=160)).splitlines()
    result = evaluation["folds"]["3"]
    row = next(line for line in lines if line.startswith("3")).split()
    recalls = [percent(value) for value in result["per_class_recall"].values()]
    expected = [percent(result["war"]), percent(result["uar"]), *recalls, "0.430", f"{result['num_clips']:,}", "0"]
    assert row == ["3", *expected]
    mean = next(line for line in lines if line.startswith("mean")).split()
    assert mean[1:3] == [percent(evaluation["mean"]["war"]), percent(evaluation["mean"]["uar"])]
    pooled = next(line for line in lines if line.startswith("pooled")).split()
    confusion = np.sum([fold["confusion"] for fold in evaluation["folds"].values()], axis=0)
    assert pooled[3] == percent(confusion[0, 0] / confusion[0].sum())


@pytest.mark.parametrize("labels", [DFEW_LABELS, MAFW_LABELS], ids=["7 classes", "11 classes"])
@pytest.mark.parametrize("width", [80, 120, 200])
def test_evaluation_table_fits_the_terminal_uncut(labels: tuple[str, ...], width: int) -> None:
    evaluation = evaluated(labels, unreadable=3)
    text = printed(evaluation_table(evaluation, width=width), width)
    assert "…" not in text
    for fold in evaluation["folds"].values():
        assert all(percent(value) in text for value in fold["per_class_recall"].values())


def test_one_fold_has_no_summaries() -> None:
    grid = evaluation_grid(evaluated(folds=1))
    assert [row.name for row in grid.rows] == ["1"]
    assert grid.title == "dfew, fold 1"


def test_folds_are_in_order_of_their_number() -> None:
    evaluation = evaluated(folds=10)
    evaluation["folds"] = dict(sorted(evaluation["folds"].items()))
    assert [row.name for row in evaluation_grid(evaluation).folds] == [str(fold) for fold in range(1, 11)]


@pytest.mark.parametrize("render", [lambda e: printed(evaluation_table(e)), evaluation_markdown, evaluation_latex])
def test_selection_on_the_test_fold_is_marked_once(render: Any) -> None:
    evaluation = evaluated(folds=2)
    evaluation["folds"]["2"]["selection"] = "best on test"
    evaluation["notes"].append(BEST_ON_TEST_NOTE)
    text = render(evaluation)
    dagger = r"$^\dagger$" if "tabular" in text else "†"
    assert f"2{dagger}" in text
    assert f"1{dagger}" not in text
    assert f"mean{dagger}" in text
    assert text.count(BEST_ON_TEST_NOTE) == 1
    assert dagger not in render(evaluated(folds=2))


@pytest.mark.parametrize("render", [lambda e: printed(evaluation_table(e)), evaluation_markdown, evaluation_latex])
def test_every_table_says_drawings_only(render: Any) -> None:
    assert NOTICE.lower() in render(evaluated()).lower()


def test_unreadable_clips_are_told() -> None:
    evaluation = evaluated(folds=2, unreadable=3)
    grid = evaluation_grid(evaluation)
    readable = np.mean([fold["war_readable"] for fold in evaluation["folds"].values()])
    assert any("6 clips" in remark and f"WAR {percent(readable)}" in remark for remark in grid.remarks)
    assert [row.cells[-1] for row in grid.rows] == ["3", "3", "6", "6"]
    # Which classes the unreadable clips have is not in the file, so pooled recalls are not claimed.
    assert set(grid.summaries[1].cells[2:-2]) == {"–"}


def test_class_without_clips_has_a_dash() -> None:
    evaluation = evaluated(folds=1)
    evaluation["folds"]["1"]["per_class_recall"]["fear"] = None
    assert evaluation_grid(evaluation).rows[0].cells[8] == "–"


def test_evaluation_as_the_contract_has_it_is_enough() -> None:
    evaluation = copy.deepcopy(evaluated(folds=2))
    for key in ("labels", "notes"):
        del evaluation[key]
    for fold in evaluation["folds"].values():
        for key in ("war_readable", "uar_readable", "num_unreadable", "selection"):
            del fold[key]
    assert evaluation_grid(evaluation).columns[2:9] == list(DFEW_LABELS)
    assert "WAR" in printed(evaluation_table(evaluation))


def test_markdown_table_is_well_formed() -> None:
    rows = [line for line in evaluation_markdown(evaluated()).splitlines() if line.startswith("|")]
    assert len(rows) == 2 + 5 + 2
    assert {row.count("|") for row in rows} == {14}


def test_latex_is_booktabs_and_escaped() -> None:
    evaluation = evaluated()
    evaluation["dataset"] = "my_set & 100%"
    text = evaluation_latex(evaluation)
    assert r"my\_set \& 100\%" in text
    assert all(rule in text for rule in (r"\toprule", r"\midrule", r"\bottomrule", r"\label{tab:my-set---100-}"))
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert {line.count("&") for line in rows} == {12}


def test_evaluation_report_folder(tmp_path: Path) -> None:
    write_evaluation_report(evaluated(folds=2), tmp_path / "report")
    names = {path.name for path in (tmp_path / "report").iterdir()}
    stems = {"confusion_all_folds", "confusion_fold_1", "confusion_fold_2"}
    assert names == {"README.md", "table.tex", *(f"{stem}{suffix}" for stem in stems for suffix in (".png", ".pdf"))}
    readme = (tmp_path / "report" / "README.md").read_text(encoding="utf-8")
    assert all(f"({stem}.png)" in readme for stem in stems)
    assert NOTICE in readme
