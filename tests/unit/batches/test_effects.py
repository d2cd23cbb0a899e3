"""What makes clips of stills."""

from __future__ import annotations

from dataclasses import fields

import pytest
import torch
from torch import Tensor

from dfer.batches.augment import Augmenter
from dfer.batches.effects import draw_effects, move
from dfer.model.pixels import prepare_clips
from dfer.recipe_sections import AugmentSection

NONE = AugmentSection(crop_scale=(1.0, 1.0), crop_ratio=(1.0, 1.0), flip=0.0)
SIZE, FRAMES = 32, 8


def stills(count: int = 4) -> Tensor:
    """Clips that show one smooth image over and over, uint8 [B, T, S, S, 3]."""
    image = torch.rand(count, 3, 6, 6, generator=torch.Generator().manual_seed(5))
    image = torch.nn.functional.interpolate(image, (SIZE, SIZE), mode="bicubic").clamp(0.1, 0.9)
    return (image * 255).byte().permute(0, 2, 3, 1)[:, None].expand(-1, FRAMES, -1, -1, -1)


def applied(seed: int = 0, **settings: float) -> Tensor:
    """The clips after effects, float [B, T, 3, S, S]."""
    augment = Augmenter(NONE.model_copy(update=settings), SIZE, FRAMES)
    return augment(stills(), torch.Generator().manual_seed(seed))


def changes(clips: Tensor) -> Tensor:
    """Mean change from each frame to the next, float [B, T - 1]."""
    return (clips[:, 1:] - clips[:, :-1]).abs().mean((2, 3, 4))


def test_without_effects_a_clip_stands_still() -> None:
    out = applied()
    assert torch.allclose(out, prepare_clips(stills(), SIZE), atol=1e-4)
    assert not changes(out).any()


def test_motion_moves_every_clip_its_own_way_and_slowly() -> None:
    out = applied(motion=0.2)
    assert (changes(out) > 0).all()
    # From end to end further than from frame to frame: it drifts, it does not only shake.
    assert (out[:, -1] - out[:, 0]).abs().mean() > changes(out).mean()
    assert (applied(motion=0.02) - applied()).abs().mean() < (out - applied()).abs().mean() / 3


def test_a_path_moves_the_map_that_crops() -> None:
    theta = torch.tensor([[[0.5, 0.0, 0.2], [0.0, 0.5, -0.1]]])
    path = torch.zeros(1, 2, 4)
    path[0, 1, 0] = 0.4  # to the right, in half sides of the crop
    moved = move(theta, path)
    assert torch.equal(moved[0, 0], theta[0])
    assert torch.allclose(moved[0, 1], torch.tensor([[0.5, 0.0, 0.4], [0.0, 0.5, -0.1]]))
    path[0, 1] = torch.tensor([0.0, 0.0, torch.log(torch.tensor(2.0)), torch.pi / 2])
    assert torch.allclose(move(theta, path)[0, 1, :, :2], torch.tensor([[0.0, -1.0], [1.0, 0.0]]), atol=1e-6)


@pytest.mark.parametrize("name", ["light", "tint", "sharpness", "noise", "cover", "onset"])
def test_each_effect_changes_clips_and_nothing_but_its_own(name: str) -> None:
    out = applied(**{name: 1.0})
    changed = (out - applied()).abs().amax((1, 2, 3, 4))
    assert (changed > 0.05).any()
    assert torch.isfinite(out).all()
    assert bool(changes(out).any()) == (name in ("light", "noise", "cover", "onset"))  # the others are per clip


def test_tint_makes_colour_of_grey() -> None:
    grey = stills()[..., :1].expand(-1, -1, -1, -1, 3)
    augment = Augmenter(NONE.model_copy(update={"tint": 0.3}), SIZE, FRAMES)
    out = augment.augment(grey, augment.draw(4, torch.Generator().manual_seed(1)))
    unnormalised = out * torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    unnormalised = unnormalised + torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    assert (unnormalised.amax(2) - unnormalised.amin(2)).mean() > 0.05


def test_sharpness_blurs_and_sharpens() -> None:
    def contrast(clips: Tensor) -> Tensor:
        return clips.diff(dim=-1).abs().mean((1, 2, 3, 4))

    ratios = torch.cat([contrast(applied(seed, sharpness=1.0)) / contrast(applied()) for seed in range(5)])
    assert ratios.min() < 0.97
    assert ratios.max() > 1.03


def test_an_onset_shows_the_partner_at_one_end_alone() -> None:
    out, plain = applied(onset=1.0), applied()
    for clip, partner in ((0, 1), (1, 0), (2, 3), (3, 2)):
        ends = [
            frame for frame in (0, FRAMES - 1) if torch.allclose(out[clip, frame], plain[partner, frame], atol=1e-4)
        ]
        assert len(ends) == 1
        assert torch.allclose(out[clip, FRAMES // 2], plain[clip, FRAMES // 2], atol=1e-4)


def test_parts_of_a_batch_are_changed_as_the_whole() -> None:
    settings = {"motion": 0.1, "light": 0.3, "tint": 0.2, "sharpness": 1.0, "noise": 0.1, "cover": 0.5, "onset": 0.5}
    augment = Augmenter(NONE.model_copy(update=settings), SIZE, FRAMES)
    assert augment.unit == 2
    assert not augment.mixes
    draw = augment.draw(4, torch.Generator().manual_seed(2))
    whole = augment.augment(stills(), draw)
    parts = [augment.augment(stills()[part], draw.part(part)) for part in (slice(0, 2), slice(2, 4))]
    assert torch.allclose(torch.cat(parts), whole, atol=1e-5)


def test_every_field_of_a_draw_has_a_row_per_clip() -> None:
    draw = draw_effects(AugmentSection(motion=0.1), 3, FRAMES, torch.Generator().manual_seed(0))
    assert {len(getattr(draw, field.name)) for field in fields(draw)} == {3}
