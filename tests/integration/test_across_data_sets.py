"""From raw data in the real names to figures: a data set with other classes than the model's."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest

import dfer as package
from dfer.labels import DFEW_LABELS, RAVDESS_LABELS
from tests.integration.program import dfer
from tests.unit.datasets.raw_datasets import DFEW_TEST, DFEW_TRAIN

CODES = {"happy": "HAP", "neutral": "NEU", "angry": "ANG"}


@pytest.fixture(scope="module")
def clips(small_raw: Path) -> dict[Path, str]:
    """Generated videos and their emotions."""
    found = {}
    for folder in (DFEW_TRAIN, DFEW_TEST):
        with (small_raw / folder / "set_1.csv").open() as file:
            for row in csv.DictReader(file):
                video = small_raw / "Clip" / "original" / f"{row['video_name']}.mp4"
                found[video] = DFEW_LABELS[int(row["label"]) - 1]
    return found


@pytest.fixture(scope="module")
def ravdess(clips: dict[Path, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One of each emotion, by one actor, and a second actor who is calm; as the archives unpack."""
    raw = tmp_path_factory.mktemp("ravdess") / "raw"
    one_each = {emotion: video for video, emotion in clips.items()}
    names = {emotion: f"01-01-{number:02d}-01-01-01-01" for number, emotion in enumerate(RAVDESS_LABELS, start=1)}
    for emotion, video in one_each.items():
        _copy(video, raw / f"Video_Speech_Actor_01/Actor_01/{names[emotion]}.mp4")
    _copy(one_each["neutral"], raw / "Video_Speech_Actor_02/Actor_02/02-01-02-01-01-01-02.mp4")
    (raw / "__MACOSX").mkdir()
    (raw / "__MACOSX" / "._x.mp4").write_bytes(b"junk")
    return raw


def _copy(video: Path, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(video, to)


@pytest.fixture(scope="module")
def store(ravdess: Path) -> Path:
    store = ravdess.parent / "data" / "ravdess"
    command = ("preprocess", "ravdess", ravdess, "--out", store, "--detector", "haar", "--engine", "inline")
    outcome = dfer(*command).failed(
        1, "of 120 clips failed", hint="--max-failures"
    )  # of two actors with 60 videos each
    assert "speech: 2 of 24 actors are on disk, not 03" in outcome.err
    dfer(*command, "--max-failures", 113).succeeded()
    return store


def test_ravdess_from_raw_to_figures(store: Path, checkpoint: Path) -> None:
    with (store / "manifest.csv").open() as file:
        rows = list(csv.DictReader(file))
    ok = {row["clip_id"]: row for row in rows if row["status"] == "ok"}
    assert (len(rows), len(ok)) == (120, 8)
    assert {row["subject"] for row in rows} == {"01", "02"}
    assert ok["01-02-01-01-01-02"]["label_name"] == "calm"
    assert ok["01-02-01-01-01-02"]["source"].endswith("Actor_02/02-01-02-01-01-01-02.mp4")
    assert json.loads((store / "dataset.json").read_text())["labels"] == list(RAVDESS_LABELS)
    dfer("preprocess", "ravdess", "--check", "--out", store).succeeded()

    shutil.copy(checkpoint, "best.safetensors")  # outside its run, which other tests share
    command = ("eval", "--checkpoint", "best.safetensors", "--data", store, "--clips", "all")
    outcome = dfer(*command, "--json", "a.json", "--report", "report").succeeded()
    assert "neutral (of neutral and calm)" in outcome.out
    result = json.loads(Path("a.json").read_text())
    assert result["labels"] == list(DFEW_LABELS)
    assert result["across"]["map"]["calm"] == "neutral"
    assert result["across"]["model_only"] == []
    assert result["folds"]["1"]["num_clips"] == 120
    assert sum(map(sum, result["folds"]["1"]["confusion"])) == 8
    assert "neutral (of neutral and calm)" in Path("report/README.md").read_text()

    outcome = dfer(*command, "--map", "calm=,surprise=", "--protocol", "open", "--json", "b.json").succeeded()
    shown = " ".join(outcome.out.split())
    assert "classes left out: calm (16 clips), surprise (16 clips)" in shown
    assert "protocol open: all 7 classes of the model can be answered; wrong in any case: surprise" in shown
    fold = json.loads(Path("b.json").read_text())["folds"]["1"]
    assert fold["left_out"] == {"calm": 16, "surprise": 16}
    assert fold["num_clips"] == 88
    assert fold["per_class_recall"]["surprise"] is None
    kept = sorted(path.parent.parent.name for path in Path("evaluations").rglob("predictions.csv"))
    assert kept[0] == "ravdess-all"
    assert kept[1].startswith("ravdess-all-open-map")
    first, second = (Path("evaluations/best") / name for name in kept)
    notes = dfer("compare", first, second, "--common", "--resamples", 100, "--json", "-").succeeded()
    assert any("different protocols" in note for note in json.loads(notes.out)["notes"])


def test_mistakes_are_said_in_one_line(store: Path, checkpoint: Path) -> None:
    command = ("eval", "--checkpoint", checkpoint, "--data", store)
    dfer(*command, "--map", "clam=").failed(2, "no class is named 'clam'", hint="did you mean 'calm'?")
    dfer(*command, "--map", "calm=netral").failed(2, "no class of the checkpoint", hint="did you mean 'neutral'?")
    dfer(*command, "--map", "calm").failed(2, "expected CLASS=CLASS")
    dfer(*command, "--protocol", "closed").failed(2, "closed")


def test_the_shipped_weights_on_crema_d(
    clips: dict[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dfer.pretrained.FOLDER", Path(package.__file__).parent / "pretrained")
    one_each = {emotion: video for video, emotion in clips.items() if emotion in CODES}
    for emotion, video in one_each.items():
        _copy(video, tmp_path / f"raw/VideoFlash/1001_DFA_{CODES[emotion]}_XX.mp4")
    store = tmp_path / "data" / "crema-d"
    command = ("preprocess", "crema-d", tmp_path / "raw", "--out", store, "--detector", "centerface")
    dfer(*command, "--engine", "inline", "--size", 128).succeeded()
    outcome = dfer(
        "eval", "--checkpoint", "default", "--data", store, "--clips", "all", "--no-mirror", "--json", "-"
    ).succeeded()
    result = json.loads(outcome.out)
    assert result["labels"] == ["happy", "neutral", "angry"]
    assert result["across"]["model_only"] == ["sad", "surprise", "disgust", "fear"]
    assert result["folds"]["1"]["num_clips"] == 3
    assert result["folds"]["1"]["other_protocol"]["protocol"] == "open"
