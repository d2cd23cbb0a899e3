"""Changes of crops and videos, and the share of predictions that they alter."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from dfer.records import FacePrediction, Segment
from dfer.release.stability import (
    CROP_CHANGES,
    VIDEO_CHANGES,
    agreement,
    changed_share,
    coarsen_crops,
    drop_first_frame,
    emotion_shares,
    shift_crops,
    shrink_video,
)
from dfer.video import open_frames


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """A folder of twenty images of noise, 48 pixels wide and high."""
    noise = np.random.default_rng(0).integers(0, 256, (20, 48, 48, 3), dtype=np.uint8)
    for number, image in enumerate(noise):
        cv2.imwrite(str(tmp_path / f"{number}.png"), image)
    return tmp_path


@pytest.mark.parametrize("name", CROP_CHANGES)
def test_a_change_keeps_shape_and_type_and_its_input(name: str) -> None:
    frames = torch.randint(0, 256, (2, 3, 32, 32, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    before = frames.clone()
    changed = CROP_CHANGES[name](frames)
    assert changed.shape == frames.shape
    assert changed.dtype == torch.uint8
    assert not torch.equal(changed, frames)
    assert torch.equal(frames, before)
    flat = torch.full_like(frames, 100)
    if name != "in warmer light":
        assert torch.equal(CROP_CHANGES[name](flat), flat)


def test_shifts_by_hand() -> None:
    frames = torch.arange(4, dtype=torch.uint8).view(1, 1, 1, 4, 1).expand(1, 1, 4, 4, 3)
    assert shift_crops(frames, right=0.25)[0, 0, 0, :, 0].tolist() == [0, 0, 1, 2]
    assert shift_crops(frames, down=0.25)[0, 0, :, 2, 0].tolist() == [2, 2, 2, 2]
    assert shift_crops(frames.transpose(2, 3), down=0.5)[0, 0, :, 0, 0].tolist() == [0, 0, 0, 1]


def test_a_coarser_picture_has_no_fine_pattern() -> None:
    line = (torch.arange(32) % 2 * 200).to(torch.uint8)
    frames = line.view(1, 1, 1, 32, 1).expand(1, 1, 32, 32, 3)
    assert coarsen_crops(frames, 4).float().std() < 0.1 * frames.float().std()


def test_changed_share_by_hand() -> None:
    before, after = np.eye(4), np.eye(4)[[0, 1, 3, 2]]
    assert changed_share(before, after) == 0.5


@pytest.mark.parametrize("name", VIDEO_CHANGES)
def test_a_changed_video_is_a_video(video: Path, name: str) -> None:
    source = open_frames(video)
    changed = VIDEO_CHANGES[name](source)
    frames = dict(changed.iter_frames())
    assert list(frames) == list(range(changed.num_frames))
    assert {frame.shape for frame in frames.values()} == {(*changed.size_hw, 3)}
    assert dict(changed.iter_frames([3]))[3].tolist() == frames[3].tolist()
    assert not all(np.array_equal(frame, frames[index]) for index, frame in source.iter_frames() if index in frames)


def test_the_second_frame_comes_first(video: Path) -> None:
    source = open_frames(video)
    changed = drop_first_frame(source)
    assert changed.num_frames == source.num_frames - 1
    assert changed.times_s[0] == 0
    assert changed.duration == pytest.approx(source.duration - 1 / 25)
    assert dict(changed.iter_frames([0]))[0].tolist() == dict(source.iter_frames([1]))[1].tolist()
    assert shrink_video(source).size_hw == (24, 24)


# ---- timelines


def _face(*segments: tuple[float, float, str]) -> FacePrediction:
    made = [Segment(start, end, label, {label: 1.0}, (0, 0, 1, 1)) for start, end, label in segments]
    return FacePrediction(0, made[0].start, made[-1].end, made[0].label, {made[0].label: 1.0}, made)


def test_shares_and_agreement_by_hand() -> None:
    one = _face((0, 3, "sad"), (3, 4, "happy"), (4, 8, "sad"))
    assert emotion_shares(one) == {"sad": 7 / 8, "happy": 1 / 8}
    assert agreement(one, one) == 1
    assert agreement(one, _face((0, 2, "sad"), (2, 8, "happy"))) == pytest.approx(3 / 8)
    later = _face((0, 2, "sad"), (2, 3, "happy"), (3, 7, "sad"))  # the same, begun a second later
    assert agreement(one, later, offset_s=1.0) == 1
    assert agreement(one, later) == pytest.approx(5 / 7)
    assert agreement(one, _face((20, 30, "sad"))) == 0
