"""Windows that share frames: each frame is computed once, and the answers are those of whole clips."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from dfer.batches.sampling import sample_frames
from dfer.errors import UsageError
from dfer.model import MODELS, VideoModel
from dfer.model.pixels import prepare_clips
from dfer.model.prepared import FLOAT32, PreparedModel
from dfer.prediction.recognition import Crop, Engine, Recogniser
from dfer.prediction.runtimes import build_engine, require_runtime
from dfer.prediction.windows import FaceWindow, Window

SETTINGS = {"num_classes": 5, "num_frames": 4, "image_size": 32, "stem_width": 8}
CPU = torch.device("cpu")
# Windows that overlap, of two faces; of a still; and shorter than a clip.
WINDOWS: list[FaceWindow] = [
    (face, Window(places, tuple(places[n] for n in sample_frames(len(places), 4, 2).tolist())))
    for face, places in [
        *((0, range(n, n + 9)) for n in range(30)),
        (1, range(2, 3)),
        *((1, range(n, n + 3)) for n in (3, 4)),
    ]
]
NEEDED = {(face, place) for face, window in WINDOWS for place in window.sampled}


class Counting(PreparedModel):
    """Counts the frames that its backbone sees."""

    frames = 0

    def frame_maps(self, clips: Tensor) -> Tensor:
        self.frames += clips.shape[0] * clips.shape[1]
        return super().frame_maps(clips)


class Broken(PreparedModel):
    def frame_maps(self, clips: Tensor) -> Tensor:  # noqa: ARG002
        raise RuntimeError("out of order")


def build(name: str) -> VideoModel:
    torch.manual_seed(0)
    extra = {"dim": 32, "depth": 1, "heads": 4} if name.startswith("logo") else {}
    return MODELS[name].build(**SETTINGS, **extra).eval()


def make_crops() -> list[tuple[int, int, Crop]]:
    rng = np.random.default_rng(0)
    images = {place: [rng.integers(0, 256, (32, 32, 3), np.uint8) for _ in range(2)] for place in range(39)}
    return [(face, place, images[place][face]) for place in range(39) for face in range(2) if (face, place) in NEEDED]


def recogniser(engine: Engine, *, mirror: bool, threads: int = 2) -> Recogniser:
    return Recogniser(engine, image_size=32, mirror=mirror, device=CPU, threads=threads)


@torch.inference_mode()
def plain(model: VideoModel, mirror: bool) -> dict[FaceWindow, Tensor]:
    crops = {(face, place): crop for face, place, crop in make_crops()}
    found = {}
    for face, window in WINDOWS:
        chosen = [crops[face, place] for place in window.sampled]
        clips = prepare_clips(torch.from_numpy(np.stack(chosen))[None], 32)
        found[face, window] = model.clip_features(clips, mirror=mirror)[0]
    return found


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("name", ["logo_former_s", "former_dfer", "r2plus1d_18"])
def test_answers_are_those_of_whole_clips(name: str, mirror: bool, threads: int) -> None:
    model = build(name)
    before = torch.get_num_threads()
    run = recogniser(PreparedModel(model, FLOAT32), mirror=mirror, threads=threads)
    found = {
        window: row
        for names, rows in run.features(WINDOWS, make_crops())
        for window, row in zip(names, rows, strict=True)
    }
    expected = plain(model, mirror)
    assert found.keys() == expected.keys()
    for window, row in expected.items():
        torch.testing.assert_close(found[window], row, rtol=1e-3, atol=1e-4)
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("mirror", [False, True])
def test_the_backbone_sees_a_frame_once(mirror: bool) -> None:
    engine = Counting(build("logo_former_s"), FLOAT32)
    run = recogniser(engine, mirror=mirror, threads=1)
    assert sum(len(names) for names, _ in run.features(WINDOWS, make_crops())) == len(WINDOWS)
    assert engine.frames == len(NEEDED) * (1 + mirror)
    assert len(NEEDED) < 4 * len(WINDOWS) / 2


@pytest.mark.parametrize("name", ["logo_former_s", "r2plus1d_18"])
def test_progress_is_steady(name: str) -> None:
    """It rises from the first batch on, long before the first window has its answer, and ends at 1."""
    seen: list[float] = []
    answered: list[int] = []
    run = recogniser(PreparedModel(build(name), FLOAT32), mirror=False, threads=1)
    for names, _ in run.features(WINDOWS, make_crops(), seen.append):
        answered.append(len(names))
    assert seen == sorted(seen)
    assert seen[-1] == pytest.approx(1.0)
    assert len(seen) >= len(answered)
    assert seen[0] < 0.5


@pytest.mark.parametrize("threads", [1, 2])
def test_a_rehearsal_counts_every_frame_and_window_once(threads: int) -> None:
    class Slow(PreparedModel):
        """Takes as long as a test can tell apart from the work of a tiny model."""

        def frame_maps(self, clips: Tensor) -> Tensor:
            time.sleep(0.05 * len(clips))
            return super().frame_maps(clips)

        def encode(self, maps: Tensor) -> Tensor:
            time.sleep(0.4 * len(maps))
            return super().encode(maps)

    run = recogniser(Slow(build("logo_former_s"), FLOAT32), mirror=False, threads=threads)
    frame_s, window_s = run.rehearse(make_crops()[0][2], 4)
    assert frame_s == pytest.approx(0.05 / threads, rel=0.5)
    assert window_s == pytest.approx(0.4 / threads, rel=0.5)
    whole = recogniser(PreparedModel(build("r2plus1d_18"), FLOAT32), mirror=False)
    frame_s, window_s = whole.rehearse(make_crops()[0][2], 4)
    assert frame_s == 0
    assert window_s > 0


def test_an_error_in_a_thread_reaches_the_caller() -> None:
    run = recogniser(Broken(build("logo_former_s"), FLOAT32), mirror=False)
    with pytest.raises(RuntimeError, match="out of order"):
        list(run.features(WINDOWS, make_crops()))


def test_what_waits_is_bounded() -> None:
    """A caller who stops half-way has read little further than the answers it got."""
    read = 0

    def crops() -> Iterator[tuple[int, int, Crop]]:
        nonlocal read
        for read, crop in enumerate(make_crops(), start=1):  # noqa: B007
            yield crop

    answers = recogniser(PreparedModel(build("logo_former_s"), FLOAT32), mirror=False, threads=1).features(
        WINDOWS, crops()
    )
    next(answers)
    assert read < len(make_crops())
    answers.close()


def test_an_unknown_runtime_is_refused() -> None:
    with pytest.raises(UsageError, match="unknown runtime 'fast'"):
        require_runtime("fast")
    name, engine = build_engine("float32", build("r2plus1d_18"), CPU)
    assert name == "float32"
    assert not engine.sees_frames_alone
