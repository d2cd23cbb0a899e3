"""The Ray engine's own part, with a stand-in for Ray: what is submitted, retried and reported."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dfer.errors import DferError
from dfer.preprocessing.clip import Settings
from dfer.preprocessing.engines import Job
from dfer.preprocessing.on_ray import run_on_ray
from dfer.records import ClipRecord
from dfer.runtime import ray_tasks
from dfer.runtime.workers import WorkerDiedError
from dfer.store.manifest import ManifestRow

NodeResult = tuple[ManifestRow | None, Exception | None]

CLIPS = [ClipRecord(name, 0, "happy", Path(f"{name}.mp4"), {}) for name in "abcdef"]


class NodeDiedError(Exception):
    """As Ray raises it."""


class FakeRay:
    """A cluster of two cores whose tasks run at the first `wait` for them."""

    def __init__(self) -> None:
        self.most_at_once = 0
        self.cancelled: list[Any] = []
        none = type("Unused", (Exception,), {})
        self.exceptions = SimpleNamespace(
            WorkerCrashedError=none,
            NodeDiedError=NodeDiedError,
            OutOfMemoryError=none,
            RayTaskError=none,
            RayError=none,
        )

    def is_initialized(self) -> bool:
        return True

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 2.0}

    def put(self, value: Any) -> Any:
        return value

    def remote(self, **_options: Any) -> Callable[[Any], Any]:
        def task(function: Callable[..., Any]) -> Any:
            return SimpleNamespace(remote=lambda *arguments: partial(function, *arguments))

        return task

    def wait(self, references: list[Any], **_options: Any) -> tuple[list[Any], list[Any]]:
        self.most_at_once = max(self.most_at_once, len(references))
        return references[:1], references[1:]

    def get(self, reference: Any) -> Any:
        return reference()

    def cancel(self, reference: Any) -> None:
        self.cancelled.append(reference)


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path, tmp_path / "out", Settings())


def rows(ray: FakeRay, job: Job, tasks: int = 0) -> list[tuple[str, str, str]]:
    found = run_on_ray(CLIPS, job, ray=ray, tasks=tasks)
    return [(clip.clip_id, row.status, row.detail) for clip, row in found]


@pytest.mark.parametrize(("tasks", "at_once"), [(0, 4), (1, 1), (3, 3), (50, 4)])
def test_every_clip_gets_its_row_few_at_a_time(
    job: Job, monkeypatch: pytest.MonkeyPatch, tasks: int, at_once: int
) -> None:
    def work(clip: ClipRecord, _work: object, _version: str) -> NodeResult:
        assert clip.source is not None
        assert clip.source.is_absolute()
        return ManifestRow(clip.clip_id, 0, "happy", "ok", {}), None

    monkeypatch.setattr(ray_tasks, "_run_on_node", work)
    ray = FakeRay()
    assert rows(ray, job, tasks) == [(clip.clip_id, "ok", "") for clip in CLIPS]
    assert ray.most_at_once == at_once


def test_clips_that_crash_or_lose_their_node_are_tried_again(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []

    def work(clip: ClipRecord, _work: object, _version: str) -> NodeResult:
        tried.append(clip.clip_id)
        if clip.clip_id == "b":
            raise NodeDiedError
        if clip.clip_id == "d" and tried.count("d") == 1:
            return None, WorkerDiedError(-11)
        return ManifestRow(clip.clip_id, 0, "happy", "ok", {}), None

    monkeypatch.setattr(ray_tasks, "_run_on_node", work)
    found = {name: (status, detail) for name, status, detail in rows(FakeRay(), job)}
    assert found.pop("b") == ("unreadable", "its node was lost 6 times (NodeDiedError)")
    assert set(found.values()) == {("ok", "")}
    assert sorted(tried) == ["a", "b", "b", "c", "d", "d", "e", "f"]


def test_an_error_of_a_node_ends_the_run_and_cancels_what_waits(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_tasks, "_run_on_node", lambda *_: (None, DferError("cannot write: disk full")))
    ray = FakeRay()
    with pytest.raises(DferError, match="disk full"):
        rows(ray, job)
    assert len(ray.cancelled) == 3
