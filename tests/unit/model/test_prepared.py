"""Prepared models compute what the models do."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dfer.model import MODELS, VideoModel
from dfer.model.int8 import Int8Conv, Int8Linear, int8_available
from dfer.model.prepared import BF16, FLOAT32, INT8, PreparedModel, choose_format

needs_int8 = pytest.mark.skipif(not int8_available(), reason="this machine has no 8-bit products")
SMALL = {"num_classes": 5, "num_frames": 4, "image_size": 32}
SIZES = {
    "logo_former_s": {"dim": 32, "depth": 2, "heads": 4, "stem_width": 32},
    "former_dfer": {"stem_width": 8, "heads": 4},
    "resnet18_gru": {"stem_width": 8},
    "r2plus1d_18": {"stem_width": 8},
}


def build(name: str) -> VideoModel:
    """A model whose batch norms have seen something."""
    torch.manual_seed(0)
    model = MODELS[name].build(**SMALL, **SIZES[name])
    for layer in model.modules():
        if isinstance(layer, (nn.BatchNorm2d, nn.BatchNorm3d)):
            nn.init.normal_(layer.running_mean)
            nn.init.uniform_(layer.running_var, 0.5, 2)
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.normal_(layer.bias)
        elif isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
    return model.eval()


@pytest.mark.parametrize("name", SIZES)
@torch.inference_mode()
def test_folded_batch_norms_change_nothing(name: str) -> None:
    model, clips = build(name), torch.randn(2, 4, 3, 32, 32)
    prepared = PreparedModel(model, FLOAT32)
    assert not any(isinstance(layer, (nn.BatchNorm2d, nn.BatchNorm3d)) for layer in prepared.model.modules())
    expected = model.forward_features(clips)
    torch.testing.assert_close(prepared.forward_features(clips), expected, rtol=1e-4, atol=1e-4)
    if prepared.sees_frames_alone:
        torch.testing.assert_close(prepared.encode(prepared.frame_maps(clips)), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("number_format", [BF16, pytest.param(INT8, marks=needs_int8)])
@torch.inference_mode()
def test_short_numbers_change_little(number_format: str) -> None:
    model, clips = build("logo_former_s"), torch.randn(3, 4, 3, 32, 32)
    prepared = PreparedModel(model, number_format)
    expected, found = model.forward_features(clips), prepared.forward_features(clips)
    assert found.dtype == torch.float32
    assert prepared.number_format == number_format
    assert float((found - expected).norm() / expected.norm()) < 0.05
    assert not torch.equal(found, expected)


@needs_int8
@torch.inference_mode()
def test_layers_of_8_bits_are_near_the_originals() -> None:
    linear, x = nn.Linear(64, 48), torch.randn(3, 5, 64)
    torch.testing.assert_close(Int8Linear(linear)(x), linear(x), rtol=0, atol=0.05)
    convolution = nn.Conv2d(32, 40, 3, stride=2, padding=1, bias=False)
    maps = torch.randn(2, 32, 9, 9).contiguous(memory_format=torch.channels_last)
    onto = torch.randn(2, 40, 5, 5).contiguous(memory_format=torch.channels_last)
    expected = convolution(maps)
    torch.testing.assert_close(Int8Conv(convolution)(maps), expected, rtol=0, atol=0.05)
    sums = (expected + onto).relu()
    torch.testing.assert_close(Int8Conv(convolution, then="relu")(maps, onto=onto.clone()), sums, rtol=0, atol=0.05)


@needs_int8
@torch.inference_mode()
def test_values_that_are_all_zero_stay_zero() -> None:
    linear = nn.Linear(64, 48)
    torch.testing.assert_close(Int8Linear(linear)(torch.zeros(2, 64)), linear(torch.zeros(2, 64)))


def test_a_model_that_is_not_divided_gets_no_8_bits() -> None:
    assert PreparedModel(build("r2plus1d_18"), INT8).number_format == BF16


def test_only_formats_that_keep_the_answers_are_chosen_by_themselves() -> None:
    assert choose_format(torch.device("cpu")) in (FLOAT32, BF16)
    assert choose_format(torch.device("cuda")) == FLOAT32
