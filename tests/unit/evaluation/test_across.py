"""A checkpoint on data with other classes: what is joined, left out, refused, and what may be answered."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dfer.errors import DataError, UsageError
from dfer.evaluation.across import OPEN, RESTRICTED, Across, Protocol, join_classes, parse_class_map
from dfer.evaluation.compare import compare
from dfer.evaluation.compared_runs import read_runs
from dfer.evaluation.evaluate import evaluate
from dfer.evaluation.plan import FoldTask
from dfer.evaluation.predictions import read_predictions
from dfer.evaluation.probe import probe
from dfer.model.checkpoint import CheckpointInfo, load_checkpoint, save_checkpoint
from dfer.model.priors import Answering
from dfer.reports.across import across_remarks
from dfer.reports.evaluation import evaluation_cells, evaluation_markdown, write_evaluation_report
from dfer.store import Store
from dfer.store.manifest import write_manifest
from tests.checkpoints import write_checkpoint
from tests.stores import renamed_store, small_store
from tests.unit.evaluation.test_evaluate import fixed_outputs

OURS = ["happy", "sad", "neutral"]  # of the checkpoint


@pytest.fixture(autouse=True)
def _outputs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dfer.evaluation.evaluate.run_clips", fixed_outputs)


def checkpoint(folder: Path, labels: list[str] | None = None, **data: object) -> Path:
    path = folder / "a.safetensors"
    write_checkpoint(path, data={"name": "elsewhere", "fold": 1, **data})
    if labels:
        model, info = load_checkpoint(path)
        save_checkpoint(path, model.state_dict(), replace(info, labels=labels))
    return path


def info_of(folder: Path, labels: list[str] | None = None, **data: object) -> CheckpointInfo:
    return load_checkpoint(checkpoint(folder, labels, **data))[1]


def joined(store: Store, info: CheckpointInfo, **decisions: object) -> dict[str, str | None]:
    _, classes = join_classes(store, info, 1, Across(**decisions))  # type: ignore[arg-type]
    assert classes is not None
    return classes.names


class TestNames:
    @pytest.mark.parametrize(
        ("labels", "names"),
        [
            pytest.param(["joy", "Anger", "calm"], {"joy": "happy", "Anger": None, "calm": "neutral"}, id="synonyms"),
            pytest.param(
                ["Sadness", "contempt", "HAPPINESS"],
                {"Sadness": "sad", "contempt": None, "HAPPINESS": "happy"},
                id="spellings",
            ),
            pytest.param(["neutral", "calm", "sad"], {"neutral": "neutral", "calm": "neutral", "sad": "sad"}, id="two"),
        ],
    )
    def test_emotions_are_joined_by_name(self, labels: list[str], names: dict[str, str | None], tmp_path: Path) -> None:
        assert joined(renamed_store(tmp_path / "b", labels), info_of(tmp_path)) == names

    def test_a_class_of_the_very_name_comes_before_a_synonym(self, tmp_path: Path) -> None:
        info = info_of(tmp_path, ["calm", "neutral", "Anger"])
        store = renamed_store(tmp_path / "b", ["neutral", "calm", "angry"])
        assert join_classes(store, info, 1)[1] is None  # each of the model's classes is one of the data's
        assert joined(store, info, protocol=OPEN) == {"neutral": "neutral", "calm": "calm", "angry": "Anger"}
        only_neutral = renamed_store(tmp_path / "c", ["calmness", "neu", "sad"])
        names = joined(only_neutral, info, renamed={"calmness": "calm"})
        assert names == {"calmness": "calm", "neu": "neutral", "sad": None}

    def test_the_same_classes_in_another_order_are_the_same_classes(self, tmp_path: Path) -> None:
        store = renamed_store(tmp_path / "b", ["anger", "neutral", "joy"])
        fitted, classes = join_classes(store, info_of(tmp_path, ["happy", "angry", "neutral"]), 1)
        assert classes is None
        assert {row.clip_id: row.label_name for row in fitted.rows}["c0"] == "angry"
        assert {row.label for row in fitted.rows if row.label_name == "angry"} == {1}

    def test_an_unknown_name_is_refused_with_the_way_out(self, tmp_path: Path) -> None:
        store = renamed_store(tmp_path / "b", ["hapy", "boredom", "sad"])
        with pytest.raises(
            DataError, match="class 'hapy' is no class of the checkpoint, nor a known emotion"
        ) as caught:
            join_classes(store, info_of(tmp_path), 1)
        assert "--map hapy=happy joins it to a class, --map hapy= leaves it out" in str(caught.value.hint)
        names = joined(store, info_of(tmp_path), renamed={"hapy": "happiness", "boredom": None})
        assert names == {"hapy": "happy", "boredom": None, "sad": "sad"}

    @pytest.mark.parametrize(
        ("renamed", "what", "hint"),
        [
            pytest.param(
                {"contemt": "sad"}, "no class is named 'contemt'", "did you mean 'contempt'?", id="of-the-data"
            ),
            pytest.param(
                {"joy": "hapy"}, "no class of the checkpoint is named 'hapy'", "did you mean 'happy'?", id="ours"
            ),
            pytest.param(
                {"joy": "fear"}, "no class of the checkpoint is named 'fear'", "happy, sad, neutral", id="known"
            ),
        ],
    )
    def test_a_map_names_classes_that_exist(
        self, renamed: dict[str, str], what: str, hint: str, tmp_path: Path
    ) -> None:
        store = renamed_store(tmp_path / "b", ["joy", "contempt", "sad"])
        with pytest.raises(UsageError, match=what) as caught:
            join_classes(store, info_of(tmp_path), 1, Across(renamed))
        assert caught.value.where == "--map"
        assert hint in str(caught.value.hint)

    @pytest.mark.parametrize("labels", [["anger", "fear", "contempt"], ["anger", "joy", "contempt"]])
    def test_too_little_in_common(self, labels: list[str], tmp_path: Path) -> None:
        store = renamed_store(tmp_path / "b", labels)
        with pytest.raises(DataError, match=r"have (no class|only the class happy) in common") as caught:
            join_classes(store, info_of(tmp_path), 1)
        assert "--map a=b" in str(caught.value.hint)

    def test_the_map_of_training_is_kept(self, tmp_path: Path) -> None:
        store = renamed_store(tmp_path / "b", ["joy", "boredom", "sad"], num_folds=1)
        known = {"name": "b", "fingerprint": store.fingerprint(), "labels": {"boredom": "neutral"}}
        info = info_of(tmp_path, stores=[known])
        fitted, classes = join_classes(store, info, 3)
        assert classes is None
        assert {row.label_name for row in fitted.select(3, "test")} == set(OURS)
        assert joined(store, info, renamed={"joy": None}) == {"joy": None, "boredom": "neutral", "sad": "sad"}

    def test_one_fold_stands_for_all_folds_of_a_run(self, tmp_path: Path) -> None:
        store = renamed_store(tmp_path / "b", ["joy", "sad", "calm"], num_folds=1)
        fitted, _ = join_classes(store, info_of(tmp_path), 4)
        assert len(fitted.select(4, "test")) == len(store.select(1, "test"))


class TestMap:
    def test_parts(self) -> None:
        assert parse_class_map(["a=b, c=", '"d,e=f"', " g = h i ,"]) == {"a": "b", "c": None, "d,e": "f", "g": "h i"}
        assert parse_class_map(None) == {}

    @pytest.mark.parametrize("text", ["a", "=b", "a=b,a=c", "a=,a=b"])
    def test_slips(self, text: str) -> None:
        with pytest.raises(UsageError, match=r"expected CLASS=CLASS|is mapped twice"):
            parse_class_map([text])


class TestProtocols:
    LABELS = ("joy", "contempt", "sadness")

    def run(self, tmp_path: Path) -> tuple[Store, FoldTask]:
        store = renamed_store(tmp_path / "other", list(self.LABELS), failed=2)
        return store, FoldTask(1, checkpoint(tmp_path), store.root, tmp_path / "kept")

    def test_restricted_by_hand(self, tmp_path: Path) -> None:
        store, task = self.run(tmp_path)
        result = evaluate([task], device="cpu")
        (fold,) = result.folds
        rows = [row for row in store.select(1, "test") if row.label_name != "contempt"]
        assert [row.clip_id for row in fold.clips] == [row.clip_id for row in rows]
        assert result.labels == fold.labels == ["happy", "sad"]
        assert fold.left_out == {"contempt": len(store.select(1, "test")) - len(rows)}
        readable = [row for row in rows if row.ok]
        answers = fold.logits[:, :2].argmax(1)  # neutral cannot be answered
        truth = np.array([{"joy": 0, "sadness": 1}[row.label_name] for row in readable])
        assert fold.truth.tolist() == truth.tolist()
        assert fold.war == pytest.approx((answers == truth).sum() / len(rows))
        lost = np.array([2, 0])  # two clips of joy could not be read
        recalls = [(answers == truth)[truth == n].sum() / ((truth == n).sum() + lost[n]) for n in (0, 1)]
        assert fold.recalls == pytest.approx(recalls)
        odds = np.exp(fold.logits[:, :2].astype(float))
        assert fold.probabilities == pytest.approx(odds / odds.sum(1, keepdims=True))

    def test_open_counts_other_answers_as_wrong(self, tmp_path: Path) -> None:
        _, task = self.run(tmp_path)
        (fold,) = evaluate([task], device="cpu", across=Across(protocol=OPEN)).folds
        (restricted,) = evaluate([task], device="cpu").folds
        assert fold.labels == OURS
        answers = fold.logits.argmax(1)
        assert (answers == 2).any()
        assert fold.war == pytest.approx((answers == fold.truth).sum() / len(fold.clips))
        assert fold.recalls[2] is None
        assert fold.uar == pytest.approx(np.mean(fold.recalls[:2]))  # type: ignore[arg-type]
        assert fold.under_other_protocol is not None
        assert restricted.under_other_protocol is not None
        assert (fold.under_other_protocol.war, fold.under_other_protocol.uar) == (restricted.war, restricted.uar)
        assert (restricted.under_other_protocol.war, restricted.under_other_protocol.uar) == (fold.war, fold.uar)

    def test_the_protocol_stands_in_every_output(self, tmp_path: Path) -> None:
        _, task = self.run(tmp_path)
        result = evaluate([task], device="cpu")
        values = json.loads(json.dumps(result.to_dict()))
        assert values["across"] == {
            "protocol": "restricted",
            "common": ["happy", "sad"],
            "model_only": ["neutral"],
            "map": {"joy": "happy", "contempt": None, "sadness": "sad"},
            "merged": {},
        }
        assert values["folds"]["1"]["left_out"] == {"contempt": 3}
        assert values["folds"]["1"]["other_protocol"]["protocol"] == "open"
        assert np.shape(values["folds"]["1"]["confusion"]) == (2, 2)
        remarks = "\n".join(across_remarks(result))
        assert "classes joined by name: happy (of joy), sad (of sadness)" in remarks
        assert "contempt (3 clips)" in remarks
        assert "only the 2 common classes can be answered, not neutral; under the open protocol WAR" in remarks
        assert list(evaluation_cells(result).columns)[:4] == ["WAR", "UAR", "happy", "sad"]
        assert "protocol restricted" in evaluation_markdown(result)
        write_evaluation_report(result, tmp_path / "report")
        assert "contempt (3 clips)" in (tmp_path / "report" / "table.tex").read_text()

    def test_the_answers_that_are_kept(self, tmp_path: Path) -> None:
        _, task = self.run(tmp_path)
        (fold,) = evaluate([task], device="cpu").folds
        (kept,) = read_predictions(tmp_path / "kept").values()
        assert kept.labels == ["happy", "sad"]
        assert kept.truth[kept.predicted >= 0].tolist() == fold.truth.tolist()
        assert kept.record["across"]["protocol"] == RESTRICTED
        assert kept.record["left_out"] == {"contempt": 3}
        with np.load(tmp_path / "kept" / "logits.npz") as arrays:
            assert arrays["labels"].tolist() == OURS
            assert arrays["logits"].shape == (len(fold.truth), 3)

    def test_runs_under_two_protocols_are_compared_with_a_note(self, tmp_path: Path) -> None:
        _, task = self.run(tmp_path)
        evaluate([task], device="cpu")
        evaluate([replace(task, out=tmp_path / "open")], device="cpu", across=Across(protocol=OPEN))
        result = compare(read_runs([str(tmp_path / "kept"), str(tmp_path / "open")]), resamples=20)
        assert [method.name for method in result.methods] == ["kept", "open"]
        assert [note for note in result.notes if "protocol" in note] == [
            "the runs were answered under different protocols, see `dfer eval --protocol`: "
            "kept (restricted), open (open)"
        ]

    def test_the_frames_are_probed_under_the_same_protocol(self, tmp_path: Path) -> None:
        _, task = self.run(tmp_path)
        across = Across(protocol=OPEN)
        comparison = probe(
            [task], evaluate([task], device="cpu", across=across), resamples=20, device="cpu", across=across
        )
        assert comparison.labels == OURS
        assert {method.metrics["war"].value for method in comparison.methods} == {
            comparison.methods[0].metrics["war"].value
        }

    @pytest.mark.parametrize("protocol", [RESTRICTED, OPEN])
    def test_two_classes_of_the_model_that_are_one_of_the_data(self, protocol: Protocol, tmp_path: Path) -> None:
        store = renamed_store(tmp_path / "other", ["neu", "joy", "contempt"])
        task = FoldTask(1, checkpoint(tmp_path, ["neutral", "calm", "happy"]), store.root)
        result = evaluate([task], device="cpu", across=Across(protocol=protocol))
        (fold,) = result.folds
        assert fold.labels == ["neutral", "happy"]
        assert result.to_dict()["across"]["merged"] == {"calm": "neutral"}
        assert result.to_dict()["across"]["model_only"] == []
        odds = np.exp(fold.logits.astype(float))
        expected = np.stack([odds[:, 0] + odds[:, 1], odds[:, 2]], 1) / odds.sum(1, keepdims=True)
        assert fold.probabilities == pytest.approx(expected)
        assert fold.under_other_protocol is None
        assert "neutral (of neu; the model's calm counts as it)" in across_remarks(result)[0]

    def test_classes_that_the_data_tell_apart_stay_two(self, tmp_path: Path) -> None:
        store = renamed_store(tmp_path / "other", ["neutral", "joy", "calm"])
        task = FoldTask(1, checkpoint(tmp_path, ["neutral", "calm", "happy"]), store.root)
        result = evaluate([task], device="cpu", across=Across({"calm": None}))
        assert result.to_dict()["across"]["merged"] == {}
        assert result.to_dict()["across"]["model_only"] == ["calm"]

    def test_a_prior_without_a_share_of_the_common_classes_is_refused(self) -> None:
        answering = Answering("mine.yaml", shift=np.array([0.0, -np.inf, -np.inf]))
        with pytest.raises(UsageError, match="no share of the classes"):
            answering.among([1, 2])
        assert answering.among([0, 1]).probabilities([[0.0, 9.0]]).tolist() == [[1.0, 0.0]]

    def test_only_clips_of_other_classes(self, tmp_path: Path) -> None:
        store, task = self.run(tmp_path)
        rows = [row for row in store.rows if row.label_name == "contempt" or row.folds[1] == "train"]
        write_manifest(store.root / "manifest.csv", rows)
        with pytest.raises(DataError, match="no test clips of the common classes; 3 of others"):
            evaluate([task], device="cpu")


class TestClips:
    def test_all_lists_of_other_data(self, tmp_path: Path) -> None:
        store = small_store(tmp_path / "other", clips_per_class=4)
        task = FoldTask(1, checkpoint(tmp_path), store.root)
        result = evaluate([task], device="cpu", splits=("train", "val", "test"))
        assert result.folds[0].num_clips == 12
        assert result.to_dict()["folds"]["1"]["splits"] == ["train", "val", "test"]
        assert across_remarks(result) == ["all lists are tested, not only the test lists"]

    def test_all_lists_need_no_fold_of_that_number(self, tmp_path: Path) -> None:
        store = renamed_store(tmp_path / "other", ["joy", "contempt", "sad"], clips_per_class=4)
        task = FoldTask(5, checkpoint(tmp_path), store.root)
        (fold,) = evaluate([task], device="cpu", splits=("train", "val", "test")).folds
        assert (fold.num_clips, fold.left_out) == (8, {"contempt": 4})
        with pytest.raises(DataError, match="no fold 5"):
            evaluate([task], device="cpu")

    def test_the_lists_of_the_only_fold_are_kept(self, tmp_path: Path) -> None:
        store = small_store(tmp_path / "other", clips_per_class=4, num_folds=1)
        evaluate([FoldTask(3, checkpoint(tmp_path), store.root, tmp_path / "kept")], device="cpu")
        assert (tmp_path / "kept" / "splits.csv").read_text().split()[:2] == ["clip_id,split", "c0,test"]

    def test_never_of_the_data_of_training(self, tmp_path: Path) -> None:
        store = small_store(tmp_path / "own", clips_per_class=2)
        task = FoldTask(1, checkpoint(tmp_path, name="own", fingerprint=store.fingerprint()), store.root)
        with pytest.raises(UsageError, match="was trained on clips of this data set"):
            evaluate([task], device="cpu", splits=("train", "val", "test"))
