"""What the commands work on: a generated data set, its store, and a model trained on it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from dfer.cli import console
from dfer.store import Store
from dfer.video.apart import DecodingProcess
from tests.integration.program import dfer
from tests.stores import small_store, write_tiny_recipe

MISSING, NO_VIDEO = "3", "42"  # of the 49 clips; a sad and a happy one of fold 1's test list


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing of this machine's settings, no shipped weights, and an empty folder to work in."""
    for name in ("DFER_CHECKPOINT", "DFER_DEBUG", "DFER_DETECTOR_WEIGHTS", "DFER_RECOGNITION_WEIGHTS", "DFER_DECODER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("dfer.pretrained.FOLDER", tmp_path / "nothing is shipped")
    monkeypatch.setenv("COLUMNS", "160")  # for programs of their own
    for screen in (console.stdout, console.stderr):  # which read it once, if another test came before
        monkeypatch.setattr(screen, "width", 160)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def _warm_decoder() -> Iterator[DecodingProcess]:
    with DecodingProcess() as decoder:
        yield decoder


@pytest.fixture(autouse=True)
def _one_decoder(monkeypatch: pytest.MonkeyPatch, _warm_decoder: DecodingProcess) -> None:
    """Commands that run in this process share the one that decodes: starting it for each takes half a second."""
    monkeypatch.setattr("dfer.video.apart.DecodingProcess", lambda **_: nullcontext(_warm_decoder))


@pytest.fixture(scope="session")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generated raw data set of 49 clips, one of which is missing, and one no video."""
    folder = tmp_path_factory.mktemp("generated") / "raw"
    dfer("synth", folder, "--clips", 49, "--seed", 0, "--workers", 1).succeeded()
    (folder / "Clip" / "original" / f"{MISSING}.mp4").unlink()
    (folder / "Clip" / "original" / f"{NO_VIDEO}.mp4").write_bytes(b"no video " * 100)
    return folder


@pytest.fixture(scope="session")
def drawn(raw: Path) -> Path:
    """The store of `raw`."""
    store = raw.parent / "data" / "drawn"
    dfer("preprocess", "dfew", raw, "--out", store, "--detector", "haar", "--engine", "inline").succeeded()
    return store


@pytest.fixture(scope="session")
def trained(drawn: Path) -> Path:
    """A run of two folds on `drawn`, one epoch each: it knows little, but is all there."""
    run = drawn.parents[1] / "runs" / "cpu_smoke"
    dfer("train", "cpu_smoke.yaml", f"data.path={drawn}", "train.epochs=1", "--fold", "1,2", "--out", run).succeeded()
    return run


@pytest.fixture(scope="session")
def checkpoint(trained: Path) -> Path:
    """A checkpoint of `trained`."""
    return trained / "fold1" / "best.safetensors"


@pytest.fixture(scope="session")
def clip(raw: Path, drawn: Path) -> Path:
    """A generated video with a face."""
    return raw / "Clip" / "original" / "1.mp4"


@pytest.fixture(scope="session")
def small_raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generated raw data set of 14 clips."""
    folder = tmp_path_factory.mktemp("small") / "raw"
    dfer("synth", folder, "--clips", 14, "--workers", 1).succeeded()
    return folder


@pytest.fixture(scope="session")
def small_drawn(small_raw: Path) -> Path:
    """The store of `small_raw`, written by one undisturbed process."""
    store = small_raw.parent / "undisturbed" / "store"
    dfer("preprocess", "dfew", small_raw, "--out", store, "--detector", "haar", "--engine", "inline").succeeded()
    return store


@pytest.fixture(scope="session")
def flat(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store of flat patterned crops, for what has to train in a moment."""
    return small_store(tmp_path_factory.mktemp("flat") / "flat", clips_per_class=8)


@pytest.fixture
def tiny_recipe(tmp_path: Path, flat: Store) -> Path:
    """A recipe of a model that trains on `flat` in a moment."""
    return write_tiny_recipe(tmp_path / "tiny.yaml", flat.root)


@pytest.fixture
def workspace(tmp_path: Path, trained: Path, drawn: Path) -> Path:
    """The folder that the test works in, with a copy of the trained run at runs/cpu_smoke."""
    shutil.copytree(trained, tmp_path / "runs" / "cpu_smoke")
    return tmp_path
