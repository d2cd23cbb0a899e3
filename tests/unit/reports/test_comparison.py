"""The tables and plots of a comparison, and the command that makes them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from dfer.errors import UsageError
from dfer.evaluation.compare import compare
from dfer.evaluation.compared_runs import read_runs
from dfer.evaluation.comparison import Comparison
from dfer.labels import DFEW_LABELS, MAFW_LABELS
from dfer.records import BEST_ON_TEST_NOTE
from dfer.reports.comparison import (
    comparison_latex,
    comparison_markdown,
    comparison_remarks,
    comparison_tables,
    comparison_view,
    draw_comparison,
    write_comparison_report,
)
from dfer.reports.result_table import format_p
from tests.answers import write_run
from tests.integration.program import dfer
from tests.results import open_png, printed, texts_of

NAMES = ("ours", "theirs_100%", "x & y")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two seeds of one method, one run with the epoch chosen on test, and one that is always wrong about neutral."""
    root = tmp_path_factory.mktemp("runs with space")
    return [
        write_run(root / "ours_s0", right=(0.9, 0.8, 0.7), seed=0, settings="x"),
        write_run(root / "ours_s1", right=(0.9, 0.8, 0.7), seed=1, settings="x"),
        write_run(root / NAMES[1], right=(0.5, 0.5, 0.5), seed=2, selection="best on test"),
        write_run(root / NAMES[2], right=(0.5, 0.6, 0.0), seed=3),
    ]


@pytest.fixture(scope="module")
def comparison(runs: list[Path]) -> Comparison:
    return compare(read_runs(list(map(str, runs))), resamples=300)


def test_each_method_has_its_figures_and_intervals(comparison: Comparison) -> None:
    table = comparison_tables(comparison)[0]
    assert table.heading == ["method", "seeds", "WAR", "UAR", "macro-F1"]
    assert [row[:2] for row in table.rows] == [["ours", "2"], ["theirs_100%†", "1"], ["x & y", "1"]]
    assert re.fullmatch(r"\d\d\.\d\d ± \d+\.\d\d \[\d\d\.\d\d, \d\d\.\d\d\]", table.rows[0][2])
    war = comparison.methods[1].metrics["war"]
    assert table.rows[1][2] == f"{100 * war.value:.2f} [{100 * war.low:.2f}, {100 * war.high:.2f}]"
    assert table.best == {(0, 2), (0, 3), (0, 4)}


def test_recalls_and_differences_have_a_row_per_class_and_test(comparison: Comparison) -> None:
    _, recalls, pairs, effects = comparison_tables(comparison)
    assert [row[0] for row in recalls.rows] == [row[0] for row in effects.rows] == ["happy", "sad", "neutral"]
    assert sum(int(row[1]) for row in recalls.rows) == comparison.num_clips
    assert recalls.rows[2][4] == "0.00 [0.00, 0.00]"
    assert (2, 2) in recalls.best
    assert [row[0] for row in pairs.rows] == ["theirs_100% − ours", "x & y − ours", "x & y − theirs_100%"]
    assert all(row[1].startswith(("+", "-")) for row in pairs.rows)
    assert effects.heading[1:] == [row[0] for row in pairs.rows]


def test_many_methods_have_a_row_each_and_a_column_per_class(tmp_path: Path) -> None:
    named = [f"{name}={write_run(tmp_path / name, seed=n)}" for n, name in enumerate("abcd")]
    result = compare(read_runs(named), resamples=100)
    _, recalls, pairs, effects = comparison_tables(result)
    assert recalls.heading == ["method", "happy", "sad", "neutral"]
    assert effects.heading == ["second − first", "happy", "sad", "neutral"]
    assert sum(map(int, recalls.rows[0][1:])) == result.num_clips
    for method, row in zip(result.methods, recalls.rows[1:], strict=True):
        assert [row[0], *(cell.split()[0] for cell in row[1:])] == [
            method.name,
            *(f"{100 * recall.value:.2f}" for recall in method.recalls),
        ]
    assert [row[0] for row in effects.rows] == [row[0] for row in pairs.rows]
    for pair, row in zip(result.pairs, effects.rows, strict=True):
        assert [cell.split()[0] for cell in row[1:]] == [f"{100 * change.value:+.2f}" for change in pair.recalls]
    for row, column in recalls.best:
        values = [float(cells[column].split()[0]) for cells in recalls.rows[1:]]
        assert float(recalls.rows[row][column].split()[0]) == max(values)
    assert {column for _, column in recalls.best} <= {1, 2, 3}


def test_one_method_may_be_tested_against_the_others_alone(tmp_path: Path) -> None:
    runs = read_runs([f"{name}={write_run(tmp_path / name, seed=n)}" for n, name in enumerate("abc")])
    whole = {(pair.first, pair.second): pair for pair in compare(runs, resamples=100).pairs}
    result = compare(runs, resamples=100, against="b")
    assert [(pair.first, pair.second) for pair in result.pairs] == [("b", "a"), ("b", "c")]
    assert result.pairs[0].metrics["war"].value == -whole["a", "b"].metrics["war"].value
    assert result.pairs[1].metrics == whole["b", "c"].metrics
    assert result.pairs[1].p == whole["b", "c"].p
    assert result.pairs[1].p_holm["war"] <= whole["b", "c"].p_holm["war"]
    with pytest.raises(UsageError, match="no method 'd'") as raised:
        compare(runs, against="d")
    assert raised.value.hint == "methods: a, b, c"


def test_every_seed_has_a_test_of_its_own(tmp_path: Path) -> None:
    named = [
        f"{name}={write_run(tmp_path / f'{name}{n}', seed=n + 2 * (name == 'b'))}" for name in "ab" for n in (0, 1)
    ]
    _, _, pairs, _ = comparison_tables(compare(read_runs(named), resamples=100))
    assert [row[0] for row in pairs.rows] == ["b − a", ""]
    assert all(row[5].isdigit() for row in pairs.rows)


def test_equal_methods_have_no_best(tmp_path: Path) -> None:
    result = compare(read_runs([str(write_run(tmp_path / name)) for name in "ab"]), resamples=100)
    assert all(not table.best for table in comparison_tables(result))


def test_the_remarks_say_how_to_read_it(comparison: Comparison) -> None:
    text = " ".join(comparison_remarks(comparison))
    for words in ("300 resamples of the 120 clips", "± their standard deviation", "Holm", BEST_ON_TEST_NOTE):
        assert words in text


@pytest.mark.parametrize(("p", "text"), [(0.0001, "<0.001"), (0.001, "0.001"), (0.0456, "0.046"), (1.0, "1.000")])
def test_p_values(p: float, text: str) -> None:
    assert format_p(p) == text


@pytest.mark.parametrize("columns", ["60", "80", "200"])
def test_the_terminal_shows_every_figure(comparison: Comparison, columns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    shown = printed(comparison_view(comparison), int(columns))
    assert "…" not in shown
    for method in comparison.methods:
        assert all(f"{100 * recall.value:.2f}" in shown for recall in method.recalls)


def test_markdown_sets_the_best_in_bold(comparison: Comparison) -> None:
    text = comparison_markdown(comparison)
    assert len(re.findall(r"\*\*\d\d\.\d\d ± ", text)) == 3
    assert "theirs\\_100%†" in text
    assert text.count("\n### ") == 4


def test_latex_is_escaped_and_its_signs_are_mathematical(comparison: Comparison) -> None:
    text = comparison_latex(comparison)
    assert text.count(r"\begin{tabular}") == text.count(r"\toprule") == 4
    assert re.search(r"ours & 2 & \\textbf\{\d\d\.\d\d \$\\pm\$ \d+\.\d\d\} \{\\scriptsize \[", text)
    assert r"theirs\_100\%$^\dagger$" in text
    assert r"x \& y $-$ ours & $-$" in text
    assert not re.search(r"(?<!\$)[<>](?!\$)|[−±Δ†]|[ \[]-\d", text), "signs that text mode does not have"
    labels = re.findall(r"\\label\{(.*?)\}", text)
    assert len(set(labels)) == 4


@pytest.mark.parametrize("labels", [("a", "b"), DFEW_LABELS, MAFW_LABELS], ids=len)
def test_the_report_has_all_tables_and_plots(tmp_path: Path, labels: tuple[str, ...]) -> None:
    named = [
        str(write_run(tmp_path / name, right=[0.6] * len(labels), seed=n, labels=labels, clips=30))
        for n, name in enumerate(("a", "b"))
    ]
    write_comparison_report(compare(read_runs(named), resamples=100), tmp_path / "out")
    files = {path.name for path in (tmp_path / "out").iterdir()}
    stems = ("forest", "confusion_difference_1")
    assert files == {"README.md", "table.tex", *(f"{stem}.{kind}" for stem in stems for kind in ("png", "pdf"))}
    for image in re.findall(r"\]\((.*?)\)", (tmp_path / "out" / "README.md").read_text()):
        assert open_png(tmp_path / "out" / image).std() > 1


def test_the_forest_plot_names_methods_and_pairs(comparison: Comparison) -> None:
    text = texts_of(draw_comparison(comparison))
    for words in ("ours", "theirs_100%†", "x & y − ours", "WAR, %", "ΔUAR, points", BEST_ON_TEST_NOTE):
        assert words in text


# ---- the command


def test_compare_writes_what_is_asked_for(runs: list[Path], tmp_path: Path) -> None:
    files = {kind: tmp_path / f"out.{kind}" for kind in ("json", "md", "tex", "pdf")}
    outcome = dfer(
        "compare", *runs, "--json", files["json"], "--markdown", files["md"], "--latex", files["tex"],
        "--plot", files["pdf"], "--report", tmp_path / "a report", "--resamples", 100,
    ).succeeded()  # fmt: skip
    result = json.loads(files["json"].read_text())
    assert result["schema"] == "dfer.comparison/1"
    assert [method["seeds"] for method in result["methods"]] == [[0, 1], [2], [3]]
    assert "McNemar" in outcome.out
    assert files["md"].read_text() in (tmp_path / "a report" / "README.md").read_text()
    assert files["tex"].read_text() == (tmp_path / "a report" / "table.tex").read_text()
    assert files["pdf"].read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize(("option", "begins"), [("--json", "{"), ("--markdown", "## "), ("--latex", "% ")])
def test_nothing_else_is_printed_where_stdout_is_the_output(runs: list[Path], option: str, begins: str) -> None:
    outcome = dfer("compare", *runs[2:], option, "-", "--resamples", 100).succeeded()
    assert outcome.out.startswith(begins)
    assert "───" not in outcome.out, "the terminal's table"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["RUN"], 2, ["at least two runs"]),
        (["RUN", "RUN"], 2, ["named twice"]),
        (["RUN", "gone"], 1, ["cannot read the predictions", "gone"]),
        (["RUN", "EMPTY"], 1, ["no predictions.csv here"]),
        (["RUN", "OTHER", "--report", "RUN/fold1"], 2, ["--report would write into an input"]),
        (["RUN", "OTHER", "--latex", "a.pdf"], 2, ["--latex", ".pdf"]),
        (["RUN", "OTHER", "--json", "-", "--latex", "-"], 2, ["the same place"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_bad_usage(runs: list[Path], tmp_path: Path, arguments: list[str], code: int, words: list[str]) -> None:
    places = {"RUN": str(runs[0]), "OTHER": str(runs[2]), "EMPTY": str(tmp_path)}
    given = [re.sub("RUN|OTHER|EMPTY", lambda match: places[match[0]], argument) for argument in arguments]
    dfer("compare", *given).failed(code, *words)
