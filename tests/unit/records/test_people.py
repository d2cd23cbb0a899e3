"""People in a prediction: named, merged, and split up again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from dfer.errors import UsageError
from dfer.records import FacePrediction, Prediction, Quality
from dfer.records.bins import cut_bins
from dfer.records.people import MAX_DISSOLVE_S, People, people_of, relabel, reset_people
from dfer.records.summary import summarise_face
from tests.results import face_with, predicted, shares


def video(*windows: Sequence[tuple[float, float, str]], bin_s: float | None = None) -> Prediction:
    faces = [face_with(list(one), number) for number, one in enumerate(windows)]
    bins = cut_bins(faces, bin_s=bin_s, end_s=10.0) if bin_s else None
    return replace(predicted(faces, 10.0), bins=bins)


@pytest.fixture
def prediction() -> Prediction:
    """Three faces: 0 from 0 to 3 s, 1 beside it from 1 to 3 s, 2 from 4 to 5 s."""
    return video([(0, 2, "happy"), (2, 3, "sad")], [(1, 3, "fear")], [(4, 5, "sad")], bin_s=1.0)


def test_a_name_is_given_and_replaced(prediction: Prediction) -> None:
    named = prediction.relabel({0: " Anna ", 2: "Ben"})
    assert [face.name for face in named.faces] == ["Anna", None, "Ben"]
    assert [face.title for face in named.faces] == ["Anna", "face 1", "Ben"]
    assert named.relabel({0: "Änne"}).faces[0].name == "Änne"
    assert replace(named, faces=prediction.faces) == prediction  # nothing else has changed


def test_merged_faces_are_one_in_order_of_time(prediction: Prediction) -> None:
    merged = prediction.relabel(merge=[[2, 0]])
    assert [face.id for face in merged.faces] == [0, 1]
    face = merged.faces[0]
    assert (face.start, face.end, face.visible, face.spans) == (0, 5, 4, [(0, 3), (4, 5)])
    assert [segment.label for segment in face.segments] == ["happy", "sad", "sad"]
    assert [part.id for part in face.parts] == [0, 2]
    assert summarise_face(face).seconds["sad"] == 2


def test_the_answer_of_a_merged_face_is_that_of_its_time(prediction: Prediction) -> None:
    face = video([(0, 3, "happy")], [(4, 5, "sad")]).relabel(merge=[[0, 1]]).faces[0]
    expected = {label: (3 * p + shares("sad")[label]) / 4 for label, p in shares("happy").items()}
    assert face.probabilities == pytest.approx(expected)
    assert face.label == "happy"
    assert sum(face.probabilities.values()) == pytest.approx(1)


def test_time_that_should_not_be_trusted_counts_only_if_there_is_no_other() -> None:
    def doubted(face: FacePrediction) -> FacePrediction:
        doubts = [replace(one, reasons=("too dark",), confidence=0.1) for one in face.segments]
        return replace(face, segments=doubts, reasons=("too dark",), confidence=0.1)

    sure, unsure = video([(0, 1, "happy")], [(2, 5, "sad")]).faces
    mixed = predicted([sure, doubted(unsure)]).relabel(merge=[[0, 1]]).faces[0]
    assert mixed.label == "happy"
    assert mixed.confidence == 1.0
    assert mixed.reasons == ("too dark",)  # for most of the time
    dark = predicted([doubted(sure), doubted(unsure)]).relabel(merge=[[0, 1]]).faces[0]
    assert (dark.label, dark.confidence) == ("sad", pytest.approx(0.1))


def test_bins_follow_and_those_of_others_stay(prediction: Prediction) -> None:
    merged = prediction.relabel(merge=[[0, 2]])
    assert prediction.bins
    assert merged.bins == cut_bins(merged.faces, bin_s=1.0, end_s=10.0)
    assert [one.faces[1] for one in merged.bins or ()] == [one.faces[1] for one in prediction.bins]


def test_all_can_be_undone(prediction: Prediction) -> None:
    quality = Quality(80.0, 0.1, 0.5, 1.0, 2.0, 3.0, 0.9, 1.0)
    faces = [
        replace(face, segments=[replace(one, quality=quality) for one in face.segments]) for face in prediction.faces
    ]
    before = replace(prediction, faces=faces, bins=cut_bins(faces, bin_s=1.0, end_s=10.0))
    after = before.relabel({0: "Anna"}, [[0, 2]]).relabel({1: "Ben"}, [])
    assert people_of(after) == People({0: "Anna", 1: "Ben"}, [[0, 2]], before.source)
    assert reset_people(after) == before
    assert after.relabel({1: "Cem"}, reset=True) == before.relabel({1: "Cem"})


def test_a_merged_face_is_known_by_all_its_numbers(prediction: Prediction) -> None:
    people = People({2: "Anna"}, [[0, 2]])
    once = relabel(prediction, people)
    assert relabel(once, people) == once
    four = video([(0, 1, "sad")], [(2, 3, "sad")], [(4, 5, "sad")], [(6, 7, "sad")])
    stepwise = four.relabel(merge=[[2, 3]]).relabel(merge=[[0, 1]]).relabel({3: "Ben"}, [[3, 1]])
    assert stepwise == four.relabel({0: "Ben"}, [[0, 1, 2, 3]])


def test_who_is_seen_longest_comes_first_after_a_merge() -> None:
    merged = video([(0, 4, "sad")], [(0, 3, "happy")], [(5, 7, "fear")]).relabel(merge=[[1, 2]])
    assert [face.id for face in merged.faces] == [1, 0]


def test_a_name_survives_a_merge_and_two_names_do_not(prediction: Prediction) -> None:
    assert prediction.relabel({2: "Anna"}).relabel(merge=[[0, 2]]).faces[0].name == "Anna"
    named = prediction.relabel({0: "Ben", 2: "Anna"})
    with pytest.raises(UsageError, match="have different names: 'Ben', 'Anna'"):
        named.relabel(merge=[[0, 2]])
    assert named.relabel({0: "Anna"}, [[0, 2]]).faces[0].name == "Anna"


def test_two_faces_seen_at_the_same_time_are_not_one_person(prediction: Prediction) -> None:
    with pytest.raises(UsageError, match=r"faces 0 and 1 are seen at the same time, from 1\.00 to 3\.00 s"):
        prediction.relabel(merge=[[0, 1]])


def test_a_shot_may_dissolve_into_the_next() -> None:
    merged = video([(0, 2.2, "sad")], [(2.0, 3.0, "happy"), (3.0, 4.0, "fear")]).relabel(merge=[[0, 1]]).faces[0]
    assert [(one.start, one.end) for one in merged.segments] == [(0, 2.2), (2.2, 3.0), (3.0, 4.0)]
    assert merged.visible == 4.0
    inside = video([(0, 3, "sad")], [(1, 1.2, "happy")])
    with pytest.raises(UsageError, match="at the same time"):
        inside.relabel(merge=[[0, 1]])
    with pytest.raises(UsageError, match="at the same time"):
        video([(0, 2.01 + MAX_DISSOLVE_S, "sad")], [(2, 9, "sad")]).relabel(merge=[[0, 1]])


@pytest.mark.parametrize(
    ("names", "merge", "message", "hint"),
    [
        ({9: "Anna"}, [], "there is no face 9", "the nearest is 2; faces of this video: 0,1,2"),
        ({}, [[0, 4]], "there is no face 4", "the nearest is 2"),
        ({0: "Anna", 2: "Anna"}, [], "faces 0 and 2 are both named 'Anna'", "--merge 0,2"),
        ({0: "face 1"}, [], "faces 0 and 1 are both named 'face 1'", "--merge 0,1"),
        ({0: "Anna", 2: "Ben"}, [[0, 2]], "named 'Anna' and 'Ben'", "name one"),
        ({}, [[0, 2], [2, 1]], "face 2 stands in two groups", "0,1,2"),
        ({}, [[0]], "nothing to merge in 0", "0,7"),
        ({}, [[2, 2]], "nothing to merge in 2,2", "0,7"),
        ({0: "  "}, [], "face 0 cannot be named ''", "one line"),
        ({0: "a\nb"}, [], "cannot be named", "one line"),
        ({0: "a" * 201}, [], "cannot be named", "200"),
    ],
)
def test_what_cannot_be_is_one_clear_line(
    prediction: Prediction, names: dict[int, str], merge: list[list[int]], message: str, hint: str
) -> None:
    with pytest.raises(UsageError) as raised:
        prediction.relabel(names, merge)
    assert message in raised.value.what
    assert "\n" not in str(raised.value)
    assert hint in (raised.value.hint or "")


def test_the_same_name_for_a_group_is_one_name(prediction: Prediction) -> None:
    assert prediction.relabel({0: "Anna", 2: "Anna"}, [[0, 2]]).faces[0].name == "Anna"


def test_a_video_of_one_face_or_none_says_so() -> None:
    with pytest.raises(UsageError) as raised:
        video([(0, 1, "sad")]).relabel({1: "Ben"})
    assert "--faces all" in (raised.value.hint or "")
    with pytest.raises(UsageError, match="no face was found"):
        predicted([]).relabel({0: "Ben"})
