"""The generated files: layout, ground truth, reproducibility, interrupted runs, and refusals."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import av
import numpy as np
import pytest

from dfer.datasets.notice import read_notice
from dfer.errors import DferError, UsageError
from dfer.labels import DFEW_LABELS
from dfer.synth.dataset import FRAMES_PER_SECOND, generate_dataset
from dfer.synth.expression import ACTION_UNITS

SMALL = 7


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven clips, one of each emotion."""
    out = tmp_path_factory.mktemp("synth") / "raw"
    generate_dataset(out, num_clips=SMALL, seed=3)
    return out


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_layout_is_dfews(dataset: Path) -> None:
    videos = dataset / "Clip" / "original"
    assert sorted(path.name for path in videos.iterdir()) == [f"{n}.mp4" for n in range(1, SMALL + 1)]
    tested = []
    for fold in range(1, 6):
        lists = [
            _rows(dataset / "EmoLabel_DataSplit" / f"{split}(single-labeled)" / f"set_{fold}.csv")
            for split in ("train", "test")
        ]
        names = [[row["video_name"] for row in rows] for rows in lists]
        assert sorted(names[0] + names[1], key=int) == [str(n) for n in range(1, SMALL + 1)]
        tested += names[1]
        assert all(row.keys() == {"video_name", "label"} for rows in lists for row in rows)
        assert all(1 <= int(row["label"]) <= 7 for rows in lists for row in rows)
    assert sorted(tested, key=int) == [str(n) for n in range(1, SMALL + 1)]


def test_ground_truth_agrees_with_lists_and_videos(dataset: Path) -> None:
    labels = {
        row["video_name"]: int(row["label"])
        for fold in range(1, 6)
        for row in _rows(dataset / "EmoLabel_DataSplit" / "test(single-labeled)" / f"set_{fold}.csv")
    }
    for row in _rows(dataset / "ground_truth" / "clips.csv"):
        name, num_frames = row["video_name"], int(row["num_frames"])
        assert DFEW_LABELS[labels[name] - 1] == row["emotion"]
        with av.open(str(dataset / "Clip" / "original" / f"{name}.mp4")) as container:
            stream = container.streams.video[0]
            assert stream.average_rate == FRAMES_PER_SECOND
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
        assert len(frames) == num_frames
        truth = np.load(dataset / "ground_truth" / f"{name}.npz")
        assert truth["landmarks"].shape == (num_frames, 5, 2)
        assert truth["landmarks"].dtype == np.float32
        assert truth["box_xyxy"].shape == (num_frames, 4)
        assert truth["action_units"].shape == (num_frames, len(truth["action_unit_names"]))
        assert tuple(truth["action_unit_names"]) == ACTION_UNITS
        assert truth["pose"].shape == (num_frames, len(truth["pose_names"]))


def test_readme_says_what_it_is(dataset: Path) -> None:
    text = (dataset / "README.txt").read_text()
    assert "drawings only" in text
    assert f"--clips {SMALL} --seed 3" in text
    assert "drawings" in read_notice(dataset)
    assert read_notice(dataset.parent) == ""


def test_same_seed_gives_same_bytes_on_any_number_of_workers(dataset: Path, tmp_path: Path) -> None:
    generate_dataset(tmp_path / "again", num_clips=SMALL, seed=3, workers=2)
    assert _files(tmp_path / "again") == _files(dataset)


def test_interrupted_run_is_completed_without_redrawing(dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "raw"

    def stop_after_three(done: int, total: int) -> None:
        assert total == SMALL
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate_dataset(out, num_clips=SMALL, seed=3, on_clip=stop_after_three)
    kept = {path: path.stat().st_mtime_ns for path in (out / "Clip" / "original").iterdir()}
    assert len(kept) == 3
    calls: list[tuple[int, int]] = []
    generate_dataset(out, num_clips=SMALL, seed=3, on_clip=lambda *progress: calls.append(progress))
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert all(path.stat().st_mtime_ns == time for path, time in kept.items())
    assert _files(out) == _files(dataset)


def test_other_settings_are_refused(dataset: Path) -> None:
    before = _files(dataset)
    with pytest.raises(UsageError, match="other settings") as error:
        generate_dataset(dataset, num_clips=SMALL, seed=4)
    assert error.value.hint is not None
    assert json.loads(before["synth.json"])["seed"] == 3
    assert _files(dataset) == before


def test_foreign_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"mine")
    with pytest.raises(UsageError, match="not empty"):
        generate_dataset(tmp_path, num_clips=SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ["holiday.jpg"]


@pytest.mark.parametrize(
    "settings", [{"num_clips": 6}, {"seed": -1}, {"workers": 0}], ids=["too few", "negative seed", "no workers"]
)
def test_bad_arguments_are_refused(settings: dict[str, int], tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        generate_dataset(tmp_path / "raw", **settings)
    assert not (tmp_path / "raw").exists()


def test_unwritable_folder_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DferError, match="file"):
        generate_dataset(tmp_path / "file" / "raw", num_clips=SMALL)
