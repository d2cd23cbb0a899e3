"""The table of published results, and the command that prints it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dfer.evaluation.published import PUBLISHED_DATASETS, read_published
from dfer.labels import DFEW_LABELS
from dfer.reports.published import PublishedTable, published_remarks, published_table
from dfer.reports.result_table import terminal_table
from tests.answers import write_run
from tests.integration.program import dfer
from tests.results import printed


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    """Two seeds of one method; the epoch of the second was chosen on the test fold."""
    return [
        write_run(tmp_path / f"a {n}", right=[0.6] * 7, seed=n, labels=DFEW_LABELS, selection=selection)
        for n, selection in enumerate(("last", "best on test"))
    ]


@pytest.mark.parametrize("dataset", PUBLISHED_DATASETS)
def test_every_result_is_in_every_form(dataset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dfer.cli.console.stdout.width", 200)
    table, markdown, latex = (
        dfer("published", dataset, *form).succeeded().out for form in ([], ["--markdown", "-"], ["--latex", "-"])
    )
    for result in read_published(dataset):
        for text in (table, markdown, latex):
            assert f"{result.war:.2f}" in text
            assert result.method.split(" (")[0] in text
    assert r"\toprule" in latex
    assert "²" not in latex


def test_own_runs_come_first_with_their_intervals(runs: list[Path]) -> None:
    outcome = dfer("published", "dfew", "--with", f"mine={runs[0]}", "--with", runs[1], "--markdown", "-").succeeded()
    lines = [line for line in outcome.out.splitlines() if line.startswith("|")]
    assert lines[2].startswith("| **mine**")
    assert lines[3].startswith("| **a 1†**")
    assert all(line.count("[") == 2 for line in lines[2:4])
    assert "your run" in lines[2]
    assert "mine was tested on 120 clips of 2 folds, not on the 11,697 clips of 5 folds" in outcome.out


def test_json_holds_fractions(runs: list[Path], tmp_path: Path) -> None:
    dfer("published", "dfew", "--with", runs[0], "--json", tmp_path / "a.json").succeeded()
    values = json.loads((tmp_path / "a.json").read_text())
    assert values["schema"] == "dfer.published/1"
    by_name = {result["method"]: result for result in values["results"]}
    assert (by_name["LOGO-Former"]["war"], by_name["CLAIP-Emo"]["uar"]) == (0.6698, None)
    assert values["own"][0]["name"] == "a 0"
    assert 0 < values["own"][0]["war"]["low"] < values["own"][0]["war"]["value"] < 1
    assert len(values["notes"]) == 1


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["ferplus"], 2, ["no published results on 'ferplus'"]),
        (["dfew", "--with", "gone"], 1, ["cannot read the predictions", "gone"]),
        (["ferv39k", "--latex", "a.pdf"], 2, ["--latex"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_bad_usage(arguments: list[str], code: int, words: list[str]) -> None:
    dfer("published", *arguments).failed(code, *words)


@pytest.mark.parametrize("dataset", ["dfew", "ferv39k", "mafw"])
@pytest.mark.parametrize("width", [200, 100, 80])
def test_words_stay_whole_on_a_narrow_terminal(dataset: str, width: int) -> None:
    table = PublishedTable(dataset, read_published(dataset))
    text = printed(terminal_table(published_table(table), published_remarks(table)), width=width)
    lines = text.splitlines()
    assert max(map(len, lines)) <= width
    shown = set(text.split())
    result = published_table(table)
    for whole in [*result.heading, *(word for row in result.rows for cell in row for word in cell.split())]:
        assert whole in shown or set(whole.replace("-", "- ").split()) <= shown, whole
