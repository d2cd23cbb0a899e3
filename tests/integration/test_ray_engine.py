"""`dfer preprocess --engine ray` on a real cluster of two nodes, one of which is lost on the way.

Ray is not in requirements.lock: `pip install 'dfer[ray]'`, then `pytest tests/integration/test_ray_engine.py`.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import CHECKOUT
from tests.integration.program import count, dfer, dfer_process, environment, finish, start, tree, wait_until

needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="Ray is not installed: pip install 'dfer[ray]'"
)
SETTINGS = {"RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": str(CHECKOUT)}


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A cluster of a head with one core; its processes find this checkout's dfer."""
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    from ray.cluster_utils import Cluster

    there = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    yield there
    there.shutdown()


def command(raw: Path, store: Path) -> tuple[object, ...]:
    return ("preprocess", "dfew", raw, "--out", store, "--detector", "haar", "--engine", "ray")


@needs_ray
@pytest.mark.slow
def test_a_node_that_is_lost_costs_nothing(cluster: Any, small_raw: Path, small_drawn: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    node = cluster.add_node(num_cpus=1)
    process = start(*command(small_raw, store), env=environment(RAY_ADDRESS=cluster.address, **SETTINGS))
    wait_until(lambda: count(store, "crops/*.zip") >= 3, process)
    cluster.remove_node(node, allow_graceful=False)
    assert "14 ok (14 in this run)" in finish(process, patience_s=180).succeeded().err
    assert tree(store) == tree(small_drawn)


@needs_ray
@pytest.mark.slow
def test_a_decoder_that_crashes_costs_one_clip_there_too(cluster: Any, small_raw: Path, tmp_path: Path) -> None:
    clips = tmp_path / "clips" / "happy"
    clips.mkdir(parents=True)
    video = (small_raw / "Clip" / "original" / "1.mp4").read_bytes()
    (clips / "good.mp4").write_bytes(video)
    at = video.index(b"stts") + 12  # two thousand million frames: decord asks for the memory and aborts
    (clips / "crash.mp4").write_bytes(video[:at] + b"\x7f\xff\xff\xff" + video[at + 4 :])
    outcomes = []
    for store, more in (("ray", ("--engine", "ray")), ("local", ("--workers", 2))):
        words = ("preprocess", "folder", tmp_path / "clips", "--out", tmp_path / store / "store", "--detector", "haar")
        env = environment(RAY_ADDRESS=cluster.address, **SETTINGS)
        outcomes.append(dfer_process(*words, *more, "--max-failures", 1, env=env, patience_s=120).succeeded())
        assert "the decoder crashed (SIGABRT)" in outcomes[-1].err
    assert tree(tmp_path / "ray") == tree(tmp_path / "local")


@needs_ray
def test_no_cluster_is_one_clear_line(small_raw: Path, tmp_path: Path) -> None:
    env = environment(RAY_ADDRESS="127.0.0.1:1", **SETTINGS)
    outcome = dfer_process(*command(small_raw, tmp_path / "store"), env=env)
    outcome.failed(1, "no Ray cluster answers at 127.0.0.1:1", hint="ray start --head")


def test_without_ray_the_error_names_the_package(
    small_raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    outcome = dfer(*command(small_raw, tmp_path / "store"))
    outcome.failed(1, "--engine ray needs Ray", hint="pip install 'dfer[ray]'")
    assert not (tmp_path / "store").exists()
    assert "ray" not in os.environ.get("PYTHONPATH", "")
