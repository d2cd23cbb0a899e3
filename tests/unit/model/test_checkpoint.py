"""Checkpoints: those of earlier versions still load and answer the same; settings are read without weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open

from dfer.errors import CheckpointError
from dfer.model import LogoFormer
from dfer.model.checkpoint import load_checkpoint, read_checkpoint_info, save_checkpoint
from dfer.model.weights import WithoutDraws
from dfer.pretrained import DEFAULT, find_pretrained
from tests.checkpoints import rewrite

# Written by dfer 0.1 at commit 0c26efc, with the logits that it gave.
OLD = Path(__file__).parent / "files" / "checkpoint_v1.safetensors"
OLD_LOGITS = [[-0.78147966, -1.61479855, -1.45489264], [-0.72900641, -1.57763338, -1.41962337]]
OLD_LOGITS_REVERSED = [[-0.78513789, -1.60706711, -1.45436549], [-0.73477435, -1.57199287, -1.41613340]]


def test_an_old_checkpoint_answers_the_same() -> None:
    model, info = load_checkpoint(OLD)
    clips = torch.linspace(-2, 2, 2 * 2 * 3 * 32 * 32).view(2, 2, 3, 32, 32).sin()
    with torch.inference_mode():
        logits, reversed_logits = model(clips), model(clips.flip(1))
    torch.testing.assert_close(logits, torch.tensor(OLD_LOGITS), atol=1e-5, rtol=0)
    torch.testing.assert_close(reversed_logits, torch.tensor(OLD_LOGITS_REVERSED), atol=1e-5, rtol=0)
    assert isinstance(model, LogoFormer)
    assert (model.config.window, model.config.mlp_ratio, model.config.pool) == ((2, 1, 1), 2.0, "class_token")
    assert (info.labels, info.segments, info.clip_s, info.temperature) == (["happy", "sad", "neutral"], 2, 1.5, 1.25)


def test_the_shipped_weights_still_say_what_they_are() -> None:
    info = read_checkpoint_info(find_pretrained(DEFAULT))
    assert info.model_name == "logo_former_s"
    assert LogoFormer(**info.model_config).config.num_classes == len(info.labels) == 7


def test_saving_and_loading_changes_nothing(tmp_path: Path) -> None:
    model, info = load_checkpoint(OLD)
    save_checkpoint(tmp_path / "again.safetensors", model.state_dict(), info)
    again, own = load_checkpoint(tmp_path / "again.safetensors")
    assert own == info
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))


def test_settings_are_read_without_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    class WithoutTensors:
        def __init__(self, *arguments: object, **settings: object) -> None:
            self.file = safe_open(*arguments, **settings)

        def __enter__(self) -> WithoutTensors:
            self.file = self.file.__enter__()
            return self

        def __exit__(self, *error: object) -> None:
            self.file.__exit__(*error)

        def metadata(self) -> dict[str, str]:
            metadata: dict[str, str] = self.file.metadata()
            return metadata

    monkeypatch.setattr("dfer.model.checkpoint.safe_open", WithoutTensors)
    assert read_checkpoint_info(OLD).model_config["dim"] == 8
    with pytest.raises(AttributeError):
        load_checkpoint(OLD)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"model_name": "transformer_xl"}, "'transformer_xl' is not one of this dfer: logo", id="name"),
        pytest.param({"model_config": {"num_classes": 3, "widht": 3}}, "do not fit .* unknown key 'widht'", id="key"),
        pytest.param({"model_config": {}}, "do not fit this dfer", id="no settings"),
        pytest.param({"pixel_mean": [0.0, 0.0, 0.0]}, "another pixel normalisation", id="pixels"),
    ],
)
def test_a_model_that_this_version_does_not_know(tmp_path: Path, change: dict[str, object], message: str) -> None:
    model, info = load_checkpoint(OLD)
    path = tmp_path / "other.safetensors"
    save_checkpoint(path, model.state_dict(), dataclasses.replace(info, **change))  # type: ignore[arg-type]
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(path)


def test_settings_without_the_newer_keys_still_load(trained: Path, tmp_path: Path) -> None:
    path = _rewritten(trained, tmp_path, lambda values: [values.pop(key) for key in ("temperature", "licence")])
    info = read_checkpoint_info(path)
    assert (info.temperature, info.licence) == (1.0, "")


@pytest.mark.parametrize("temperature", [0.0, -1.0, "warm", None])
def test_a_temperature_that_is_none_is_damage(trained: Path, tmp_path: Path, temperature: object) -> None:
    path = _rewritten(trained, tmp_path, lambda values: values.update(temperature=temperature))
    with pytest.raises(CheckpointError, match="damaged checkpoint settings"):
        load_checkpoint(path)


def _rewritten(path: Path, folder: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    return rewrite(folder / "a.safetensors", path, lambda _tensors, settings: change(settings))


@pytest.mark.parametrize(
    "changes",
    [
        {"prior": {"happy": 1.0}},
        {"prior": {"happy": 0.5, "sad": -0.5, "neutral": 1.0}},
        {"prior": {"happy": 0.0, "sad": 0.0, "neutral": 0.0}},
        {"class_weights": {"happy": 1.0, "sad": 1.0, "bored": 1.0}},
        {"logit_adjustment": -1.0},
        {"priors": {"default": {"shares": {"happy": 1.0, "sad": 1.0, "neutral": 1.0}, "temperature": 0.0}}},
        {"priors": {"default": {"temperature": 1.0}}},
        {"priors": {"default": {"shares": {"happy": 1.0}, "temperature": 1.0}}},
    ],
)
def test_a_prior_that_is_none_is_damage(trained: Path, tmp_path: Path, changes: dict[str, object]) -> None:
    path = _rewritten(trained, tmp_path, lambda values: values.update(changes))
    with pytest.raises(CheckpointError, match="damaged checkpoint settings"):
        read_checkpoint_info(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": ["happy", "happy", "sad"]}, "stands twice"),
        ({"labels": "happy"}, "labels: "),
        ({"labels": ["happy", "sad"]}, "2 labels for a model of 3 classes"),
        ({"segments": 3}, "3 segments do not divide the model's"),
        ({"crop_size": 10**9}, "crop_size: "),
        ({"clip_s": 1e18}, "clip_s: "),
        ({"notice": "n" * 1_000_000}, "letters|notice: "),
        ({"data": {"fold": "../../x"}}, "data.fold"),
        ({"metrics": {"a": [1]}}, "metrics.a: "),
        ({"model_config": {"depth": 10**9}}, "do not fit this dfer: depth: "),
        ({"model_config": {"config": 1}}, "unknown key 'config'"),
    ],
)
def test_settings_out_of_bounds_are_found_before_a_model_is_built(
    tmp_path: Path, change: dict[str, dict[str, object]], message: str
) -> None:
    def changed(values: dict[str, object]) -> None:
        for key, value in change.items():
            values[key] = {**values[key], **value} if key == "model_config" else value  # type: ignore[dict-item]

    with pytest.raises(CheckpointError, match=message) as caught:
        load_checkpoint(_rewritten(OLD, tmp_path, changed))
    assert len(str(caught.value)) < 500


def test_shapes_are_compared_before_memory_is_asked_for(tmp_path: Path) -> None:
    def changed(values: dict[str, dict[str, object]]) -> None:
        values["model_config"] |= {"dim": 8192, "depth": 128}  # 100 GB

    with pytest.raises(CheckpointError, match="the weights do not fit the model"):
        load_checkpoint(_rewritten(OLD, tmp_path, changed))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers(tmp_path: Path, value: float) -> None:
    model, info = load_checkpoint(OLD)
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state["head.weight"][0, 0] = value
    save_checkpoint(tmp_path / "a.safetensors", state, info)
    with pytest.raises(CheckpointError, match=r"NaN or infinite: head.weight"):
        load_checkpoint(tmp_path / "a.safetensors")


def test_weights_that_are_replaced_are_zeros_before() -> None:
    """`trunc_normal_` draws until all values lie in its range: what memory held before could keep it at that."""
    weight = torch.full((64, 64), 1e6)
    with WithoutDraws():
        torch.nn.init.trunc_normal_(weight, std=0.02)
        torch.nn.init.kaiming_normal_(weight)
    assert weight.abs().max() < 1e-6
