"""The moving average is torch's."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from dfer.model.build import build_model
from dfer.recipe import Recipe
from dfer.training.average import MovingAverage
from tests.stores import LABELS, tiny_recipe


@pytest.mark.parametrize("name", ["logo_former_s", "vit_b"], ids=["with batch norm", "without"])
def test_it_is_torchs_to_the_bit_and_has_the_same_state(name: str) -> None:
    sizes = {"dim": 16, "depth": 1, "heads": 2, "image_size": 32, "num_frames": 4}
    recipe = tiny_recipe(Path()).model_dump() | {"model": {"name": name, **sizes}}
    model = build_model(Recipe.model_validate(recipe).model, LABELS)
    ours = MovingAverage(model, 0.9)
    theirs = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True)
    for step in range(4):
        with torch.no_grad():
            for tensor in [*model.parameters(), *model.buffers()]:
                tensor += 1 if not tensor.is_floating_point() else torch.randn_like(tensor)
        if step == 2:  # a resumed run
            saved, ours = ours.state_dict(), MovingAverage(model, 0.9)
            ours.load_state_dict(saved)
        ours.update(model)
        theirs.update_parameters(model)
        expected = theirs.state_dict()
        assert list(ours.state_dict()) == list(expected)
        assert all(torch.equal(value, expected[name]) for name, value in ours.state_dict().items())
