"""The figures of a model card: stability, the numbers themselves, and their place in the text."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from dfer.errors import DataError
from dfer.evaluation.evaluate import FoldTask, evaluate, evaluate_fold
from dfer.evaluation.inference import run_clips, stored_feed
from dfer.model.checkpoint import load_checkpoint
from dfer.prediction.predictor import Predictor
from dfer.records import FacePrediction, Segment
from dfer.release.model_card import measure_model, measure_stability, measure_video
from dfer.release.publish import training_history
from dfer.release.stability import (
    CROP_CHANGES,
    VIDEO_CHANGES,
    agreement,
    changed_share,
    coarsen_crops,
    drop_first_frame,
    emotion_shares,
    shift_crops,
    shrink_video,
)
from dfer.reports.model_card import BEGIN, END, model_card_markdown, update_model_card
from dfer.store import Store, read_clip
from dfer.training import train
from dfer.video import open_frames
from tests.stores import LABELS, small_store
from tests.unit.training.test_loop import tiny_recipe


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return small_store(tmp_path_factory.mktemp("data") / "tiny", clips_per_class=16, failed=2)


@pytest.fixture(scope="module")
def task(store: Store, tmp_path_factory: pytest.TempPathFactory) -> FoldTask:
    run = tmp_path_factory.mktemp("runs")
    train(tiny_recipe(store.root, train={"epochs": 3}), folds=[1], out=run, device="cpu")
    return FoldTask(1, run / "fold1" / "best.safetensors", store.root)


@pytest.fixture
def video(store: Store, tmp_path: Path) -> Path:
    """Aligned faces as a folder of images: stripes of one class, then of another."""
    folder = tmp_path / "faces"
    folder.mkdir()
    crops = np.concatenate([read_clip(store.clip_path(name)) for name in ("c0", "c1")])
    for number, crop in enumerate(crops):
        cv2.imwrite(str(folder / f"{number}.png"), crop[..., ::-1])
    return folder


# ---- changes


@pytest.mark.parametrize("name", CROP_CHANGES)
def test_a_change_keeps_the_form_and_changes_the_crops_alone(name: str) -> None:
    frames = torch.randint(0, 256, (2, 3, 32, 32, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    before = frames.clone()
    changed = CROP_CHANGES[name](frames)
    assert changed.shape == frames.shape
    assert changed.dtype == torch.uint8
    assert not torch.equal(changed, frames)
    assert torch.equal(frames, before)
    flat = torch.full_like(frames, 100)
    if name != "in warmer light":
        assert torch.equal(CROP_CHANGES[name](flat), flat)


def test_shifts_by_hand() -> None:
    frames = torch.arange(4, dtype=torch.uint8).view(1, 1, 1, 4, 1).expand(1, 1, 4, 4, 3)
    assert shift_crops(frames, right=0.25)[0, 0, 0, :, 0].tolist() == [0, 0, 1, 2]
    assert shift_crops(frames, down=0.25)[0, 0, :, 2, 0].tolist() == [2, 2, 2, 2]
    assert shift_crops(frames.transpose(2, 3), down=0.5)[0, 0, :, 0, 0].tolist() == [0, 0, 0, 1]


def test_a_coarser_picture_has_no_fine_pattern() -> None:
    line = (torch.arange(32) % 2 * 200).to(torch.uint8)
    frames = line.view(1, 1, 1, 32, 1).expand(1, 1, 32, 32, 3)
    assert coarsen_crops(frames, 4).float().std() < 0.1 * frames.float().std()


def test_changed_share_by_hand() -> None:
    before, after = np.eye(4), np.eye(4)[[0, 1, 3, 2]]
    assert changed_share(before, after) == 0.5


@pytest.mark.parametrize("name", VIDEO_CHANGES)
def test_a_changed_video_is_a_video(video: Path, name: str) -> None:
    source = open_frames(video)
    changed = VIDEO_CHANGES[name](source)
    frames = dict(changed.iter_frames())
    assert list(frames) == list(range(changed.num_frames))
    assert {frame.shape for frame in frames.values()} == {(*changed.size_hw, 3)}
    assert dict(changed.iter_frames([3]))[3].tolist() == frames[3].tolist()
    assert not all(np.array_equal(frame, frames[index]) for index, frame in source.iter_frames() if index in frames)


def test_the_second_frame_comes_first(video: Path) -> None:
    source = open_frames(video)
    changed = drop_first_frame(source)
    assert changed.num_frames == source.num_frames - 1
    assert changed.times_s[0] == 0
    assert changed.duration == pytest.approx(source.duration - 1 / 25)
    assert dict(changed.iter_frames([0]))[0].tolist() == dict(source.iter_frames([1]))[1].tolist()
    assert shrink_video(source).size_hw == (24, 24)


# ---- timelines


def _face(*segments: tuple[float, float, str]) -> FacePrediction:
    made = [Segment(start, end, label, {label: 1.0}, (0, 0, 1, 1)) for start, end, label in segments]
    return FacePrediction(0, made[0].start, made[-1].end, made[0].label, {made[0].label: 1.0}, made)


def test_shares_and_agreement_by_hand() -> None:
    one = _face((0, 3, "sad"), (3, 4, "happy"), (4, 8, "sad"))
    assert emotion_shares(one) == {"sad": 7 / 8, "happy": 1 / 8}
    assert agreement(one, one) == 1
    assert agreement(one, _face((0, 2, "sad"), (2, 8, "happy"))) == pytest.approx(3 / 8)
    later = _face((0, 2, "sad"), (2, 3, "happy"), (3, 7, "sad"))  # the same, begun a second later
    assert agreement(one, later, offset_s=1.0) == 1
    assert agreement(one, later) == pytest.approx(5 / 7)
    assert agreement(one, _face((20, 30, "sad"))) == 0


# ---- the figures


def test_the_figures_are_those_of_eval(task: FoldTask) -> None:
    measured = measure_model(task.checkpoint, task.data, stability_clips=5, device="cpu")
    fold = evaluate([task], device="cpu")["folds"]["1"]
    test = measured["test"]
    assert {name: test[name] for name in fold} == fold
    assert test["num_unreadable"] == 2
    assert test["ece_before"] == test["ece"]  # of temperature 1
    assert measured["labels"] == LABELS
    assert measured["stability"]["num_clips"] == 5
    assert list(measured["stability"]["changed"]) == list(CROP_CHANGES)
    assert measured["bytes"] == task.checkpoint.stat().st_size
    assert measured["videos"] == []


def test_stability_counts_the_answers_that_change(
    task: FoldTask, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = {"none": lambda frames: frames, "recoloured": lambda frames: frames.roll(1, -1)}
    monkeypatch.setattr("dfer.release.model_card.CROP_CHANGES", changes)
    tested = evaluate_fold(task, device="cpu")
    found = measure_stability(tested, task, clips=1000, device="cpu")
    model, info = load_checkpoint(task.checkpoint)
    rows = [row for row in store.select(1, "test") if row.status == "ok"]
    recoloured = run_clips(
        model, stored_feed(store, rows), rows,
        segments=info.segments, batch_size=4, device=torch.device("cpu"), change=changes["recoloured"],
    )  # fmt: skip
    share = (recoloured.predicted != tested.logits.argmax(1)).mean()
    assert found == {"num_clips": 24, "changed": {"none": 0.0, "recoloured": share}}
    assert share > 0, "each class has its own tint"


def test_a_video_is_measured_whole_and_changed(task: FoldTask, video: Path) -> None:
    found = measure_video(Predictor(task.checkpoint, detector="none", device="cpu"), video)
    assert found["name"] == "faces"
    assert found["duration"] == pytest.approx(20 / 25)
    assert sum(found["shares"].values()) == pytest.approx(1)
    assert found["runs"][0]["start"] == 0
    assert list(found["agreement"]) == list(VIDEO_CHANGES)
    assert all(0 <= share <= 1 for share in found["agreement"].values())


def test_a_single_image_has_no_agreement(task: FoldTask, video: Path) -> None:
    found = measure_video(Predictor(task.checkpoint, detector="none", device="cpu"), video / "0.png")
    assert len(found["runs"]) == 1
    assert found["agreement"] == {}


# ---- the text


def _measured(task: FoldTask, videos: list[dict[str, object]]) -> dict[str, object]:
    measured = measure_model(task.checkpoint, task.data, stability_clips=3, device="cpu")
    return measured | {"videos": videos}


def test_the_figures_stand_between_the_marks(task: FoldTask, tmp_path: Path) -> None:
    videos = [
        {
            "name": "a_b.mp4", "duration": 20.0, "shares": {"sad": 0.75, "happy": 0.25},
            "runs": [{"start": 0.0, "end": 15.0, "label": "sad", "probability": 0.625}],
            "agreement": {"mirrored": 0.9, "grey": None},
        },
        {"name": "empty.mp4", "duration": 3.0, "shares": {}, "runs": [], "agreement": {}},
    ]  # fmt: skip
    measured = _measured(task, videos)
    card = tmp_path / "card.md"
    card.write_text(f"# Card\n\nby hand\n\n{BEGIN}\n\nnot measured yet\n\n{END}\n\n## Law\n")
    update_model_card(card, measured)
    text = card.read_text()
    assert text.startswith(f"# Card\n\nby hand\n\n{BEGIN}\n\n")
    assert text.endswith(f"\n\n{END}\n\n## Law\n")
    assert "not measured yet" not in text
    assert f"{100 * measured['test']['war']:.2f}" in text  # type: ignore[index]
    assert "0.0–15.0 s sad (0.62)" in text
    assert "- empty.mp4: no face" in text
    tables = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]
    rows = {name: cells for name, *cells in tables}
    assert rows["empty.mp4"] == ["3.0", "–", "–", "–"]
    assert rows[r"a\_b.mp4"] == ["90", "–"]  # the last of its two tables
    update_model_card(card, measured)
    assert card.read_text() == text


def test_markdown_without_videos_has_no_section_of_them(task: FoldTask) -> None:
    text = model_card_markdown(_measured(task, []))
    assert "Real videos" not in text
    assert [line for line in text.splitlines() if line.startswith("###")] == [
        "### Accuracy and calibration: tiny, test",
        "### Recalls and confusion",
        "### Stability",
    ]


def test_the_training_stands_in_a_table_where_it_is_known(task: FoldTask) -> None:
    measured = _measured(task, []) | {"training": training_history(task.checkpoint.parent)}
    text = model_card_markdown(measured)
    (row,) = (line for line in text.splitlines() if line.startswith("| tiny "))
    name, frames, pixels, epochs, _, war, _ = (cell.strip() for cell in row.split("|")[1:-1])
    assert (name, frames, pixels, epochs) == ("tiny", "4", "32", "3")
    best = json.loads((task.checkpoint.parent / "run.json").read_text())["best"]
    assert war == f"{100 * best['val_war']:.2f}"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("# Card\n", id="no marks"),
        pytest.param(f"{BEGIN}\n", id="no end"),
        pytest.param(f"{END}\n{BEGIN}\n", id="the wrong order"),
        pytest.param(f"{BEGIN}\n{END}\n{BEGIN}\n{END}\n", id="twice"),
        pytest.param(None, id="no file"),
    ],
)
def test_a_card_without_a_place_for_figures_is_left_alone(text: str | None, tmp_path: Path) -> None:
    card = tmp_path / "card.md"
    if text is not None:
        card.write_text(text)
    with pytest.raises(DataError, match=r"card\.md"):
        update_model_card(card, {})
    assert (card.read_text() if card.exists() else None) == text


def test_the_card_of_this_checkout_has_its_marks(checkout: Path) -> None:
    text = (checkout / "docs" / "model_card.md").read_text()
    assert text.count(BEGIN) == text.count(END) == 1
    assert text.index(BEGIN) < text.index(END)
