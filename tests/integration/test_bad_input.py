"""Bad videos, stores, runs and arguments: one clear line, the contract's exit code, nothing written, nothing lost."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from dfer.store import Store
from tests.integration.program import dfer, tree

# ---- videos


def missing(path: Path, _clip: Path) -> None:
    assert not path.exists()


def empty(path: Path, _clip: Path) -> None:
    path.touch()


def text(path: Path, _clip: Path) -> None:
    path.write_text("this is no video\n" * 100)


def truncated(path: Path, clip: Path) -> None:
    """Cut off before its index, which MP4 keeps at the end."""
    path.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])


def headless(path: Path, clip: Path) -> None:
    path.write_bytes(clip.read_bytes()[2000:])


def noise(path: Path, _clip: Path) -> None:
    path.write_bytes(np.random.default_rng(0).bytes(20_000))


def sound(path: Path, _clip: Path) -> None:
    with av.open(str(path), "w") as output:
        stream = output.add_stream("aac", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 8000
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))


def folder_without_images(path: Path, _clip: Path) -> None:
    path.mkdir()
    (path / "notes.txt").write_text("no images")


BAD_VIDEOS = [
    pytest.param(missing, "no such file", id="missing"),
    pytest.param(empty, "the file is empty", id="empty"),
    pytest.param(text, "cannot read the video", id="text"),
    pytest.param(truncated, "cannot read the video", id="truncated"),
    pytest.param(headless, "cannot read the video", id="without its head"),
    pytest.param(noise, "cannot read the video", id="noise"),
    pytest.param(sound, "no video stream", id="sound alone"),
    pytest.param(folder_without_images, "no images in the folder", id="folder without images"),
]


@pytest.mark.parametrize(("spoil", "message"), BAD_VIDEOS)
def test_predict_of_what_is_no_video(
    checkpoint: Path, clip: Path, tmp_path: Path, spoil: Callable[[Path, Path], None], message: str
) -> None:
    spoil(tmp_path / "bad.mp4", clip)
    before = tree(tmp_path)
    outputs = ["--json", "a.json", "--csv", "a.csv", "--plot", "a.png", "--video", "a.mp4"]
    outcome = dfer("predict", "bad.mp4", "--checkpoint", checkpoint, "--detector", "haar", *outputs)
    outcome.failed(1, message, "(bad.mp4)")
    assert outcome.out == ""
    assert tree(tmp_path) == before


def test_preprocess_gives_bad_videos_a_row_that_says_why(clip: Path, tmp_path: Path) -> None:
    makers = {"empty": empty, "text": text, "truncated": truncated, "noise": noise, "sound": sound}
    lines = ["path,label", "gone.mp4,sad"]
    for name, spoil in makers.items():
        spoil(tmp_path / f"{name}.mp4", clip)
        lines.append(f"{name}.mp4,happy")
    shutil.copy(clip, tmp_path / "good.mp4")
    (tmp_path / "labels.csv").write_text("\n".join([*lines, "good.mp4,happy"]))
    command = ("preprocess", "folder", tmp_path, "--out", "store", "--detector", "haar", "--workers", 1)
    dfer(*command).failed(1, "6 of 7 clips failed", "(store/manifest.csv)", hint="--max-failures")
    rows = [line.split(",") for line in Path("store/manifest.csv").read_text().splitlines()[1:]]
    assert {row[0]: row[6] for row in rows} == (
        {f"{name}.mp4": "unreadable" for name in makers} | {"gone.mp4": "missing", "good.mp4": "ok"}
    )  # fmt: skip
    assert all(row[7] for row in rows if row[6] != "ok")
    dfer(*command, "--max-failures", 6).succeeded()


# ---- stores and runs


def break_json(store: Path) -> None:
    (store / "dataset.json").write_text("{")


def later_format(store: Path) -> None:
    about = json.loads((store / "dataset.json").read_text())
    (store / "dataset.json").write_text(json.dumps(about | {"format": "dfer.store/99"}))


def no_manifest(store: Path) -> None:
    (store / "manifest.csv").unlink()


def break_manifest(store: Path) -> None:
    path = store / "manifest.csv"
    path.write_text(path.read_text().replace(",ok,", ",fine,", 1))


def lose_crops(store: Path) -> None:
    (store / "crops" / "c0.zip").unlink()


def break_crops(store: Path) -> None:
    (store / "crops" / "c0.zip").write_bytes(b"no zip")


def break_a_jpeg(store: Path) -> None:
    with zipfile.ZipFile(store / "crops" / "c0.zip", "w") as archive:
        for number in range(10):
            archive.writestr(f"{number:06d}.jpg", b"no jpeg")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        pytest.param(shutil.rmtree, "no store here", id="no store"),
        pytest.param(break_json, "damaged dataset.json", id="broken dataset.json"),
        pytest.param(later_format, "dfer.store/99", id="later format"),
        pytest.param(no_manifest, "an unfinished store here", id="no manifest"),
        pytest.param(
            break_manifest,
            "line 2.status: input should be 'ok', 'missing', 'unreadable', 'no_face' or 'too_short', got 'fine'",
            id="broken manifest",
        ),
        pytest.param(lose_crops, "damaged or missing crops", id="lost crops"),
        pytest.param(break_crops, "damaged or missing crops", id="broken crops"),
        pytest.param(break_a_jpeg, "damaged or missing crops", id="broken image"),
    ],
)
def test_training_on_a_damaged_store(
    tiny_recipe: Path, flat: Store, tmp_path: Path, spoil: Callable[[Path], None], message: str
) -> None:
    shutil.copytree(flat.root, tmp_path / "store")
    spoil(tmp_path / "store")
    dfer("train", tiny_recipe, "data.path=store", "--fold", "all").failed(1, message, "store")


def test_preprocess_into_what_is_no_store_touches_nothing(small_raw: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    for more in ([], ["--overwrite"]):
        outcome = dfer("preprocess", "dfew", small_raw, "--out", "mine", "--detector", "haar", *more)
        outcome.failed(2, "not a store", "(mine)", hint="--out")
        assert os.listdir("mine") == ["thesis.txt"]  # noqa: PTH208


def test_preprocess_with_other_settings_keeps_the_store(small_raw: Path, small_drawn: Path, tmp_path: Path) -> None:
    shutil.copytree(small_drawn, tmp_path / "store")
    outcome = dfer("preprocess", "dfew", small_raw, "--out", "store", "--detector", "haar", "--size", 64)
    outcome.failed(2, "crop_size 128 -> 64", "(store)", hint="--overwrite")
    assert tree(tmp_path / "store") == tree(small_drawn)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        pytest.param(["eval"], 1, "no trained run", id="eval"),
        pytest.param(["eval", "--fold", 3], 1, "no trained run with fold 3", id="eval of a fold"),
        pytest.param(["predict", "a.mp4"], 1, "no checkpoint to predict with", id="predict"),
    ],
)
def test_no_run_yet(clip: Path, arguments: list[object], code: int, message: str) -> None:
    shutil.copy(clip, "a.mp4")
    dfer(*arguments).failed(code, message, hint="dfer train")


def test_a_run_without_a_record(workspace: Path) -> None:
    Path("runs/cpu_smoke/fold1/run.json").write_text("{")
    dfer("eval", "--fold", 1).failed(1, "run record", "runs/cpu_smoke/fold1/run.json")


@pytest.mark.parametrize(
    ("arguments", "code", "message", "hint"),
    [
        pytest.param(["train", "RECIPE", "--fold", 99], 1, "no fold 99", "the folds here: [1, 2]", id="train"),
        pytest.param(["eval", "--fold", 99], 1, "no trained run with fold 99", "dfer train", id="eval"),
        pytest.param(["eval", "--run", "RUN", "--fold", 99], 2, "no fold 99", "its folds: [1, 2]", id="eval of a run"),
        pytest.param(["train", "RECIPE", "--fold", 0], 2, "invalid fold", None, id="fold 0"),
        pytest.param(["train", "RECIPE", "--fold", "first"], 2, "invalid fold 'first'", None, id="a word"),
    ],
)
def test_a_fold_that_is_not(
    workspace: Path, tiny_recipe: Path, arguments: list[object], code: int, message: str, hint: str | None
) -> None:
    before = tree(workspace)
    named = {"RECIPE": tiny_recipe, "RUN": "runs/cpu_smoke"}
    dfer(*(named.get(str(word), word) for word in arguments)).failed(code, message, hint=hint)
    assert tree(workspace) == before


# ---- arguments


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["bogus"], "No such command 'bogus'", id="unknown command"),
        pytest.param(["predict"], "INPUT", id="missing argument"),
        pytest.param(["predict", "a.mp4", "--bogus"], "No such option: --bogus", id="unknown option"),
        pytest.param(["predict", "a.mp4", "--detector", "mtcnn"], "'mtcnn'", id="unknown detector"),
        pytest.param(["predict", "a.mp4", "--faces", "some"], "'some'", id="unknown choice of faces"),
        pytest.param(["predict", "a.mp4", "--stride", "0"], "stride must be above 0", id="stride of nothing"),
        pytest.param(["predict", "a.mp4", "--stride", "fast"], "--stride", id="stride that is no number"),
        pytest.param(["predict", "a.mp4", "b.mp4", "--video", "c.mp4"], "need a single input", id="a video of two"),
        pytest.param(["preprocess", "dfew", "raw", "--shard", "3/2"], "invalid shard", id="shard 3 of 2"),
        pytest.param(["preprocess", "dfew", "raw", "--shard", "half"], "invalid shard", id="shard that is none"),
        pytest.param(["preprocess", "dfew", "raw", "--size", "4"], "--size", id="tiny crops"),
        pytest.param(["preprocess", "dfew", "raw", "--workers", "-1"], "--workers", id="negative workers"),
        pytest.param(["synth", "out", "--clips", "3"], "--clips", id="fewer clips than emotions"),
        pytest.param(["synth", "out", "--seed", "-1"], "--seed", id="negative seed"),
        pytest.param(["predict", "a.mp4", "--csv", "c.xlsx"], "--csv: cannot write '.xlsx'", id="a table of Excel"),
        pytest.param(["predict", "a.mp4", "--json", "c.csv"], "--json: cannot write '.csv'", id="JSON as CSV"),
        pytest.param(["predict", "a.mp4", "--plot", "c.docx"], "--plot: cannot write '.docx'", id="a plot in Word"),
        pytest.param(["predict", "a.mp4", "--plot", "c"], "--plot: the name has no suffix", id="a plot of no format"),
        pytest.param(["predict", "a.mp4", "--video", "c.txt"], "--video: cannot write '.txt'", id="a video as text"),
        pytest.param(["eval", "--json", "c.yaml"], "--json: cannot write '.yaml'", id="results as YAML"),
        pytest.param(["bench", "--json", "c.txt"], "--json: cannot write '.txt'", id="a benchmark as text"),
        pytest.param(["export", "a.safetensors", "--out", "a.txt"], "--out: cannot write '.txt'", id="export to text"),
        pytest.param(["predict", "a.mp4", "--json", "-", "--csv", "-"], "the same place (stdout)", id="two to stdout"),
        pytest.param(["predict", "a.mp4", "--video", "a.mp4"], "would overwrite an input", id="a video over itself"),
        pytest.param(["predict", "a.mp4", "--video", "./x/../a.mp4"], "would overwrite an input", id="by another path"),
        pytest.param(["export", "a.safetensors"], "--out", id="export to nowhere"),
        pytest.param(["bench", "--batch-size", "0"], "--batch-size", id="empty batches"),
        pytest.param(["bench", "train", "--image-size", "8"], "--image-size", id="tiny crops to train on"),
        pytest.param(["bench", "train", "--frame-counts", "a.mp4"], "num_frames", id="no frame counts"),
        pytest.param(["predict", ""], "an argument is empty (predict)", id="an input that is an unset variable"),
        pytest.param(["predict", "a.mp4", "--json", ""], "an argument is empty (--json)", id="an unset output"),
        pytest.param(["eval", "--report="], "an argument is empty (--report=)", id="an unset folder"),
        pytest.param(["train", "cpu_smoke.yaml", "--device", "tpu"], "'tpu'", id="unknown device"),
    ],
)
def test_bad_arguments(clip: Path, arguments: list[str], message: str) -> None:
    shutil.copy(clip, "a.mp4")
    shutil.copy(clip, "b.mp4")
    dfer(*arguments).failed(2, message)
    assert sorted(os.listdir()) == ["a.mp4", "b.mp4"]  # noqa: PTH208


def test_a_traceback_is_shown_to_those_who_ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bad.yaml").write_text("")
    with pytest.raises(Exception, match="the recipe is empty"):
        dfer("train", "bad.yaml", "--debug")
    monkeypatch.setenv("DFER_DEBUG", "1")
    with pytest.raises(Exception, match="the recipe is empty"):
        dfer("train", "bad.yaml")
    monkeypatch.setenv("DFER_DEBUG", "0")
    dfer("train", "bad.yaml").failed(2, "the recipe is empty")
