"""Workers that are killed, crash or hang, a mount that vanishes, shards side by side: the end is always the same."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from dfer.datasets import read_dataset
from dfer.preprocessing.journal import finished_rows
from dfer.store import open_store
from tests.integration.program import count, dfer, finish, recorded, start, temporaries, tree, wait_until
from tests.integration.test_disk_trouble import mount


def command(raw: Path, store: Path, workers: int = 2, *more: object) -> list[object]:
    """A command with so many workers, or none: in the main process."""
    engine = ["--workers", workers] if workers else ["--engine", "inline"]
    return ["preprocess", "dfew", raw, "--out", store, "--detector", "haar", *engine, *more]


def workers_of(process: subprocess.Popen[str]) -> list[int]:
    """The process ids of a run's workers."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == process.pid and b"spawn_main" in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
        except (OSError, ValueError, IndexError):
            continue
    return found


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV], ids=["SIGKILL", "SIGSEGV"])
def test_workers_that_die_cost_nothing(
    small_raw: Path, small_drawn: Path, tmp_path: Path, number: signal.Signals
) -> None:
    store = tmp_path / "store"
    process = start(*command(small_raw, store))
    for done in (1, 5):
        wait_until(lambda done=done: count(store, "crops/*.zip") >= done and len(workers_of(process)) == 2, process)
        for worker in workers_of(process):
            os.kill(worker, number)
    finish(process).succeeded()
    assert tree(store) == tree(small_drawn)


def test_workers_that_die_while_they_start_cost_nothing(small_raw: Path, small_drawn: Path, tmp_path: Path) -> None:
    process = start(*command(small_raw, tmp_path / "store"))
    wait_until(lambda: len(workers_of(process)) == 2, process)
    os.kill(workers_of(process)[0], signal.SIGKILL)
    finish(process).succeeded()
    assert tree(tmp_path / "store") == tree(small_drawn)


def test_a_worker_that_hangs_costs_its_clip_and_no_more_than_its_time(
    small_raw: Path, small_drawn: Path, tmp_path: Path
) -> None:
    for attempt in range(5):  # on a busy machine the signal may come after the last clip: then again
        store = tmp_path / str(attempt) / "store"
        process = start(*command(small_raw, store, 2, "--timeout", 2, "--max-failures", 1))
        wait_until(lambda store=store: count(store, "crops/*.zip") >= 2, process)
        for worker in workers_of(process)[:1]:
            os.kill(worker, signal.SIGSTOP)
        outcome = finish(process).succeeded()
        if "14 ok" not in outcome.err:
            break
    assert "13 ok, 1 unreadable" in outcome.err
    (late,) = [row for row in open_store(store).rows if not row.ok]
    assert late.detail.startswith("took more than ")
    assert "14 ok (1 in this run)" in dfer(*command(small_raw, store, 1)).succeeded().err
    assert tree(store) == tree(small_drawn)


def test_preprocess_goes_on_after_the_whole_group_is_killed(small_raw: Path, small_drawn: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    for done in (0, 6):
        process = start(*command(small_raw, store))
        wait_until(lambda done=done: count(store, "crops/*.zip") > done, process)
        os.killpg(process.pid, signal.SIGKILL)
        finish(process)
        assert not (store / "manifest.csv").exists()
    dfer(*command(small_raw, store, 0)).succeeded()
    assert tree(store) == tree(small_drawn)


def test_a_mount_that_vanishes_stops_the_run_and_spoils_no_clip(
    small_raw: Path, small_drawn: Path, tmp_path: Path
) -> None:
    raw, store = tmp_path / "raw", tmp_path / "store"
    raw.mkdir()
    mount(raw, "size=64m")
    try:
        shutil.copytree(small_raw, raw, dirs_exist_ok=True)
        process = start(*command(raw, store))
        wait_until(lambda: recorded(store) >= 3, process)
        subprocess.run(["umount", "--lazy", str(raw)], check=True)
        outcome = finish(process)
        outcome.failed(1, "the raw data set can no longer be read", str(raw), hint="finished work is kept")
        assert {row.status for row in finished_rows(store).values()} == {"ok"}
        assert temporaries(store) == []
        dfer(*command(raw, store)).failed(1)  # still away: an error, not 14 missing clips
        assert {row.status for row in finished_rows(store).values()} == {"ok"}
        mount(raw, "size=64m")
        shutil.copytree(small_raw, raw, dirs_exist_ok=True)
        assert "(14 in this run)" not in dfer(*command(raw, store, 0)).succeeded().err
        assert tree(store) == tree(small_drawn)
    finally:
        subprocess.run(["umount", "--lazy", str(raw)], check=False)


def test_a_deleted_video_costs_one_clip(small_raw: Path, tmp_path: Path) -> None:
    raw, store = tmp_path / "raw", tmp_path / "store"
    shutil.copytree(small_raw, raw)
    process = start(*command(raw, store, 1, "--max-failures", 1))
    wait_until((store / "dataset.json").exists, process)
    last = open_last(raw)
    last.unlink()
    assert "13 ok, 1 unreadable" in finish(process).succeeded().err


def open_last(raw: Path) -> Path:
    """The video that comes last in the lists."""
    source = read_dataset("dfew", raw).clips[-1].source
    assert source is not None
    return source


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])
def test_a_decoder_that_crashes_costs_predict_one_input(
    checkpoint: Path, raw: Path, tmp_path: Path, number: signal.Signals
) -> None:
    inputs = [raw / "Clip" / "original" / f"{clip}.mp4" for clip in (1, 2, 4, 5)]
    process = start("predict", *inputs, "--checkpoint", checkpoint, "--detector", "haar", "--json", tmp_path / "a.json")
    kept = tmp_path / "a.json.progress"
    wait_until(lambda: kept.exists() and kept.read_bytes().count(b"\n") > 1, process)
    os.kill(workers_of(process)[0], number)
    outcome = finish(process).failed(1, f"cannot decode the video: the decoder crashed ({number.name})")
    answers = [json.loads(line) for line in (tmp_path / "a.json").read_text().splitlines()]
    assert [answer["source"] for answer in answers] == [str(path) for path in inputs]
    assert ["error" in answer for answer in answers].count(True) == len(outcome.lines("error: ")) == 1


# ---- shards


def test_shards_side_by_side_and_merged(small_raw: Path, small_drawn: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    shards = [start(*command(small_raw, store, 1, "--shard", f"{number}/3")) for number in (1, 2, 3)]
    for shard in shards:
        finish(shard).succeeded()
    assert not (store / "manifest.csv").exists()
    outcome = dfer("preprocess", "dfew", small_raw, "--out", store, "--merge").succeeded()
    assert "14 ok (0 in this run)" in outcome.err
    assert tree(store) == tree(small_drawn)
    dfer("preprocess", "dfew", small_raw, "--out", store, "--merge").succeeded()
    assert tree(store) == tree(small_drawn)


def test_killed_shards_of_another_number_count_too(small_raw: Path, small_drawn: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    process = start(*command(small_raw, store, 2, "--shard", "1/2"))
    wait_until(lambda: count(store, "crops/*.zip") >= 3, process)
    os.killpg(process.pid, signal.SIGKILL)
    finish(process)
    for number in (1, 2, 3):
        dfer(*command(small_raw, store, 0, "--shard", f"{number}/3")).succeeded()
    dfer("preprocess", "dfew", small_raw, "--out", store, "--merge").succeeded()
    assert tree(store) == tree(small_drawn)


def test_merge_says_what_is_not_finished_and_does_no_work(small_raw: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    merge = ("preprocess", "dfew", small_raw, "--out", store, "--merge", "--detector-weights", "nowhere.onnx")
    dfer(*merge).failed(1, "no store here", hint="--shard")
    dfer(*command(small_raw, store, 0, "--shard", "2/2")).succeeded()
    before = tree(store)
    dfer(*merge).failed(1, "7 of 14 clips are not finished: ", hint="without --merge")
    assert tree(store) == before


def test_runs_do_not_get_into_each_others_way(small_raw: Path, small_drawn: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    process = start(*command(small_raw, store, 1, "--shard", "1/2"))
    wait_until((store / "progress.1-of-2.jsonl").exists, process)
    time.sleep(0.2)
    for more in (["--shard", "1/2"], [], ["--merge"], ["--overwrite"]):
        dfer(*command(small_raw, store, 0, *more)).failed(1, "another run is writing", hint="wait")
    dfer(*command(small_raw, store, 0, "--shard", "2/2")).succeeded()
    finish(process).succeeded()
    dfer(*command(small_raw, store, 0, "--merge")).succeeded()
    assert tree(store) == tree(small_drawn)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--overwrite", "--shard", "1/2"], "delete the other shards' work"),
        (["--merge", "--shard", "1/2"], "--merge and --shard cannot be combined"),
        (["--merge", "--check"], "--merge and --check cannot be combined"),
        (["--repair"], "--repair needs --check"),
    ],
    ids=" ".join,
)
def test_options_that_contradict_each_other(small_raw: Path, tmp_path: Path, more: list[object], words: str) -> None:
    dfer(*command(small_raw, tmp_path / "store", 0, *more)).failed(2, words)
    assert not (tmp_path / "store").exists()


def test_raw_is_needed_for_work() -> None:
    dfer("preprocess", "dfew").failed(2, "RAW")
