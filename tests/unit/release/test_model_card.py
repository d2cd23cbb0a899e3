"""The results in a model card, and their place in its text."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from dfer.errors import DataError
from dfer.evaluation.evaluate import evaluate
from dfer.evaluation.inference import evaluation_loader, run_clips
from dfer.evaluation.plan import FoldTask
from dfer.model import LogoFormer
from dfer.model.checkpoint import CheckpointInfo, load_checkpoint, save_checkpoint
from dfer.prediction.predictor import Predictor
from dfer.release.card_sets import CardSet, measure_set, parse_set
from dfer.release.model_card import measure_model, measure_stability, measure_video
from dfer.release.publish import training_history
from dfer.release.stability import (
    CROP_CHANGES,
    VIDEO_CHANGES,
)
from dfer.reports.model_card import BEGIN, END, model_card_markdown, update_model_card, write_diagrams
from dfer.store import Store, read_clip
from dfer.training import train
from tests.stores import LABELS, small_store, tiny_recipe


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return small_store(tmp_path_factory.mktemp("data") / "tiny", clips_per_class=16, failed=2)


@pytest.fixture(scope="module")
def checkpoint(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("runs")
    train(tiny_recipe(store.root, train={"epochs": 3}), folds=[1], out=run, device="cpu")
    return run / "fold1" / "best.safetensors"


@pytest.fixture
def video(store: Store, tmp_path: Path) -> Path:
    """Aligned faces as a folder of images: stripes of one class, then of another."""
    folder = tmp_path / "faces"
    folder.mkdir()
    crops = np.concatenate([read_clip(store.clip_path(name)) for name in ("c0", "c1")])
    for number, crop in enumerate(crops):
        cv2.imwrite(str(folder / f"{number}.png"), crop[..., ::-1])
    return folder


# ---- the figures


def test_the_figures_are_those_of_eval(checkpoint: Path, store: Store) -> None:
    measured = measure_model(checkpoint, store.root, stability_clips=5, device="cpu")
    fold = evaluate([FoldTask(1, checkpoint, store.root)], device="cpu").to_dict()["folds"]["1"]
    test = measured["test"]
    assert {name: test[name] for name in fold} == fold
    assert test["num_unreadable"] == 2
    assert test["ece_before"] == test["ece"]  # of temperature 1
    assert measured["labels"] == LABELS
    assert measured["stability"]["num_clips"] == 5
    assert list(measured["stability"]["changed"]) == list(CROP_CHANGES)
    assert measured["bytes"] == checkpoint.stat().st_size
    assert measured["videos"] == []


def test_the_weights_are_loaded_once(
    checkpoint: Path, store: Store, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = []

    def load(path: Path, *arguments: torch.device) -> tuple[LogoFormer, CheckpointInfo]:
        loaded.append(path)
        return load_checkpoint(path, *arguments)

    for module in ("dfer.release.model_card", "dfer.evaluation.evaluate", "dfer.prediction.predictor"):
        monkeypatch.setattr(f"{module}.load_checkpoint", load)
    measured = measure_model(checkpoint, store.root, videos=[video], stability_clips=1, detector="none", device="cpu")
    assert [found["name"] for found in measured["videos"]] == ["faces"]
    assert loaded == [checkpoint]


def test_stability_counts_the_predictions_that_change(
    checkpoint: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = {"none": lambda frames: frames, "recoloured": lambda frames: frames.roll(1, -1)}
    monkeypatch.setattr("dfer.release.model_card.CROP_CHANGES", changes)
    model, info = load_checkpoint(checkpoint)
    measured = measure_set(model, info, CardSet(store.root), 1, checkpoint=checkpoint, batch_size=4)
    found = measure_stability(model, info, measured, clips=1000)
    rows = [row for row in store.select(1, "test") if row.ok]
    recoloured = run_clips(
        model,
        evaluation_loader(store, rows, model, segments=info.segments, batch_size=4),
        change=changes["recoloured"],
    )
    share = (recoloured.predicted != measured.result.logits.argmax(1)).mean()
    assert found == {"num_clips": 24, "changed": {"none": 0.0, "recoloured": share}}
    assert share > 0, "each class has its own tint"


def test_a_video_is_measured_whole_and_changed(checkpoint: Path, video: Path) -> None:
    found = measure_video(Predictor(checkpoint, detector="none", device="cpu"), video)
    assert found["name"] == "faces"
    assert found["duration"] == pytest.approx(20 / 25)
    assert sum(found["shares"].values()) == pytest.approx(1)
    assert found["runs"][0]["start"] == 0
    assert list(found["agreement"]) == list(VIDEO_CHANGES)
    assert all(0 <= share <= 1 for share in found["agreement"].values())


def test_a_single_image_has_no_agreement(checkpoint: Path, video: Path) -> None:
    found = measure_video(Predictor(checkpoint, detector="none", device="cpu"), video / "0.png")
    assert len(found["runs"]) == 1
    assert found["agreement"] == {}


# ---- the text


@pytest.fixture(scope="module")
def measured(checkpoint: Path, store: Store) -> dict[str, Any]:
    return measure_model(checkpoint, store.root, stability_clips=3, device="cpu")


def test_the_figures_stand_between_the_marks(measured: dict[str, Any], tmp_path: Path) -> None:
    videos = [
        {
            "name": "a_b.mp4", "duration": 20.0, "shares": {"sad": 0.75, "happy": 0.25},
            "runs": [{"start": 0.0, "end": 15.0, "label": "sad", "probability": 0.625}],
            "agreement": {"mirrored": 0.9, "grey": None},
        },
        {"name": "empty.mp4", "duration": 3.0, "shares": {}, "runs": [], "agreement": {}},
    ]  # fmt: skip
    measured = measured | {"videos": videos}
    card = tmp_path / "card.md"
    card.write_text(f"# Card\n\nby hand\n\n{BEGIN}\n\nnot measured yet\n\n{END}\n\n## Law\n")
    update_model_card(card, measured)
    text = card.read_text()
    assert text.startswith(f"# Card\n\nby hand\n\n{BEGIN}\n\n")
    assert text.endswith(f"\n\n{END}\n\n## Law\n")
    assert "not measured yet" not in text
    assert f"{100 * measured['test']['war']:.2f}" in text
    assert "0.0–15.0 s sad (0.62)" in text
    assert "- empty.mp4: no face" in text
    tables = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]
    rows = {name: cells for name, *cells in tables}
    assert rows["empty.mp4"] == ["3.0", "–", "–", "–"]
    assert rows[r"a\_b.mp4"] == ["90", "–"]  # the last of its two tables
    update_model_card(card, measured)
    assert card.read_text() == text


def test_markdown_without_videos_has_no_section_of_them(measured: dict[str, Any]) -> None:
    text = model_card_markdown(measured)
    assert "Real videos" not in text
    assert [line for line in text.splitlines() if line.startswith("###")] == [
        "### Figures per set and detector",
        "### Accuracy and calibration: tiny, test",
        "### Recalls and confusion",
        "### Stability",
    ]


def test_the_training_stands_in_a_table_where_it_is_known(measured: dict[str, Any], checkpoint: Path) -> None:
    text = model_card_markdown(measured | {"training": training_history(checkpoint.parent)})
    (row,) = (line for line in text.splitlines() if line.startswith("| tiny "))
    name, frames, pixels, epochs, _, war, _ = (cell.strip() for cell in row.split("|")[1:-1])
    assert (name, frames, pixels, epochs) == ("tiny", "4", "32", "3")
    best = json.loads((checkpoint.parent / "run.json").read_text())["best"]
    assert war == f"{100 * best['val_war']:.2f}"


def test_every_set_has_its_row_under_its_own_prior(checkpoint: Path, store: Store, tmp_path: Path) -> None:
    model, info = load_checkpoint(checkpoint)
    even = dict.fromkeys(LABELS, 1 / 3)
    own = {
        "default": {"shares": even, "temperature": 1.5},
        "tiny": {"shares": {**even, "sad": 9.0}, "temperature": 0.8},
    }
    path = tmp_path / "a.safetensors"
    save_checkpoint(path, model.state_dict(), replace(info, priors=own))
    shutil.copytree(store.root, tmp_path / "other")
    described = tmp_path / "other" / "dataset.json"
    described.write_text(described.read_text().replace('"name": "tiny"', '"name": "other"').replace("none", "haar"))
    sets = [CardSet(store.root), CardSet(tmp_path / "other", ("train", "test"))]
    measured = measure_model(path, sets, without=["sad"], stability_clips=3, device="cpu")
    first, second = measured["sets"]
    assert (first["prior"], second["prior"]) == ("tiny", "default")
    assert (first["split"], second["split"], second["num_clips"]) == ("test", "train+test", 50)
    (fold,) = evaluate([FoldTask(1, path, store.root)], device="cpu", prior="tiny").folds
    assert (first["war"], first["uar"], first["ece"]) == (fold.war, fold.uar, fold.ece)
    assert first["uar_without"] == pytest.approx((fold.recalls[0] + fold.recalls[2]) / 2)  # type: ignore[operator]
    assert measured["test"]["prior"] == "tiny"
    write_diagrams(measured, tmp_path / "images")
    assert all((tmp_path / "images" / f"{name}.png").stat().st_size for name in ("reliability", "risk_coverage"))
    text = model_card_markdown(measured)
    assert "| UAR without sad |" in " ".join(text.split())
    assert f"| other, train+test | {second['detector']} | default | 50 |" in " ".join(text.split())
    assert "![Risk over coverage](images/risk_coverage.png)" in text


def test_lists_of_a_set_follow_its_store() -> None:
    assert parse_set("data/a:val+test") == CardSet(Path("data/a"), ("val", "test"))
    assert parse_set("data/a") == CardSet(Path("data/a"), ("test",))
    assert parse_set("C:data/a") == CardSet(Path("C:data/a"), ("test",))


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
def test_a_card_without_a_place_for_figures_is_not_changed(text: str | None, tmp_path: Path) -> None:
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
