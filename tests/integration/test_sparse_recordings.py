"""A real face at one frame a second and less, around a long pause, and in pictures of an album, from file to answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from dfer.store import open_store
from dfer.video import VideoWriter, open_frames
from tests.checkpoints import write_checkpoint
from tests.integration.program import dfer

RATES = (1.0, 0.1)
PAUSES_S = (40.0, 60.0)


@pytest.fixture(scope="module")
def faces(real_clips: Path) -> list[NDArray[np.uint8]]:
    """Frames of a real clip, small."""
    source = open_frames(real_clips / "single_face.mp4")
    return [np.asarray(cv2.resize(frame, (240, 136)), np.uint8) for _, frame in source.iter_frames(range(0, 72, 9))]


@pytest.fixture(scope="module")
def recordings(faces: list[NDArray[np.uint8]], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Slow videos, videos with a pause after the fourth frame, frames sampled from a clip, and an album."""
    folder = tmp_path_factory.mktemp("recordings") / "raw" / "happy"
    folder.mkdir(parents=True)
    times = {f"slow{rate}.mp4": np.arange(4) / rate for rate in RATES}
    for pause_s in PAUSES_S:
        times[f"pause{pause_s:.0f}.mkv"] = np.arange(8) / 30 + np.where(np.arange(8) < 4, 0.0, pause_s)
    for name, times_s in times.items():
        with VideoWriter(folder / name, fps=30, size_hw=(136, 240)) as writer:
            for frame, time_s in zip(faces, times_s, strict=False):
                writer.write(frame, float(time_s))
    for name, seen in (("sampled", range(8)), ("album", [5])):
        (folder / name).mkdir()
        for number, frame in enumerate(faces):
            shown = frame if number in seen else np.full_like(frame, 16 * number)
            cv2.imwrite(str(folder / name / f"{number}.png"), shown[..., ::-1])
    return {name: folder / name for name in (*times, "sampled", "album")}


def test_predict_answers_for_all_the_time_in_which_a_face_is_shown(recordings: dict[str, Path], tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path / "tiny.safetensors")
    command = ("predict", *recordings.values(), "--checkpoint", checkpoint, "--detector", "centerface", "--json", "-")
    answers = [json.loads(line) for line in dfer(*command).succeeded().out.splitlines()]
    spans = {name: _spans(answer) for name, answer in zip(recordings, answers, strict=True)}
    for rate in RATES:
        assert spans.pop(f"slow{rate}.mp4") == [pytest.approx((0, 4 / rate), abs=0.002)]
    for pause_s in PAUSES_S:
        before, after = spans.pop(f"pause{pause_s:.0f}.mkv")
        assert before == pytest.approx((0, 4 / 30), abs=0.002)
        assert after == pytest.approx((pause_s + 4 / 30, pause_s + 8 / 30), abs=0.05)
    assert spans == {"sampled": [(0, 0.32)], "album": [(0.2, 0.24)]}


def _spans(answer: dict[str, Any]) -> list[tuple[float, float]]:
    """The stretches of time that the segments of the only face cover."""
    (face,) = answer["faces"]
    spans: list[tuple[float, float]] = []
    for segment in face["segments"]:
        if spans and spans[-1][1] == segment["start"]:
            spans[-1] = (spans[-1][0], segment["end"])
        else:
            spans.append((segment["start"], segment["end"]))
    return spans


def test_preprocess_keeps_every_frame_with_a_face(recordings: dict[str, Path], tmp_path: Path) -> None:
    raw = recordings["album"].parents[1]
    dfer("preprocess", "folder", raw, "--out", "store", "--detector", "centerface", "--engine", "inline").succeeded()
    rows = {row.clip_id: row for row in open_store(Path("store")).rows}
    found = {name: rows[f"happy/{name}"] for name in recordings}
    assert {row.status for row in found.values()} == {"ok"}
    counts = {name: row.num_frames for name, row in found.items()}
    slow, paused = {f"slow{rate}.mp4": 4 for rate in RATES}, {f"pause{pause_s:.0f}.mkv": 8 for pause_s in PAUSES_S}
    assert counts == slow | paused | {"sampled": 8, "album": 1}
