"""The tables and the plot of the probe."""

from __future__ import annotations

from pathlib import Path

import pytest

from dfer.evaluation.compare import measure
from dfer.evaluation.compared_runs import Run
from dfer.evaluation.comparison import Comparison
from dfer.evaluation.predictions import read_predictions
from dfer.evaluation.probe import AS_THEY_ARE, PROBES, verdict
from dfer.reports.probe import probe_dict, probe_tables, probe_view, write_probe_report
from tests.answers import write_run
from tests.results import open_png, printed


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    root = tmp_path_factory.mktemp("runs")
    runs = [
        Run(name, root, read_predictions(write_run(root / name, right=[0.9 - 0.1 * n] * 3, seed=n)))
        for n, name in enumerate((AS_THEY_ARE, *PROBES))
    ]
    return measure(runs, resamples=300, against=AS_THEY_ARE)


def test_every_change_has_a_row_and_every_class_its_loss(comparison: Comparison) -> None:
    figures, recalls = probe_tables(comparison)
    assert [row[0] for row in figures.rows] == [AS_THEY_ARE, *PROBES]
    assert figures.rows[0][2:4] == ["–", "–"]
    assert all(row[2].startswith("-") for row in figures.rows[1:])
    assert recalls.heading == ["class", *PROBES]
    assert [row[0] for row in recalls.rows] == comparison.labels


@pytest.mark.parametrize("columns", ["60", "120"])
def test_the_terminal_shows_all_of_it(comparison: Comparison, columns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    shown = printed(probe_view(comparison), int(columns))
    assert "…" not in shown
    assert " ".join(verdict(comparison).split()) in " ".join(shown.split())
    assert f"{100 * comparison.pairs[0].metrics['war'].value:+.2f}" in shown


def test_the_report_and_the_json(comparison: Comparison, tmp_path: Path) -> None:
    write_probe_report(comparison, tmp_path / "a b")
    assert {path.name for path in (tmp_path / "a b").iterdir()} == {"probe.md", "probe.png", "probe.pdf"}
    assert open_png(tmp_path / "a b" / "probe.png").std() > 1
    assert verdict(comparison) in (tmp_path / "a b" / "probe.md").read_text()
    values = probe_dict(comparison)
    assert "schema" not in values
    assert values["verdict"] == verdict(comparison)
    assert [pair["second"] for pair in values["pairs"]] == list(PROBES)
