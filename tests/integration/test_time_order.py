"""Surprise and fear share their frames: a model tells them apart by order over time, and by nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dfer.model import LogoFormer
from dfer.synth.expression import TIME_REVERSED_PAIR, perform
from dfer.synth.identity import draw_person
from dfer.synth.plan import clip_rng, person_rng
from dfer.synth.render import Puppet
from dfer.synth.scene import draw_scene

NUM_FRAMES, SIZE = 8, 32
NUM_TRAIN, NUM_TEST = 160, 80
CLIPS_PER_PERSON = 2


@pytest.fixture
def one_thread() -> Iterator[None]:
    """The model is so small that threads cost more than they give; and the sums keep their order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _small_clip(number: int, emotion: str) -> NDArray[np.uint8]:
    """Frames of one clip around the mouth-to-brow square, grey uint8 [T, SIZE, SIZE], without a codec."""
    rng = clip_rng(77, number)
    person = draw_person(person_rng(77, 1 + number // CLIPS_PER_PERSON))
    scene = draw_scene(rng)
    scene = replace(scene, size_hw=(96, 96), unit=scene.unit * 96 / scene.size_hw[0], place_xy=(48.0, 44.0))
    play = perform(emotion, strength=float(rng.uniform(0.7, 1.0)), num_frames=NUM_FRAMES, rng=rng)
    puppet = Puppet(person, scene)
    crops = []
    for t in range(NUM_FRAMES):
        shot = puppet.draw(play, t, rng)
        left, right = shot.landmarks[0], shot.landmarks[1]
        scale = SIZE * 0.40 / np.linalg.norm(right - left)
        angle = np.degrees(np.arctan2(right[1] - left[1], right[0] - left[0]))
        middle = (left + right) / 2
        move = cv2.getRotationMatrix2D((float(middle[0]), float(middle[1])), float(angle), float(scale))
        move[:, 2] += (SIZE * 0.5, SIZE * 0.34) - middle
        grey = cv2.cvtColor(shot.frame, cv2.COLOR_RGB2GRAY)
        crops.append(cv2.warpAffine(grey, move, (SIZE, SIZE)))
    return np.stack(crops)


def _small_set(numbers: range) -> tuple[Tensor, Tensor]:
    """Clips float32 [N, T, 3, SIZE, SIZE], each frame standardised, and labels int64 [N], half of each emotion."""
    labels = np.array([number // CLIPS_PER_PERSON % 2 ^ number % 2 for number in numbers])
    clips = np.stack([_small_clip(n, TIME_REVERSED_PAIR[label]) for n, label in zip(numbers, labels, strict=True)])
    values = torch.from_numpy(clips).float()
    values = (values - values.mean(dim=(-2, -1), keepdim=True)) / values.std(dim=(-2, -1), keepdim=True)
    return values[:, :, None].expand(-1, -1, 3, -1, -1), torch.from_numpy(labels)


def _train(clips: Tensor, labels: Tensor) -> LogoFormer:
    torch.manual_seed(0)
    model = LogoFormer(
        num_classes=2,
        num_frames=NUM_FRAMES,
        image_size=SIZE,
        dim=64,
        depth=2,
        heads=4,
        window=(2, 2, 2),
        stem_width=16,
    )
    # The order shows only where content and time multiply: with the usual tiny positions, learning starts on a plateau.
    nn.init.normal_(model.temporal_positions, std=0.5)
    epochs, batch_size = 20, 8
    steps = epochs * len(labels) // batch_size
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1e-3, total_steps=steps)
    model.train()
    for _ in range(epochs):
        for batch in torch.randperm(len(labels)).split(batch_size):
            # Played backwards, each emotion is the other.
            back = torch.rand(len(batch)) < 0.5
            played = torch.where(back[:, None, None, None, None], clips[batch].flip(1), clips[batch])
            loss = nn.functional.cross_entropy(model(played), labels[batch] ^ back)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return model.eval()


@torch.no_grad()
def _accuracy(model: LogoFormer, clips: Tensor, labels: Tensor) -> float:
    return float((model(clips).argmax(dim=1) == labels).float().mean())


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_only_the_order_over_time_tells_surprise_from_fear() -> None:
    clips, labels = _small_set(range(NUM_TRAIN + NUM_TEST))
    model = _train(clips[:NUM_TRAIN], labels[:NUM_TRAIN])
    unseen, truth = clips[NUM_TRAIN:], labels[NUM_TRAIN:]  # no person plays in both parts
    assert _accuracy(model, unseen, truth) > 0.85

    generator = torch.Generator().manual_seed(0)
    orders = torch.rand(5, len(truth), NUM_FRAMES, generator=generator).argsort(dim=-1)
    shuffled = [_accuracy(model, unseen[torch.arange(len(truth))[:, None], order], truth) for order in orders]
    assert 0.35 < float(np.mean(shuffled)) < 0.65

    # Played backwards, each is the other.
    assert _accuracy(model, unseen.flip(1), 1 - truth) > 0.85
