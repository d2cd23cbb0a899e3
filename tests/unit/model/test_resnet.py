"""Weights for the stem from files in circulation, and from files that are damaged, foreign or hostile."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from dfer.errors import CheckpointError
from dfer.model import LogoFormer

WIDTH = 4
Report = Callable[[], tuple[int, set[str], set[str]]]


@pytest.fixture
def model() -> LogoFormer:
    return LogoFormer(num_classes=3, num_frames=2, image_size=32, dim=8, depth=1, heads=2, stem_width=WIDTH)


def resnet18(width: int = WIDTH) -> dict[str, Tensor]:
    """A ResNet-18's state dict with torchvision's names, values drawn at random."""
    torch.manual_seed(0)
    state: dict[str, Tensor] = {}

    def convolution(name: str, outputs: int, inputs: int, kernel: int) -> None:
        state[f"{name}.weight"] = torch.randn(outputs, inputs, kernel, kernel)

    def batch_norm(name: str, channels: int) -> None:
        for part in ("weight", "bias", "running_mean"):
            state[f"{name}.{part}"] = torch.randn(channels)
        state[f"{name}.running_var"] = torch.rand(channels) + 0.5
        state[f"{name}.num_batches_tracked"] = torch.tensor(7)

    convolution("conv1", width, 3, 7)
    batch_norm("bn1", width)
    inputs = width
    for layer in (1, 2, 3, 4):
        outputs = width * 2 ** (layer - 1)
        for block in (0, 1):
            name = f"layer{layer}.{block}"
            convolution(f"{name}.conv1", outputs, inputs if block == 0 else outputs, 3)
            batch_norm(f"{name}.bn1", outputs)
            convolution(f"{name}.conv2", outputs, outputs, 3)
            batch_norm(f"{name}.bn2", outputs)
            if block == 0 and layer > 1:
                convolution(f"{name}.downsample.0", outputs, inputs, 1)
                batch_norm(f"{name}.downsample.1", outputs)
        inputs = outputs
    state["fc.weight"], state["fc.bias"] = torch.randn(10, inputs), torch.randn(10)
    return state


def in_stem(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in state.items() if not name.startswith(("layer4.", "fc.", "feature."))}


def saved(path: Path, content: Any) -> Path:
    torch.save(content, path)
    return path


def assert_stem_is(model: LogoFormer, state: dict[str, Tensor]) -> None:
    stem = model.stem.state_dict()
    for name, tensor in in_stem(state).items():
        assert torch.equal(stem[name], tensor), name


@pytest.fixture
def report(caplog: pytest.LogCaptureFixture) -> Report:
    """The number of tensors loaded, the names dropped and the names missing, by the log."""
    caplog.set_level(logging.INFO, logger="dfer.model.resnet")

    def read() -> tuple[int, set[str], set[str]]:
        (message,) = caplog.messages
        match = re.search(r"loaded (\d+) tensors; dropped (.*); missing (.*)", message)
        assert match
        dropped, missing = (set(names.split(", ")) - {"none"} for names in match.groups()[1:])
        return int(match[1]), dropped, missing

    return read


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_torchvisions_state_dict(model: LogoFormer, tmp_path: Path, suffix: str, report: Report) -> None:
    state, path = resnet18(), tmp_path / f"resnet18{suffix}"
    if suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path)
    model.load_backbone(path)
    assert_stem_is(model, state)
    loaded, dropped, missing = report()
    assert loaded == len(in_stem(state)) == len(model.stem.state_dict())
    assert dropped == set(state) - set(in_stem(state))
    assert {"fc.weight", "layer4.1.bn2.running_var"} < dropped
    assert missing == set()


def test_a_real_resnet18_fits_the_default_stem(tmp_path: Path, report: Report) -> None:
    LogoFormer(num_classes=7, depth=1).load_backbone(saved(tmp_path / "r18.pth", resnet18(width=64)))
    assert report()[0] == 90


def test_the_face_recognition_checkpoint(model: LogoFormer, tmp_path: Path, report: Report) -> None:
    """MS-Celeb-1M's layout: an old training checkpoint, `module.` names, two heads, no batch counters."""
    state = {name: tensor for name, tensor in resnet18().items() if "num_batches" not in name}
    state |= {"feature.weight": torch.randn(16, 8 * WIDTH), "feature.bias": torch.randn(16)}
    content = {
        "epoch": 27,
        "arch": "resnet18",
        "best_prec1": torch.tensor(97.5),
        "state_dict": {f"module.{name}": tensor for name, tensor in state.items()},
    }
    model.load_backbone(saved(tmp_path / "msceleb.pth.tar", content))
    assert_stem_is(model, state)
    _, dropped, missing = report()
    assert {"fc.weight", "fc.bias", "feature.weight", "feature.bias"} < dropped
    assert len(missing) == 15
    assert all(name.endswith("num_batches_tracked") for name in missing)


def test_the_stem_of_a_checkpoint_of_ours(model: LogoFormer, tmp_path: Path) -> None:
    only_stem = LogoFormer(num_classes=7, num_frames=1, image_size=48, dim=16, depth=0, heads=2, stem_width=WIDTH)
    save_file(only_stem.state_dict(), tmp_path / "best.safetensors")
    model.load_backbone(tmp_path / "best.safetensors")
    assert_stem_is(model, only_stem.stem.state_dict())


def test_only_the_stem_changes(model: LogoFormer, tmp_path: Path) -> None:
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.load_backbone(saved(tmp_path / "r18.pth", resnet18()))
    changed = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed == {f"stem.{name}" for name in model.stem.state_dict()}


def without(name: str) -> dict[str, Tensor]:
    return {key: tensor for key, tensor in resnet18().items() if key != name}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(without("layer2.0.conv1.weight"), "missing: layer2.0.conv1.weight", id="missing"),
        pytest.param(without("bn1.running_var"), "missing: bn1.running_var", id="no-statistics"),
        pytest.param(resnet18() | {"attn.q": torch.ones(1)}, "unexpected: attn.q", id="unexpected"),
        pytest.param(
            resnet18(width=8), r"wrong shape: conv1.weight \[8, 3, 7, 7\] instead of \[4, 3, 7, 7\]", id="width"
        ),
        pytest.param(resnet18() | {"note": "hello"}, "expected only tensors, but 'note' is not one", id="no-tensor"),
        pytest.param({"state_dict": {}}, "holds no state dict", id="empty"),
        pytest.param([1, 2], "expected a dict of tensors, got list", id="list"),
    ],
)
def test_other_weights_are_refused_and_change_nothing(
    model: LogoFormer, tmp_path: Path, content: Any, message: str
) -> None:
    before = {name: tensor.clone() for name, tensor in model.stem.state_dict().items()}
    path = saved(tmp_path / "other.pth", content)
    with pytest.raises(CheckpointError, match=message) as caught:
        model.load_backbone(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.stem.state_dict().items())


def test_the_stem_still_works_after_loading(model: LogoFormer, tmp_path: Path) -> None:
    assert isinstance(model.stem, nn.Module)
    model.load_backbone(saved(tmp_path / "r18.pth", resnet18()))
    assert model.eval()(torch.randn(1, 2, 3, 32, 32)).isfinite().all()


def test_stem_has_torchvisions_names() -> None:
    batch_norm = ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]
    expected = ["conv1.weight", *(f"bn1.{name}" for name in batch_norm)]
    for layer, block in product((1, 2, 3), (0, 1)):
        for number in (1, 2):
            expected.append(f"layer{layer}.{block}.conv{number}.weight")
            expected += [f"layer{layer}.{block}.bn{number}.{name}" for name in batch_norm]
        if layer > 1 and block == 0:
            expected.append(f"layer{layer}.0.downsample.0.weight")
            expected += [f"layer{layer}.0.downsample.1.{name}" for name in batch_norm]
    stem = LogoFormer(num_classes=7, depth=1).stem.state_dict()
    assert sorted(stem) == sorted(expected)
    assert stem["conv1.weight"].shape == (64, 3, 7, 7)
    assert stem["layer3.0.conv1.weight"].shape == (256, 128, 3, 3)
    assert stem["layer3.0.downsample.0.weight"].shape == (256, 128, 1, 1)
