"""Disks that are full or read-only: one clear line, nothing half-written, and earlier results are kept."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dfer.store import Store
from dfer.store.manifest import read_manifest
from tests.integration.program import dfer, dfer_process, recorded, temporaries, tree

KB = 1024


def mount(folder: Path, options: str) -> None:
    """Mount a file system in memory; only root may."""
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no `mount` here; the same is tested with a limit on the size of files")
    if done.returncode:
        pytest.skip(f"not allowed: {done.stderr.strip()}; the same is tested with a limit on the size of files")


class SmallDisk:
    """A folder in which little can be written.

    Args:
        folder: where.
        kind: "full": on a small file system; "limited": with a limit on the size of a file, which needs no rights.
    """

    def __init__(self, folder: Path, kind: str) -> None:
        self.folder, self.kind = folder, kind
        self.reason = "no space left on device" if kind == "full" else "file too large"
        folder.mkdir()
        if kind == "full":
            mount(folder, "size=64m")

    @contextmanager
    def little_room(self, *, disk: int, file: int) -> Iterator[None]:
        """Room for so many more bytes on the disk, or so many in a file."""
        if self.kind == "full":
            self._resize(sum(path.stat().st_blocks * 512 for path in self.folder.rglob("*")) + disk)
            yield
            self._resize(64 * KB * KB)
            return
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (file, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    def close(self) -> None:
        if self.kind == "full":
            subprocess.run(["umount", "--lazy", str(self.folder)], check=True)  # a failed write may hold its file

    def _resize(self, size: int) -> None:
        subprocess.run(["mount", "-o", f"remount,size={size}", str(self.folder)], check=True)


@pytest.fixture(params=["full", "limited"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SmallDisk]:
    small = SmallDisk(tmp_path / "disk", request.param)
    yield small
    small.close()


def test_synth_on_a_full_disk(disk: SmallDisk, small_raw: Path) -> None:
    raw = disk.folder / "raw"
    command = ["synth", raw, "--clips", 14, "--workers", 2]
    with disk.little_room(disk=100 * KB, file=8000):
        dfer(*command).failed(1, f"cannot write: {disk.reason}", str(raw))
    kept = tree(raw)
    assert kept.items() <= tree(small_raw).items()
    assert 0 < len(kept) < len(tree(small_raw))
    dfer(*command).succeeded()
    assert tree(raw) == tree(small_raw)


def test_preprocess_on_a_full_disk(disk: SmallDisk, small_raw: Path, small_drawn: Path) -> None:
    store = disk.folder / "store"
    command = ["preprocess", "dfew", small_raw, "--out", store, "--detector", "haar", "--workers", 2]
    with disk.little_room(disk=500 * KB, file=100 * KB):
        dfer(*command).failed(1, f"cannot write: {disk.reason}", str(store / "crops"))
    assert temporaries(disk.folder) == []
    assert not (store / "manifest.csv").exists()
    kept = tree(store / "crops")
    assert kept.items() <= tree(small_drawn / "crops").items()
    assert len(kept) < 14
    finished = recorded(store)
    outcome = dfer(*command).succeeded()
    assert f"({14 - finished} in this run)" in outcome.err
    assert tree(store) == tree(small_drawn)


def test_preprocess_keeps_the_manifest_when_there_is_no_room_for_a_new_one(
    disk: SmallDisk, small_raw: Path, small_drawn: Path
) -> None:
    store = disk.folder / "store"
    shutil.copytree(small_drawn, store)
    command = ["preprocess", "dfew", small_raw, "--out", store, "--detector", "haar", "--engine", "inline"]
    with disk.little_room(disk=0, file=100):
        dfer(*command).failed(1, f"cannot write: {disk.reason}", str(store))
    assert temporaries(disk.folder) == []
    assert len(read_manifest(store / "manifest.csv")) == 14
    dfer(*command).succeeded()
    assert tree(store) == tree(small_drawn)


@pytest.mark.parametrize(
    ("disk_room", "file_room", "not_written"),
    [
        pytest.param(100 * KB, 100 * KB, "last.safetensors", id="no room for the weights"),
        pytest.param(600 * KB, 600 * KB, "state.pt", id="no room for the state"),
    ],
)
def test_train_on_a_full_disk(
    disk: SmallDisk, tiny_recipe: Path, flat: Store, disk_room: int, file_room: int, not_written: str
) -> None:
    run = disk.folder / "run"
    dfer("train", tiny_recipe, "--out", run, "--fold", 1).succeeded()
    before = tree(run)
    with disk.little_room(disk=disk_room, file=file_room):
        outcome = dfer("train", tiny_recipe, "--out", run, "--fold", "1,2")
        outcome.failed(1, "cannot write: ", str(run / "fold2" / not_written))
    assert temporaries(disk.folder) == []
    assert not (run / "fold2" / not_written).exists()
    assert {name: digest for name, digest in tree(run).items() if name.startswith("fold1/")} == before
    dfer("eval", "--run", run, "--fold", 1).succeeded()
    dfer("train", tiny_recipe, "--out", run, "--fold", 2).succeeded()


@pytest.mark.parametrize("output", ["--json", "--csv", "--plot", "--video"])
def test_predict_on_a_full_disk_keeps_the_earlier_result(
    disk: SmallDisk, checkpoint: Path, clip: Path, output: str
) -> None:
    name = {"--json": "a.json", "--csv": "a.csv", "--plot": "a.png", "--video": "a.mp4"}[output]
    target = disk.folder / name
    command = ["predict", clip, "--checkpoint", checkpoint, "--detector", "haar", output, target]
    dfer(*command).succeeded()
    before = tree(disk.folder)
    with disk.little_room(disk=0, file=400):
        dfer(*command).failed(1, f"cannot write: {disk.reason}", str(target))
    assert tree(disk.folder) == before


def test_a_full_disk_says_how_to_go_on(tmp_path: Path) -> None:
    disk = SmallDisk(tmp_path / "disk", "full")
    with disk.little_room(disk=20 * KB, file=0):
        dfer("synth", disk.folder / "raw", "--clips", 7, "--workers", 1).failed(1, "no space", hint="free some space")
    disk.close()


@pytest.mark.parametrize("command", [["eval", "--json", "-"], ["doctor"]], ids=" ".join)
def test_stdout_on_a_full_disk(workspace: Path, command: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        outcome = dfer_process(*command, stdout=full)
    outcome.failed(1, "no space left on device")


# ---- read-only


@pytest.fixture(params=["below a file", "read-only file system"])
def unwritable(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A place that even root cannot write to."""
    place = tmp_path / "place"
    if request.param == "below a file":
        place.write_text("a file, no folder")
        yield place
        assert place.read_text() == "a file, no folder"
        return
    place.mkdir()
    mount(place, "ro")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.mark.parametrize(
    ("target", "arguments"),
    [
        pytest.param("raw", ["synth", "TARGET", "--clips", 7, "--workers", 1], id="synth"),
        pytest.param("store", ["preprocess", "dfew", "RAW", "--out", "TARGET", "--detector", "haar"], id="preprocess"),
        pytest.param("run", ["train", "RECIPE", "--out", "TARGET"], id="train"),
        pytest.param("a.json", ["eval", "--run", "RUN", "--json", "TARGET"], id="eval --json"),
        pytest.param("report", ["eval", "--run", "RUN", "--report", "TARGET"], id="eval --report"),
        pytest.param("a.json", ["predict", "CLIP", "--json", "TARGET"], id="predict --json"),
        pytest.param("a.csv", ["predict", "CLIP", "--csv", "TARGET"], id="predict --csv"),
        pytest.param("a.png", ["predict", "CLIP", "--plot", "TARGET"], id="predict --plot"),
        pytest.param("a.mp4", ["predict", "CLIP", "--video", "TARGET"], id="predict --video"),
        pytest.param("a.onnx", ["export", "CHECKPOINT", "--out", "TARGET"], id="export"),
        pytest.param("demo", ["demo", "--out", "TARGET", "--clips", 35], id="demo"),
    ],
)
def test_read_only_output(
    unwritable: Path,
    small_raw: Path,
    tiny_recipe: Path,
    trained: Path,
    checkpoint: Path,
    clip: Path,
    target: str,
    arguments: list[object],
) -> None:
    named = {
        "TARGET": unwritable / target,
        "RAW": small_raw,
        "RECIPE": tiny_recipe,
        "RUN": trained,
        "CHECKPOINT": checkpoint,
        "CLIP": clip,
    }
    words = [named.get(str(word), word) for word in arguments]
    if words[0] == "predict":
        words += ["--checkpoint", checkpoint, "--detector", "haar"]
    dfer(*words).failed(1, "cannot write", str(unwritable))


def test_an_output_that_is_a_folder(checkpoint: Path, clip: Path, tmp_path: Path) -> None:
    (tmp_path / "a.json").mkdir()
    command = ["predict", clip, "--checkpoint", checkpoint, "--detector", "haar", "--json", "a.json"]
    dfer(*command).failed(1, "cannot write: is a directory (a.json)")
    assert temporaries(tmp_path) == []


def test_a_missing_output_folder_is_made(checkpoint: Path, clip: Path) -> None:
    command = ["predict", clip, "--checkpoint", checkpoint, "--detector", "haar", "--json", "new/folder/a.json"]
    dfer(*command).succeeded()
    assert json.loads(Path("new/folder/a.json").read_text())["faces"]
