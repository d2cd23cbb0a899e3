"""Running a model over stored clips."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from dfer.evaluation.inference import evaluation_loader, run_clips
from dfer.model import logo_former_s
from dfer.model.pixels import prepare_clips
from dfer.store import read_clip
from tests.stores import small_store


@pytest.mark.parametrize("num_frames", [1, 3], ids=["stills", "short clips"])
@pytest.mark.parametrize("changed", [False, True], ids=["as they are", "mirrored"])
def test_outputs_are_those_of_all_frames_in_one_batch(num_frames: int, changed: bool, tmp_path: Path) -> None:
    store = small_store(tmp_path / "data", clips_per_class=2, num_frames=num_frames, num_folds=1)
    torch.manual_seed(0)
    model = logo_former_s(
        num_classes=3, num_frames=6, image_size=32, window=(2, 1, 1), dim=16, depth=1, heads=2, stem_width=8
    ).eval()
    places = np.arange(6) * num_frames // 6
    frames = torch.from_numpy(np.stack([read_clip(store.clip_path(row.clip_id), places) for row in store.rows]))
    with torch.inference_mode():
        expected = model(prepare_clips(frames.flip(3) if changed else frames, 32)).numpy()
    outputs = run_clips(
        model,
        evaluation_loader(store, store.rows, model, segments=2, batch_size=4),
        change=(lambda crops: crops.flip(3)) if changed else None,
    )
    assert outputs.logits == pytest.approx(expected, abs=1e-5)
    assert outputs.predicted.tolist() == expected.argmax(1).tolist()


def test_frames_that_are_repeated_are_clips_as_any_other() -> None:
    torch.manual_seed(0)
    model = logo_former_s(num_classes=3, num_frames=4, image_size=32, dim=16, depth=1, heads=2, stem_width=8).eval()
    frames = torch.randn(2, 2, 3, 32, 32)
    with torch.inference_mode():
        expected = model.forward_features(frames[:, [0, 0, 1, 1]])
        assert torch.allclose(model.forward_features(frames, repeats=2), expected, atol=1e-5)
        assert not torch.allclose(model.forward_features(frames[:, [0, 1, 0, 1]]), expected, atol=1e-5)
