"""Ctrl-C and kill -9 at awkward moments: nothing is lost, and the end is as if nothing had happened."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from dfer.cli.outputs import claim_outputs, json_output
from dfer.video import VideoWriter
from tests.integration.conftest import NO_VIDEO
from tests.integration.program import (
    Outcome,
    count,
    ctrl_c,
    dfer,
    finish,
    kill,
    recorded,
    start,
    temporaries,
    tree,
    wait_until,
)

HINT = "run the same command again"


def stop(process: subprocess.Popen[str], number: signal.Signals) -> Outcome:
    """Ctrl-C and a terminal that closes reach the whole group, SIGTERM of a scheduler the program."""
    os.kill(process.pid, number) if number == signal.SIGTERM else os.killpg(process.pid, number)
    return finish(process)


# ---- preprocess


def preprocess_command(raw: Path, store: Path, workers: int) -> list[object]:
    """A command with so many workers, or none: in the main process."""
    engine = ["--workers", workers] if workers else ["--engine", "inline"]
    return ["preprocess", "dfew", raw, "--out", store, "--detector", "haar", *engine]


@pytest.mark.parametrize("workers", [1, 2])
def test_preprocess_does_not_depend_on_the_number_of_workers(
    small_raw: Path, small_drawn: Path, tmp_path: Path, workers: int
) -> None:
    dfer(*preprocess_command(small_raw, tmp_path / "store", workers)).succeeded()
    assert tree(tmp_path / "store") == tree(small_drawn)


def test_preprocess_in_shards_comes_to_the_same(small_raw: Path, small_drawn: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    for shard, done in (("1/2", 7), ("2/2", 14)):
        outcome = dfer(*preprocess_command(small_raw, store, 0), "--shard", shard).succeeded()
        assert "7 clips: 7 ok (7 in this run)" in outcome.err
        assert count(store, "crops/*.zip") == done
        assert not (store / "manifest.csv").exists()
    dfer("train", "cpu_smoke.yaml", f"data.path={store}").failed(1, "an unfinished store here")
    assert "14 ok (0 in this run)" in dfer(*preprocess_command(small_raw, store, 0)).succeeded().err
    assert tree(store) == tree(small_drawn)


@pytest.mark.parametrize("workers", [0, 2])
def test_preprocess_goes_on_after_ctrl_c(small_raw: Path, small_drawn: Path, tmp_path: Path, workers: int) -> None:
    store = tmp_path / "store"
    process = start(*preprocess_command(small_raw, store, workers))
    wait_until(lambda: recorded(store) >= 2, process)
    ctrl_c(process).failed(130, "error: interrupted", hint=HINT)
    kept = {name: digest for name, digest in tree(store / "crops").items() if ".tmp" not in name}
    assert kept.items() <= tree(small_drawn / "crops").items()
    assert 2 <= len(kept) < 14
    assert not (store / "manifest.csv").exists()
    outcome = dfer(*preprocess_command(small_raw, store, 0)).succeeded()
    assert "(14 in this run)" not in outcome.err
    assert tree(store) == tree(small_drawn)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_preprocess_leaves_nothing_half_written_when_it_is_stopped(
    small_raw: Path, tmp_path: Path, number: signal.Signals
) -> None:
    store = tmp_path / "store"
    process = start(*preprocess_command(small_raw, store, 2))
    wait_until(lambda: count(store, "crops/.*.tmp.zip") > 0, process)
    stop(process, number).failed(128 + number, f"error: interrupted ({number.name})", hint=HINT)
    assert temporaries(tmp_path) == []


def test_ctrl_c_while_workers_start_says_so_in_one_line(small_raw: Path, tmp_path: Path) -> None:
    process = start(*preprocess_command(small_raw, tmp_path / "store", 2))
    wait_until((tmp_path / "store" / "dataset.json").exists, process)
    time.sleep(0.3)  # they are importing OpenCV now
    ctrl_c(process).failed(130, "error: interrupted", hint=HINT)


def test_preprocess_goes_on_after_kills(small_raw: Path, small_drawn: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    moments: list[Callable[[], bool]] = [
        (store / "dataset.json").exists,
        lambda: count(store, "crops/*.zip") >= 2,
        lambda: count(store, "crops/*.zip") >= 5 and count(store, "crops/.*.tmp.zip") > 0,
        lambda: count(store, "crops/*.zip") >= 10,
    ]
    for workers, moment in zip((2, 0, 2, 0), moments, strict=True):
        process = start(*preprocess_command(small_raw, store, workers))
        wait_until(moment, process)
        assert kill(process).code == -signal.SIGKILL
        assert not (store / "manifest.csv").exists()
        kept = {name: digest for name, digest in tree(store / "crops").items() if ".tmp" not in name}
        assert kept.items() <= tree(small_drawn / "crops").items(), "a crop file is whole, or not there"
    dfer(*preprocess_command(small_raw, store, 0)).succeeded()
    assert tree(store) == tree(small_drawn)


# ---- train


@pytest.fixture
def train_command(tmp_path: Path, tiny_recipe: Path) -> Iterator[list[object]]:
    """A run of 60 steps that also saves its state in mid-epoch; and one thread, as in `start`."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    settings = ["train.epochs=12", "train.batch_size=2", "train.ema_decay=0.9", "model.dropout=0.1"]
    settings += ["train.save_minutes=0.0005", "augment.jitter=0.1"]
    yield ["train", tiny_recipe, *settings, "--device", "cpu", "--out", tmp_path / "run"]
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """Where the result of the undisturbed run is kept: it is the same for all tests."""
    return {"folder": tmp_path_factory.mktemp("undisturbed") / "fold1"}


def same_training(folder: Path, command: list[object], undisturbed: dict[str, object]) -> None:
    """Whether a run came to the same weights and figures as one that nothing disturbed."""
    reference = Path(str(undisturbed["folder"]))
    if not reference.exists():
        dfer(*command[:-1], reference.parent).succeeded()
    for name in ("last.safetensors", "best.safetensors"):
        assert (folder / name).read_bytes() == (reference / name).read_bytes(), name
    assert figures(folder) == figures(reference)
    assert written(folder) == written(reference)


def written(folder: Path) -> list[str]:
    """The files of a fold; an event file, of the optional TensorBoard, by its epoch: its name has the time of day."""
    return sorted(re.sub(r"tfevents.*(?=\.epoch)", "tfevents", name) for name in tree(folder))


def figures(folder: Path) -> list[dict[str, float]]:
    """The lines of metrics.jsonl, less what the clock says."""
    records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [
        {
            name: value
            for name, value in record.items()
            if name not in ("epoch_s", "clips_per_s", "data_wait", "step_ms")
        }
        for record in records
    ]


def epochs_done(folder: Path) -> int:
    path = folder / "metrics.jsonl"
    return len(path.read_text().splitlines()) if path.exists() else 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_train_goes_on_after_being_stopped(
    train_command: list[object],
    undisturbed: dict[str, object],
    tmp_path: Path,
    number: signal.Signals,
) -> None:
    folder = tmp_path / "run" / "fold1"
    process = start(*train_command)
    wait_until(lambda: epochs_done(folder) >= 3, process)
    outcome = stop(process, number).failed(128 + number, "error: interrupted", hint=HINT)
    assert "stopping after this step" in outcome.err
    assert temporaries(folder) == []
    assert (folder / "state.pt").exists()
    done = epochs_done(folder)
    assert 3 <= done < 12
    assert not (folder / "run.json").exists()
    assert f"resuming after epoch {done}" in dfer(*train_command).succeeded().err
    same_training(folder, train_command, undisturbed)


def test_train_goes_on_after_kills(train_command: list[object], undisturbed: dict[str, object], tmp_path: Path) -> None:
    folder = tmp_path / "run" / "fold1"
    moments: list[Callable[[], bool]] = [
        lambda: (folder / "state.pt").exists(),
        lambda: epochs_done(folder) >= 3 and count(folder, ".state.*.tmp.pt") > 0,
        lambda: epochs_done(folder) >= 6 and count(folder, ".last.*.tmp.safetensors") > 0,
    ]
    for moment in moments:
        process = start(*train_command)
        wait_until(moment, process)
        before = epochs_done(folder)
        assert kill(process).code == -signal.SIGKILL
        assert before <= epochs_done(folder) < 12
    dfer(*train_command).succeeded()
    same_training(folder, train_command, undisturbed)


# ---- synth


def test_synth_goes_on_after_ctrl_c(small_raw: Path, tmp_path: Path) -> None:
    command = ["synth", tmp_path / "raw", "--clips", 14, "--workers", 2]
    process = start(*command)
    wait_until(lambda: count(tmp_path, "raw/Clip/original/*.mp4") >= 2, process)
    ctrl_c(process).failed(130, "error: interrupted", hint=HINT)
    kept = tree(tmp_path / "raw")
    assert kept.items() <= tree(small_raw).items()
    dfer(*command).succeeded()
    assert tree(tmp_path / "raw") == tree(small_raw)


def test_ctrl_c_while_drawing_processes_start_says_so_in_one_line(tmp_path: Path) -> None:
    process = start("synth", tmp_path / "raw", "--clips", 14, "--workers", 2)
    wait_until((tmp_path / "raw" / "synth.json").exists, process)
    time.sleep(0.3)
    ctrl_c(process).failed(130, "error: interrupted", hint=HINT)


def test_synth_goes_on_after_a_kill(small_raw: Path, tmp_path: Path) -> None:
    command = ["synth", tmp_path / "raw", "--clips", 14, "--workers", 2]
    process = start(*command)
    clips = tmp_path / "raw" / "Clip" / "original"
    wait_until(lambda: count(clips, "*.mp4") >= 2 and count(clips, ".*.tmp.mp4") > 0, process)
    assert kill(process).code == -signal.SIGKILL
    dfer(*command).succeeded()
    assert tree(tmp_path / "raw") == tree(small_raw)


# ---- predict


def flat_video(path: Path, *, num_frames: int, size_hw: tuple[int, int], noise: int) -> Path:
    rng = np.random.default_rng(0)
    with VideoWriter(path, fps=25, size_hw=size_hw) as writer:
        for _ in range(num_frames):
            writer.write((128 + rng.integers(-noise, noise + 1, (*size_hw, 3))).astype(np.uint8))
    return path


@pytest.mark.parametrize("moment", ["looking for faces", "drawing the video"])
def test_predict_leaves_nothing_half_written_after_ctrl_c(
    checkpoint: Path, clip: Path, tmp_path: Path, moment: str
) -> None:
    if moment == "looking for faces":  # noise keeps the detector busy
        source = flat_video(tmp_path / "in.mp4", num_frames=120, size_hw=(240, 320), noise=60)
    else:
        source = flat_video(tmp_path / "in.mp4", num_frames=600, size_hw=(96, 128), noise=0)
    folder = tmp_path / "out"
    folder.mkdir()
    shutil.copy(clip, folder / "seen.mp4")  # from an earlier run
    before = tree(folder)
    process = start("predict", source, "--checkpoint", checkpoint, "--detector", "haar", "--video", folder / "seen.mp4")
    assert process.stderr is not None
    assert "trained on" in process.stderr.readline()  # detection begins
    if moment == "drawing the video":
        wait_until(lambda: count(folder, ".seen.*.tmp.mp4") > 0, process)
    outcome = ctrl_c(process).failed(130, "error: interrupted", hint=HINT)
    assert outcome.out == ""
    assert tree(folder) == before


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_predict_goes_on_with_the_next_input(
    checkpoint: Path, raw: Path, tmp_path: Path, number: signal.Signals
) -> None:
    inputs = [raw / "Clip" / "original" / f"{clip}.mp4" for clip in (1, NO_VIDEO, 2, 4, 5, 6, 7, 8)]
    options = ["--checkpoint", checkpoint, "--detector", "haar", "--json"]
    folder = tmp_path / "out"
    process = start("predict", *inputs, *options, folder / "all.json", "--csv", folder / "all.csv")
    kept = folder / "all.json.progress"
    wait_until(lambda: kept.exists() and kept.read_bytes().count(b"\n") > 3, process)
    outcome = kill(process) if number == signal.SIGKILL else stop(process, number)
    assert outcome.code == (-number if number == signal.SIGKILL else 128 + number)
    assert not list(folder.glob("all.json")) + list(folder.glob("all.csv"))
    assert temporaries(folder) == []

    other = dfer("predict", *inputs, *options, folder / "all.json", "--stride", 0.5)
    other.failed(2, "made with other settings: stride None -> 0.5", str(kept), hint="--no-resume")
    again = dfer("predict", *inputs, *options, folder / "all.json", "--csv", folder / "all.csv")
    assert again.code == 1  # NO_VIDEO
    assert re.search(r"[3-6] of 8 inputs were answered before", again.err)
    assert sorted(tree(folder)) == ["all.csv", "all.json"]
    undisturbed = dfer("predict", *inputs, *options, "-").out
    assert (folder / "all.json").read_text() == undisturbed


def test_predict_refuses_a_file_that_another_run_is_writing(checkpoint: Path, clip: Path, tmp_path: Path) -> None:
    with claim_outputs(json_output(tmp_path / "all.json")):
        outcome = dfer("predict", clip, "--checkpoint", checkpoint, "--json", tmp_path / "all.json")
    outcome.failed(1, f"process {os.getpid()} on ", "is writing this file", hint=f"kill {os.getpid()}")
    assert list(tmp_path.iterdir()) == []
