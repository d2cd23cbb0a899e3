"""The sound inputs that the hostile ones are made from: a checkpoint, a store, a picture and a video of a face."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2

from dfer.recipe import load_recipe
from dfer.synth.dataset import generate_dataset
from dfer.training import train
from dfer.video import open_frames
from tests.checkpoints import write_checkpoint
from tests.stores import small_store, write_tiny_recipe


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
        run: trained by it.
    """

    root: Path
    checkpoint: Path
    store: Path
    picture: Path
    video: Path
    raw: Path
    recipe: Path

    @cached_property
    def run(self) -> Path:
        """Trained when it is first asked for."""
        train(load_recipe(self.recipe), folds=[1], out=self.root / "run", device="cpu")
        return self.root / "run"


def make_material(root: Path) -> Material:
    """Make the inputs in a new folder."""
    checkpoint, picture = write_checkpoint(root / "good.safetensors"), root / "face.png"
    store = small_store(root / "store", clips_per_class=4)
    generate_dataset(root / "raw", num_clips=7)
    video = root / "raw" / "Clip" / "original" / "1.mp4"
    (_, frame) = next(iter(open_frames(video).iter_frames(range(1))))
    cv2.imwrite(str(picture), cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    recipe = write_tiny_recipe(root / "tiny.yaml", store.root)
    return Material(root, checkpoint, store.root, picture, video, root / "raw", recipe)
