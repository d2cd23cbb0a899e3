"""The sound inputs that the hostile ones are made from: a checkpoint, a store, a picture and a video of a face."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from dfer.faces.align import alignment_settings
from dfer.model import LogoFormer
from dfer.model.checkpoint import CheckpointInfo, save_checkpoint
from dfer.synth.dataset import generate_dataset
from dfer.version import __version__
from dfer.video import open_frames
from tests.stores import LABELS, SIZE, small_store

CONFIG = {
    "num_frames": 4,
    "image_size": 32,
    "window": (2, 1, 1),
    "dim": 16,
    "depth": 1,
    "heads": 2,
    "stem_width": 8,
}

RECIPE = """\
name: tiny
data: {{path: '{store}', segments: 2, val_fraction: 0.2}}
model: {{num_frames: 4, image_size: 32, window: [2, 1, 1], dim: 16, depth: 1, heads: 2, stem_width: 8}}
optim: {{lr: 3.0e-3}}
train: {{epochs: 2, batch_size: 4}}
"""


@dataclass(frozen=True)
class Material:
    """Sound inputs.

    Attributes:
        root: folder for everything that is made of them.
        checkpoint: of a tiny model with random weights, for the labels of `store`.
        store: of patterned crops.
        picture: a PNG with one face.
        video: an MP4 with one face.
        raw: the raw data set that `video` is of.
        recipe: of a model like `checkpoint`, for `store`.
    """

    root: Path
    checkpoint: Path
    store: Path
    picture: Path
    video: Path
    raw: Path
    recipe: Path


def make_material(root: Path) -> Material:
    """Make the inputs in a new folder."""
    checkpoint, picture = root / "good.safetensors", root / "face.png"
    torch.manual_seed(0)
    model = LogoFormer(num_classes=len(LABELS), **CONFIG)
    save_checkpoint(checkpoint, model.state_dict(), checkpoint_info(model))
    store = small_store(root / "store", clips_per_class=4)
    generate_dataset(root / "raw", num_clips=7)
    video = root / "raw" / "Clip" / "original" / "1.mp4"
    (_, frame) = next(iter(open_frames(video).iter_frames(range(1))))
    cv2.imwrite(str(picture), cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    recipe = root / "tiny.yaml"
    recipe.write_text(RECIPE.format(store=store.root))
    return Material(root, checkpoint, store.root, picture, video, root / "raw", recipe)


def checkpoint_info(model: LogoFormer) -> CheckpointInfo:
    """Return the settings of the tiny checkpoint."""
    return CheckpointInfo(
        model_name="logo_former_s",
        model_config=model.config.model_dump(),
        labels=list(LABELS),
        alignment=alignment_settings(SIZE),
        crop_size=SIZE,
        segments=2,
        clip_s=0.4,
        data={"name": "store", "fingerprint": "0" * 64, "fold": 1, "detector": "haar"},
        notice="",
        selection="last",
        epoch=1,
        metrics={"train_loss": 1.0},
        dfer_version=__version__,
    )


def read_parts(path: Path) -> tuple[dict[str, Tensor], dict[str, object]]:
    """Return a checkpoint's tensors and settings."""
    with safe_open(path, framework="pt") as stored:
        tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
        return tensors, json.loads(stored.metadata()["dfer"])


def write_parts(path: Path, tensors: dict[str, Tensor], settings: object) -> None:
    """Write a checkpoint of any tensors and settings; settings that are text are written as they are."""
    text = settings if isinstance(settings, str) else json.dumps(settings)
    save_file(tensors, path, metadata={"dfer": text})
