"""The training loop that tutorials show: the baseline that our training must be faster than."""

from __future__ import annotations

import io
import math
import time
import zipfile
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from dfer.batches.sampling import sample_frames
from dfer.model.build import build_model
from dfer.model.pixels import PIXEL_MEAN, PIXEL_STD
from dfer.recipe import Recipe
from dfer.runtime.machine import usable_cores
from dfer.store import Store
from dfer.store.manifest import ManifestRow


def plain_steps(recipe: Recipe, store: Store, device: torch.device) -> Iterator[tuple[int, float]]:
    """Train in float32 with DataLoader and PIL, without end; yield each step's clips, and the seconds waited for them.

    Args:
        recipe: training settings; only model, batch size and learning rate are used.
        store: the data; fold 1 is trained on.
        device: the device to train on.
    """
    size, settings = recipe.model, recipe.train
    rows = store.select(1, "train")
    clips = _PlainClips(store, rows, size.num_frames, recipe.data.segments, size.image_size)
    model = build_model(size, store.info.labels).to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.optim.lr)

    while True:
        loader = DataLoader(clips, settings.batch_size, shuffle=True, num_workers=min(8, usable_cores()))
        asked = time.perf_counter()
        for batch, labels in loader:
            waited = time.perf_counter() - asked
            loss = torch.nn.functional.cross_entropy(model(batch.to(device)), labels.to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss.item()
            yield len(batch), waited
            asked = time.perf_counter()


class _PlainClips(Dataset[tuple[Tensor, int]]):
    """Clips as tutorials load them: PIL opens each JPEG, and each clip is augmented and normalised separately."""

    def __init__(self, store: Store, rows: Sequence[ManifestRow], num_frames: int, segments: int, size: int) -> None:
        self.paths, self.labels = [store.clip_path(row.clip_id) for row in rows], [row.label for row in rows]
        self.lengths, self.num_frames, self.segments, self.size = (
            [row.num_frames for row in rows], num_frames, segments, size,
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, clip: int) -> tuple[Tensor, int]:
        rng = np.random.default_rng(clip)
        frames = sample_frames(self.lengths[clip], self.num_frames, self.segments, rng)
        side = round(self.size * math.sqrt(rng.uniform(0.7, 1.0)))
        left, top = rng.integers(0, self.size - side + 1, 2)
        box, mirror = (left, top, left + side, top + side), rng.random() < 0.5
        with zipfile.ZipFile(self.paths[clip]) as archive:
            images = [self._frame(archive.read(f"{frame:06d}.jpg"), box, mirror=mirror) for frame in frames]
        mean, std = torch.tensor(PIXEL_MEAN).view(3, 1, 1), torch.tensor(PIXEL_STD).view(3, 1, 1)
        pixels = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255
        return (pixels - mean) / std, self.labels[clip]

    def _frame(self, data: bytes, box: tuple[int, int, int, int], *, mirror: bool) -> NDArray[np.uint8]:
        image = Image.open(io.BytesIO(data)).convert("RGB").resize((self.size, self.size), box=box)
        return np.array(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if mirror else image)
