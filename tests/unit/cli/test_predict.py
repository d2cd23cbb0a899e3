"""The arguments of `dfer predict`: --anonymise with and without a value."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.main import get_command

from dfer.cli.app import app
from dfer.cli.hiding import HideKind
from dfer.cli.predict import predict
from dfer.drawing.hide import HIDE_STYLES
from dfer.errors import UsageError


@pytest.mark.parametrize(
    ("arguments", "style", "inputs"),
    [
        (["a.mp4"], None, ["a.mp4"]),
        (["a.mp4", "--anonymise"], "blur", ["a.mp4"]),
        (["--anonymise", "a.mp4", "b.mp4"], "blur", ["a.mp4", "b.mp4"]),
        (["a.mp4", "--anonymise", "--video", "b.mp4"], "blur", ["a.mp4"]),
        (["--anonymise", "blur", "a.mp4"], "blur", ["a.mp4"]),
        (["--anonymise", "pixelate", "a.mp4"], "pixelate", ["a.mp4"]),
        (["--anonymise=pixelate", "a.mp4"], "pixelate", ["a.mp4"]),
        (["--", "--anonymise"], None, ["--anonymise"]),
    ],
    ids=str,
)
def test_anonymise_stands_with_or_without_a_value(arguments: list[str], style: str | None, inputs: list[str]) -> None:
    command = get_command(app).commands["predict"]  # type: ignore[attr-defined]
    given = command.make_context("predict", arguments).params
    assert given["anonymise"] == (HideKind(style) if style else None)
    assert [str(path) for path in given["inputs"]] == inputs


def test_every_style_has_its_word() -> None:
    assert tuple(kind.value for kind in HideKind) == HIDE_STYLES


def test_anonymise_needs_a_video(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--anonymise needs --video, --report or --plot"):
        predict([tmp_path / "a.mp4"], anonymise=HideKind.blur)
