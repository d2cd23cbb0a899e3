"""Where the answers of an evaluation are kept."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from dfer.errors import UsageError
from dfer.evaluation.plan import plan_evaluation
from dfer.runtime.files import write_json


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folders of a run of two folds, trained on data/mine; the second has only a last epoch."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("dfer.evaluation.plan.read_checkpoint_info", lambda _path: SimpleNamespace(data={"fold": 1}))
    Path("data/mine").mkdir(parents=True)
    for name in ("fold1/last", "fold1/best", "fold2/last"):
        path = tmp_path / "runs" / "a" / f"{name}.safetensors"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        path.with_name("recipe.yaml").write_text("name: a\ndata: {path: data/mine}\n")
        write_json(path.with_name("run.json"), {"data": {"path": "data/mine", "name": "mine"}})
    (tmp_path / "free.safetensors").touch()
    return Path("runs/a")


@pytest.mark.parametrize(
    ("named", "out"),
    [
        ({"run": "runs/a"}, ["runs/a/fold1", "runs/a/fold2"]),
        ({"run": "runs/a/fold2"}, ["runs/a/fold2"]),
        ({"run": "runs/a", "data": "data/../data/mine"}, ["runs/a/fold1", "runs/a/fold2"]),
        ({"run": "runs/a", "data": "data/other"}, ["runs/a/eval/other/fold1", "runs/a/eval/other/fold2"]),
        ({"run": "runs/a", "folds": [2], "variant": ["balanced"]}, ["runs/a/eval/mine-balanced/fold2"]),
        ({"run": "runs/a", "folds": [1], "out": "else where"}, ["else where/fold1"]),
        ({"checkpoint": "runs/a/fold1/best.safetensors"}, ["runs/a/fold1"]),
        ({"checkpoint": "runs/a/fold1"}, ["runs/a/fold1"]),
        ({"checkpoint": "runs/a/fold1/last.safetensors"}, ["runs/a/eval/mine-last/fold1"]),
        ({"checkpoint": "runs/a/fold1/best.safetensors", "folds": [2]}, ["runs/a/eval/mine/fold2"]),
        ({"checkpoint": "free.safetensors", "data": "data/mine"}, ["evaluations/free/mine/fold1"]),
        (
            {"checkpoint": "free.safetensors", "data": "data/mine", "variant": ["dfew", "mirror"]},
            ["evaluations/free/mine-dfew-mirror/fold1"],
        ),
    ],
    ids=lambda value: " ".join(map(str, value.values())) if isinstance(value, dict) else None,
)
def test_no_answers_take_the_place_of_others(run: Path, named: dict[str, object], out: list[str]) -> None:
    given = {key: Path(value) if isinstance(value, str) else value for key, value in named.items()}
    tasks = plan_evaluation(**given)  # type: ignore[arg-type]
    assert [str(task.out) for task in tasks] == out


def test_the_folder_of_other_answers_is_no_run(run: Path) -> None:
    Path("runs/a/eval/other/fold1").mkdir(parents=True)
    for folder in ("runs/a/eval", "runs/a/eval/other", "runs/a/eval/other/fold1"):
        with pytest.raises(UsageError, match="no trained fold here"):
            plan_evaluation(run=Path(folder))
