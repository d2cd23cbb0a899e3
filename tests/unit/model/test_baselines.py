"""The baselines: shapes, published sizes, what they learn, and what order over time means to each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dfer.errors import CheckpointError, UsageError
from dfer.faces.align import alignment_settings
from dfer.model import MODELS, VideoModel
from dfer.model.checkpoint import CheckpointInfo, save_checkpoint
from dfer.model.complexity import count_gmacs, count_parameters
from dfer.model.export import export_onnx
from dfer.model.resnet import ResNet18, load_resnet_weights

BASELINES = ["former_dfer", "resnet18_vit", "resnet18_gru", "resnet18_mean", "r2plus1d_18", "vit_b"]
IN_ORDER = [name for name in BASELINES if name != "resnet18_mean"]
ON_FRAMES = [name for name in BASELINES if name not in ("r2plus1d_18", "vit_b")]
T, S = 8, 32


def small(name: str, num_classes: int = 3, **settings: Any) -> VideoModel:
    torch.manual_seed(0)
    sizes = (
        {"dim": 32, "depth": 2, "heads": 2} if name == "vit_b" else {"stem_width": 4 if name == "r2plus1d_18" else 8}
    )
    return MODELS[name].build(num_classes=num_classes, **{"num_frames": T, "image_size": S, **sizes, **settings})


def clips(batch: int = 2, frames: int = T) -> Tensor:
    return torch.randn(batch, frames, 3, S, S, generator=torch.Generator().manual_seed(batch))


def full_size(name: str, num_classes: int = 7, **settings: Any) -> VideoModel:
    with torch.device("meta"):
        return MODELS[name].build(num_classes=num_classes, **settings)


# ---- sizes


@pytest.mark.parametrize(
    ("name", "classes", "parameters", "gmacs"),
    [
        # Published: 18 M and, with other counting, 9.1 G; 8.30 G for the authors' code by the counter used here.
        pytest.param("former_dfer", 7, 18_031_943, 8.30, id="Former-DFER"),
        # torchvision's figures for its weights of Kinetics-400.
        pytest.param("r2plus1d_18", 400, 31_505_325, 40.52, id="R(2+1)D-18"),
        # 16 times torchvision's ResNet-18 at 112 pixels.
        pytest.param("resnet18_mean", 7, 11_180_103, 7.76, id="ResNet-18"),
    ],
)
def test_sizes_are_the_published_ones(name: str, classes: int, parameters: int, gmacs: float) -> None:
    model = full_size(name, classes)
    assert count_parameters(model) == parameters
    assert count_gmacs(model) == pytest.approx(gmacs, abs=0.005)


def test_vit_b_has_the_size_of_videomae_s_encoder() -> None:
    """Published: 87 M parameters and 180 G for 16 frames of 224 pixels."""
    model = full_size("vit_b", image_size=224)
    block = 4 * 768**2 + 3 * 768 + 8 * 768**2 + 5 * 768 + 4 * 768
    assert count_parameters(model) == 768 * (3 * 2 * 16 * 16 + 1) + 12 * block + 2 * 768 + 7 * 769
    assert count_gmacs(model, image_size=224) == pytest.approx(180.3, abs=0.05)


def test_the_frame_s_network_is_torchvision_s_resnet18() -> None:
    """Its published figures are 11,689,512 parameters and 1.81 GMACs at 224 pixels, with a classifier of 1,000."""
    model = full_size("resnet18_mean", 1000)
    assert count_parameters(model) == 11_689_512
    assert count_gmacs(model, num_frames=1, image_size=224) == pytest.approx(1.814, abs=0.0005)


@pytest.mark.parametrize("name", ["resnet18_vit", "resnet18_gru"])
def test_what_reads_the_frames_adds_its_layers_and_nothing_else(name: str) -> None:
    extra = count_parameters(full_size(name)) - count_parameters(full_size("resnet18_mean"))
    layer = 4 * 512 * 512 + 512 + 2 * 512 * 1024 + 512 + 1024 + 4 * 512  # attention, MLP, two norms
    expected = {"resnet18_vit": 3 * layer + (1 + 17) * 512, "resnet18_gru": 2 * 3 * (512 * 512 + 512)}
    assert extra == expected[name]


# ---- the contract of a model


@pytest.mark.parametrize("name", BASELINES)
def test_features_and_logits(name: str) -> None:
    model = small(name).eval()
    features = model.forward_features(clips())
    assert features.shape == (2, model.head.in_features)
    assert torch.equal(model(clips()), model.head(features))
    alone = torch.cat([model(clip[None]) for clip in clips()])
    assert torch.allclose(model(clips()), alone, atol=1e-5), "a clip's answer depends on no other"
    with pytest.raises(ValueError, match=r"expected clips of shape \[B, T, 3, S, S\]"):
        model(clips()[:, :, 0])


@pytest.mark.parametrize("name", BASELINES)
def test_a_still_shown_often_is_a_clip_of_it(name: str) -> None:
    model = small(name).eval()
    still = clips(frames=1)
    repeated = model.forward_features(still.expand(-1, T, -1, -1, -1))
    assert torch.allclose(model.forward_features(still, repeats=T), repeated, atol=1e-5)


@pytest.mark.parametrize("name", BASELINES)
def test_clips_of_another_length_and_size(name: str) -> None:
    model = small(name).eval()
    assert model(torch.randn(2, 2 * T, 3, 48, 48)).shape == (2, 3)


@pytest.mark.parametrize("name", BASELINES)
def test_the_config_builds_the_same_model_and_its_parameters_are_grouped(name: str) -> None:
    model = small(name)
    again = MODELS[name].architecture(**model.config.model_dump())
    shapes = {key: value.shape for key, value in model.state_dict().items()}
    assert {key: value.shape for key, value in again.state_dict().items()} == shapes
    groups = model.parameter_groups()
    assert sum(len(group.parameters) for group in groups) == len(list(model.parameters()))
    assert max(group.depth for group in groups) == len(model.backbone_stages)


@pytest.mark.parametrize("name", BASELINES)
def test_every_parameter_learns(name: str) -> None:
    model = small(name).train()
    model(clips()).square().sum().backward()
    still = [key for key, value in model.named_parameters() if value.grad is None or not value.grad.any()]
    assert not still


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("resnet18_vit", {"heads": 7}, "heads"),
        ("former_dfer", {"heads": 64}, "heads"),
        ("resnet18_gru", {"hidden": 0}, "hidden"),
        ("resnet18_mean", {"depth": 3}, "unknown key 'depth'"),
        ("vit_b", {"heads": 3}, "heads"),
        ("vit_b", {"num_frames": 7}, "num_frames must be a multiple of 2"),
        ("vit_b", {"image_size": 40}, "image_size one of 16"),
    ],
)
def test_settings_that_fit_no_model_are_refused(name: str, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        small(name, **settings)


# ---- learning


def _learn(model: VideoModel, inputs: Tensor, labels: Tensor, steps: int, lr: float = 2e-3) -> float:
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    model.train()
    loss = torch.tensor(0.0)
    for _ in range(steps):
        loss = F.cross_entropy(model(inputs), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return float(loss.detach())


@pytest.mark.parametrize("name", BASELINES)
def test_it_learns_one_batch_by_heart(name: str) -> None:
    assert _learn(small(name), clips(6), torch.tensor([0, 1, 2, 0, 1, 2]), steps=40) < 0.1


def _pair() -> tuple[Tensor, Tensor]:
    """Clips that get brighter, and the same clips backwards."""
    slope = torch.linspace(-1, 1, T)[None, :, None, None, None]
    rising = slope + 0.2 * torch.randn(6, T, 3, S, S, generator=torch.Generator().manual_seed(0))
    return torch.cat([rising, rising.flip(1)]), torch.tensor([0] * 6 + [1] * 6)


@pytest.mark.parametrize("name", IN_ORDER)
def test_it_tells_a_pair_that_differs_only_in_the_order_of_its_frames(name: str) -> None:
    inputs, labels = _pair()
    assert _learn(small(name, num_classes=2), inputs, labels, steps=30) < 0.3


def test_the_mean_of_the_frames_cannot_tell_them() -> None:
    inputs, labels = _pair()
    model = small("resnet18_mean", num_classes=2)
    assert _learn(model, inputs, labels, steps=20) > 0.65, "at chance, log 2"
    model.eval()
    assert torch.allclose(model(inputs), model(inputs[:, torch.randperm(T)]), atol=1e-5)


# ---- files


@pytest.mark.filterwarnings("ignore:The tensor attributes self.gru")
@pytest.mark.parametrize("name", BASELINES)
def test_the_graph_depends_on_no_data_and_takes_any_batch(name: str) -> None:
    model = small(name).eval()
    program = torch.export.export(model, (clips(2),), dynamic_shapes=({0: torch.export.Dim("batch")},))
    torch.testing.assert_close(program.module()(clips(3)), model(clips(3)))


@pytest.mark.parametrize("name", BASELINES)
def test_onnx_gives_the_same_logits(name: str, tmp_path: Path) -> None:
    sizes = {"vit_b": {"depth": 1}, "former_dfer": {"stem_width": 2, "heads": 2}}.get(name, {"stem_width": 2})
    model = small(name, num_frames=2, **sizes)
    info = CheckpointInfo(
        name, model.config.model_dump(), ["a", "b", "c"], alignment_settings(48), 48, 2, 0.4, {}, "", "last", 1, {}, "0"
    )
    save_checkpoint(tmp_path / "a.safetensors", model.state_dict(), info)
    assert export_onnx(tmp_path / "a.safetensors", tmp_path / "a.onnx").max_difference < 1e-4


@pytest.mark.parametrize("name", ON_FRAMES)
def test_a_backbone_of_torchvision_s_names_is_loaded_whole(name: str, tmp_path: Path) -> None:
    given = ResNet18(width=8).state_dict() | {"fc.weight": torch.zeros(5, 64), "fc.bias": torch.zeros(5)}
    torch.save(given, tmp_path / "resnet18.pth")
    model = small(name)
    model.load_backbone(tmp_path / "resnet18.pth")
    loaded = model.state_dict()
    assert all(torch.equal(loaded[f"stem.{key}"], value) for key, value in given.items() if key[:2] != "fc")


def test_a_video_backbone_is_loaded_whole_or_refused(tmp_path: Path) -> None:
    given = small("r2plus1d_18", num_classes=9)
    nn.init.normal_(given.layer4[1].conv2[0][3].weight)  # type: ignore[index, union-attr]
    names = {key.replace("head.", "fc."): value for key, value in given.state_dict().items()}
    torch.save({"state_dict": {f"module.{key}": value for key, value in names.items()}}, tmp_path / "a.pth")
    model = small("r2plus1d_18")
    before = model.head.weight.clone()
    model.load_backbone(tmp_path / "a.pth")
    assert torch.equal(model.layer4[1].conv2[0][3].weight, given.layer4[1].conv2[0][3].weight)  # type: ignore[index, union-attr]
    assert torch.equal(model.head.weight, before)
    torch.save(ResNet18(width=8).state_dict(), tmp_path / "b.pth")
    with pytest.raises(CheckpointError, match="do not fit the model"):
        model.load_backbone(tmp_path / "b.pth")


def test_a_stem_s_file_lacks_the_last_stage(tmp_path: Path) -> None:
    names = {key: value for key, value in ResNet18(width=8).state_dict().items() if not key.startswith("layer4")}
    torch.save(names, tmp_path / "stem.pth")
    with pytest.raises(CheckpointError, match=r"missing: layer4\.0"):
        load_resnet_weights(ResNet18(width=8), tmp_path / "stem.pth")


def _videomae_names(model: VideoModel) -> dict[str, Tensor]:
    """A model's weights under the names of a pretrained VideoMAE, with a decoder beside them."""
    own = {key: value for key, value in model.state_dict().items() if not key.startswith("head.")}
    renamed = {f"encoder.{key.replace('fc_norm', 'norm')}": value for key, value in own.items()}
    others = ("mask_token", "encoder_to_decoder.weight", "decoder.blocks.0.norm1.weight", "decoder.head.bias")
    return renamed | dict.fromkeys(others, torch.zeros(2))


@pytest.mark.parametrize("kind", ["pretrained", "fine-tuned"])
def test_weights_of_videomae_are_loaded_whole(kind: str, tmp_path: Path) -> None:
    given = small("vit_b", num_classes=9)
    for parameter in given.parameters():
        nn.init.normal_(parameter)
    content = {"model": _videomae_names(given)} if kind == "pretrained" else {"module": given.state_dict()}
    torch.save(content, tmp_path / "a.pth")
    model = small("vit_b")
    before = model.head.weight.clone()
    model.load_backbone(tmp_path / "a.pth")
    assert torch.equal(model.head.weight, before)
    x = clips().to(torch.float32)
    assert torch.equal(model.eval().forward_features(x), given.eval().forward_features(x))


def test_other_weights_than_videomae_s_are_refused(tmp_path: Path) -> None:
    torch.save(_videomae_names(small("vit_b", depth=3)), tmp_path / "deeper.pth")
    with pytest.raises(CheckpointError, match=r"unexpected: blocks\.2\."):
        small("vit_b").load_backbone(tmp_path / "deeper.pth")
    torch.save(ResNet18(width=8).state_dict(), tmp_path / "resnet.pth")
    with pytest.raises(CheckpointError, match="do not fit the model"):
        small("vit_b").load_backbone(tmp_path / "resnet.pth")
