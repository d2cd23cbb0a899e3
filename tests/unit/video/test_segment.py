"""Segments of videos: the frames of a span of seconds, whatever the source."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from dfer.errors import VideoError
from dfer.records import Span
from dfer.video import cut_segment, open_frames
from tests.unit.video.videos import COUNT, FPS, make_frames, write_video


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("video") / "a.mp4", make_frames())


@pytest.mark.parametrize("decoder", ["decord", "pyav"])
@pytest.mark.parametrize(
    ("span", "first", "last"),
    [
        pytest.param(Span(0.0, 0.5), 0, 14, id="beginning"),
        pytest.param(Span(0.5, 0.7), 15, 20, id="middle"),
        pytest.param(Span(1.0, None), 30, 39, id="to the end"),
        pytest.param(Span(1.0, 99.0), 30, 39, id="beyond the end"),
        pytest.param(Span(0.333, 0.4), 10, 11, id="times that a table rounds"),
    ],
)
def test_a_segment_has_the_frames_of_its_span(
    video: Path, span: Span, first: int, last: int, decoder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DFER_DECODER", decoder)
    whole = open_frames(video)
    assert whole.num_frames == COUNT
    segment = cut_segment(whole, span)
    assert segment.num_frames == last - first + 1
    assert segment.times_s[0] == 0
    assert segment.duration == pytest.approx(min(span.end_s or 99, COUNT / FPS) - first / FPS, abs=2e-3)
    expected = dict(whole.iter_frames(range(first, last + 1)))
    found = dict(segment.iter_frames())
    assert {index + first for index in found} == set(expected)
    assert all(np.array_equal(found[index - first], frame) for index, frame in expected.items())
    ((index, frame),) = segment.iter_frames([last - first])
    assert index == last - first
    assert np.array_equal(frame, expected[last])


@pytest.mark.parametrize("span", [Span(2.0, 3.0), Span(2.0, None), Span(0.01, 0.02)])
def test_a_segment_without_frames_is_an_error(video: Path, span: Span) -> None:
    with pytest.raises(VideoError, match=r"no frame lies in the segment .* the video has 1.33333 s") as caught:
        cut_segment(open_frames(video), span)
    assert "seconds" in str(caught.value.hint)


def test_a_segment_of_a_frame_folder(tmp_path: Path) -> None:
    for number in range(50):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((32, 32, 3), 5 * number, np.uint8))
    segment = cut_segment(open_frames(tmp_path), Span(1.0, 1.2))
    assert [int(frame[0, 0, 0]) // 5 for _, frame in segment.iter_frames()] == [25, 26, 27, 28, 29]
