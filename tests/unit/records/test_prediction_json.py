"""The JSON of a prediction."""

from __future__ import annotations

import json
from dataclasses import replace

from dfer.records import Prediction, Quality
from dfer.records.bins import cut_bins
from dfer.records.prediction_json import error_dict
from tests.results import NOTICE, even_windows, face_with, predicted

QUALITY = Quality(80.04, 0.123456, 0.5, None, None, 2.06, 0.9, 1.0)


def made() -> Prediction:
    face = face_with(even_windows(3))
    segments = [
        replace(segment, quality=QUALITY, confidence=0.43219, reasons=("too dark",)) for segment in face.segments
    ]
    faces = [replace(face, segments=segments, reasons=("too dark",))]
    return replace(predicted(faces, 2.0), warnings=["damaged"], bins=cut_bins(faces, bin_s=1.0, end_s=2.0))


def test_the_second_schema_says_how_sure_and_how_well_seen() -> None:
    value = json.loads(json.dumps(made().to_dict(), allow_nan=False))
    assert value["schema"] == "dfer.prediction/2"
    (face,) = value["faces"]
    assert (face["visible"], face["spans"], face["unsure"]) == (1.92, [[0.0, 1.92]], True)
    segment = face["segments"][0]
    assert (segment["confidence"], segment["unsure"], segment["reasons"]) == (0.4322, True, ["too dark"])
    assert segment["quality"] == {
        "size": 80.0, "sharpness": 0.1235, "brightness": 0.5, "yaw": None, "pitch": None, "roll": 2.1, "score": 0.9,
        "detected": 1.0,
    }  # fmt: skip
    assert [one["visible"] for one in value["bins"]] == [1.0, 0.92]
    assert value["bins"][0]["faces"][0]["quality"] == segment["quality"]


def test_warnings_hold_warnings_only_and_the_notice_stands_apart() -> None:
    value = made().to_dict()
    assert (value["notice"], value["warnings"]) == (NOTICE, ["damaged"])
    assert replace(made(), notice="").to_dict()["notice"] == ""


def test_the_first_schema_is_as_it_was() -> None:
    value = made().to_dict(schema=1)
    assert list(value) == ["schema", "source", "duration", "fps", "num_frames", "model", "faces", "warnings"]
    assert value["schema"] == "dfer.prediction/1"
    assert value["warnings"] == [NOTICE, "damaged"]
    assert list(value["faces"][0]) == ["id", "start", "end", "label", "probabilities", "segments"]
    assert list(value["faces"][0]["segments"][0]) == ["start", "end", "label", "probabilities", "box"]


def test_an_error_has_the_schema_that_was_asked_for() -> None:
    assert error_dict("a.mp4", "is empty") == {"schema": "dfer.prediction/2", "source": "a.mp4", "error": "is empty"}
    assert error_dict("a.mp4", "is empty", 1)["schema"] == "dfer.prediction/1"
