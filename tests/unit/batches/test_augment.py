"""From pixels to the model's input."""

from __future__ import annotations

import pytest
import torch
from torch._dynamo.testing import CompileCounter

from dfer.batches.augment import Augmenter, mix_targets
from dfer.model.pixels import PIXEL_MEAN, PIXEL_STD, prepare_clips
from dfer.recipe_sections import AugmentSection

NONE = AugmentSection(crop_scale=(1.0, 1.0), crop_ratio=(1.0, 1.0), flip=0.0)


def _frames(batch: int = 2, time: int = 3, size: int = 32) -> torch.Tensor:
    return torch.randint(
        0, 256, (batch, time, size, size, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_pixels_are_normalised_channel_by_channel() -> None:
    frames = torch.full((1, 1, 8, 8, 3), 255, dtype=torch.uint8)
    expected = (1 - torch.tensor(PIXEL_MEAN)) / torch.tensor(PIXEL_STD)
    assert torch.allclose(prepare_clips(frames, 8)[0, 0, :, 0, 0], expected, atol=1e-6)


def test_no_augmentation_is_what_testing_sees() -> None:
    frames = _frames()
    assert torch.allclose(Augmenter(NONE, 32)(frames, _generator()), prepare_clips(frames, 32), atol=1e-5)


def test_a_flip_mirrors_every_frame_of_the_clip() -> None:
    frames = _frames()
    flipped = Augmenter(NONE.model_copy(update={"flip": 1.0}), 32)(frames, _generator())
    assert torch.allclose(flipped, prepare_clips(frames.flip(3), 32), atol=1e-5)


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"crop_scale": (0.5, 0.9)}, id="crop"),
        pytest.param({"rotation": 15.0}, id="rotation"),
        pytest.param({"jitter": 0.4}, id="jitter"),
        pytest.param({"grayscale": 0.5}, id="grayscale"),
        pytest.param({"erase": 0.7}, id="erase"),
    ],
)
def test_a_clip_changes_as_one(settings: dict[str, object]) -> None:
    """All frames of a clip change alike, clips change apart, and the draw decides it all."""
    still = _frames(6, 1).expand(6, 4, 32, 32, 3)
    augment = Augmenter(NONE.model_copy(update=settings), 32)
    out = augment(still, _generator(1))
    assert out.shape == (6, 4, 3, 32, 32)
    assert torch.isfinite(out).all()
    assert torch.allclose(out, out[:, :1].expand_as(out), atol=1e-6)
    assert torch.equal(out, augment(still, _generator(1)))
    assert not torch.equal(out, augment(still, _generator(2)))
    assert not torch.allclose(out, prepare_clips(still, 32), atol=1e-3)


def test_grayscale_has_equal_channels() -> None:
    out = Augmenter(NONE.model_copy(update={"grayscale": 1.0}), 32)(_frames(), _generator())
    rgb = out * torch.tensor(PIXEL_STD).view(3, 1, 1) + torch.tensor(PIXEL_MEAN).view(3, 1, 1)
    assert torch.allclose(rgb[:, :, 0], rgb[:, :, 1], atol=1e-5)
    assert torch.allclose(rgb[:, :, 0], rgb[:, :, 2], atol=1e-5)


def test_shrinking_does_not_alias() -> None:
    """A one-pixel checkerboard becomes grey, not a pattern."""
    board = ((torch.arange(64)[:, None] + torch.arange(64)) % 2 * 255).to(torch.uint8)
    small = prepare_clips(board[None, None, :, :, None].expand(1, 1, 64, 64, 3), 16)
    assert small[0, 0, 0, 2:-2, 2:-2].std() < 0.05


# ---- parts of a batch, and mixing


MIXED = AugmentSection(crop_scale=(0.6, 0.9), jitter=0.3, erase=0.5, grayscale=0.3, mixup=0.4, cutmix=1.0)


def test_a_part_of_a_batch_is_changed_as_in_the_whole() -> None:
    frames, augment = _frames(7), Augmenter(MIXED, 32)
    draw = augment.draw(7, _generator(3))
    whole = augment.augment(frames, draw)
    for part in (slice(0, 2), slice(2, 6), slice(6, 7)):
        assert torch.allclose(augment.augment(frames[part], draw.part(part)), whole[part], atol=1e-5)


def test_mixup_blends_the_clips_of_a_pair_and_their_classes() -> None:
    frames, augment = _frames(5), Augmenter(NONE.model_copy(update={"mixup": 0.8}), 32)
    draw = augment.draw(5, _generator(0))
    plain, mixed = prepare_clips(frames, 32), augment.augment(frames, draw)
    targets = mix_targets(torch.eye(5), draw)
    for clip, partner in ((0, 1), (1, 0), (2, 3), (3, 2)):
        share = float(draw.own[clip])
        assert 0 < share < 1
        assert torch.allclose(mixed[clip], share * plain[clip] + (1 - share) * plain[partner], atol=1e-4)
        assert targets[clip, clip] == pytest.approx(share)
        assert targets[clip, partner] == pytest.approx(1 - share)
    assert torch.allclose(mixed[4], plain[4], atol=1e-5), "the odd one stays itself"
    assert targets[4, 4] == 1
    assert draw.own[0] == draw.own[1] != draw.own[2]


def test_cutmix_exchanges_one_rectangle_in_all_frames() -> None:
    frames, augment = _frames(4, 3), Augmenter(NONE.model_copy(update={"cutmix": 1.0}), 32)
    draw = augment.draw(4, _generator(1))
    plain, mixed = prepare_clips(frames, 32), augment.augment(frames, draw)
    for clip, partner in ((0, 1), (1, 0), (2, 3), (3, 2)):
        own = (mixed[clip] - plain[clip]).abs().amax((0, 1)) < 1e-4
        theirs = (mixed[clip] - plain[partner]).abs().amax((0, 1)) < 1e-4
        assert (own ^ theirs).all(), "every pixel is of one of the two, in all frames"
        assert own.float().mean().item() == pytest.approx(float(draw.own[clip]))
        rows, columns = theirs.any(1).nonzero(), theirs.any(0).nonzero()
        assert len(rows) * len(columns) == theirs.sum(), "a rectangle"
    assert mix_targets(torch.eye(4), draw).sum(1).tolist() == pytest.approx([1] * 4)


def test_without_mixing_a_clip_does_not_depend_on_its_neighbours() -> None:
    frames, augment = _frames(4), Augmenter(MIXED.model_copy(update={"mixup": 0.0, "cutmix": 0.0}), 32)
    draw = augment.draw(4, _generator(2))
    assert draw.own.tolist() == [1] * 4
    assert torch.allclose(augment.augment(frames[1:2], draw.part(slice(1, 2))), augment.augment(frames, draw)[1:2])


def test_augmentation_compiles_to_one_graph_for_all_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also with noise, whose generators no graph can hold; what differs between two steps is no reason to compile."""
    counted = CompileCounter()
    compile_it = torch.compile
    options = {"backend": counted, "fullgraph": True, "dynamic": False}
    monkeypatch.setattr(torch, "compile", lambda function, **_options: compile_it(function, **options))
    settings = MIXED.model_copy(update={"noise": 0.1, "motion": 0.1, "cover": 0.5, "onset": 0.5, "grayscale": 0.5})
    torch.compiler.reset()
    compiled, plain = (Augmenter(settings, 32, 3, dtype=torch.bfloat16, compiled=how) for how in (True, False))
    for seed in range(3):
        frames, draw = _frames(5, 3), plain.draw(5, torch.Generator().manual_seed(seed))
        found = compiled.augment(frames, draw)
        assert torch.equal(found, plain.augment(frames, draw))
    assert counted.frame_count == 1
    assert found.dtype == torch.bfloat16
    assert found.flatten(0, 1).is_contiguous(memory_format=torch.channels_last)
    torch.compiler.reset()
