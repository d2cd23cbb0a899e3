"""Reading weight files: nothing in them runs, and every failure is one line."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from dfer.errors import CheckpointError
from dfer.model.weights import load_weights, read_weights, require_same_tensors
from tests.unit.model.small import clips, small


class Bomb:
    """Unpickling it without protection creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_a_hostile_pickle_never_runs(tmp_path: Path, zipped: bool) -> None:
    mark, path = tmp_path / "executed", tmp_path / "hostile.pth"
    content = {"conv1.weight": torch.ones(1), "state_dict": Bomb(mark)}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError, match="refused to load the weights") as caught:
        read_weights(path)
    assert not mark.exists()
    assert "\n" not in str(caught.value)
    assert caught.value.hint
    torch.load(path, weights_only=False)  # the bomb is live: what held it back is the safe loader
    assert mark.exists()


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_both_formats_give_the_tensors(tmp_path: Path, suffix: str) -> None:
    path, state = tmp_path / f"weights{suffix}", {"a.weight": torch.arange(6.0).view(2, 3)}
    if suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path)
    found = read_weights(path)
    assert list(found) == ["a.weight"]
    assert torch.equal(found["a.weight"], state["a.weight"])


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda _: b"", id="empty"),
        pytest.param(lambda data: data[: len(data) // 2], id="cut-short"),
        pytest.param(lambda _: b"<html>404</html>", id="a-web-page"),
        pytest.param(lambda data: bytes(len(data)), id="all-zero"),
        pytest.param(lambda data: data[:20] + b"\xff" * 200 + data[220:], id="overwritten"),
    ],
)
def test_damaged_files_are_one_line(tmp_path: Path, suffix: str, damage) -> None:
    path, state = tmp_path / f"weights{suffix}", {"a.weight": torch.randn(100)}
    if suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(CheckpointError) as caught:
        read_weights(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_missing_file_and_a_folder_are_named(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(CheckpointError, match="cannot read the weights"):
        read_weights(tmp_path / f"absent{suffix}")
    folder = tmp_path / f"folder{suffix}"
    folder.mkdir()
    with pytest.raises(CheckpointError, match="cannot read the weights"):
        read_weights(folder)


def test_all_differences_are_listed_at_once_and_long_lists_shortened() -> None:
    expected = {f"a{index}": torch.zeros(2) for index in range(9)} | {"b": torch.zeros(2, 3)}
    found = {"b": torch.zeros(3, 2), "c": torch.zeros(1)}
    with pytest.raises(CheckpointError) as caught:
        require_same_tensors(expected, found, where="x.pth")
    assert caught.value.what == (
        "the weights do not fit the model: missing: a0, a1, a2, a3, a4, a5 and 3 more; unexpected: c; "
        "wrong shape: b [3, 2] instead of [2, 3]"
    )


# ---- a model's weights


def test_positions_are_interpolated_on_loading_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    source, target = small(), small(num_frames=8, image_size=112)
    with torch.no_grad():
        source.temporal_positions.copy_(torch.arange(4.0)[:, None].expand(4, 32))
        source.spatial_positions.fill_(0.5)
    with caplog.at_level(logging.INFO, logger="dfer.model"):
        load_weights(target, source.state_dict())
    assert caplog.messages == [
        "spatial_positions: interpolated from [4, 4] to [7, 7]",
        "temporal_positions: interpolated from [4] to [8]",
    ]
    # A constant map stays constant; frames lie at the middles of equal parts of the clip.
    torch.testing.assert_close(target.spatial_positions, torch.full((7, 7, 32), 0.5))
    expected = torch.tensor([0.0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3.0])
    torch.testing.assert_close(target.temporal_positions[:, 0], expected)


def test_the_same_grid_loads_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    source, target = small(), small()
    with caplog.at_level(logging.INFO, logger="dfer.model"):
        load_weights(target, source.state_dict())
    assert caplog.messages == []
    assert all(torch.equal(a, b) for a, b in zip(source.parameters(), target.parameters(), strict=True))


def test_spatial_positions_keep_rows_and_columns_apart() -> None:
    source, target = small(), small(image_size=112)
    with torch.no_grad():
        source.spatial_positions.copy_(torch.arange(4.0)[:, None, None].expand(4, 4, 32))
    load_weights(target, source.state_dict())
    rows = target.spatial_positions[:, 0, 0]
    torch.testing.assert_close(target.spatial_positions, rows[:, None, None].expand(7, 7, 32))
    assert (rows.diff() > 0).all()


@pytest.mark.parametrize(
    ("other", "message"),
    [
        pytest.param({"depth": 1}, r"missing: blocks\.1\..* and \d+ more", id="fewer-blocks"),
        pytest.param({"depth": 3}, r"unexpected: blocks\.2\.", id="more-blocks"),
        pytest.param({"attention": "local"}, r"missing: blocks\.0\.global_attention\.", id="attention"),
        pytest.param({"num_classes": 7}, r"wrong shape: head\.weight \[7, 32\] instead of \[5, 32\]", id="head"),
        pytest.param({"dim": 16}, r"wrong shape: spatial_positions \[4, 4, 16\]", id="channels"),
        pytest.param({"window": (1, 3, 3)}, r"summarise\.weight \[32, 1, 1, 3, 3\]", id="window"),
    ],
)
def test_any_other_difference_is_an_error_and_changes_nothing(other: dict[str, Any], message: str) -> None:
    model = small()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(CheckpointError, match=message) as caught:
        load_weights(model, small(**other).state_dict(), where="best.safetensors")
    assert "best.safetensors" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_a_checkpoint_of_other_labels_can_be_a_start() -> None:
    source, target = small(num_classes=11), small()
    head = target.head.weight.clone()
    load_weights(target, source.state_dict(), keep_head=True)
    assert torch.equal(target.head.weight, head)
    x = clips()
    assert torch.equal(target.eval().forward_features(x), source.eval().forward_features(x))
