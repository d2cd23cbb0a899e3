"""Reading weight files: nothing in them runs, and every failure is one line."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from dfer.errors import CheckpointError
from dfer.model.weights import read_weights, require_same_tensors


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


def test_all_differences_are_told_at_once_and_long_lists_cut() -> None:
    expected = {f"a{index}": torch.zeros(2) for index in range(9)} | {"b": torch.zeros(2, 3)}
    found = {"b": torch.zeros(3, 2), "c": torch.zeros(1)}
    with pytest.raises(CheckpointError) as caught:
        require_same_tensors(expected, found, where="x.pth")
    assert caught.value.what == (
        "the weights do not fit the model: missing: a0, a1, a2, a3, a4, a5 and 3 more; unexpected: c; "
        "wrong shape: b [3, 2] instead of [2, 3]"
    )


def test_equal_names_and_shapes_pass() -> None:
    require_same_tensors({"a": torch.zeros(2)}, {"a": torch.ones(2)}, where=None)
