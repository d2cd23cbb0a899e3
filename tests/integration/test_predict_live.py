"""`dfer predict --camera` and `--live` with a file in place of a camera: what is written, shown and refused."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest

from tests.integration.program import ctrl_c, dfer, start, wait_until


@pytest.fixture
def options(checkpoint: Path) -> list[object]:
    return ["--checkpoint", checkpoint, "--detector", "haar"]


def test_a_camera_is_answered_about_while_it_runs(options: list[object], clip: Path) -> None:
    outputs = ["--csv", "live.csv", "--json", "live.jsonl"]
    outcome = dfer("predict", "--camera", clip, *options, *outputs).succeeded()
    assert re.search(r"\d+ answers, delay p50 \d+ ms, p95 \d+ ms, \d+ % of \d+ frames dropped", outcome.err)
    with open("live.csv", newline="") as file:  # noqa: PTH123
        rows = list(csv.DictReader(file))
    lines = [json.loads(line) for line in Path("live.jsonl").read_text().splitlines()]
    assert rows
    assert {row["source"] for row in rows} == {str(clip)}
    assert len(rows) == sum(len(line["faces"]) for line in lines)
    for line in lines:
        assert list(line) == ["schema", "source", "start", "end", "faces"]
        assert line["schema"] == "dfer.live/1"
        for face in line["faces"]:
            assert line["start"] <= face["start"] < face["end"]
            assert sum(face["probabilities"].values()) == pytest.approx(1, abs=1e-6)
    starts = [line["start"] for line in lines]
    assert starts == sorted(starts)


def test_the_time_is_over_when_the_user_said(options: list[object], clip: Path) -> None:
    outcome = dfer("predict", clip, "--camera", clip, *options)
    outcome.failed(2, "--live shows one source")
    dfer("predict", "--camera", clip, *options, "--duration", 0.3, "--csv", "live.csv").succeeded()
    with open("live.csv", newline="") as file:  # noqa: PTH123
        assert all(float(row["start"]) < 0.3 for row in csv.DictReader(file))


def test_ctrl_c_ends_a_camera_and_leaves_whole_lines(options: list[object], raw: Path, clip: Path) -> None:
    import av

    with av.open("long.mp4", "w") as target, av.open(str(clip)) as source:  # the clip, ten times slower
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.pts, packet.dts = packet.pts * 10, packet.dts * 10
                packet.stream = stream
                target.mux(packet)
    process = start("predict", "--camera", "long.mp4", *options, "--csv", "live.csv")
    written = Path("live.csv")
    wait_until(lambda: written.exists() and written.read_text().count("\n") >= 2, process)
    outcome = ctrl_c(process).succeeded()
    assert "answers, delay" in outcome.err
    text = written.read_text()
    assert text.endswith("\n")
    assert len({line.count(",") for line in text.splitlines()}) == 1
    assert not list(Path().glob(".*.lock"))


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--live"], 2, "one source"),
        (["a.mp4", "--live", "--video", "b.mp4"], 2, "cannot be used with --live or --camera"),
        (["nosuch.mp4", "--live"], 1, "no such file"),
        (["ftp://a/b", "--live"], 2, "the protocol ftp is not read"),
        ([], 2, "missing argument"),
    ],
)
def test_what_has_no_meaning(arguments: list[str], code: int, words: str) -> None:
    dfer("predict", *arguments).failed(code, words)


def test_there_must_be_something_to_show_it_on(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    dfer("predict", clip, "--live").failed(2, "neither a display nor a terminal")
    dfer("predict", clip, "--live", "--view", "window").failed(2, "there is no display")
