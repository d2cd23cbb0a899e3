"""Each clip's answer as files: what is written, what is read again, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dfer.errors import DataError
from dfer.evaluation.predictions import (
    CSV,
    LOGITS,
    PREDICTION_FILES,
    RECORD,
    SPLITS,
    UNREAD,
    FoldPredictions,
    read_predictions,
    write_predictions,
)

LABELS = ["happy", "sad", "neutral"]
NAMES = ["00001", "=1+1", "Scene/Anger/0001", 'clip, with "quotes"', "été"]


def some_answers(names: list[str] = NAMES, fold: int = 1, subjects: bool = True) -> FoldPredictions:
    rng = np.random.default_rng(fold)
    probabilities = rng.dirichlet(np.ones(3), len(names))
    predicted = probabilities.argmax(axis=1)
    predicted[1], probabilities[1] = UNREAD, np.nan
    return FoldPredictions(
        labels=LABELS,
        clip_ids=names,
        truth=np.arange(len(names)) % 3,
        predicted=predicted,
        probabilities=probabilities,
        frames=np.arange(len(names)) + 10,
        subjects=[f"-{n % 2}" for n in range(len(names))] if subjects else [""] * len(names),
        record={"fold": fold, "selection": "best on test", "seed": 3},
    )


def written(folder: Path, answers: FoldPredictions) -> Path:
    readable = int((answers.predicted != UNREAD).sum())
    logits = np.arange(3 * readable, dtype=np.float32).reshape(-1, 3)
    splits = [*((clip, "test") for clip in answers.clip_ids), ("other", "train")]
    write_predictions(folder, answers, logits=logits, splits=splits)
    return folder


@pytest.mark.parametrize("subjects", [True, False])
def test_answers_are_read_as_they_were_written(tmp_path: Path, subjects: bool) -> None:
    answers = some_answers(fold=4, subjects=subjects)
    ((fold, again),) = read_predictions(written(tmp_path / "a b", answers)).items()
    assert fold == 4
    assert (again.labels, again.clip_ids) == (answers.labels, answers.clip_ids)
    assert again.truth.tolist() == answers.truth.tolist()
    assert again.predicted.tolist() == answers.predicted.tolist()
    assert again.probabilities == pytest.approx(answers.probabilities, abs=1e-6, nan_ok=True)
    assert again.frames is not None
    assert again.frames.tolist() == [10, 11, 12, 13, 14]
    assert again.subjects == (answers.subjects if subjects else [])
    assert (again.record["selection"], again.record["seed"]) == ("best on test", 3)


def test_the_table_names_classes_and_says_which_clips_could_be_read(tmp_path: Path) -> None:
    table = pd.read_csv(written(tmp_path, some_answers()) / CSV, dtype=str, keep_default_na=False)
    columns = ["clip_id", "label", "predicted", "p_happy", "p_sad", "p_neutral", "frames", "readable", "subject"]
    assert table.columns.tolist() == columns
    assert table["label"].tolist() == ["happy", "sad", "neutral", "happy", "sad"]
    assert table["readable"].tolist() == ["true", "false", "true", "true", "true"]
    assert table.loc[1, ["predicted", "p_happy", "p_sad", "p_neutral"]].tolist() == [""] * 4
    assert table["clip_id"][1] == "'=1+1", "no spreadsheet may run it"


def test_logits_are_those_of_the_readable_clips_and_splits_those_of_the_lists(tmp_path: Path) -> None:
    folder = written(tmp_path, some_answers())
    with np.load(folder / LOGITS) as arrays:
        assert arrays["clip_id"].tolist() == [NAMES[0], *NAMES[2:]]
        assert arrays["labels"].tolist() == LABELS
        assert arrays["logits"].dtype == np.float32
        assert arrays["logits"].tolist() == np.arange(12.0).reshape(4, 3).tolist()
    lines = (folder / SPLITS).read_text().splitlines()
    assert [lines[0], lines[-1], len(lines)] == ["clip_id,split", "other,train", 7]
    assert {path.name for path in folder.iterdir()} == set(PREDICTION_FILES)


def test_a_run_gives_all_its_folds(tmp_path: Path) -> None:
    for fold in (10, 2):
        written(tmp_path / f"fold{fold}", some_answers(fold=fold))
    (tmp_path / "fold3").mkdir()  # being trained
    assert list(read_predictions(tmp_path)) == [2, 10]


@pytest.mark.parametrize(
    ("text", "labels", "predicted"),
    [
        ("clip_id,label,predicted\na,happy,sad\nb,sad,\n", ["happy", "sad"], [1, UNREAD]),
        ("\ufeffpredicted,clip_id,label\nsad,a,happy\n", ["happy", "sad"], [1]),
        ("clip_id,label,predicted,readable\na,x,x,TRUE\nb,x,x,0\n", ["x"], [0, UNREAD]),
        ("clip_id,label,predicted,p_z,p_x\na,x,z,0.4,0.6\n", ["z", "x"], [0]),
    ],
    ids=["the least", "from a spreadsheet", "readable", "with probabilities"],
)
def test_tables_made_elsewhere(tmp_path: Path, text: str, labels: list[str], predicted: list[int]) -> None:
    path = tmp_path / "theirs.csv"
    path.write_text(text, encoding="utf-8")
    (answers,) = read_predictions(path).values()
    assert (answers.labels, answers.predicted.tolist(), answers.record) == (labels, predicted, {})


def test_a_column_tells_the_fold(tmp_path: Path) -> None:
    path = tmp_path / "theirs.csv"
    path.write_text("fold,clip_id,label,predicted\n2,a,x,x\n1,a,x,y\n1,b,y,y\n")
    assert {fold: answers.clip_ids for fold, answers in read_predictions(path).items()} == {1: ["a", "b"], 2: ["a"]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "cannot read the predictions"),
        ("clip_id,label\na,x\n", "no column 'predicted'"),
        ("clip_id,label,predicted\n", "no predictions in this table"),
        ("clip_id,label,predicted\na,x,x\na,x,y\n", "clip a has two rows"),
        ("clip_id,label,predicted\na,,x\n", "clip a has no label"),
        ("clip_id,label,predicted,p_x\na,x,x,lots\n", "p_x of clip a is 'lots'"),
        ("clip_id,label,predicted,fold\na,x,x,one\n", "cannot read the predictions"),
        ("clip_id,label,predicted,fold\na,x,x,99999999999999999999\n", "cannot read the predictions"),
        ("clip_id,label,predicted\n" + "".join(f"{n},{n},{n}\n" for n in range(1001)), "1,001 classes"),
    ],
    ids=[
        "empty",
        "a column less",
        "no rows",
        "twice",
        "no label",
        "no number",
        "no fold",
        "a huge fold",
        "logits as labels",
    ],
)
def test_damaged_tables_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "theirs.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        read_predictions(path)
    assert caught.value.where == str(path)


def test_a_table_that_is_not_the_record_s_is_refused(tmp_path: Path) -> None:
    folder = written(tmp_path, some_answers())
    (folder / CSV).write_text("clip_id,label,predicted\na,happy,sad\n")
    with pytest.raises(DataError, match=r"not those that predictions\.json describes") as caught:
        read_predictions(folder)
    assert "dfer eval" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fold": "1"}, "fold"),
        ({"labels": ["a", "a"]}, "stands twice"),
        ({"predictions_sha256": None}, "sha256"),
        ({"prior": [1]}, "prior"),
    ],
    ids=["fold", "labels", "digest", "prior"],
)
def test_damaged_records_are_refused(tmp_path: Path, change: dict[str, object], message: str) -> None:
    folder = written(tmp_path, some_answers())
    record = json.loads((folder / RECORD).read_text()) | change
    (folder / RECORD).write_text(json.dumps(record))
    with pytest.raises(DataError, match=f"damaged record of the predictions.*{message}"):
        read_predictions(folder)


def test_a_folder_without_answers_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no predictions\.csv here") as caught:
        read_predictions(tmp_path)
    assert caught.value.hint == f"write it with `dfer eval --run {tmp_path}`"
