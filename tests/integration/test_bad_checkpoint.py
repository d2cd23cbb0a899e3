"""Bad checkpoints: damaged, foreign, made for something else, or carrying code, which must never run."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from dfer.store.manifest import read_manifest, write_manifest
from tests.checkpoints import rewrite
from tests.integration.program import dfer, tree


class Payload:
    """Creates a file when it is unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (Path("executed"),))


def test_the_payload_is_live() -> None:
    pickle.loads(pickle.dumps(Payload()))
    assert Path("executed").exists(), "the tests below prove nothing otherwise"


def pickled(path: Path, _good: Path) -> None:
    path.write_bytes(pickle.dumps({"state_dict": Payload()}))


def torch_saved(path: Path, _good: Path) -> None:
    torch.save({"state_dict": Payload()}, path)


def torch_saved_weights(path: Path, _good: Path) -> None:
    torch.save({"weight": torch.zeros(3)}, path)


def of_another_program(path: Path, _good: Path) -> None:
    save_file({"weight": torch.zeros(3)}, path, metadata={"format": "pt"})


def cut_off(path: Path, good: Path) -> None:
    path.write_bytes(good.read_bytes()[:-1000])


def empty_file(path: Path, _good: Path) -> None:
    path.write_bytes(b"")


def a_folder(path: Path, _good: Path) -> None:
    path.mkdir()


def without_a_weight(path: Path, good: Path) -> None:
    rewrite(path, good, lambda tensors, _info: tensors.__delitem__("head.weight"))


def with_another_weight(path: Path, good: Path) -> None:
    rewrite(path, good, lambda tensors, _info: tensors.update(extra=torch.zeros(2)))


def of_another_size(path: Path, good: Path) -> None:
    rewrite(path, good, lambda _tensors, info: info["model_config"].update(dim=32))  # type: ignore[attr-defined]


def of_another_alignment(path: Path, good: Path) -> None:
    rewrite(path, good, lambda _tensors, info: info["alignment"].update(template="other/1"))  # type: ignore[attr-defined]


def of_another_normalisation(path: Path, good: Path) -> None:
    rewrite(path, good, lambda _tensors, info: info.update(pixel_mean=[0.0, 0.0, 0.0]))


def of_a_later_format(path: Path, good: Path) -> None:
    rewrite(path, good, lambda _tensors, info: info.update(format="dfer.checkpoint/99"))


def without_labels(path: Path, good: Path) -> None:
    rewrite(path, good, lambda _tensors, info: info.__delitem__("labels"))


def missing_file(path: Path, _good: Path) -> None:
    assert not path.exists()


BAD_CHECKPOINTS = [
    pytest.param(missing_file, "a.safetensors", "no such checkpoint", id="missing"),
    pytest.param(empty_file, "a.safetensors", "not a safetensors checkpoint", id="empty"),
    pytest.param(a_folder, "a.safetensors", "no checkpoint here yet", id="folder"),
    pytest.param(cut_off, "a.safetensors", "not a safetensors checkpoint", id="cut off"),
    pytest.param(pickled, "a.safetensors", "not a safetensors checkpoint", id="pickle named .safetensors"),
    pytest.param(pickled, "a.pt", "not a safetensors checkpoint", id="pickle named .pt"),
    pytest.param(torch_saved, "a.safetensors", "not a safetensors checkpoint", id="torch file named .safetensors"),
    pytest.param(torch_saved, "a.pt", "not a safetensors checkpoint", id="torch file with code"),
    pytest.param(torch_saved_weights, "a.pt", "not a safetensors checkpoint", id="torch file without code"),
    pytest.param(of_another_program, "a.safetensors", "not written by dfer", id="of another program"),
    pytest.param(without_a_weight, "a.safetensors", "missing: head.weight", id="without a weight"),
    pytest.param(with_another_weight, "a.safetensors", "unexpected: extra", id="with another weight"),
    pytest.param(of_another_size, "a.safetensors", "do not fit the model", id="of another size"),
    pytest.param(of_a_later_format, "a.safetensors", "unknown checkpoint format", id="of a later format"),
    pytest.param(without_labels, "a.safetensors", "damaged checkpoint settings", id="without labels"),
    pytest.param(of_another_normalisation, "a.safetensors", "pixel normalisation", id="of another normalisation"),
]


@pytest.mark.parametrize("command", ["predict", "eval", "export"])
@pytest.mark.parametrize(("make", "name", "message"), BAD_CHECKPOINTS)
def test_a_bad_checkpoint(
    checkpoint: Path,
    clip: Path,
    drawn: Path,
    tmp_path: Path,
    command: str,
    make: Callable[[Path, Path], None],
    name: str,
    message: str,
) -> None:
    make(tmp_path / name, checkpoint)
    before = tree(tmp_path)
    arguments = {
        "predict": ["predict", clip, "--checkpoint", name, "--detector", "haar", "--json", "a.json"],
        "eval": ["eval", "--checkpoint", name, "--data", drawn, "--fold", 1, "--json", "a.json"],
        "export": ["export", name, "--out", "a.onnx"],
    }
    dfer(*arguments[command]).failed(1, message, name)
    assert tree(tmp_path) == before, "nothing was executed, nothing written"


@pytest.mark.parametrize("key", ["model.init", "model.backbone"])
@pytest.mark.parametrize(
    ("make", "name"),
    [
        pytest.param(pickled, "a.pt", id="pickle"),
        pytest.param(torch_saved, "a.pt", id="torch file with code"),
        pytest.param(torch_saved, "a.safetensors", id="torch file named .safetensors"),
        pytest.param(empty_file, "a.pt", id="empty"),
        pytest.param(missing_file, "a.pt", id="missing"),
    ],
)
def test_bad_weights_to_start_from(
    tiny_recipe: Path, tmp_path: Path, key: str, make: Callable[[Path, Path], None], name: str
) -> None:
    make(tmp_path / name, tmp_path)
    before = tree(tmp_path)
    dfer("train", tiny_recipe, f"{key}={name}").failed(1, name)
    assert tree(tmp_path) == before, "nothing was executed, nothing written"


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(pickled, id="pickle"),
        pytest.param(torch_saved, id="torch file with code"),
        pytest.param(torch_saved_weights, id="something else"),
        pytest.param(empty_file, id="empty"),
        pytest.param(cut_off, id="cut off"),
    ],
)
def test_a_bad_training_state(tiny_recipe: Path, tmp_path: Path, make: Callable[[Path, Path], None]) -> None:
    dfer("train", tiny_recipe, "train.epochs=1").succeeded()
    state = tmp_path / "runs" / "tiny" / "fold1" / "state.pt"
    make(state, state)
    before = tree(tmp_path)
    outcome = dfer("train", tiny_recipe, "train.epochs=1")
    outcome.failed(1, "damaged training state: ", "(runs/tiny/fold1/state.pt)", hint="--no-resume")
    assert tree(tmp_path) == before, "nothing was executed, and the weights are kept"
    dfer("train", tiny_recipe, "train.epochs=1", "--no-resume").succeeded()


def test_a_run_of_another_recipe_or_other_data_is_kept(tiny_recipe: Path, small_drawn: Path, tmp_path: Path) -> None:
    dfer("train", tiny_recipe, "train.epochs=1").succeeded()
    before = tree(tmp_path)
    other = dfer("train", tiny_recipe, "train.epochs=2")
    other.failed(2, "another recipe: train.epochs was 1, is 2", "(runs/tiny/fold1)", hint="--out")
    assert tree(tmp_path) == before


def test_labels_in_another_order_are_joined_by_name(checkpoint: Path, drawn: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    shutil.copytree(drawn, store)
    about = json.loads((store / "dataset.json").read_text())
    about["labels"][:2] = about["labels"][1::-1]
    (store / "dataset.json").write_text(json.dumps(about))
    rows = read_manifest(store / "manifest.csv")
    rows = [replace(row, label=about["labels"].index(row.label_name)) for row in rows]
    write_manifest(store / "manifest.csv", rows)
    figures = {}
    for name, data in (("as trained", drawn), ("other order", store)):
        dfer("eval", "--checkpoint", checkpoint, "--data", data, "--fold", 1, "--json", "a.json").succeeded()
        fold = json.loads(Path("a.json").read_text())["folds"]["1"]
        figures[name] = [fold["war"], fold["uar"], fold["per_class_recall"]]
    assert figures["other order"] == figures["as trained"]


def test_a_checkpoint_of_another_alignment(checkpoint: Path, clip: Path, drawn: Path, tmp_path: Path) -> None:
    of_another_alignment(tmp_path / "a.safetensors", checkpoint)
    for command in (
        ["eval", "--checkpoint", "a.safetensors", "--data", drawn, "--fold", 1],
        ["predict", clip, "--checkpoint", "a.safetensors", "--detector", "haar"],
    ):
        dfer(*command).failed(1, "align")
