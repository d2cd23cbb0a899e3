"""What the page of a long video is measured with."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dfer.prediction.saved import read_answers
from dfer.records.timeline import gaps
from dfer.video import open_frames


@pytest.fixture(scope="module")
def script(checkout: Path) -> dict[str, Any]:
    return runpy.run_path(str(checkout / "docs" / "report_page.py"))


def test_the_video_is_as_long_as_it_is_said_to_be(script: dict[str, Any], tmp_path: Path) -> None:
    script["write_long_video"](tmp_path / "long.mp4", 40.0)
    source = open_frames(tmp_path / "long.mp4")
    assert len(source.times_s) == 1000
    assert np.diff(source.times_s) == pytest.approx(0.04, abs=1e-3)
    assert source.duration == pytest.approx(40.0, abs=0.1)


def test_the_answers_are_like_real_ones(script: dict[str, Any], tmp_path: Path) -> None:
    prediction = script["invent_prediction"](Path("long.mp4"), 600.0, 3)
    assert len(prediction.faces) == 3
    for face in prediction.faces:
        assert 850 < len(face.segments) < 938
        assert len(gaps(face)) > 3
        assert len({segment.label for segment in face.segments}) == 7
        assert 0 < sum(segment.unsure for segment in face.segments) < 100
    file = tmp_path / "a.json"
    file.write_text(json.dumps(prediction.to_dict()))
    (again,) = read_answers(file)
    assert again.to_dict() == prediction.to_dict()
