"""TensorBoard events: an epoch's figures if the package is installed, otherwise one message."""

from __future__ import annotations

import importlib.util
import logging
from pathlib import Path

import pytest

from dfer.training.artifacts import has_tensorboard, write_events

RECORD = {"epoch": 3, "train_loss": 1.5, "val_war": 0.25, "lr": 1e-3, "epoch_s": 4.0}


@pytest.fixture(autouse=True)
def _forget() -> None:
    has_tensorboard.cache_clear()


def test_without_the_package_it_is_logged_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with caplog.at_level(logging.INFO, logger="dfer"):
        write_events(tmp_path, RECORD)
        write_events(tmp_path, RECORD)
    assert [record.getMessage() for record in caplog.records] == [
        "no TensorBoard events: pip install 'dfer[tensorboard]' for them; metrics.jsonl has the figures"
    ]
    assert list(tmp_path.iterdir()) == []


def test_every_epoch_gets_its_figures(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="TensorBoard is optional: pip install 'dfer[tensorboard]'")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for epoch in (1, 2, 2, 3):  # the second one twice: the first time, the run was killed right afterwards
        write_events(tmp_path, RECORD | {"epoch": epoch, "val_war": epoch / 4})
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert sorted(events.Tags()["scalars"]) == ["accuracy/WAR", "learning_rate", "loss/train"]
    assert [(event.step, event.value) for event in events.Scalars("accuracy/WAR")] == [(1, 0.25), (2, 0.5), (3, 0.75)]
