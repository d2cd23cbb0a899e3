"""The time left in both passes, by a clock that the tests turn: its error against the time that it really took."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from dfer.prediction.time_left import TimeLeft

FRAMES, KEYFRAME_EVERY, WINDOWS = 3000, 4, 120
OfPlace = Callable[[float], float]  # by the place in the video, 0..1


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        return self.now


def always(value: float) -> OfPlace:
    return lambda _place: value


ONE_FACE, SEARCH_S, DECODE_S = always(1), always(0.010), always(0.001)


def run(
    *,
    faces: OfPlace = ONE_FACE,
    search_s: OfPlace = SEARCH_S,
    decode_s: OfPlace = DECODE_S,
    face_frame_s: float = 0.008,
    rehearsed: float | None = 1.0,
    main_only: bool = False,
    threads: int = 1,
) -> list[tuple[float, float, float]]:
    """Go through both passes.

    Args:
        faces: in a frame.
        search_s: of a keyframe.
        decode_s: of a frame.
        face_frame_s: of recognition, for each face in a frame.
        rehearsed: what was measured of it beforehand, in units of what it takes; None for nothing.
        main_only: one face is recognised.
        threads: that recognise, on as many cores.

    Returns:
        The passes done, 0 to 2, the time left as it was estimated, and as it turned out, seconds.
    """
    clock, seen = Clock(), list[tuple[float, float, float]]()
    left = TimeLeft(clock=clock)
    measured = None if rehearsed is None else rehearsed * face_frame_s
    left.begin(num_frames=FRAMES, face_frame_s=measured, main_only=main_only, threads=threads)

    def decode() -> Iterator[int]:
        for frame in range(FRAMES):
            clock.now += decode_s(frame / FRAMES)
            yield frame

    def note(done: float) -> None:
        seconds = left.seconds
        if seconds is None:
            assert done < 0.051
            assert clock.now < 52.1
        else:
            seen.append((done, seconds, clock.now))

    shown = [min(faces(frame / FRAMES), 1.0) if main_only else faces(frame / FRAMES) for frame in range(FRAMES)]
    for frame in left.wait_for(decode()):
        if frame % KEYFRAME_EVERY == 0:
            clock.now += search_s(frame / FRAMES)
            left.saw(round(faces(frame / FRAMES)))
        left.detected((frame + 1) / FRAMES)
        note((frame + 1) / FRAMES)
    decoding_s = sum(decode_s(frame / FRAMES) for frame in range(FRAMES))
    work_s = max(sum(shown) * face_frame_s + decoding_s / threads, decoding_s)
    for window in range(WINDOWS):
        clock.now += work_s / WINDOWS
        left.recognised((window + 1) / WINDOWS)
        note(1 + (window + 1) / WINDOWS)
    return [(done, estimate, clock.now - then) for done, estimate, then in seen]


def worst(seen: list[tuple[float, float, float]], *, after: float = 0.1) -> float:
    """Return the largest relative error after a part of the first pass, until the last hundredth of all the time."""
    whole = seen[0][2]
    return max(abs(estimate - true) / true for done, estimate, true in seen if done > after and true > 0.01 * whole)


@pytest.mark.parametrize(
    "profile",
    [
        pytest.param({}, id="one face"),
        pytest.param({"faces": always(5), "search_s": always(0.03)}, id="many faces"),
        pytest.param({"faces": always(5), "main_only": True}, id="many faces, the main one recognised"),
        pytest.param({"decode_s": always(0.012)}, id="decoding takes longest"),
        pytest.param({"decode_s": always(0.012), "threads": 2}, id="decoding takes longest, beside two threads"),
        pytest.param({"decode_s": always(0.05), "threads": 16}, id="all wait for the decoder"),
        pytest.param({"decode_s": lambda place: 0.002 if int(10 * place) % 2 else 0.004}, id="decoding speed varies"),
        pytest.param({"rehearsed": 0.85}, id="the rehearsal was too fast"),
        pytest.param({"rehearsed": 1.2}, id="the rehearsal was too slow"),
        pytest.param({"faces": lambda place: float(int(20 * place) % 2)}, id="a face half of the time"),
        pytest.param({"faces": always(0), "search_s": always(0.05), "face_frame_s": 0.0}, id="no face, nothing to do"),
    ],
)
def test_the_time_left_is_right_within_a_fifth_after_a_tenth_of_the_video(profile: dict[str, OfPlace]) -> None:
    assert worst(run(**profile)) < 0.2  # type: ignore[arg-type]


def test_nothing_is_said_while_the_first_frames_are_slow() -> None:
    """Libraries start up with them: a thousand times as slow as the rest, they would stand for all that follow."""
    seen = run(search_s=lambda place: 1.0 if place == 0 else 0.01)
    assert seen[0][0] == pytest.approx(0.05, abs=0.002)
    assert worst(seen, after=0) < 0.2


def test_faces_that_come_late_are_counted_as_soon_as_they_are_seen() -> None:
    seen = run(faces=lambda place: float(place >= 0.5))
    assert worst(seen, after=0.1) > 0.2, "nobody can know of them before"
    assert worst(seen, after=0.9) < 0.2
    assert worst(seen, after=1.0) < 0.05


def test_the_pass_that_runs_is_not_all() -> None:
    """With recognition four times as slow as detection, half of the first pass is a tenth of the work."""
    done, estimate, true = next(entry for entry in run(face_frame_s=0.0140) if entry[0] >= 0.5)
    assert done == pytest.approx(0.5)
    assert estimate == pytest.approx(true, rel=0.05)


def test_without_a_rehearsal_recognition_is_expected_to_take_as_long_as_detection() -> None:
    seen = run(rehearsed=None)
    _, estimate, _ = next(entry for entry in seen if entry[0] >= 0.5)
    assert estimate == pytest.approx(1.5 * FRAMES * (0.001 + 0.010 / KEYFRAME_EVERY), rel=0.02)
    assert worst(seen, after=1.25) < 0.05, "then its own speed is known"


def test_the_share_done_never_falls_and_nothing_is_left_at_the_end() -> None:
    clock = Clock()
    left = TimeLeft(clock=clock)
    left.begin(num_frames=1000, face_frame_s=0.01, main_only=False)
    assert left.seconds is None
    assert left.share == 0
    shares = []
    for frame in range(1000):
        clock.now += 0.002
        left.saw(int(frame >= 500))
        left.detected((frame + 1) / 1000)
        shares.append(left.share)
    for part in range(10):
        clock.now += 0.5
        left.recognised((part + 1) / 10)
        shares.append(left.share)
    assert shares == sorted(shares)
    assert left.share == 1
    assert left.seconds == 0
    assert left.face_frame_s == pytest.approx(0.01), "what it took, for the next video"
    left.begin(num_frames=1000, face_frame_s=0.01, main_only=False)
    assert left.seconds is None
    assert left.share == 0


def test_faces_that_are_frames_already_need_no_first_pass() -> None:
    clock = Clock()
    left = TimeLeft(clock=clock)
    left.begin(num_frames=400, face_frame_s=0.01, main_only=True)
    left.recognised(0.0)
    assert left.seconds == pytest.approx(4.0)
    clock.now += 2
    left.recognised(0.25)
    assert left.seconds == pytest.approx(6.0), "it goes half as fast as it was expected to"
