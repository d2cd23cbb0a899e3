"""The tables of an evaluation and the folder of its report."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dfer.evaluation.results import FoldEvaluation, PriorCounts
from dfer.labels import DFEW_LABELS, MAFW_LABELS
from dfer.records import BEST_ON_TEST_NOTE
from dfer.reports.evaluation import (
    evaluation_cells,
    evaluation_latex,
    evaluation_markdown,
    evaluation_remarks,
    evaluation_table,
    evaluation_title,
    write_evaluation_report,
)
from dfer.runtime.formatting import percent
from tests.results import NOTICE, evaluated, printed


def test_evaluation_table_has_all_figures() -> None:
    evaluation = evaluated()
    lines = printed(evaluation_table(evaluation, width=160)).splitlines()
    fold = evaluation.folds[2]
    row = next(line for line in lines if line.startswith("3")).split()
    recalls = [percent(value) for value in fold.recalls]
    assert row == ["3", percent(fold.war), percent(fold.uar), *recalls, "0.430", f"{fold.num_clips:,}", "0"]
    mean = next(line for line in lines if line.startswith("mean")).split()
    assert mean[1:3] == [percent(evaluation.mean_war), percent(evaluation.mean_uar)]
    assert mean[3] == percent(float(np.mean([fold.recalls[0] for fold in evaluation.folds])))
    pooled = next(line for line in lines if line.startswith("pooled")).split()
    confusion = np.sum([fold.confusion for fold in evaluation.folds], axis=0)
    assert pooled[3] == percent(confusion[0, 0] / confusion[0].sum())
    assert pooled[-3:] == ["–", mean[-2], "0"]


@pytest.mark.parametrize("labels", [DFEW_LABELS, MAFW_LABELS], ids=["7 classes", "11 classes"])
@pytest.mark.parametrize("width", [80, 120, 200])
def test_evaluation_table_fits_the_terminal_uncut(labels: tuple[str, ...], width: int) -> None:
    evaluation = evaluated(labels, unreadable=3)
    text = printed(evaluation_table(evaluation, width=width), width)
    assert "…" not in text
    for fold in evaluation.folds:
        assert all(percent(value) in text for value in fold.recalls)


def test_one_fold_has_no_summaries() -> None:
    evaluation = evaluated(folds=1)
    assert list(evaluation_cells(evaluation).index) == ["1"]
    assert evaluation_title(evaluation) == "dfew, fold 1"


def test_other_priors_have_rows_of_their_own() -> None:
    evaluation = evaluated(folds=2)
    fields = ("confusion", "unreadable", "prior", "ece")

    def other(fold: FoldEvaluation, name: str) -> PriorCounts:
        values = {field: getattr(fold, field) for field in fields}
        return PriorCounts(**{**values, "prior": name, "confusion": fold.confusion[::-1]})

    folds = [replace(fold, prior="default", others=[other(fold, "balanced")]) for fold in evaluation.folds]
    folds[0].others.append(other(folds[0], "training"))  # not of the other fold
    changed = replace(evaluation, folds=folds)
    cells = evaluation_cells(changed)
    assert list(cells.index) == ["1", "2", "mean", "pooled", "balanced prior"]
    wars = [fold.others[0].war for fold in folds]
    assert cells.loc["balanced prior", "WAR"] == percent(float(np.mean(wars)))
    assert cells.loc["balanced prior", "clips"] == cells.loc["mean", "clips"]
    assert "answers under the default prior; other priors in rows of their own" in evaluation_remarks(changed)
    assert not any("prior" in remark for remark in evaluation_remarks(evaluation))
    assert "balanced prior" in printed(evaluation_table(changed, width=160))


def test_folds_are_in_order_of_their_number() -> None:
    evaluation = evaluated(folds=10)
    evaluation.folds.sort(key=lambda fold: str(fold.fold))
    assert list(evaluation_cells(evaluation).index[:-2]) == [str(fold) for fold in range(1, 11)]


@pytest.mark.parametrize("render", [lambda e: printed(evaluation_table(e)), evaluation_markdown, evaluation_latex])
def test_selection_on_the_test_fold_is_marked_once(render: Any) -> None:
    evaluation = evaluated(folds=2)
    evaluation.folds[1] = replace(evaluation.folds[1], selection="best on test")
    evaluation.notes.append(BEST_ON_TEST_NOTE)
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


def test_unreadable_clips_are_reported_and_count_as_wrong() -> None:
    evaluation = evaluated(folds=2, unreadable=3)
    readable = float(np.mean([np.trace(fold.confusion) / fold.confusion.sum() for fold in evaluation.folds]))
    assert any("6 clips" in text and f"WAR {percent(readable)}" in text for text in evaluation_remarks(evaluation))
    cells = evaluation_cells(evaluation)
    assert list(cells["unreadable"]) == ["3", "3", "6", "6"]
    confusion = evaluation.folds[0].confusion + evaluation.folds[1].confusion
    assert cells.loc["pooled", "happy"] == percent(confusion[0, 0] / (confusion[0].sum() + 6))


def test_class_without_clips_has_a_dash() -> None:
    evaluation = evaluated(folds=1)
    evaluation.folds[0].confusion[6] = 0
    assert list(evaluation_cells(evaluation)["fear"]) == ["–"]


def test_classes_may_be_called_like_a_column() -> None:
    cells = evaluation_cells(evaluated(labels=("clips", "WAR", "fear"), folds=2))
    assert list(cells.columns) == ["WAR", "UAR", "clips", "WAR", "fear", "intra/inter", "clips", "unreadable"]
    assert cells.shape == (4, 8)


def test_markdown_table_is_well_formed() -> None:
    rows = [line for line in evaluation_markdown(evaluated()).splitlines() if line.startswith("|")]
    assert len(rows) == 2 + 5 + 2
    assert {row.count("|") for row in rows} == {14}


def test_latex_is_booktabs_and_escaped() -> None:
    text = evaluation_latex(replace(evaluated(), dataset="my_set & 100%"))
    assert r"my\_set \& 100\%" in text
    assert all(rule in text for rule in (r"\toprule", r"\midrule", r"\bottomrule", r"\label{tab:my-set---100-}"))
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert {line.count("&") for line in rows} == {12}
    assert text.count(r"\midrule") == 2
    assert evaluation_latex(evaluated(folds=1)).count(r"\midrule") == 1


def test_evaluation_report_folder(tmp_path: Path) -> None:
    write_evaluation_report(evaluated(folds=2), tmp_path / "report")
    names = {path.name for path in (tmp_path / "report").iterdir()}
    stems = {"confusion_all_folds", "confusion_fold_1", "confusion_fold_2"}
    assert names == {"README.md", "table.tex", *(f"{stem}{suffix}" for stem in stems for suffix in (".png", ".pdf"))}
    readme = (tmp_path / "report" / "README.md").read_text(encoding="utf-8")
    assert all(f"({stem}.png)" in readme for stem in stems)
    assert NOTICE in readme
