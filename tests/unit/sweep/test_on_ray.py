"""The Ray engine's own part, with a stand-in for Ray: what is submitted, with which resources, and what comes back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dfer.errors import DferError
from dfer.sweep import on_ray
from dfer.sweep.on_ray import run_on_node, run_on_ray
from dfer.sweep.plan import SweepRun
from tests.unit.preprocessing.test_on_ray import FakeRay, NodeDiedError
from tests.unit.sweep.conftest import planned


class Cluster(FakeRay):
    """A cluster that remembers what a task asked for."""

    def __init__(self, **resources: float) -> None:
        super().__init__()
        self.resources, self.asked = resources, dict[str, Any]()
        self.waited: list[tuple[int, Any]] = []

    def cluster_resources(self) -> dict[str, float]:
        return self.resources

    def remote(self, **options: Any) -> Any:
        self.asked = options
        return super().remote(**options)

    def wait(self, references: list[Any], **options: Any) -> tuple[list[Any], list[Any]]:
        self.waited.append((len(references), options.get("timeout")))
        return super().wait(references, **options)


@pytest.fixture
def runs(recipe: Path, tmp_path: Path) -> list[SweepRun]:
    return planned(recipe, tmp_path / "sweep").runs


def outcomes(ray: Cluster, runs: list[SweepRun], **options: Any) -> list[tuple[str, str]]:
    settings: dict[str, Any] = {"workers": 0, "device": "auto", "gpus_per_run": None, "cores_per_run": 1}
    return [(str(run), str(error)) for run, error in run_on_ray(runs, ray=ray, **(settings | options))]


@pytest.mark.parametrize(
    ("resources", "options", "asked", "at_once"),
    [
        ({"CPU": 2.0}, {}, (1, 0.0), 2),
        ({"CPU": 8.0}, {"workers": 3}, (1, 0.0), 3),
        ({"CPU": 8.0}, {"cores_per_run": 4}, (4, 0.0), 2),
        ({"CPU": 64.0, "GPU": 1.0}, {}, (1, 1.0), 1),
        ({"CPU": 64.0, "GPU": 1.0}, {"gpus_per_run": 0.3}, (1, 0.3), 3),
        ({"CPU": 3.0, "GPU": 8.0}, {"device": "cpu", "gpus_per_run": 0.5}, (1, 0.0), 3),
    ],
)
def test_as_many_as_there_is_room_for(
    runs: list[SweepRun],
    monkeypatch: pytest.MonkeyPatch,
    resources: dict[str, float],
    options: dict[str, Any],
    asked: tuple[int, float],
    at_once: int,
) -> None:
    monkeypatch.setattr(on_ray, "run_on_node", lambda *_: None)
    ray = Cluster(**resources)
    assert outcomes(ray, runs, **options) == [(str(run), "None") for run in runs]
    assert (ray.asked["num_cpus"], ray.asked["num_gpus"]) == asked
    assert ray.most_at_once == at_once


def test_failures_and_lost_nodes_cost_their_run_only(runs: list[SweepRun], monkeypatch: pytest.MonkeyPatch) -> None:
    def work(run: SweepRun, *_: object) -> DferError | None:
        if run is not None and str(run) == str(runs[0]):
            raise NodeDiedError
        return DferError("training diverged") if str(run) == str(runs[1]) else None

    monkeypatch.setattr(on_ray, "run_on_node", work)
    found = dict(outcomes(Cluster(CPU=2.0), runs))
    assert found[str(runs[0])].startswith("its node was lost 6 times (NodeDiedError)")
    assert [found[str(run)] for run in runs[1:]] == ["training diverged", "None", "None"]


def test_a_node_of_another_version_ends_the_sweep(runs: list[SweepRun], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_ray, "__version__", "0.0.1")
    ours = run_on_node(runs[0], "cpu", "/", "9.9")
    assert "a node has dfer 0.0.1, the others 9.9" in str(ours)
    monkeypatch.setattr(on_ray, "run_on_node", lambda *_: ours)
    with pytest.raises(DferError, match=r"a node has dfer 0\.0\.1"):
        outcomes(Cluster(CPU=2.0), runs)


def test_a_node_works_in_the_same_folder(runs: list[SweepRun], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    seen: list[Path] = []
    monkeypatch.setattr(on_ray, "train_and_test", lambda _run, **_: seen.append(Path.cwd()))
    assert run_on_node(runs[0], "cpu", str(tmp_path), on_ray.__version__) is None
    assert seen == [tmp_path]
    assert f"a node has no {tmp_path / 'gone'}" in str(
        run_on_node(runs[0], "cpu", str(tmp_path / "gone"), on_ray.__version__)
    )

    def fail(_run: SweepRun, device: str) -> None:
        raise ValueError("a bug")

    monkeypatch.setattr(on_ray, "train_and_test", fail)
    assert "unexpected ValueError: a bug" in str(run_on_node(runs[0], "cpu", str(tmp_path), on_ray.__version__))


def test_runs_that_are_cancelled_have_time_to_save(runs: list[SweepRun], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_ray, "run_on_node", lambda *_: None)
    ray = Cluster(CPU=3.0)
    ended = run_on_ray(runs, ray=ray, workers=0, device="cpu", gpus_per_run=None, cores_per_run=1)
    next(ended)
    ended.close()
    assert len(ray.cancelled) == 2
    assert ray.waited[-1] == (2, 60.0)


@pytest.mark.parametrize("options", [{"device": "cuda"}, {"gpus_per_run": 0.5}])
def test_gpus_that_are_not_there_are_an_error(runs: list[SweepRun], options: dict[str, Any]) -> None:
    with pytest.raises(DferError, match="no GPUs"):
        outcomes(Cluster(CPU=2.0), runs, **options)


def test_without_ray_the_error_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(DferError, match="--engine ray needs Ray") as caught:
        on_ray.ray_engine()
    assert "dfer[ray]" in (caught.value.hint or "")
