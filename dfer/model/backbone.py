"""The stem's start: ResNet-18 weights trained on faces (MS-Celeb-1M) or on ImageNet, from a file.

Two layouts are in circulation: torchvision's state dict, and a training checkpoint of the face-recognition network
whose `state_dict` entry holds the same names behind `module.`. Either also holds what the stem does not have:
layer4 and the heads. The stem of a checkpoint of `dfer train` serves as well.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from dfer.errors import CheckpointError
from dfer.model.logo_former import LogoFormer
from dfer.model.weights import read_weights, require_same_tensors

logger = logging.getLogger(__name__)

# Parts of a ResNet-18 after the stem: the last stage, torchvision's head, the face-recognition heads.
NOT_IN_STEM = ("layer4.", "fc.", "feature.")
# Files written before PyTorch 0.4.1 have no such counters; with a fixed momentum they change nothing.
OPTIONAL = "num_batches_tracked"
_OWN = "stem."


@dataclass(frozen=True)
class BackboneReport:
    """What became of a file's tensors, by torchvision's names.

    Attributes:
        loaded: now in the stem.
        dropped: in the file, but not part of the stem.
        missing: not in the file; the stem keeps its own.
    """

    loaded: tuple[str, ...]
    dropped: tuple[str, ...]
    missing: tuple[str, ...]


def load_backbone(model: LogoFormer, path: str | Path) -> BackboneReport:
    """Initialise a model's stem from a file of ResNet-18 weights, completely or not at all.

    Args:
        model: its `stem_width` must be the file's (64 for ResNet-18).
        path: .safetensors, or a PyTorch file (.pth, .pt, .tar); never run as code.

    Returns:
        The names loaded, dropped and missing; also logged.

    Raises:
        CheckpointError: the file is unreadable or unsafe, or its tensors are not those of a ResNet-18.
    """
    path = Path(path)
    found = _tensors(path)
    dropped = tuple(name for name in found if name.startswith(NOT_IN_STEM))
    stem = model.stem.state_dict()
    offered = {name: tensor for name, tensor in found.items() if name not in dropped}
    missing = tuple(name for name in stem if name.endswith(OPTIONAL) and name not in offered)
    require_same_tensors(stem, offered | {name: stem[name] for name in missing}, where=path)
    model.stem.load_state_dict(offered | {name: stem[name] for name in missing}, strict=True)

    report = BackboneReport(loaded=tuple(offered), dropped=dropped, missing=missing)
    logger.info(
        "backbone %s: loaded %d tensors; dropped %s; missing %s",
        path,
        len(report.loaded),
        ", ".join(dropped) or "none",
        ", ".join(missing) or "none",
    )
    return report


def _tensors(path: Path) -> dict[str, Tensor]:
    content = read_weights(path)
    nested = content.get("state_dict", content)
    if not isinstance(nested, dict) or not nested:
        raise CheckpointError("the file holds no state dict", where=path)
    odd = [str(name) for name, value in nested.items() if not isinstance(value, Tensor)]
    if odd:
        raise CheckpointError(f"expected tensors alone, but {odd[0]!r} is none", where=path)
    own = [name for name in nested if str(name).startswith(_OWN)]
    if own:  # a checkpoint of ours: its stem has torchvision's names
        return {str(name).removeprefix(_OWN): nested[name] for name in own}
    return {str(name).removeprefix("module."): tensor for name, tensor in nested.items()}
