"""The Python in the documentation runs, and gives what its comments say."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest

from tests.stores import small_store
from tests.unit.docs.pages import CHECKOUT, PAGES, code_blocks, page_name


def _run(page: str, number: int) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(code_blocks(CHECKOUT / page, "python")[number], names)
    return names


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_every_block_is_valid_python(page: Path) -> None:
    for block in code_blocks(page, "python"):
        assert ast.parse(block, page.name).body


def test_the_store_can_be_read_without_dfer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = small_store(tmp_path / "data" / "dfew", num_frames=5)
    monkeypatch.chdir(tmp_path)
    names = _run("docs/data_layouts.md", 0)
    assert len(names["rows"]) == len(store.select(1, "train"))
    assert [crop.size for crop in names["crops"]] == [(48, 48)] * 5
    assert names["times"] == pytest.approx([0, 0.04, 0.08, 0.12, 0.16])


def test_the_python_overview_runs() -> None:
    names = _run("docs/api/index.md", 1)
    assert names["logits"].shape == (1, 7)
    assert names["war"]([[8, 2], [5, 5]]) == pytest.approx(0.65)


def test_the_model_page_runs(capsys: pytest.CaptureFixture[str]) -> None:
    _run("docs/model.md", 0)
    parameters, gmacs = capsys.readouterr().out.split()
    assert (float(parameters) / 1e6, float(gmacs)) == pytest.approx((7.61, 67.65), abs=0.005)
    names = _run("docs/model.md", 1)
    assert names["features"].shape == (2, 256)
    assert names["logits"].shape == (2, 7)
    assert _run("docs/model.md", 2)["model"].config.dim == 512
