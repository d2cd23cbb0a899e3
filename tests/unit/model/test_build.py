"""A recipe's `model` section: presets by name, the keys of each architecture, and the model that it builds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dfer.errors import UsageError
from dfer.model import MODELS, LogoFormer, ModelEntry
from dfer.model.build import build_model
from dfer.model.video_model import ModelConfig, ModelSettings, VideoModel
from dfer.recipe import Recipe, load_recipe, recipe_keys, save_recipe
from dfer.settings import Count

LABELS = ["happy", "sad", "neutral"]


class ToySettings(ModelSettings):
    channels: Count = 6


class ToyConfig(ToySettings, ModelConfig):
    pass


class Toy(VideoModel):
    """Another architecture: the mean colour of a clip."""

    settings_class = ToySettings

    def __init__(self, **settings: Any) -> None:
        super().__init__()
        self.config = ToyConfig(**settings)
        self.project = nn.Linear(3, self.config.channels)
        self.head = nn.Linear(self.config.channels, self.config.num_classes)

    def forward_features(self, clips: Tensor, repeats: int = 1) -> Tensor:  # noqa: ARG002
        features: Tensor = self.project(clips.mean(dim=(1, 3, 4)))
        return features


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODELS, "toy", ModelEntry(Toy, {"channels": 9}))


def recipe(**model: Any) -> Recipe:
    return Recipe.model_validate({"name": "x", "data": {"path": "x", "segments": 4}, "model": model})


@pytest.mark.parametrize(
    ("section", "dim", "depth"),
    [
        pytest.param({}, 256, 6, id="default"),
        pytest.param({"name": "logo_former_b"}, 512, 4, id="named"),
        pytest.param({"name": "logo_former_b", "dim": 128}, 128, 4, id="overridden"),
        pytest.param({"name": "logo_former_b", "dim": None, "depth": None}, 512, 4, id="null, as older runs saved it"),
    ],
)
def test_a_size_is_its_preset_unless_overridden(section: dict[str, Any], dim: int, depth: int) -> None:
    values = recipe(**section).model.model_dump()
    assert (values["dim"], values["depth"], values["heads"]) == (dim, depth, 8)


def test_the_model_has_the_settings_of_the_section() -> None:
    section = recipe(name="logo_former_b", dim=16, heads=2, depth=1, stem_width=4, window=[2, 1, 1], pool="class_token")
    model = build_model(section.model, LABELS)
    assert isinstance(model, LogoFormer)
    given = section.model.model_dump(exclude={"name", "backbone", "init"})
    assert model.config.model_dump() == {**given, "num_classes": 3}


def test_a_further_architecture_is_one_registry_line(toy: None, tmp_path: Path) -> None:
    path = tmp_path / "toy.yaml"
    path.write_text("name: x\ndata: {path: x, segments: 4}\nmodel: {name: toy, image_size: 48}\n")
    loaded = load_recipe(path, ["model.channels=5"])
    model = build_model(loaded.model, LABELS)
    assert model(torch.zeros(2, 4, 3, 48, 48)).shape == (2, 3)
    assert model.config.model_dump() == {"num_frames": 16, "image_size": 48, "num_classes": 3, "channels": 5}
    save_recipe(loaded, tmp_path / "saved.yaml")
    assert load_recipe(tmp_path / "saved.yaml") == loaded
    assert {"model.channels", "model.window"} < set(recipe_keys())


def test_a_key_of_another_architecture_is_unknown(toy: None, tmp_path: Path) -> None:
    path = tmp_path / "toy.yaml"
    path.write_text("name: x\ndata: {path: x}\nmodel: {name: toy, chanels: 5, window: [1, 1, 1], num_frames: 0}\n")
    with pytest.raises(UsageError) as caught:
        load_recipe(path, ["data.segments=x"])
    text = str(caught.value)
    assert "unknown key 'model.chanels' (did you mean 'model.channels'?)" in text
    assert "unknown key 'model.window' of this model, though others have it" in text
    assert "model.num_frames: input should be greater than or equal to 1, got 0" in text
    assert "data.segments: input should be a valid integer, got 'x'" in text


def test_a_model_without_a_backbone_says_so(toy: None) -> None:
    with pytest.raises(UsageError, match=r"Toy has no backbone to load \(stem.pth\)"):
        build_model(recipe(name="toy", backbone="stem.pth").model, LABELS)


def test_an_unknown_name_lists_the_registered_ones(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("name: x\ndata: {path: x}\n")
    with pytest.raises(UsageError) as caught:
        load_recipe(path, ["model.name=logo_former_l", "model.dim=0"])
    text = str(caught.value)
    *others, last = map(repr, MODELS)
    assert f"model.name: input should be {', '.join(others)} or {last}, got 'logo_former_l'" in text
    assert "model.dim: input should be greater than or equal to 1, got 0" in text
