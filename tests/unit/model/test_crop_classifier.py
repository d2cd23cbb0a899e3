"""The graph around a model: which frames it sees, and what becomes of the logits."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dfer.batches.sampling import sample_frames
from dfer.model.calibration import class_probabilities
from dfer.model.crop_classifier import CropClassifier, sampled_indices
from dfer.model.pixels import prepare_clips
from dfer.model.priors import Answering
from tests.checkpoints import tiny_model


@pytest.mark.parametrize(("num_frames", "segments"), [(16, 8), (16, 1), (4, 4), (1, 1), (12, 3)])
def test_the_graph_samples_the_frames_that_prediction_does(num_frames: int, segments: int) -> None:
    for length in [*range(1, 130), 1000, 99_991]:
        found = sampled_indices(torch.tensor(length), num_frames, segments)
        assert found.tolist() == sample_frames(length, num_frames, segments).tolist(), length


@pytest.mark.parametrize("mirror", [False, True])
def test_it_answers_under_the_prior_and_the_temperature(mirror: bool) -> None:
    model = tiny_model().eval()
    torch.nn.init.normal_(model.head.weight)
    answering = Answering("mine", 0.5, np.array([0.3, -np.inf, 1.0]))
    crops = torch.randint(0, 256, (2, 4, 48, 48, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        found, logits = CropClassifier(model, segments=2, answering=answering, mirror=mirror)(crops)
        features = model.clip_features(prepare_clips(crops, 32), mirror=mirror)
        own = model.head(features)
    expected = class_probabilities(own.numpy(), 0.5, answering.shift)
    assert np.abs(found.numpy() - expected).max() < 1e-6
    assert torch.allclose(logits, own, atol=1e-5)
    assert found[:, 1].tolist() == [0, 0]
