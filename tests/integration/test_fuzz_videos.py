"""Hundreds of damaged, odd and false videos at once: each costs itself alone, and its row says why.

`pytest -s tests/integration/test_fuzz_videos.py` prints what became of each kind.
"""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from dfer.store import open_store, read_clip, read_clip_record
from dfer.store.manifest import ManifestRow
from dfer.video import open_frames
from tests.integration.program import Outcome, dfer_process, temporaries, tree
from tests.mutations import Mutation, mutate

pytestmark = pytest.mark.slow
ENDINGS = ("ok", "unreadable", "crashed or late", "no_face", "too_short")


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory, small_raw: Path) -> tuple[Path, list[Mutation]]:
    """A folder of two classes: the mutations, and among them whole clips."""
    folder = tmp_path_factory.mktemp("fuzz") / "raw"
    (folder / "happy").mkdir(parents=True)
    (folder / "sad").mkdir()
    whole = small_raw / "Clip" / "original"
    frames = [frame for _, frame in open_frames(whole / "1.mp4").iter_frames(range(10))]
    made = mutate(folder / "happy", frames, seed=0)
    for number in range(1, 5):
        path = folder / "sad" / f"neighbour-{number}.mp4"
        shutil.copy(whole / f"{number}.mp4", path)
        made.append(Mutation("neighbours", path, True))
    return folder, made


def preprocess(raw: Path, store: Path, workers: int) -> Outcome:
    command = ("preprocess", "folder", raw, "--out", store, "--detector", "haar", "--workers", workers)
    return dfer_process(*command, "--timeout", 20, "--max-failures", 0, patience_s=240)


@pytest.fixture(scope="module")
def outcome(videos: tuple[Path, list[Mutation]]) -> Outcome:
    return preprocess(videos[0], videos[0].parent / "two" / "store", 2)


@pytest.fixture(scope="module")
def rows(videos: tuple[Path, list[Mutation]], outcome: Outcome) -> dict[str, ManifestRow]:
    return {row.source: row for row in open_store(videos[0].parent / "two" / "store").rows}


def row_of(mutation: Mutation, rows: dict[str, ManifestRow]) -> ManifestRow:
    return rows[f"{mutation.path.parent.name}/{mutation.path.name}"]


def test_the_run_ends_by_the_contract(videos: tuple[Path, list[Mutation]], outcome: Outcome) -> None:
    outcome.failed(1, f"of {len(videos[1])} clips failed", hint="--max-failures")
    assert temporaries(videos[0].parent / "two") == []


def test_every_file_has_a_row_and_a_reason(videos: tuple[Path, list[Mutation]], rows: dict[str, ManifestRow]) -> None:
    assert len(videos[1]) >= 300
    assert len(rows) == len(videos[1])
    for mutation in videos[1]:
        row = row_of(mutation, rows)
        assert row.ok or row.detail, row
        assert len(row.detail.splitlines()) <= 1
        assert len(row.detail) < 300, row
        assert "Error:" not in row.detail, "nobody has thought of this one"


def test_sound_videos_are_ok_in_every_form(videos: tuple[Path, list[Mutation]], rows: dict[str, ManifestRow]) -> None:
    assert sum(mutation.sound for mutation in videos[1]) >= 50
    lost = [row_of(mutation, rows) for mutation in videos[1] if mutation.sound]
    assert [row for row in lost if not row.ok] == []


def test_what_is_no_video_gives_no_crops(videos: tuple[Path, list[Mutation]], rows: dict[str, ManifestRow]) -> None:
    hopeless = ("zero bytes", "text that poses as video", "noise", "audio only", "zero frames", "8K")
    found = [row_of(mutation, rows) for mutation in videos[1] if mutation.kind in hopeless]
    assert len(found) >= 25
    assert [row for row in found if row.ok] == []


def test_a_decoder_that_really_crashes_costs_one_clip(rows: dict[str, ManifestRow]) -> None:
    # A sample table that promises two thousand million frames: decord asks for the memory and aborts.
    assert "the decoder crashed (SIGABRT)" in rows["happy/lie-time-repeat.mp4"].detail


def test_crops_of_damaged_videos_are_whole(videos: tuple[Path, list[Mutation]], rows: dict[str, ManifestRow]) -> None:
    store = open_store(videos[0].parent / "two" / "store")
    for row in rows.values():
        path = store.clip_path(row.clip_id)
        assert path.exists() == row.ok
        if row.ok:
            assert hashlib.sha256(path.read_bytes()).hexdigest() == row.sha256
            assert len(read_clip(path)) == row.num_frames == len(read_clip_record(path).frames)


def test_the_number_of_workers_changes_nothing(videos: tuple[Path, list[Mutation]], outcome: Outcome) -> None:
    again = preprocess(videos[0], videos[0].parent / "three" / "store", 3)
    again.failed(1, f"of {len(videos[1])} clips failed")
    two, three = (videos[0].parent / name / "store" for name in ("two", "three"))
    # What a decoder makes of flipped bits can depend on what its buffers held before: pixels are not compared there.
    guessed = {m.path.name for m in videos[1] if m.kind.startswith("bits flipped")}
    ours, theirs = (
        [replace(row, sha256="") if Path(row.source).name in guessed else row for row in open_store(store).rows]
        for store in (two, three)
    )
    assert ours == theirs
    assert 0 < len(guessed) < len(ours)
    crops = [
        {name: digest for name, digest in tree(store / "crops").items() if Path(name).stem not in guessed}
        for store in (two, three)
    ]
    assert crops[0] == crops[1]
    assert set(tree(two)) == set(tree(three))


def test_the_table(videos: tuple[Path, list[Mutation]], rows: dict[str, ManifestRow]) -> None:
    counts: dict[str, Counter[str]] = {}
    for mutation in videos[1]:
        row = row_of(mutation, rows)
        violent = "crashed" in row.detail or "took more" in row.detail
        counts.setdefault(mutation.kind, Counter())["crashed or late" if violent else row.status] += 1
    print("\n| mutation | files |", " | ".join(ENDINGS), "|\n|---|", "---|" * (1 + len(ENDINGS)), sep="")
    total = sum(counts.values(), Counter[str]())
    for kind, endings in [*counts.items(), ("all", total)]:
        print(f"| {kind} | {endings.total()} |", " | ".join(str(endings[name] or "") for name in ENDINGS), "|")
    assert set(total) <= set(ENDINGS)
