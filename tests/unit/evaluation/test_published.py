"""The published results: what is shipped, and when runs can stand beside them."""

from __future__ import annotations

from pathlib import Path

import pytest

from dfer.datasets import official_sizes
from dfer.errors import DataError, UsageError
from dfer.evaluation.compared_runs import read_runs
from dfer.evaluation.published import PUBLISHED_DATASETS, protocol_notes, read_published, require_dataset
from dfer.labels import DFEW_LABELS, MAFW_LABELS
from dfer.records import BEST_ON_TEST
from tests.answers import write_run


@pytest.mark.parametrize("dataset", PUBLISHED_DATASETS)
def test_every_result_has_figures_in_percent_and_a_source_and_the_newest_come_first(dataset: str) -> None:
    results = read_published(dataset)
    assert len(results) > 10
    assert len({result.method for result in results}) == len(results)
    years = [result.year for result in results]
    assert years == sorted(years, reverse=True)
    for result in results:
        assert result.source
        assert result.modality in ("V", "AV")
        assert result.selection in ("", BEST_ON_TEST)
        assert all(30 < value < 90 for value in (result.uar, result.war) if value is not None)
        assert result.war is not None


def test_logo_former_stands_where_the_protocol_says() -> None:
    results = {result.method: result for result in read_published("dfew")}
    ours, plain, leader = results["LOGO-Former"], results["ResNet18-ViT"], results["AVF-MAE++ (H)"]
    assert (ours.uar, ours.war) == (54.21, 66.98)
    assert (plain.uar, plain.war) == (55.76, 67.56)
    assert leader.war is not None
    assert ours.war is not None
    assert leader.war - ours.war == pytest.approx(10.47)


def test_another_data_set_is_refused() -> None:
    with pytest.raises(UsageError, match="no published results on 'ferplus'") as caught:
        read_published("ferplus")
    assert caught.value.hint == "data sets: dfew, ferv39k, mafw"


def test_the_classes_of_a_run_must_be_those_of_the_data_set(tmp_path: Path) -> None:
    small, large = (
        read_runs([str(write_run(tmp_path / str(len(labels)), right=[0.5] * len(labels), labels=labels))])[0]
        for labels in (("Happiness", *DFEW_LABELS[1:]), MAFW_LABELS)
    )
    for run, dataset in ((small, "dfew"), (small, "ferv39k"), (small, "mafw"), (large, "mafw")):
        require_dataset(run, dataset)
    with pytest.raises(DataError, match="is not one of dfew's"):
        require_dataset(large, "dfew")


def test_a_run_on_other_clips_than_the_official_ones_is_noted(tmp_path: Path) -> None:
    official = official_sizes("ferv39k")
    assert official is not None
    whole = write_run(tmp_path / "whole", folds=[1], clips=official.lists[1, "test"])
    part = write_run(tmp_path / "part", folds=[1], clips=40)
    (note,) = protocol_notes(read_runs([str(whole), str(part)]), "ferv39k")
    assert note.startswith("part was tested on 40 clips of 1 fold, not on the 7,847 clips of 1 fold")
