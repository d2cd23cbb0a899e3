"""From when on an answer should not be trusted: stills made worse, thresholds, and the fitted confidence."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from dfer.evaluation.metrics import calibration_error
from dfer.faces.align import TEMPLATE_5PT, alignment_settings
from dfer.faces.detectors.none import AlignedFrames
from dfer.labels import DFEW_LABELS
from dfer.model import LogoFormer
from dfer.model.checkpoint import CheckpointInfo
from dfer.model.priors import Answering
from dfer.records import Face, Quality
from dfer.release.degraded import Answers, Still, answer_stills, blur, darken, load_stills, shrink, turned_stills
from dfer.release.quality import (
    confidence_table,
    fit_confidence,
    step_table,
    threshold,
    yaw_table,
)

GOOD = Quality(100, 0.3, 0.5, 0, 0, 0, 0.9, 1)


def still(label: int = 0, seed: int = 0, side: int = 96) -> Still:
    coarse = np.random.default_rng(seed).integers(0, 256, (24, 24, 3)).astype(np.uint8)
    box = np.array([0.1, 0.1, 0.9, 0.9], np.float32) * side
    face = Face(box, (TEMPLATE_5PT * side).astype(np.float32), 0.9)
    return Still(label, np.asarray(cv2.resize(coarse, (side, side)), np.uint8), face)


def answered(truth: list[int], tops: list[float], qualities: list[Quality] | None = None) -> Answers:
    """Answers that all say the first of two labels."""
    rows = np.array([[top, 1 - top] for top in tops])
    return Answers(np.array(truth), rows, qualities or [GOOD] * len(truth))


@pytest.mark.parametrize(
    ("values", "accuracies", "expected"),
    [
        ([64, 32, 16], [0.9, 0.9, 0.7], 22.63),
        ([64, 32, 16], [0.9, 0.7, 0.9], None),
        ([64, 32, 16], [0.7, 0.6, 0.5], None),
        ([0, 10, 30], [0.9, 0.9, 0.7], 17.32),
        ([0, 10], [0.9, 0.7], 5),
    ],
)
def test_a_threshold_lies_between_the_steps_in_proportion(
    values: list[float], accuracies: list[float], expected: float | None
) -> None:
    assert threshold(values, accuracies, 0.8) == (expected if expected is None else pytest.approx(expected, abs=0.01))


def test_the_fit_finds_the_weights_and_lets_no_loss_help() -> None:
    rng = np.random.default_rng(0)
    features = np.stack([rng.normal(0, 2, 4000), rng.exponential(1, 4000), rng.exponential(1, 4000)], axis=1)
    chance = 1 / (1 + np.exp(-(0.5 + 0.8 * features[:, 0] - 1.2 * features[:, 1] + 0.4 * features[:, 2])))
    weights = fit_confidence(features, rng.uniform(size=4000) < chance)
    assert weights[2] == pytest.approx(-1.2, abs=0.2)
    assert weights[1] == pytest.approx(0.8, abs=0.15)
    assert weights[3] == 0


@pytest.mark.parametrize(("confidence", "expected"), [(0.75, 0.0), (0.95, 0.2), (0.25, 0.5)])
def test_the_calibration_error_is_the_mean_gap(confidence: float, expected: float) -> None:
    right = np.array([True, True, True, False])
    assert calibration_error(np.full(4, confidence), right) == pytest.approx(expected)


@pytest.mark.parametrize("size", [60.0, 30.0, 12.0])
def test_a_smaller_picture_has_a_smaller_face_in_the_same_place(size: float) -> None:
    smaller = shrink(still(), size)
    assert smaller is not None
    x1, _, x2, _ = smaller.face.box_xyxy
    assert x2 - x1 == pytest.approx(size, rel=0.06)
    assert (smaller.face.landmarks[0, 0] + 0.5) / smaller.image.shape[1] == pytest.approx(0.3625 + 0.5 / 96, abs=0.01)
    assert shrink(still(), 200.0) is None


def test_steps_do_what_they_say() -> None:
    model = LogoFormer(
        num_classes=7, num_frames=2, image_size=32, window=(1, 2, 2), dim=16, depth=1, heads=2, stem_width=8
    ).eval()
    info = CheckpointInfo(
        model_name="logo_former_s", model_config=model.config.model_dump(), labels=list(DFEW_LABELS),
        alignment=alignment_settings(32), crop_size=32, segments=1, clip_s=0.5, data={}, notice="", selection="last",
        epoch=1, metrics={}, dfer_version="0",
    )  # fmt: skip
    stills = [still(1), blur(still(1), 0.1), darken(still(1), 0.1), shrink(still(1), 12.0)]
    answers = answer_stills(model, info, Answering("training"), [one for one in stills if one is not None])
    as_is, blurred, dark, small = answers.qualities
    assert blurred.sharpness is not None
    assert as_is.sharpness is not None
    assert blurred.sharpness < as_is.sharpness / 3
    assert dark.brightness == pytest.approx((as_is.brightness or 0) / 10, abs=0.02)
    assert (as_is.size, small.size) == pytest.approx((76.8, 12), rel=0.06)
    assert answers.probabilities.shape == (4, 7)
    assert answers.select(np.array([2])).qualities == [dark]
    assert torch.is_inference_mode_enabled() is False


def test_turned_heads_are_all_taken_and_others_only_in_part() -> None:
    turned = still(2)
    turned.face.landmarks[2, 0] += 14  # the nose
    chosen = turned_stills([[still(0)] * 8 + [turned], [turned] * 2 + [still(1)]], frontal=6)
    assert [one.label for one in chosen].count(2) == 3
    assert [one.label for one in chosen].count(0) == 3
    assert [one.label for one in chosen].count(1) == 1


def test_tables_say_how_much_accuracy_is_kept() -> None:
    base = answered([0] * 8 + [1] * 2, [0.9] * 10)
    steps = {}
    for size, wrong in ((50.0, 2), (20.0, 3), (10.0, 6)):
        worse = answered([0] * (10 - wrong) + [1] * wrong, [0.8] * 10, [replace(GOOD, size=size)] * 10)
        steps[size] = base, worse
    table, limit = step_table("size", base, steps)
    assert [cell.strip() for cell in table.splitlines()[-1].split("|")[1:-1]] == ["10", "10", "10", "40.0", "50.0"]
    assert limit == pytest.approx(20 * 0.5 ** (0.075 / 0.375), rel=0.01)
    groups, turned = yaw_table(
        answered(
            [0] * 9 + [1] + [0] * 5 + [1] * 5,
            [0.9] * 20,
            [replace(GOOD, yaw=5.0)] * 10 + [replace(GOOD, yaw=-45.0)] * 10,
        )
    )
    assert "90.0" in groups
    assert "50.0" in groups
    assert turned == pytest.approx(5 * 9 ** (0.18 / 0.4), rel=0.01)


def test_the_confidence_is_tested_on_other_stills_than_it_is_fitted_to() -> None:
    rng = np.random.default_rng(1)
    tops = rng.uniform(0.5, 0.99, 3000)
    dark = rng.uniform(size=3000) < 0.5
    chance = 1 / (1 + np.exp(-np.log(tops / (1 - tops)) + 2 * dark))
    truth = (rng.uniform(size=3000) > chance).astype(int).tolist()
    qualities = [replace(GOOD, brightness=0.02) if is_dark else GOOD for is_dark in dark]
    table = confidence_table([answered(truth, tops.tolist(), qualities)])
    plain, fitted = (float(line.split("|")[2]) for line in table.splitlines()[2:4])
    assert fitted < plain / 2
    assert "CONFIDENCE = (" in table


def test_stills_are_those_of_the_test_list(tmp_path: Path) -> None:
    rows = ["path,label,split"]
    for n, split in enumerate(["train", "test", "test", "train", "test"]):
        cv2.imwrite(str(tmp_path / f"{n}.png"), np.full((32, 32, 3), 10 * n, np.uint8))
        rows.append(f"{n}.png,{'happy' if n % 2 else 'sad'},{split}")
    (tmp_path / "clips.csv").write_text("\n".join(rows))
    found = load_stills("folder", tmp_path, ["happy", "sad"], AlignedFrames(), count=9)
    assert sorted(int(one.image[0, 0, 0]) for one in found) == [10, 20, 40]
    assert {one.label for one in found if one.image[0, 0, 0] != 10} == {1}
    assert len(load_stills("folder", tmp_path, ["happy", "sad"], AlignedFrames(), count=2)) == 2
