"""`dfer predict` on what is no file: URLs and standard input, raw and in a container."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import pytest

from dfer.video import open_frames
from tests.integration.program import Outcome, dfer, environment
from tests.servers import serving


def answers(outcome: Outcome) -> list[dict[str, Any]]:
    return [json.loads(line) for line in outcome.out.splitlines()]


def piped(content: bytes, *arguments: object) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "dfer", *map(str, arguments)]
    return subprocess.run(command, input=content, capture_output=True, env=environment(), timeout=120)


def spooled() -> set[Path]:
    found = Path(gettempdir()).glob(".*.tmp*")
    return {path for path in found if path.is_file() and not path.name.startswith(".null.")}  # another test's /dev/null


@pytest.fixture
def options(checkpoint: Path) -> list[object]:
    return ["--checkpoint", checkpoint, "--detector", "haar", "--quiet"]


def same_answer(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return {**one, "source": ""} == {**other, "source": ""}


@pytest.mark.parametrize("workers", [1, 2])
def test_urls_are_answered_as_the_files_behind_them(
    options: list[object], clip: Path, tmp_path: Path, workers: int
) -> None:
    before = spooled()
    (tmp_path / "words.mp4").write_text("no video")
    with serving(clip.parent) as (address, _), serving(tmp_path) as (other, _):
        urls = [f"{address}/{clip.name}?token=secret", f"{address}/nosuch.mp4", f"{other}/words.mp4", clip]
        outcome = dfer("predict", *urls, *options, "--json", "-", "--workers", workers)
    assert outcome.code == 1
    found = answers(outcome)
    assert [one["source"] for one in found] == [
        f"{address}/{clip.name}",
        f"{address}/nosuch.mp4",
        f"{other}/words.mp4",
        str(clip),
    ]
    assert same_answer(found[0], found[3])
    assert "404" in found[1]["error"]
    assert f"cannot read the video: Invalid data found when processing input ({other}/words.mp4)" in found[2]["error"]
    assert "secret" not in outcome.out + outcome.err
    assert spooled() == before


def test_a_single_url_has_all_outputs(options: list[object], clip: Path) -> None:
    outputs = ["--video", "seen.mp4", "--plot", "a.png", "--report", "report", "--save", "{name}.srt"]
    with serving(clip.parent) as (address, _):
        dfer("predict", f"{address}/{clip.name}", *options, *outputs).succeeded()
    assert open_frames(Path("seen.mp4")).num_frames == open_frames(clip).num_frames
    assert Path(f"{clip.stem}.srt").exists()
    assert "was not kept" in Path(f"report/{clip.stem}.html").read_text()


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/a.mp4", "rtsp://127.0.0.1/a"])
def test_urls_that_are_bad_usage(options: list[object], url: str) -> None:
    dfer("predict", url, *options).failed(2)


def test_standard_input_raw_and_in_a_container(options: list[object], clip: Path) -> None:
    (known,) = answers(dfer("predict", clip, *options, "--json", "-").succeeded())
    encoded = piped(clip.read_bytes(), "predict", "-", *options, "--json", "-")
    assert encoded.returncode == 0, encoded.stderr
    answer = json.loads(encoded.stdout)
    assert answer["source"] == "-"
    assert same_answer(answer, known)

    source = open_frames(clip)
    height, width = source.size_hw
    frames = b"".join(frame.tobytes() for _, frame in source.iter_frames())
    form = f"{width}x{height}@{known['fps']}"
    raw = piped(frames, "predict", "-", "--raw", form, *options, "--json", "-")
    assert raw.returncode == 0, raw.stderr
    assert json.loads(raw.stdout)["faces"][0]["label"] == known["faces"][0]["label"]
    assert json.loads(raw.stdout)["num_frames"] == known["num_frames"]


@pytest.mark.parametrize(
    ("content", "arguments", "code", "words"),
    [
        (b"", ["-"], 1, "nothing came on standard input"),
        (b"words", ["-"], 1, "cannot read the video"),
        (b"words", ["-", "--raw", "64x48@25"], 1, "less than one frame"),
        (b"", ["-", "-"], 2, "read once"),
        (b"", ["a.mp4", "--raw", "64x48@25"], 2, "--raw describes standard input"),
    ],
)
def test_standard_input_that_is_none(
    options: list[object],
    content: bytes,
    arguments: list[str],
    code: int,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
    dfer("predict", *arguments, *options).failed(code, words)
