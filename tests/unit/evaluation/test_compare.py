"""Comparisons: which figures they give, what is grouped, and what is refused."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

from dfer.errors import DataError, UsageError
from dfer.evaluation.compare import compare
from dfer.evaluation.compared_runs import read_runs
from dfer.evaluation.comparison import Comparison
from dfer.evaluation.metrics import confusion_matrix, per_class_recall, uar, war
from tests.answers import LABELS, write_run


def compared(*runs: object, common: bool = False, resamples: int = 400) -> Comparison:
    return compare(read_runs([str(run) for run in runs]), common=common, resamples=resamples)


def tables_of(run: Path) -> list[pd.DataFrame]:
    return [pd.read_csv(path, keep_default_na=False) for path in sorted(run.glob("fold*/predictions.csv"))]


def figures_of(table: pd.DataFrame) -> list[float]:
    place = {name: number for number, name in enumerate(LABELS)}
    read = table[table["predicted"] != ""]
    confusion = confusion_matrix(read["label"].map(place), read["predicted"].map(place), 3)
    lost = np.bincount(table.loc[table["predicted"] == "", "label"].map(place), minlength=3)
    return [war(confusion, lost), uar(confusion, lost), *per_class_recall(confusion, lost)]


def test_figures_are_means_over_folds_recomputed_from_the_tables(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / "a", unread=4), write_run(tmp_path / "b", right=(0.9, 0.3, 0.5), seed=1)]
    result = compared(*runs)
    assert (result.labels, result.folds, result.num_clips, result.num_units) == (LABELS, [1, 2], 120, 120)
    expected = [np.mean([figures_of(table) for table in tables_of(run)], axis=0) for run in runs]
    for method, values in zip(result.methods, expected, strict=True):
        found = [method.metrics["war"], method.metrics["uar"], *method.recalls]
        assert [value.value for value in found] == pytest.approx(values)
        assert all(value.low < value.value < value.high for value in found)
    (pair,) = result.pairs
    change = [pair.metrics["war"], pair.metrics["uar"], *pair.recalls]
    assert [value.value for value in change] == pytest.approx(expected[1] - expected[0])
    first, second = (pd.concat(tables_of(run)) for run in runs)
    right = [(table["label"] == table["predicted"]).to_numpy() for table in (first, second)]
    only = [int((right[0] & ~right[1]).sum()), int((~right[0] & right[1]).sum())]
    (test,) = pair.mcnemar
    assert [test.only_first, test.only_second] == only
    assert test.p == pytest.approx(binomtest(only[0], sum(only)).pvalue)
    assert pair.mcnemar_holm == [test.p], "one test needs no correction"


def test_the_intervals_are_over_people_where_they_are_known(tmp_path: Path) -> None:
    rights = [(0.8, 0.6, 0.4), (0.9, 0.3, 0.5)]
    by_clip, by_person = (
        compared(
            *(write_run(tmp_path / f"{n}{who}", right=right, seed=n, subjects=who) for n, right in enumerate(rights))
        )
        for who in (0, 4)
    )
    assert (by_clip.units, by_person.units, by_person.num_units) == ("clips", "subjects", 8)
    assert by_clip.methods[0].metrics["war"].value == by_person.methods[0].metrics["war"].value
    assert by_clip.methods[0].metrics["war"].low != by_person.methods[0].metrics["war"].low


def test_the_same_seed_gives_the_same_intervals_and_json_has_no_nan(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / name, seed=n, labels=[*LABELS, "fear"][:3]) for n, name in enumerate("ab")]
    one, again = compared(*runs), compared(*runs)
    assert json.dumps(one.to_dict(), allow_nan=False) == json.dumps(again.to_dict(), allow_nan=False)
    assert one.to_dict()["schema"] == "dfer.comparison/1"
    assert set(one.to_dict()["pairs"][0]["war"]) == {"value", "low", "high", "p", "p_holm"}


def test_a_run_equal_to_another_is_not_different(tmp_path: Path) -> None:
    (pair,) = compared(write_run(tmp_path / "a"), write_run(tmp_path / "b")).pairs
    assert pair.metrics["war"].to_dict() == {"value": 0, "low": 0, "high": 0}
    assert (pair.p["war"], pair.p_holm["uar"], pair.mcnemar[0].p) == (1, 1, 1)


def test_holm_corrects_for_all_pairs(tmp_path: Path) -> None:
    result = compared(*(write_run(tmp_path / f"{n}", right=[0.3 + 0.2 * n] * 3, seed=n) for n in range(3)))
    assert [(pair.first, pair.second) for pair in result.pairs] == [("0", "1"), ("0", "2"), ("1", "2")]
    lowest = min(result.pairs, key=lambda pair: pair.mcnemar[0].p)
    assert lowest.mcnemar_holm[0] == pytest.approx(3 * lowest.mcnemar[0].p)
    assert all(pair.mcnemar_holm[0] >= pair.mcnemar[0].p for pair in result.pairs)
    assert all(pair.p_holm["war"] >= pair.p["war"] for pair in result.pairs)


# ---- methods and their seeds


def test_runs_that_differ_in_the_seed_are_one_method(tmp_path: Path) -> None:
    ours = [write_run(tmp_path / f"ours_seed{seed}", seed=seed, settings="x") for seed in range(3)]
    other = write_run(tmp_path / "other", right=(0.5, 0.5, 0.5), seed=9, settings="y")
    result = compared(*ours, other)
    assert [(method.name, method.seeds) for method in result.methods] == [("ours", [0, 1, 2]), ("other", [9])]
    values = [np.mean([figures_of(table)[0] for table in tables_of(run)]) for run in ours]
    assert result.methods[0].metrics["war"].value == pytest.approx(np.mean(values))
    assert result.methods[0].deviations["war"] == pytest.approx(np.std(values, ddof=1))
    assert result.methods[1].deviations == {}
    assert len(result.pairs[0].mcnemar) == 1, "of the runs in their order, as far as there are"


@pytest.mark.parametrize(
    ("names", "method"),
    [
        (["lr=0.1,seed0", "lr=0.1,seed1"], "lr=0.1"),
        (["a_seed10", "a_seed11"], "a"),
        (["resnet18", "resnet181"], "resnet18"),
        (["base,seed3", "base,seed31"], "base"),
    ],
)
def test_a_method_has_the_name_that_its_seeds_share(tmp_path: Path, names: list[str], method: str) -> None:
    runs = [write_run(tmp_path / name, seed=seed, settings="x") for seed, name in enumerate(names)]
    assert {run.name for run in read_runs(list(map(str, runs)))} == {method}


def test_seeds_of_two_methods_are_tested_together(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / f"{name}{seed}", seed=seed, settings=name) for name in "ab" for seed in (1, 0)]
    (pair,) = compared(runs[0], runs[1], runs[3], runs[2]).pairs
    assert [(test.only_first, test.only_second) for test in pair.mcnemar] == [(0, 0), (0, 0)], "the same draws by seed"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"settings": "x"}, {"settings": "y"}),
        ({"settings": None}, {"settings": None}),
        ({"settings": "x", "seed": 5}, {"settings": "x", "seed": 5}),
        ({"settings": "x", "selection": "last"}, {"settings": "x", "selection": "best on test"}),
    ],
    ids=["other settings", "unknown settings", "the same seed", "another epoch"],
)
def test_other_runs_are_methods_of_their_own(
    tmp_path: Path, first: dict[str, object], second: dict[str, object]
) -> None:
    runs = [
        write_run(tmp_path / name, **{"seed": n, **facts})  # type: ignore[arg-type]
        for n, (name, facts) in enumerate((("a", first), ("b", second)))
    ]
    assert [method.name for method in compared(*runs).methods] == ["a", "b"]


def test_names_can_be_given(tmp_path: Path) -> None:
    a, b, c = (write_run(tmp_path / name, seed=n) for n, name in enumerate(("x=1", "b", "c")))
    result = compared(a, f"mine={b}", f"mine={c}")
    assert [(method.name, len(method.runs)) for method in result.methods] == [("x=1", 1), ("mine", 2)]


def test_folders_of_one_name_are_told_apart_by_their_paths(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / name / "dfew", seed=n) for n, name in enumerate("ab")]
    assert [method.name for method in compared(*runs).methods] == list(map(str, runs))


# ---- tables made elsewhere, and other class names


def test_a_table_made_elsewhere_with_the_data_sets_own_names(tmp_path: Path) -> None:
    ours = write_run(tmp_path / "ours", folds=[1])
    (table,) = tables_of(ours)
    words = {"happy": "Happiness", "sad": "Sadness", "neutral": "Neutral"}
    renamed = table.assign(label=table["label"].map(words), predicted=table["predicted"].map(words))
    renamed.sample(frac=1, random_state=0)[["clip_id", "label", "predicted"]].to_csv(tmp_path / "b.csv", index=False)
    result = compared(ours, f"theirs={tmp_path / 'b.csv'}")
    assert result.labels == LABELS
    assert result.pairs[0].metrics["uar"].value == 0


def test_another_class_that_only_one_run_predicts(tmp_path: Path) -> None:
    ours = write_run(tmp_path / "ours", folds=[1])
    (table,) = tables_of(ours)
    table.loc[table["label"] == "sad", "predicted"] = "boredom"
    table.to_csv(tmp_path / "b.csv", index=False)
    result = compared(ours, tmp_path / "b.csv")
    assert result.labels == [*LABELS, "boredom"]
    assert result.methods[1].recalls[1].value == 0
    assert result.to_dict()["methods"][0]["per_class_recall"]["boredom"] == {"value": None, "low": None, "high": None}


# ---- what is refused


def test_other_test_clips_are_refused_or_left_out(tmp_path: Path) -> None:
    a = write_run(tmp_path / "a", clips=60)
    b = write_run(tmp_path / "b", seed=1, folds=[1], clips=60)
    with pytest.raises(DataError, match=r"has 60 that .*b lacks, such as f2c0 of fold 2") as caught:
        compared(a, b)
    assert "--common" in str(caught.value.hint)
    result = compared(a, b, common=True)
    assert (result.folds, result.num_clips) == ([1], 60)
    assert result.notes == ["60 clips that not all runs have left out"]
    with pytest.raises(DataError, match="no test clip in common"):
        compared(a, write_run(tmp_path / "c", folds=[7]), common=True)


def test_clips_with_other_labels_are_refused(tmp_path: Path) -> None:
    a, b = write_run(tmp_path / "a", folds=[1]), tmp_path / "b.csv"
    (table,) = tables_of(a)
    table["label"] = table["label"].replace({"happy": "sad", "sad": "happy"})
    table.to_csv(b, index=False)
    with pytest.raises(DataError, match=re.escape(f"with another label than in {a}")):
        compared(a, b)


def test_one_run_or_the_same_twice_is_refused(tmp_path: Path) -> None:
    a = write_run(tmp_path / "a")
    with pytest.raises(UsageError, match="at least two runs"):
        compared(a)
    with pytest.raises(UsageError, match="named twice"):
        compared(a, a.parent / "." / "a")


def test_answers_of_a_checkpoint_that_has_changed_are_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    a, b = write_run(tmp_path / "a", folds=[1]), write_run(tmp_path / "b", folds=[1], seed=1)
    (tmp_path / "best.safetensors").write_bytes(b"trained further")
    record = json.loads((a / "fold1" / "predictions.json").read_text())
    record["checkpoint"] = {"path": str(tmp_path / "best.safetensors"), "sha256": "0" * 64}
    (a / "fold1" / "predictions.json").write_text(json.dumps(record))
    compared(a, b)
    assert [f"{a}, fold 1: its checkpoint has changed" in text for text in caplog.messages] == [True]
