"""The error line of a command that was interrupted."""

from __future__ import annotations

from pathlib import Path

import pytest

from dfer.cli.app import run


@pytest.mark.parametrize(
    ("command", "work", "resumed"),
    [
        (["synth", "out"], "dfer.synth.dataset.generate_dataset", True),
        (["bench"], "dfer.bench.models.bench_models", False),
    ],
    ids=["synth", "bench"],
)
def test_only_commands_that_keep_work_promise_to(
    command: list[str], work: str, resumed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(work, interrupt)
    assert run(command) == 130
    shown = capsys.readouterr().err
    assert "error: interrupted" in shown
    assert ("finished work is kept" in shown) == resumed
