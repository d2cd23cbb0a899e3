"""Answers that are kept from run to run: what counts, what is refused, what a kill leaves."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dfer.errors import DataError, DferError, UsageError
from dfer.names import name_text
from dfer.prediction.progress import ProgressFile, Video
from dfer.records import FacePrediction, Prediction, Quality, Segment

LABELS = ["happy", "sad"]
SETTINGS: dict[str, Any] = {"dfer": "0", "labels": LABELS, "stride": None, "weights": "ab" * 32}


def predicted(source: Path, *, share: float = 0.75) -> Prediction:
    shares = {"happy": share, "sad": 1 - share}
    quality = Quality(80.0, 0.2, None, 12.5, -3.0, None, 0.9, 1.0)
    segment = Segment(0.0, 1 / 3, "happy", shares, (0.0, 1.0, 2.0, 3.0), quality, 0.4, ("too dark", "too small"))
    face = FacePrediction(0, 0.0, 1 / 3, "happy", shares, [segment], 0.4, ("too dark",))
    return Prediction(name_text(source), 1 / 3, 24.0, 8, {"name": "m", "labels": LABELS}, [face], ["a warning"])


@pytest.fixture
def videos(tmp_path: Path) -> list[Path]:
    """Files by the name of a video, and a folder of frames."""
    found = [tmp_path / name for name in ("a.mp4", "b\udcff.mp4", "frames")]
    for path in found[:2]:
        path.write_bytes(b"video")
    found[2].mkdir()
    (found[2] / "1.png").write_bytes(b"frame")
    return found


def keep(output: Path, *videos: Path, settings: dict[str, Any] = SETTINGS, resume: bool = True) -> ProgressFile:
    """A run that ends after these videos, as if it was killed."""
    with ProgressFile(output, settings, resume=resume) as kept:
        for path in videos:
            keep_answer(kept, path)
    return kept


def keep_answer(kept: ProgressFile, path: Path) -> None:
    video = Video.at(path)
    assert video is not None
    kept.add(video, predicted(path))


def known(output: Path, *videos: Path, settings: dict[str, Any] = SETTINGS, resume: bool = True) -> list[bool]:
    with ProgressFile(output, settings, resume=resume) as kept:
        return [kept.find(path) is not None for path in videos]


def test_a_killed_run_leaves_its_answers_as_they_were(tmp_path: Path, videos: list[Path]) -> None:
    output = tmp_path / "out.json"
    keep(output, *videos[:2])
    with ProgressFile(output, SETTINGS, resume=True) as kept:
        assert kept.path == tmp_path / "out.json.progress"
        assert kept.find(videos[0]) == predicted(videos[0])
        assert kept.find(videos[1]) is not None
        assert kept.find(videos[2]) is None
        assert kept.find(tmp_path / "missing.mp4") is None
        kept.remove()
    assert known(output, *videos) == [False] * 3


def test_each_answer_is_on_the_disk_when_it_is_known(tmp_path: Path, videos: list[Path]) -> None:
    with ProgressFile(tmp_path / "out.csv", SETTINGS, resume=True) as kept:
        for count, path in enumerate(videos, start=1):
            video = Video.at(path)
            assert video is not None
            kept.add(video, predicted(path))
            assert len(kept.path.read_text().splitlines()) == 1 + count


def test_from_scratch_drops_them(tmp_path: Path, videos: list[Path]) -> None:
    keep(tmp_path / "out.json", *videos)
    assert known(tmp_path / "out.json", *videos, resume=False) == [False] * 3


CHANGES: dict[str, Callable[[Path, Path], object]] = {
    "longer": lambda file, _: file.write_bytes(b"other video"),
    "newer": lambda file, _: os.utime(file, (9e8, 9e8)),
    "gone": lambda file, _: file.unlink(),
    "a frame more": lambda _, folder: (folder / "2.png").write_bytes(b""),
    "another frame": lambda _, folder: (folder / "1.png").write_bytes(b"other frame"),
    "a newer frame": lambda _, folder: os.utime(folder / "1.png", (4e9, 4e9)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_has_changed_since_is_answered_again(tmp_path: Path, videos: list[Path], change: str) -> None:
    keep(tmp_path / "out.json", videos[0], videos[2])
    CHANGES[change](videos[0], videos[2])
    assert known(tmp_path / "out.json", videos[0], videos[2]).count(False) == 1


def test_other_settings_are_refused_and_named(tmp_path: Path, videos: list[Path]) -> None:
    output = tmp_path / "out.json"
    keep(output, *videos)
    with pytest.raises(UsageError, match=r"other settings: stride None -> 0\.5 \(.*out\.json\.progress\)") as error:
        known(output, settings=SETTINGS | {"stride": 0.5})
    assert error.value.hint is not None
    assert "--no-resume" in error.value.hint
    assert known(output, *videos) == [True] * 3
    with pytest.raises(UsageError, match=r"weights 'abab.* -> None"):
        known(output, settings={key: value for key, value in SETTINGS.items() if key != "weights"})


def _spoil(line: str, key: str, value: object) -> str:
    """The line with another value somewhere in the answer."""
    record = json.loads(line)
    face = record["prediction"]["faces"][0]
    for place in (record, record["video"], record["prediction"], face, face["segments"][0], face["probabilities"]):
        if key in place:
            place[key] = value
            break
    return json.dumps(record)


TORN: dict[str, Callable[[str], str]] = {
    "half": lambda line: line[: len(line) // 2],
    "zeros": lambda line: "\0" * len(line),
    "deep": lambda _: "[" * 100_000,
    "a number": lambda _: "7",
    "text for a number": lambda line: _spoil(line, "duration", "1"),
    "no frames": lambda line: _spoil(line, "num_frames", 0),
    "a probability above one": lambda line: _spoil(line, "happy", 1.5),
    "a label of none": lambda line: _spoil(line, "label", "joyous"),
    "no segments": lambda line: _spoil(line, "segments", []),
    "an unknown key": lambda line: line.replace('"fps"', '"spf"'),
    "not a number": lambda line: line.replace("24.0", "NaN"),
    "ends before it begins": lambda line: _spoil(line, "start", 5.0),
}


@pytest.mark.parametrize("damage", TORN)
@pytest.mark.parametrize("last", [True, False])
def test_a_damaged_line_costs_its_own_answer(tmp_path: Path, videos: list[Path], damage: str, last: bool) -> None:
    output = tmp_path / "out.json"
    path = keep(output, *videos).path
    lines = path.read_text().splitlines()
    place = 3 if last else 2
    lines[place] = TORN[damage](lines[place])
    path.write_text("\n".join(lines) + "\n" * (not last))
    assert known(output, *videos) == [True, last, not last]
    keep(output, videos[place - 1])
    assert known(output, *videos) == [True] * 3


OTHERS: dict[str, Callable[[Path], object]] = {
    "a list of frames": lambda path: path.write_text("frame 1\nframe 2\n"),
    "nothing": lambda path: path.write_text(""),
    "an object": lambda path: path.write_text('{"schema": "dfer.prediction/1"}\n'),
    "a long line": lambda path: path.write_text("x" * 2_000_000),
    "a folder": lambda path: path.mkdir(),
    "a pipe": lambda path: os.mkfifo(path),
    "a device": lambda path: path.symlink_to("/dev/zero"),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_what_is_no_such_file_is_not_overwritten(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "out.json.progress"
    OTHERS[kind](path)
    before = path.lstat()
    with pytest.raises(DataError, match="not the answers of an earlier run") as error:
        known(tmp_path / "out.json")
    assert "--no-resume" in str(error.value.hint)
    assert path.lstat() == before


def test_one_run_at_a_time_writes_to_it(tmp_path: Path) -> None:
    with (
        ProgressFile(tmp_path / "out.json", SETTINGS, resume=True),
        pytest.raises(DferError, match="another run is writing"),
    ):
        known(tmp_path / "out.json")


@pytest.mark.parametrize("name", ["out.json", "x" * 250 + ".json", "字" * 80 + ".json"], ids=["short", "long", "wide"])
def test_any_name_of_an_output_has_room_for_it(tmp_path: Path, videos: list[Path], name: str) -> None:
    kept = keep(tmp_path / name, *videos)
    assert len(os.fsencode(kept.path.name)) <= 143
    assert known(tmp_path / name, *videos) == [True] * 3


class TestShards:
    """Runs over a part of the inputs, at the same time, and the run that puts them together."""

    def test_a_run_over_all_inputs_knows_the_answers_of_all_shards(self, tmp_path: Path, videos: list[Path]) -> None:
        output = tmp_path / "out.csv"
        for number, video in enumerate(videos[:2], start=1):
            with ProgressFile(output, SETTINGS, resume=True, part=(number, 2)) as kept:
                assert kept.path.name == f"out.csv.progress-{number}-of-2"
                keep_answer(kept, video)
        assert known(output, *videos) == [True, True, False]
        with ProgressFile(output, SETTINGS, resume=True, part=(3, 7)) as kept:
            assert kept.find(videos[0]) is not None
        with ProgressFile(output, SETTINGS, resume=True) as kept:
            kept.remove()
        assert not list(tmp_path.glob("out.csv*"))

    def test_shards_run_at_the_same_time_and_are_waited_for(self, tmp_path: Path, videos: list[Path]) -> None:
        output = tmp_path / "out.csv"
        with (
            ProgressFile(output, SETTINGS, resume=True, part=(1, 2)) as one,
            ProgressFile(output, SETTINGS, resume=True, part=(2, 2)),
        ):
            keep_answer(one, videos[0])
            with pytest.raises(DferError, match="another run is writing"):
                ProgressFile(output, SETTINGS, resume=True).__enter__()
            with pytest.raises(DferError, match="another run is writing"):
                ProgressFile(output, SETTINGS, resume=True, part=(1, 2)).__enter__()

    def test_other_settings_and_other_outputs_are_not_mixed_in(self, tmp_path: Path, videos: list[Path]) -> None:
        with ProgressFile(tmp_path / "out.csv", SETTINGS, resume=True, part=(1, 2)) as kept:
            keep_answer(kept, videos[0])
        assert known(tmp_path / "another.csv", *videos) == [False] * 3
        with pytest.raises(UsageError, match="other settings: stride"):
            known(tmp_path / "out.csv", settings={**SETTINGS, "stride": 2.0})
        assert known(tmp_path / "out.csv", *videos, resume=False) == [False] * 3
