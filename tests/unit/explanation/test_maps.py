"""Maps and occlusion against what they are defined as; the sanity check on a model that has learned."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from dfer.errors import UsageError
from dfer.explanation.maps import explain_clips, gradient_maps
from dfer.explanation.occlusion import cut_pieces, occluded_logits
from dfer.explanation.sanity import MAX_CORRELATION, check_sanity
from dfer.model import MODELS, LogoFormer, VideoModel
from tests.unit.model.test_maps import clips_for, small


@pytest.mark.parametrize("name", MODELS)
def test_the_gradient_map_is_the_gradient_times_the_map(name: str) -> None:
    model = small(name)
    inputs = clips_for(model)
    maps = gradient_maps(model, inputs, [0, 2])
    held: list[Tensor] = []
    handle = model.last_map().layer.register_forward_hook(lambda _layer, _inputs, output: held.append(output))
    logits = model(inputs)
    handle.remove()
    (gradient,) = torch.autograd.grad(logits[0, 0] + logits[1, 2], held)
    assert maps.sum(dim=(1, 2, 3)).tolist() == pytest.approx(
        [float((held[0].detach() * gradient).unflatten(0, (2, -1))[clip].sum()) for clip in range(2)], abs=1e-4
    )
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert not any(layer._forward_hooks for layer in model.modules())


def test_the_map_of_a_model_without_a_norm_after_it_adds_up_to_the_logit() -> None:
    model = small("resnet18_mean")
    inputs = clips_for(model)
    maps = gradient_maps(model, inputs, [1, 1])
    assert torch.allclose(maps.sum(dim=(1, 2, 3)), model(inputs)[:, 1] - model.head.bias[1], atol=1e-4)


@pytest.mark.parametrize("method", ["gradient", "attention"])
def test_the_map_of_the_mirror_image_is_the_mirror_image_of_the_map(method: Any) -> None:
    model = small("logo_former_s")
    inputs = clips_for(model)
    one = explain_clips(model, inputs, [0, 1], method=method, mirror=True)
    other = explain_clips(model, inputs.flip(-1), [0, 1], method=method, mirror=True)
    assert torch.allclose(one, other.flip(-1), atol=1e-5)


def test_a_model_without_attention_refuses_in_one_line() -> None:
    model = small("resnet18_gru")
    with pytest.raises(UsageError, match="ResNet18Gru has no attention to places of the face") as caught:
        explain_clips(model, clips_for(model), [0, 0], method="attention")
    assert caught.value.hint == "explain it with --method gradient"


def test_a_model_that_names_no_map_refuses() -> None:
    class Plain(LogoFormer):
        def last_map(self) -> Any:
            return VideoModel.last_map(self)

    with pytest.raises(UsageError, match=r"it defines no last_map\(\)"):
        gradient_maps(
            Plain(num_classes=3, num_frames=2, image_size=32, dim=8, depth=1, heads=1),
            torch.zeros(1, 2, 3, 32, 32),
            [0],
        )


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("mirror", [False, True])
def test_occlusion_is_the_answer_for_grey_frames(name: str, mirror: bool) -> None:
    model = small(name)
    inputs = clips_for(model)
    pieces = cut_pieces(model.config.num_frames, 3)
    found = occluded_logits(model, inputs, pieces, mirror=mirror)
    for number, piece in enumerate(pieces):
        grey = inputs.clone()
        grey[:, piece.start : piece.stop] = 0
        with torch.no_grad():
            expected = model.head(model.clip_features(grey, mirror=mirror))
        assert torch.allclose(found[:, number], expected, atol=1e-4)


@pytest.mark.parametrize("frames", [1, 2, 7, 8, 16, 61])
def test_pieces_cover_all_frames_once(frames: int) -> None:
    pieces = cut_pieces(frames)
    assert [frame for piece in pieces for frame in piece] == list(range(frames))
    assert len(pieces) == min(8, frames)


# ---- what a model has learned


def _spots(number: int) -> tuple[Tensor, Tensor]:
    """Clips of noise with a spot in one of the four corners, which is the class, in their second half."""
    torch.manual_seed(number)
    labels = torch.arange(number) % 4
    inputs = 0.3 * torch.randn(number, 4, 3, 64, 64)
    for clip, label in zip(inputs, labels.tolist(), strict=True):
        y, x = 8 + 32 * (label // 2), 8 + 32 * (label % 2)
        clip[2:, :, y : y + 16, x : x + 16] += 3 if label % 2 else -3
    return inputs, labels


@pytest.fixture(scope="module")
def learned() -> LogoFormer:
    torch.manual_seed(0)
    settings: dict[str, Any] = {"dim": 32, "depth": 1, "heads": 2, "stem_width": 8, "window": (2, 2, 2)}
    model = LogoFormer(num_classes=4, num_frames=4, image_size=64, **settings)
    inputs, labels = _spots(32)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(40):
        loss = F.cross_entropy(model(inputs), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        assert (model(inputs).argmax(1) == labels).float().mean() > 0.9
    return model


def test_the_important_time_is_when_the_spot_is_seen(learned: LogoFormer) -> None:
    inputs, labels = _spots(8)
    pieces = [range(0, 2), range(2, 4)]
    with torch.no_grad():
        whole = learned(inputs).softmax(-1)
    without = occluded_logits(learned, inputs, pieces).softmax(-1)
    chosen = np.arange(8), labels.numpy()
    drops = np.array([(whole - without[:, n]).numpy()[chosen].mean() for n in range(2)])
    assert drops[1] > drops[0] + 0.2


def test_random_weights_destroy_the_maps_of_a_model_that_has_learned(learned: LogoFormer) -> None:
    """Adebayo et al. 2018: below the stated level; and the check leaves the model as it is."""
    inputs, labels = _spots(4)
    before = learned(inputs)
    done: list[float] = []
    check = check_sanity(learned, inputs, labels.tolist(), method="gradient", draws=4, on_progress=done.append)
    assert check.steps[0].part == "head"
    assert check.steps[-1].mean < MAX_CORRELATION
    assert check.passed
    assert len(check.steps[0].correlations) == 16
    assert done == sorted(done)
    assert done[-1] == 1
    assert torch.equal(learned(inputs), before)


def test_a_map_that_depends_on_no_weight_fails_the_check(learned: LogoFormer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as an edge detector's, which looks convincing on every face."""
    monkeypatch.setattr(
        "dfer.explanation.sanity.explain_clips", lambda _model, clips, _classes, **_: clips.abs().mean(dim=2)
    )
    inputs, labels = _spots(2)
    check = check_sanity(learned, inputs, labels.tolist(), method="gradient", draws=1)
    assert check.steps[-1].mean == pytest.approx(1)
    assert not check.passed
