"""`dfer predict`: the JSON that users script against, the other outputs, real videos, and pipes."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from dfer.labels import DFEW_LABELS
from dfer.video import open_frames
from tests.integration.program import PATIENCE_S, Outcome, dfer, environment

TRUST = ["confidence", "unsure", "reasons"]


def check_prediction(value: dict[str, Any], source: Path) -> None:
    """A prediction as the contract has it, true to the video."""
    frames = open_frames(source)
    assert list(value) == ["schema", "source", "duration", "fps", "num_frames", "model", "faces", "notice", "warnings"]
    assert value["schema"] == "dfer.prediction/2"
    assert value["source"] == str(source)
    assert value["duration"] == pytest.approx(frames.duration, abs=1e-3)
    assert value["fps"] == pytest.approx(frames.fps, abs=1e-3)
    assert value["num_frames"] == frames.num_frames
    assert value["model"]["name"] == "logo_former_s"
    assert value["model"]["labels"] == list(DFEW_LABELS)
    assert Path(value["model"]["checkpoint"]).is_file()
    height, width = frames.size_hw
    for number, face in enumerate(value["faces"]):
        assert list(face) == [
            "id",
            "name",
            "start",
            "end",
            "visible",
            "spans",
            "label",
            "probabilities",
            *TRUST,
            "summary",
            "segments",
        ]
        assert face["id"] == number
        assert 0 <= face["start"] < face["end"] <= value["duration"]
        check_answer(face)
        assert face["visible"] == pytest.approx(sum(end - start for start, end in face["spans"]), abs=2e-3)
        assert (face["spans"][0][0], face["spans"][-1][1]) == (face["start"], face["end"])
        assert face["segments"][0]["start"] == face["start"]
        assert face["segments"][-1]["end"] == face["end"]
        for before, after in pairwise(face["segments"]):
            assert before["start"] < after["start"]
            assert before["end"] < after["end"]
        for segment in face["segments"]:
            assert list(segment) == ["start", "end", "label", "probabilities", "box", *TRUST, "quality"]
            assert face["start"] <= segment["start"] < segment["end"] <= face["end"]
            check_answer(segment)
            x1, y1, x2, y2 = segment["box"]
            assert 0 <= x1 < x2 <= width
            assert 0 <= y1 < y2 <= height


def check_answer(value: dict[str, Any]) -> None:
    assert list(value["probabilities"]) == list(DFEW_LABELS)
    assert sum(value["probabilities"].values()) == pytest.approx(1, abs=1e-6)
    assert min(value["probabilities"].values()) >= 0
    assert value["label"] == max(value["probabilities"], key=lambda label: value["probabilities"][label])


def objects(outcome: Outcome) -> list[dict[str, Any]]:
    """The JSON objects on stdout, one a line."""
    return [json.loads(line) for line in outcome.out.splitlines()]


def test_json_is_what_the_contract_says(checkpoint: Path, clip: Path) -> None:
    outcome = dfer("predict", clip, "--checkpoint", checkpoint, "--detector", "haar", "--json", "-").succeeded()
    (value,) = objects(outcome)
    check_prediction(value, clip)
    (face,) = value["faces"]
    assert face["end"] - face["start"] > 0.9 * value["duration"]
    assert "drawings" in value["notice"]
    assert value["warnings"] == []
    assert outcome.err.count("drawings") == 1


def test_people_are_named_and_a_wrong_number_costs_no_answer(checkpoint: Path, clip: Path, tmp_path: Path) -> None:
    command = ("predict", clip, "--checkpoint", checkpoint, "--detector", "haar", "--json", tmp_path / "out.json")
    (tmp_path / "out.people.yaml").write_text(f"{clip.name}: {{names: {{0: Anna}}}}\n")
    outcome = dfer(*command, "--video", tmp_path / "out.mp4", "--plot", tmp_path / "out.svg").succeeded()
    assert "out.people.yaml" in outcome.err
    assert "Anna" in outcome.out
    value = json.loads((tmp_path / "out.json").read_text())
    assert [face["name"] for face in value["faces"]] == ["Anna"]
    assert open_frames(tmp_path / "out.mp4").num_frames == value["num_frames"]
    renamed = dfer("relabel", tmp_path / "out.json", "--names", "0=Ben", "--csv", "-").succeeded()
    assert {row["name"] for row in csv.DictReader(renamed.out.splitlines())} == {"Ben"}
    outcome = dfer(*command, "--names", "7=Cem").failed(1)
    assert "there is no face 7" in outcome.err
    (face,) = json.loads((tmp_path / "out.json").read_text())["faces"]
    assert (face["name"], face["segments"]) == (None, value["faces"][0]["segments"])
    before = (tmp_path / "out.json").read_bytes()
    assert "cannot read the name" in dfer(*command, "--names", "Cem").failed(2).err
    assert (tmp_path / "out.json").read_bytes() == before


def test_the_newest_runs_checkpoint_is_used_and_named(workspace: Path, clip: Path) -> None:
    newest = Path("runs/cpu_smoke/fold1/last.safetensors")
    os.utime(newest, (2_000_000_000, 2_000_000_000))
    outcome = dfer("predict", clip, "--detector", "haar", "--json", "-").succeeded()
    assert "runs/cpu_smoke/fold1/best.safetensors: logo_former_s trained on drawn, fold 1" in outcome.err
    assert objects(outcome)[0]["model"]["checkpoint"] == "runs/cpu_smoke/fold1/best.safetensors"


def test_a_checkpoint_named_by_the_environment_comes_first(
    workspace: Path, clip: Path, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = str(trained / "fold2" / "last.safetensors")
    monkeypatch.setenv("DFER_CHECKPOINT", named)
    outcome = dfer("predict", clip, "--detector", "haar", "--json", "-").succeeded()
    assert objects(outcome)[0]["model"]["checkpoint"] == named


def test_the_stride_sets_how_often_it_answers(checkpoint: Path, clip: Path) -> None:
    command = ("predict", clip, "--checkpoint", checkpoint, "--detector", "haar", "--json", "-")
    (plain,), (dense,) = (objects(dfer(*command, *more).succeeded()) for more in ([], ["--stride", 0.08]))
    check_prediction(dense, clip)
    assert len(dense["faces"][0]["segments"]) > 2 * len(plain["faces"][0]["segments"])
    starts = [segment["start"] for segment in dense["faces"][0]["segments"]]
    assert np.diff(starts)[:-1] == pytest.approx(0.08, abs=2e-3)


def test_several_inputs_are_json_lines_and_one_that_cannot_be_read_keeps_no_other_from_its_answer(
    checkpoint: Path, raw: Path, tmp_path: Path
) -> None:
    first, second = (raw / "Clip" / "original" / f"{number}.mp4" for number in (1, 4))
    (tmp_path / "broken.mp4").write_bytes(b"no video" * 100)
    inputs = [first, tmp_path / "broken.mp4", second]
    outcome = dfer("predict", *inputs, "--checkpoint", checkpoint, "--detector", "haar", "--json", "-")
    assert outcome.code == 1
    assert len(outcome.lines("error: ")) == 1
    answers = objects(outcome)
    assert [answer["source"] for answer in answers] == [str(path) for path in inputs]
    check_prediction(answers[0], first)
    check_prediction(answers[2], second)
    assert answers[1]["schema"] == "dfer.prediction/2"
    assert "cannot read the video" in answers[1]["error"]
    assert "faces" not in answers[1]

    written = dfer("predict", *inputs, "--checkpoint", checkpoint, "--detector", "haar", "--json", "all.jsonl")
    assert written.code == 1
    assert [json.loads(line) for line in Path("all.jsonl").read_text().splitlines()] == answers
    assert "broken.mp4" not in written.out
    assert "4.mp4" in written.out


def test_all_outputs_at_once(checkpoint: Path, clip: Path) -> None:
    outputs = ["--json", "a.json", "--csv", "a.csv", "--plot", "a.png", "--video", "a.mp4", "--summary", "sum.csv"]
    saved = ["--save", "{name}.eaf", "--save", "a.xlsx"]
    command = ("predict", clip, "--checkpoint", checkpoint, "--detector", "haar", "--quiet")
    outcome = dfer(*command, *outputs, *saved).succeeded()
    names = ["a.csv", "a.json", "a.mp4", "a.png", "a.xlsx", f"{clip.stem}.eaf", "sum.csv"]
    assert sorted(os.listdir()) == sorted(names)  # noqa: PTH208
    assert outcome.err == ""
    (summed,) = csv.DictReader(Path("sum.csv").read_text().splitlines())
    value = json.loads(Path("a.json").read_text())
    check_prediction(value, clip)
    (face,) = value["faces"]
    assert float(summed["visible"]) == face["visible"] == face["summary"]["visible"]
    assert face["label"] in outcome.out
    assert f"{face['probabilities'][face['label']] * 100:.2f}" in outcome.out

    with Path("a.csv").open() as lines:
        rows = list(csv.DictReader(lines))
    assert len(rows) == len(face["segments"])
    for row, segment in zip(rows, face["segments"], strict=True):
        assert (row["source"], row["face"], row["label"]) == (str(clip), "0", segment["label"])
        assert [float(row["start"]), float(row["end"])] == [segment["start"], segment["end"]]
        assert [float(row[corner]) for corner in ("x1", "y1", "x2", "y2")] == segment["box"]
        for label, probability in segment["probabilities"].items():
            assert float(row[f"p_{label}"]) == pytest.approx(probability, abs=1e-6)

    plot = cv2.imread("a.png")
    assert plot is not None
    assert min(plot.shape[:2]) > 200
    assert plot.std() > 5

    given, drawn = open_frames(clip), open_frames(Path("a.mp4"))
    assert drawn.num_frames == given.num_frames
    assert drawn.size_hw == given.size_hw
    assert drawn.times_s == pytest.approx(given.times_s, abs=1e-3)
    pairs = list(zip(given.iter_frames(), drawn.iter_frames(), strict=True))
    assert len(pairs) == given.num_frames
    x1, y1, x2, _ = (round(side) for side in face["segments"][0]["box"])
    frame, shown = (frame.astype(int) for _, frame in pairs[0])
    around = np.s_[max(0, y1 - 6) : y1 + 6, x1:x2]
    changed = np.abs(frame - shown).sum(axis=2) > 90
    assert changed[around].mean() > 0.1, "the box's upper edge is drawn"


def test_csv_and_figures_go_to_stdout_and_links_are_followed(checkpoint: Path, clip: Path, tmp_path: Path) -> None:
    command = ("predict", clip, "--checkpoint", checkpoint, "--detector", "haar")
    (tmp_path / "link.json").symlink_to("results.json")
    outcome = dfer(*command, "--csv", "-", "--json", "link.json", "--plot", os.devnull).succeeded()
    rows = list(csv.DictReader(outcome.out.splitlines()))
    assert rows
    assert {row["source"] for row in rows} == {str(clip)}
    assert Path("link.json").is_symlink()
    check_prediction(json.loads(Path("results.json").read_text()), clip)
    assert not Path(os.devnull).is_file()


@pytest.mark.parametrize("suffix", [".pdf", ".svg"])
def test_the_plot_comes_in_other_formats(checkpoint: Path, clip: Path, suffix: str) -> None:
    dfer("predict", clip, "--checkpoint", checkpoint, "--detector", "haar", "--plot", f"a{suffix}").succeeded()
    assert Path(f"a{suffix}").read_bytes()[:5] in (b"%PDF-", b"<?xml")


def test_frames_and_images_are_inputs_too(checkpoint: Path, clip: Path, tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    for index, frame in open_frames(clip).iter_frames(range(12)):
        cv2.imwrite(str(folder / f"{index}.png"), frame[..., ::-1])
    image = folder / "0.png"
    outcome = dfer("predict", folder, image, "--checkpoint", checkpoint, "--detector", "haar", "--json", "-")
    from_folder, from_image = objects(outcome.succeeded())
    check_prediction(from_folder, folder)
    check_prediction(from_image, image)
    assert from_folder["num_frames"] == 12
    assert from_image["num_frames"] == 1
    assert len(from_image["faces"]) == 1


def test_aligned_faces_need_no_detector(checkpoint: Path, drawn: Path, tmp_path: Path) -> None:
    from dfer.store import read_clip

    folder = tmp_path / "faces"
    folder.mkdir()
    for index, crop in enumerate(read_clip(drawn / "crops" / "1.zip")):
        cv2.imwrite(str(folder / f"{index}.png"), crop[..., ::-1])
    command = ("predict", folder, "--checkpoint", checkpoint, "--detector", "none", "--json", "-")
    (value,) = objects(dfer(*command).succeeded())
    check_prediction(value, folder)
    assert value["faces"][0]["segments"][0]["box"] == [0, 0, 128, 128]


# ---- real videos


def test_a_real_clip_with_one_person_has_one_face_nearly_all_the_time(
    checkpoint: Path, real_clips: Path, scrfd_weights: Path
) -> None:
    clip = real_clips / "WolfgangLanger_Pexels.mp4"
    scrfd = ["--detector", "scrfd", "--detector-weights", scrfd_weights]
    outcome = dfer("predict", clip, "--checkpoint", checkpoint, *scrfd, "--faces", "all", "--json", "-").succeeded()
    (value,) = objects(outcome)
    check_prediction(value, clip)
    (face,) = value["faces"]
    assert face["end"] - face["start"] > 0.9 * value["duration"]
    covered = sum(segment["end"] - segment["start"] for segment in face["segments"])
    assert covered > 0.9 * value["duration"]


def test_a_real_clip_without_a_face_gives_none_and_a_warning(
    checkpoint: Path, real_clips: Path, scrfd_weights: Path
) -> None:
    clip = real_clips / "no_face.mp4"
    scrfd = ["--detector", "scrfd", "--detector-weights", scrfd_weights]
    outputs = ["--json", "-", "--csv", "a.csv", "--plot", "a.png", "--video", "a.mp4"]
    outcome = dfer("predict", clip, "--checkpoint", checkpoint, *scrfd, *outputs).succeeded()
    (value,) = objects(outcome)
    check_prediction(value, clip)
    assert value["faces"] == []
    assert any(warning.startswith("no face") for warning in value["warnings"])
    assert any("no face" in line for line in outcome.lines("warning: "))
    (row,) = csv.DictReader(Path("a.csv").read_text().splitlines())
    assert row["visible"] == "0.000"
    assert cv2.imread("a.png") is not None
    assert open_frames(Path("a.mp4")).num_frames == value["num_frames"]


# ---- pipes


def test_only_the_json_goes_to_stdout(checkpoint: Path, clip: Path) -> None:
    env = environment(DFER_CHECKPOINT=str(checkpoint))
    command = [sys.executable, "-m", "dfer", "predict", clip, "--detector", "haar", "--json", "-"]
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=True)
    check_prediction(json.loads(done.stdout), clip)


@pytest.mark.parametrize("output", [["--json", "-"], []], ids=["json", "table"])
def test_a_reader_that_goes_away_is_no_error_to_tell(checkpoint: Path, clip: Path, output: list[str]) -> None:
    env = environment(DFER_CHECKPOINT=str(checkpoint), PYTHONUNBUFFERED="1")
    command = [sys.executable, "-m", "dfer", "predict", str(clip), "--detector", "haar", *output]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env, text=True)
    assert process.stdout is not None
    process.stdout.close()  # as `| head` does, once it has seen enough
    process.stdout = None
    _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1
    assert "Traceback" not in err
    assert "Exception ignored" not in err
    assert "error: " not in err
