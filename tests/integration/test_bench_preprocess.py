"""`dfer bench preprocess`, on real clips where the real detector is at hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.integration.program import dfer

pytestmark = pytest.mark.slow


def test_speed_is_measured_beside_the_plain_loop(real_clips: Path, scrfd_weights: Path) -> None:
    video = real_clips / "single_face.mp4"
    outcome = dfer(
        "bench", "preprocess", video, "--detector-weights", scrfd_weights, "--repeat", 1, "--json", "speed.json"
    ).succeeded()
    result = json.loads(Path("speed.json").read_text())
    rows = {(row["workers"], row["cores"]): row for row in result["workers"]}
    assert rows[1, 1]["speed_up"] == 1
    plain = result["plain_loop"]["frames_per_s"]
    for row in rows.values():
        assert row["ratio_to_plain_loop"] == pytest.approx(row["frames_per_s"] / plain)
        assert f"{row['frames_per_s']:.1f}" in outcome.out
    # The landmarks do not depend on the machine's speed, so their bound is tested here.
    assert result["landmarks"]["frames"] > 50
    assert result["landmarks"]["median"] < result["landmarks"]["near"] == 0.03
    assert "median" in outcome.out


@pytest.mark.parametrize(
    ("options", "clips", "size_hw"),
    [(("--minutes", 0.4), 1, [1080, 1920]), (("--clips", 5), 5, [360, 640])],
    ids=["a long video", "small clips"],
)
def test_memory_is_measured(
    real_clips: Path, scrfd_weights: Path, options: tuple[object, ...], clips: int, size_hw: list[int]
) -> None:
    video = real_clips / "single_face.mp4"
    arguments = ("bench", "preprocess", video, "--detector-weights", scrfd_weights, "--memory", *options)
    result = json.loads(dfer(*arguments, "--json", "-").succeeded().out)
    assert (result["clips"], result["size_hw"]) == (clips, size_hw)
    assert result["crops"] == result["frames"] > 0
    assert result["start_bytes"] <= result["first_bytes"] <= result["peak_bytes"] < result["limit_bytes"]


def test_memory_of_a_video_without_a_face_is_an_error(real_clips: Path, scrfd_weights: Path) -> None:
    arguments = ("--detector-weights", scrfd_weights, "--memory", "--minutes", 0.2)
    outcome = dfer("bench", "preprocess", real_clips / "no_face.mp4", *arguments)
    outcome.failed(1, "no_face", hint="name a video that shows a face")
