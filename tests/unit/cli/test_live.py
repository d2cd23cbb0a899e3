"""The live view: what it shows on a terminal, and the lines it writes elsewhere."""

from __future__ import annotations

import io
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from rich.console import Console

from dfer.cli import console, live, progress
from dfer.cli.progress import Progress
from dfer.training import StepProgress, train
from tests.stores import small_store, tiny_recipe

STEP = StepProgress(
    epoch=3, epochs=10, step=40, steps=50, loss=1.2345, lr=5e-4, clips_per_s=812.4, data_wait=0.02, step_ms=78.3,
    memory_bytes=41_200_000_000,
)  # fmt: skip


@pytest.fixture(params=[True, False], ids=["terminal", "no terminal"])
def written(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    text = io.StringIO()
    stderr = Console(file=text, force_terminal=request.param, width=120, color_system=None)
    monkeypatch.setattr(live, "stderr", stderr)
    monkeypatch.setattr(console, "stderr", stderr)
    return text


def shown(screen: live.TrainingScreen) -> str:
    text = io.StringIO()
    Console(file=text, width=120).print(screen.render())
    return text.getvalue()


def test_the_screen_has_all_there_is_to_watch() -> None:
    screen = live.TrainingScreen()
    assert shown(screen).strip() == ""
    screen.on_load(2000, 8000)
    assert "loading crops" in shown(screen)
    assert "2,000/8,000" in shown(screen)
    screen.on_step(STEP)
    assert "no validation yet" in shown(screen)
    screen.on_epoch({"epoch": 3, "train_loss": 1.2, "val_loss": 1.3, "val_war": 0.5123, "val_uar": 0.4312})
    for part in (
        "epoch 3/10", "40/50", "loss 1.2345", "WAR 51.23%", "UAR 43.12%", "lr 5.00e-04", "812.4 clips/s",
        "step 78 ms", "data wait 2%", "memory 41.2 GB",
    ):  # fmt: skip
        assert part in shown(screen)


def test_the_time_left_is_that_of_the_fold(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(live.time, "monotonic", lambda: now)
    screen = live.TrainingScreen()
    screen.on_step(STEP)  # step 140 of 500
    assert "left" not in shown(screen)
    now += 20
    screen.on_step(replace(STEP, step=50))
    assert "12 min left" in shown(screen)  # 350 steps of 2 s


def test_a_run_keeps_a_line_per_epoch(written: io.StringIO, tmp_path: Path) -> None:
    store = small_store(tmp_path / "data")
    with live.TrainingScreen() as screen:
        train(tiny_recipe(store.root), folds=[1], out=tmp_path / "run", device="cpu", observer=screen)
    text = written.getvalue()
    lines = [line.split("\x1b[2K")[-1] for line in text.splitlines()]
    assert sum(line.startswith("epoch   1  loss") for line in lines) == 1
    assert sum(line.startswith("epoch   2  loss") for line in lines) == 1
    assert "clips decoded in memory: 0.0 GB decoded, room for" in text
    assert "fold 1 done: best on validation" in text
    if "\x1b" not in text:
        assert len(lines) == 5, "plain lines, and no more"


def test_the_line_of_an_epoch_has_the_figures_of_each_store(written: io.StringIO) -> None:
    figures = {"a": {"loss": 1.0, "war": 0.5, "uar": 0.25}, "b": {"loss": 1.0, "war": 0.75, "uar": 0.625}}
    means = {"val_loss": 1.0, "val_war": 0.625, "val_uar": 0.4375, "val": figures}
    live.TrainingScreen().on_epoch({"epoch": 1, "train_loss": 1.0, **means})
    assert "WAR 62.50%  UAR 43.75%  a 50.00% / 25.00%  b 75.00% / 62.50%" in written.getvalue()


def test_without_a_terminal_a_long_epoch_says_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(live, "stderr", Console(file=io.StringIO(), force_terminal=False))
    monkeypatch.setattr(live, "Progress", partial(Progress, clock=lambda: now))
    said: list[str] = []
    monkeypatch.setattr(progress, "note", said.append)
    with live.TrainingScreen() as screen:
        for step in range(1, 51):
            screen.on_step(replace(STEP, step=step))
            now += 1.0
    assert said[0] == "train: 111 of 500 steps, 1.0 steps/s, 6 min left, loss 1.2345"
    assert 2 <= len(said) < 6


def test_only_the_first_process_shows(monkeypatch: pytest.MonkeyPatch, written: io.StringIO) -> None:
    monkeypatch.setenv("RANK", "1")
    with live.TrainingScreen() as screen:
        screen.on_step(STEP)
    assert written.getvalue() == ""
