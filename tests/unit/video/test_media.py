"""What a video file is made of, and whether browsers play it."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from dfer.video import open_frames
from tests.unit.video.videos import make_frames, write_video


@pytest.mark.parametrize(
    ("name", "codec", "pixels", "played", "repacked"),
    [
        ("a.mp4", "libx264", "yuv420p", True, True),
        ("a.M4V", "libx264", "yuv420p", True, True),
        ("a.mov", "libx264", "yuv420p", False, True),
        ("a.mkv", "libx264", "yuv420p", False, True),
        ("a.mp4", "libx264", "yuv444p", False, False),
        ("a.mp4", "mpeg4", "yuv420p", False, False),
        ("a.avi", "mpeg4", "yuv420p", False, False),
        ("a.webm", "libvpx-vp9", "yuv420p", True, False),
    ],
)
def test_browsers_play_few_kinds(
    tmp_path: Path, name: str, codec: str, pixels: str, played: bool, repacked: bool
) -> None:
    path = write_video(tmp_path / name, make_frames(5), codec=codec, pix_fmt=pixels)
    media = open_frames(path).media
    assert media is not None
    assert (media.is_played(path), media.can_be_repacked) == (played, repacked)


def test_a_suffix_that_hides_the_container_is_not_played(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mkv", make_frames(5)).rename(tmp_path / "b.mp4")
    media = open_frames(path).media
    assert media is not None
    assert not media.is_played(path)


def test_pictures_that_begin_after_the_sound_are_shown_late_by_a_player(tmp_path: Path) -> None:
    path = tmp_path / "late.mp4"
    with av.open(str(path), "w") as output:
        video = output.add_stream("libx264", rate=25, options={"bf": "0"})
        video.height, video.width, video.pix_fmt = 96, 128, "yuv420p"
        audio = output.add_stream("aac", rate=16000, layout="mono")
        for number, frame in enumerate(make_frames(5)):
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            picture.pts, picture.time_base = number + 10, Fraction(1, 25)
            output.mux(video.encode(picture))
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), format="fltp", layout="mono")
        sound.sample_rate, sound.pts = 16000, 0
        for stream, frames in ((audio, [sound, None]), (video, [None])):
            for item in frames:
                output.mux(stream.encode(item))
    source = open_frames(path)
    assert source.times_s[0] == 0
    assert source.media is not None
    assert source.media.sound == ("aac",)
    assert source.media.offset_s == pytest.approx(0.4, abs=0.07)  # the encoder's delay comes before the sound


def test_images_are_made_of_nothing(tmp_path: Path) -> None:
    import cv2

    cv2.imwrite(str(tmp_path / "a.png"), make_frames(1)[0])
    assert open_frames(tmp_path / "a.png").media is None
