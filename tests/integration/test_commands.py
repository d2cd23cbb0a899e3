"""The program as a whole, and the commands around the pipeline: synth, export, bench, doctor, demo."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

import dfer as package
from dfer.batches.sampling import sample_frames
from dfer.faces.detectors import _say_choice
from dfer.labels import DFEW_LABELS
from dfer.model.checkpoint import load_checkpoint, read_checkpoint_info
from dfer.model.export import open_session
from dfer.model.pixels import prepare_clips
from dfer.model.priors import choose_answering
from tests.integration.program import dfer, tree

# The options that users script against.
CONTRACT = {
    "preprocess": (
        "--out --detector --detector-weights --size --workers --shard --limit --max-failures --overwrite"
    ),
    "train": "--fold --out --resume --no-resume --device",
    "eval": "--fold --run --checkpoint --data --json --report",
    "predict": (
        "--checkpoint --json --csv --video --plot --faces --stride --detector --detector-weights"
    ),
    "compare": "--common --json --markdown --latex --plot --report",
    "published": "--with --json --markdown --latex",
    "demo": "--out",
    "synth": "--clips --seed",
    "export": "--out",
    "bench": "",
    "doctor": "",
}  # fmt: skip
HEAVY = ("torch", "cv2", "pandas", "numpy", "scipy", "matplotlib", "onnxruntime", "insightface", "decord", "av")


# ---- the program


def test_version() -> None:
    assert dfer("--version").succeeded().out == f"dfer {package.__version__}\n"


def test_help_names_every_command() -> None:
    listed = dfer("--help").succeeded().out
    for command in CONTRACT:
        assert re.search(rf"│ {command} ", listed), command


@pytest.mark.parametrize("command", CONTRACT)
def test_help_of_a_command_has_an_example_and_the_contracts_options(command: str) -> None:
    text = dfer(command, "--help").succeeded().out
    assert re.search(rf"Examples?: dfer {command}\b", text)
    for option in CONTRACT[command].split():
        assert re.search(rf"{option}\b", text), option


def test_no_arguments_shows_the_help() -> None:
    outcome = dfer()
    assert outcome.code == 2
    assert "Usage: dfer" in outcome.out + outcome.err


@pytest.mark.parametrize(
    "code",
    [
        pytest.param("import dfer", id="import dfer"),
        pytest.param("from dfer.cli.app import run; run(['--help'])", id="dfer --help"),
        pytest.param("from dfer.cli.app import run; run(['train', '--help'])", id="dfer train --help"),
    ],
)
def test_import_and_help_load_nothing_heavy(code: str) -> None:
    asked = f"{code}; import sys; print([m for m in {HEAVY} if m in sys.modules], file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


def test_help_answers_in_under_a_third_of_the_time_of_importing_torch() -> None:
    def best_of_three(*arguments: str) -> float:
        times = []
        for _ in range(3):
            begun = time.perf_counter()
            subprocess.run([sys.executable, *arguments], capture_output=True, check=True)
            times.append(time.perf_counter() - begun)
        return min(times)

    assert best_of_three("-m", "dfer", "--help") < best_of_three("-c", "import torch") / 3


# ---- synth


def test_synth_writes_dfews_layout(small_raw: Path) -> None:
    assert len(list((small_raw / "Clip" / "original").glob("*.mp4"))) == 14
    assert len(list((small_raw / "EmoLabel_DataSplit").glob("*/set_*.csv"))) == 10
    assert (small_raw / "EmoLabel_DataSplit" / "train(single-labeled)" / "set_1.csv").read_text().startswith(
        "video_name,label\n"
    )  # fmt: skip
    assert "drawings only" in (small_raw / "README.txt").read_text()


def test_synth_depends_on_the_seed_alone(small_raw: Path, tmp_path: Path) -> None:
    dfer("synth", tmp_path / "same", "--clips", 14, "--workers", 2).succeeded()
    dfer("synth", tmp_path / "other", "--clips", 14, "--workers", 2, "--seed", 1).succeeded()
    assert tree(tmp_path / "same") == tree(small_raw)
    assert tree(tmp_path / "other") != tree(small_raw)


# ---- export


def test_export_answers_as_predict_does(checkpoint: Path) -> None:
    outcome = dfer("export", checkpoint, "--out", "model.onnx").succeeded()
    assert "largest difference" in outcome.err
    beside = [f"model{ending}" for ending in (".README.md", ".example.html", ".example.mjs", ".example.py")]
    assert sorted(os.listdir()) == [*beside, "model.onnx"]  # noqa: PTH208
    session = open_session(Path("model.onnx"))
    assert json.loads(session.get_modelmeta().custom_metadata_map["labels"]) == list(DFEW_LABELS)
    model, info = load_checkpoint(checkpoint)
    random = np.random.default_rng(0)
    for batch, length in ((1, 1), (2, 8), (5, 21)):
        crops = random.integers(0, 256, (batch, length, info.crop_size, info.crop_size, 3), dtype=np.uint8)
        sampled = torch.from_numpy(crops[:, sample_frames(length, 8, info.segments)])
        with torch.inference_mode():
            logits = model.head(model.clip_features(prepare_clips(sampled, 48), mirror=info.mirror)).numpy()
        found, raw = session.run(["probabilities", "logits"], {"crops": crops})
        assert np.abs(found - choose_answering(info, where=checkpoint).probabilities(logits)).max() < 1e-4
        assert np.abs(raw - logits).max() < 1e-4
        assert np.abs(logits).max() > 1e-3


def test_export_of_the_network_alone(checkpoint: Path) -> None:
    dfer("export", checkpoint, "--out", "model.onnx", "--bare").succeeded()
    assert os.listdir() == ["model.onnx"]  # noqa: PTH208
    session = open_session(Path("model.onnx"))
    (given,), (asked,) = session.get_inputs(), session.get_outputs()
    assert (given.name, given.type, given.shape[1:]) == ("clips", "tensor(float)", [8, 3, 48, 48])
    assert (asked.name, asked.shape[1]) == ("logits", 7)
    assert isinstance(given.shape[0], str), "the batch size is free"
    about = json.loads(session.get_modelmeta().custom_metadata_map["dfer"])
    assert about["labels"] == list(DFEW_LABELS)
    assert about["alignment"] == read_checkpoint_info(checkpoint).alignment
    model, _ = load_checkpoint(checkpoint)
    for batch in (1, 2, 5):
        clips = torch.randn(batch, 8, 3, 48, 48, generator=torch.Generator().manual_seed(100 + batch))
        with torch.inference_mode():
            expected = model(clips).numpy()
        (found,) = session.run(["logits"], {"clips": clips.numpy()})
        assert found.shape == (batch, 7)
        assert np.abs(found - expected).max() < 1e-4
        assert np.abs(expected).max() > 1e-3


def test_export_of_a_calibrated_int8_model(checkpoint: Path, drawn: Path) -> None:
    outcome = dfer("export", checkpoint, "--out", "small.onnx", "--int8", "--calibration", drawn).succeeded()
    assert "int8 (static)" in outcome.err
    assert "same label as float32" in outcome.err
    inside = drawn / "small.onnx"
    dfer("export", checkpoint, "--out", inside, "--int8", "--calibration", drawn).failed(2, "inside", "small.onnx")


# ---- this machine, and the demo


@pytest.mark.slow
def test_bench_measures_the_models() -> None:
    chosen = ["--model", "logo_former_s", "--model", "logo_former_b", "--batch-size", 1, "--device", "cpu"]
    outcome = dfer("bench", "--seconds", 0.1, *chosen, "--json", "bench.json").succeeded()
    models = json.loads(Path("bench.json").read_text())["models"]
    assert [(row["name"], row["attention"]) for row in models] == [
        ("logo_former_s", "local_global"),
        ("logo_former_s", "joint"),
        ("logo_former_b", "local_global"),
    ]
    for row in models:
        assert row["gmacs_64_frames"] > row["gmacs"] > 1
        assert min(row["forward_float32"], row["forward_bf16"], row["training"], row["relative"]) > 0
        assert f"{row['parameters'] / 1e6:.2f}" in outcome.out
    # Attention over all tokens costs more than linearly in the frames; local and global attention does not.
    growth = [row["gmacs_64_frames"] / row["gmacs"] for row in models]
    assert growth[0] < 4.2
    assert growth[1] > 5


def test_bench_of_an_unknown_model_names_those_that_there_are() -> None:
    dfer("bench", "--model", "resnet").failed(2, "no model 'resnet'", hint="former_dfer")


def test_bench_train_measures_the_engine_beside_a_plain_loop() -> None:
    tiny = ["model.dim=16", "model.depth=1", "model.heads=2", "model.stem_width=8", "model.num_frames=8"]
    command = ["bench", "train", *tiny, "--device", "cpu", "--scale", 0.002, "--seconds", 0.1, "--batch-size", 4]
    outcome = dfer(*command, "--image-size", 32, "--json", "bench.json").succeeded()
    result = json.loads(Path("bench.json").read_text())
    assert result["schema"] == "dfer.bench.training/1"
    assert [case["name"] for case in result["cases"]] == ["stream", "memory", "plain loop"]
    for word in ("stream", "plain loop", "23 clips", "32 pixels"):
        assert word in outcome.out
    assert "dfer's own training, clips from: memory" in outcome.err
    assert sorted(path.name for path in Path().iterdir()) == ["bench.json"]
    dfer(*command, "model.dims=3").failed(2, "did you mean 'model.dim'?")
    dfer("bench", "train", "--scale", 2).failed(2, "the share of the clips")


def test_doctor_says_what_is_there(workspace: Path, scrfd_weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DFER_DETECTOR_WEIGHTS", str(scrfd_weights))
    lines = dfer("doctor").succeeded().out.splitlines()
    found = {line.split()[1]: line for line in lines if line.startswith(("ok", "--", "no"))}
    for name in ("dfer", "torch", "insightface", "onnxruntime", "av", "opencv"):
        assert found[name].startswith("ok")
    assert package.__version__ in found["dfer"]
    assert "det_500m.onnx" in found["face"]
    assert "drawings only" in found["checkpoint"]


def test_doctor_says_how_to_get_what_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    text = " ".join(dfer("doctor").succeeded().out.split())
    assert "face detector centerface, installed with dfer; no weights for scrfd" in text
    assert "dfer doctor --get scrfd" in text
    assert "non-commercial" in text
    monkeypatch.setenv("DFER_DETECTOR_WEIGHTS", "nowhere")
    text = " ".join(dfer("doctor").succeeded().out.split())
    assert "$DFER_DETECTOR_WEIGHTS does not exist" in text
    assert "dfer train" in text


def test_default_detector_needs_no_weights_and_no_network(
    checkpoint: Path, clip: Path, small_raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object, **_: object) -> None:
        raise AssertionError(f"a connection was attempted: {arguments}")

    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for name in ("socket.getaddrinfo", "socket.create_connection", "urllib.request.urlopen"):
        monkeypatch.setattr(name, refuse)
    _say_choice.cache_clear()
    outcome = dfer("predict", clip, "--checkpoint", checkpoint, "--json", "-").succeeded()
    assert "face detector: centerface" in outcome.err
    value = json.loads(outcome.out)
    assert value["faces"]
    assert "faces were found with centerface, in training with haar" in value["warnings"]
    _say_choice.cache_clear()
    outcome = dfer("preprocess", "dfew", small_raw, "--out", "store", "--workers", 0).succeeded()
    assert "face detector: centerface" in outcome.err
    assert json.loads(Path("store/dataset.json").read_text())["detector"] == "centerface"
    dfer("preprocess", "dfew", small_raw, "--out", "store", "--workers", 0, "--detector", "haar").failed(2, "detector")


def test_bench_detectors_compares_them_with_scrfd(real_clips: Path, scrfd_weights: Path) -> None:
    videos = (real_clips / "single_face.mp4", real_clips / "no_face.mp4")
    command = ("bench", "detectors", *videos, "--detector-weights", scrfd_weights, "--every", 24, "--json", "a.json")
    outcome = dfer(*command).succeeded()
    result = json.loads(Path("a.json").read_text())
    assert result["schema"] == "dfer.bench.detectors/1"
    assert (result["frames"], result["faces"]) == (7, 3)
    rows = {row["name"]: row for row in result["detectors"]}
    assert list(rows) == ["scrfd", "centerface", "haar"]
    assert [row["recall"] for row in rows.values()] == [1, 1, 1]
    assert [row["points"] for row in rows.values()] == [5, 5, 2]
    assert rows["scrfd"]["landmarks"] < rows["centerface"]["landmarks"] < 0.1
    assert rows["haar"]["close_ups_per_s"] is None
    for word in ("faces", "close-ups", "centerface", "7 frames, 3 faces"):
        assert word in outcome.out
    dfer(*command[:2], real_clips / "no_face.mp4", *command[4:]).succeeded()


@pytest.mark.slow
def test_demo_runs_the_whole_pipeline_and_goes_on_where_it_stopped() -> None:
    smaller = ["model.dim=32", "model.depth=1", "model.stem_width=8", "train.epochs=1", "optim.warmup_epochs=0.5"]
    command = ["demo", "--out", "tried", "--clips", 35, *(word for item in smaller for word in ("--set", item))]
    outcome = dfer(*command).succeeded()
    out = Path("tried")
    assert {path.name for path in out.iterdir()} == (
        {"raw", "data", "runs", "evaluation.json", "prediction.json", "report"}
    )  # fmt: skip
    evaluation = json.loads((out / "evaluation.json").read_text())
    prediction = json.loads((out / "prediction.json").read_text())
    assert evaluation["schema"] == "dfer.evaluation/1"
    assert evaluation["dataset"] == "tried"  # not "data"
    assert prediction["schema"] == "dfer.prediction/2"
    assert f"WAR {evaluation['mean']['war']:.2%}" in outcome.out
    page = (out / "report" / "index.html").read_text()
    assert (out / "report" / "prediction.mp4").stat().st_size > 0
    for shown in (outcome.out, page, *prediction["warnings"]):
        assert "drawings only" in shown.lower(), "its predictions must not be mistaken for an answer about people"
    for word in ("dfer predict", "dfer train", "dfer eval", "report/index.html"):
        assert word in outcome.out
    before = (out / "runs" / "demo" / "fold1" / "last.safetensors").stat().st_mtime_ns
    assert "fold 1 is already trained" in dfer(*command).succeeded().err
    assert (out / "runs" / "demo" / "fold1" / "last.safetensors").stat().st_mtime_ns == before
