"""ResNet-18, whole or up to its third stage, and how it starts from weights trained on faces or on ImageNet.

Source: K. He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, arXiv 1512.03385.
"""

from __future__ import annotations

import logging
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dfer.model.weights import load_part, read_state_dict

logger = logging.getLogger(__name__)

STEM_STRIDE = 16
STEM_STAGES = (("conv1", "bn1"), ("layer1",), ("layer2",), ("layer3",))
RESNET_STAGES = (*STEM_STAGES, ("layer4",))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut; parameter names as torchvision's."""

    def __init__(self, *, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Module | None = None
        if stride > 1:
            shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = self.bn2(self.conv2(y))
        y += x if self.downsample is None else self.downsample(x)
        return F.relu(y, inplace=True)


class ResNetStem(nn.Module):
    """ResNet-18 up to and including layer3; state-dict keys as torchvision's.

    Args:
        width: channels of layer1; 64 is ResNet-18. layer2 and layer3 have twice and four times as many.
    """

    def __init__(self, *, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.layer1 = self._layer(width, width, stride=1)
        self.layer2 = self._layer(width, 2 * width, stride=2)
        self.layer3 = self._layer(2 * width, 4 * width, stride=2)
        self.channels = 4 * width

    @staticmethod
    def _layer(inputs: int, outputs: int, *, stride: int) -> nn.Sequential:
        return nn.Sequential(
            BasicBlock(inputs=inputs, outputs=outputs, stride=stride),
            BasicBlock(inputs=outputs, outputs=outputs, stride=1),
        )

    def forward(self, frames: Tensor) -> Tensor:
        # Channels last: faster convolutions, and a map's channels become a token's without a copy.
        x = frames.contiguous(memory_format=torch.channels_last)  # (B T) 3 S S
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)  # (B T) width S/2 S/2
        x = F.max_pool2d(x, 3, stride=2, padding=1)  # (B T) width S/4 S/4
        x = self.layer1(x)  # (B T) width S/4 S/4
        x = self.layer2(x)  # (B T) 2·width S/8 S/8
        maps: Tensor = self.layer3(x)  # (B T) 4·width H W
        return maps


class ResNet18(ResNetStem):
    """ResNet-18 without its classifier: frames [N, 3, S, S] to features [N, 8·width]; 11.2 M parameters."""

    def __init__(self, *, width: int) -> None:
        super().__init__(width=width)
        self.layer4 = self._layer(4 * width, 8 * width, stride=2)
        self.channels = 8 * width

    def forward(self, frames: Tensor) -> Tensor:
        return self.last_stage(super().forward(frames))

    def last_stage(self, maps: Tensor) -> Tensor:
        """Return the mean of the last stage's maps: [N, 4·width, H, W] to [N, 8·width]."""
        features: Tensor = self.layer4(maps).mean(dim=(2, 3))
        return features


PARTS = tuple(part for stage in RESNET_STAGES for part in stage)
# Parts of a ResNet-18 that a network may lack: the last stage, torchvision's head, the face-recognition heads.
OPTIONAL_PARTS = ("layer4.", "fc.", "feature.")
# Files written before PyTorch 0.4.1 have no such counters; with a fixed momentum they change nothing.
OPTIONAL = "num_batches_tracked"
_OWN = "stem."


def load_resnet_weights(stem: ResNetStem, path: str | Path) -> None:
    """Initialise a stem from a file of ResNet-18 weights, completely or not at all; the log lists what was loaded.

    Two layouts are in circulation: torchvision's state dict, and a training checkpoint of the face-recognition network
    whose `state_dict` entry holds the same names behind `module.`. Both also hold heads, and layer4, which a stem
    lacks. The stem of a checkpoint of `dfer train` serves as well.

    Args:
        stem: its width must be the file's (64 for ResNet-18). What it has beside a ResNet-18's parts stays as it is.
        path: .safetensors, or a PyTorch file (.pth, .pt, .tar); never run as code.

    Raises:
        CheckpointError: the file is unreadable or unsafe, or its tensors are not those of a ResNet-18.
    """
    path = Path(path)
    found = _tensors(path)
    own = [name for name in stem.state_dict() if name.startswith(PARTS)]
    dropped = [name for name in found if name.startswith(OPTIONAL_PARTS) and name not in own]
    offered = {name: tensor for name, tensor in found.items() if name not in dropped}
    missing = load_part(
        stem,
        offered,
        is_part=lambda name: name.startswith(PARTS),
        is_optional=lambda name: name.endswith(OPTIONAL),
        where=path,
    )
    logger.info(
        "backbone %s: loaded %d tensors; dropped %s; missing %s",
        path,
        len(offered),
        ", ".join(dropped) or "none",
        ", ".join(missing) or "none",
    )


def _tensors(path: Path) -> dict[str, Tensor]:
    found = read_state_dict(path)
    own = [name for name in found if name.startswith(_OWN)]
    if own:  # a checkpoint of ours: its stem has torchvision's names
        return {name.removeprefix(_OWN): found[name] for name in own}
    return found
