"""Classes on one side of a fold only, judged by what could be read."""

from __future__ import annotations

import pytest

from dfer.records import Split, Status
from dfer.store.coverage import find_one_sided_classes
from tests.stores import LABELS, row_of

Row = tuple[int, Split, Status]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        pytest.param([(0, "train", "ok"), (0, "test", "ok")], [], id="both"),
        pytest.param(
            [(0, "train", "ok"), (0, "test", "ok"), (1, "train", "missing"), (1, "test", "ok")],
            ["sad has test clips but no training clips in fold 1: it cannot be learnt"],
            id="no readable training clip",
        ),
        pytest.param(
            [(0, "train", "ok"), (0, "test", "ok"), (1, "train", "ok"), (1, "test", "no_face")],
            [],
            id="unreadable",
        ),
        pytest.param(
            [(0, "train", "ok"), (0, "test", "ok"), (2, "train", "ok")],
            ["neutral has training clips but no test clips in fold 1: it is not measured"],
            id="no test clip",
        ),
    ],
)
def test_one_sided_classes(rows: list[Row], expected: list[str]) -> None:
    made = [row_of(f"c{n}", status, label, folds={1: split}) for n, (label, split, status) in enumerate(rows)]
    assert find_one_sided_classes(made, LABELS) == expected
    assert find_one_sided_classes(made, LABELS, fold=1) == expected
    assert find_one_sided_classes(made, LABELS, fold=2) == []
