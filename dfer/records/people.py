"""People in a prediction: faces that the user names, and faces that are merged because they are one person.

All of it works on the answers; nothing is decoded or recognised again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from dfer.errors import UsageError
from dfer.names import printable
from dfer.records.answers import FacePart, FacePrediction, Segment
from dfer.records.bins import face_bins
from dfer.records.timeline import main_doubts
from dfer.records.whole_face import answer_weights

if TYPE_CHECKING:
    from dfer.records.prediction import Prediction

# While one shot dissolves into the next, a person may be seen in both.
MAX_DISSOLVE_S = 0.5
MAX_NAME = 200
_SAME_S = 1e-6  # times that differ by less are equal


@dataclass(frozen=True)
class People:
    """The user's knowledge of who is who in one video.

    Attributes:
        names: by the number of a face.
        merge: groups of two or more faces that are one person.
        where: who says so, for errors, such as a file.
    """

    names: Mapping[int, str] = field(default_factory=dict)
    merge: Sequence[Sequence[int]] = ()
    where: str = "people"

    @property
    def ids(self) -> list[int]:
        """The faces that are spoken of, each once."""
        return list(dict.fromkeys([*self.names, *(number for group in self.merge for number in group)]))

    def known_in(self, prediction: Prediction) -> People:
        """Return what is said of the faces that a prediction has."""
        known = _owners(prediction.faces)
        names = {number: name for number, name in self.names.items() if number in known}
        groups = [[number for number in group if number in known] for group in self.merge]
        return replace(self, names=names, merge=[group for group in groups if len(group) > 1])


def check_people(people: People) -> People:
    """Return it with its names stripped of spaces around them, if it could be true of any video.

    Raises:
        UsageError: a name is no name or that of two people, or a group is none or shares a face with another.
    """
    where = people.where
    names = {number: _check_name(number, name, where) for number, name in people.names.items()}
    group_of: dict[int, int] = {}
    for place, group in enumerate(people.merge):
        if len(set(group)) < max(2, len(group)):
            hint = "a group holds two or more different numbers, such as 0,7"
            raise UsageError(f"nothing to merge in {_list(group)}", where=where, hint=hint)
        for number in group:
            if group_of.setdefault(number, place) != place:
                both = sorted({*people.merge[group_of[number]], *group})
                what = f"face {number} stands in two groups"
                raise UsageError(what, where=where, hint=f"if all are one person, write one group: {_list(both)}")
    for one, other in combinations(names, 2):
        is_group = one in group_of and group_of[one] == group_of.get(other)
        if names[one] == names[other] and not is_group:
            raise _same_name(names[one], one, other, where)
        if names[one] != names[other] and is_group:
            what = f"faces {one} and {other} are merged, but named {names[one]!r} and {names[other]!r}"
            raise UsageError(what, where=where, hint="name one of them only")
    return replace(people, names=names)


def relabel(prediction: Prediction, people: People) -> Prediction:
    """Name and merge faces; a face that was merged before may be spoken of by any of its numbers.

    Args:
        prediction: of one video.
        people: as for `check_people`.

    Returns:
        The prediction. A merged face has the lowest number of its group; the face that is seen longest comes first.

    Raises:
        UsageError: as for `check_people`, there is no such face, two that are to be merged are seen at the same time,
            or two people would have the same name.
    """
    people = check_people(people)
    faces = {face.id: face for face in prediction.faces}
    owners = _owners(prediction.faces)
    for number in people.ids:
        if number not in owners:
            raise _unknown(number, list(owners), people.where)
    for group in people.merge:
        members = list(dict.fromkeys(owners[number] for number in group))
        if len(members) < 2:
            continue
        named = [faces[number].name for number in members if faces[number].name]
        merged = merge_faces([faces.pop(number) for number in members], where=people.where)
        owners |= {number: merged.id for number, owner in owners.items() if owner in members}
        if len(set(named)) > 1 and not any(owners[number] == merged.id for number in people.names):
            what = f"the faces {_list(group)} have different names: {', '.join(map(repr, dict.fromkeys(named)))}"
            raise UsageError(what, where=people.where, hint=f"name the person: --names {merged.id}=NAME")
        faces[merged.id] = replace(merged, name=named[0] if named else None)
    for number, name in people.names.items():
        faces[owners[number]] = replace(faces[owners[number]], name=name)
    _require_distinct(faces.values(), people.where)
    return _with_faces(prediction, faces)


def reset_people(prediction: Prediction) -> Prediction:
    """Return the prediction without names and with every merged face split up again."""
    faces = [part for face in prediction.faces for part in split_face(replace(face, name=None))]
    return _with_faces(prediction, {face.id: face for face in sorted(faces, key=lambda face: face.id)})


def people_of(prediction: Prediction) -> People:
    """Return the names and the groups that a prediction has."""
    names = {face.id: face.name for face in prediction.faces if face.name}
    merge = [sorted(part.id for part in face.parts) for face in prediction.faces if face.parts]
    return People(names, merge, prediction.source)


def merge_faces(faces: Sequence[FacePrediction], *, where: str = "people") -> FacePrediction:
    """Merge faces that are one person, into one without a name.

    Its segments are theirs, in order of time. Its answer is computed as that of one face: the mean of their answers,
    weighted by time and expressiveness, of those that can be trusted if there are any.

    Args:
        faces: two or more; nothing is said about their names.
        where: who says so, for the error.

    Raises:
        UsageError: two of them are seen at the same time, for longer than one shot takes to dissolve into the next.
    """
    segments = _in_order(faces, where)
    parts = sorted((part for face in faces for part in _parts(face)), key=lambda part: part.spans[0])
    labels = list(faces[0].probabilities)
    rows = np.array([[part.probabilities[label] for label in labels] for part in parts])
    weights = np.array([_weight(part, segments, labels) for part in parts])
    # A part of which nothing can be trusted counts only if that is so of all.
    sure = [any(not segment.unsure for segment in _within(part, segments)) for part in parts]
    weights = np.where(sure, weights, 0.0) if any(sure) else weights
    whole = (weights if weights.sum() > 0 else np.ones(len(parts))) @ rows
    whole /= whole.sum()
    used = [segment for segment in segments if not segment.unsure] or segments
    lengths = [segment.end - segment.start for segment in used]
    confidence = np.average([segment.confidence for segment in used], weights=lengths if sum(lengths) else None)
    return FacePrediction(
        min(part.id for part in parts),
        segments[0].start,
        max(segment.end for segment in segments),
        labels[int(whole.argmax())],
        dict(zip(labels, whole.tolist(), strict=True)),
        segments,
        float(confidence),
        main_doubts((segment.end - segment.start, segment) for segment in segments),
        parts=tuple(parts),
    )


def split_face(face: FacePrediction) -> list[FacePrediction]:
    """Return the faces that were merged into one, or the face itself."""
    if not face.parts:
        return [face]
    return [_as_face(part, _within(part, face.segments)) for part in face.parts]


def _as_face(part: FacePart, segments: list[Segment]) -> FacePrediction:
    start, end = part.spans[0][0], part.spans[-1][1]
    return FacePrediction(
        part.id, start, end, part.label, part.probabilities, segments, part.confidence, part.reasons
    )  # fmt: skip


def _parts(face: FacePrediction) -> Sequence[FacePart]:
    if face.parts:
        return face.parts
    return [FacePart(face.id, tuple(face.spans), face.label, face.probabilities, face.confidence, face.reasons)]


def _within(part: FacePart, segments: Iterable[Segment]) -> list[Segment]:
    """Return the segments that lie in the spans of a part."""
    return [
        segment
        for segment in segments
        if any(start <= (segment.start + segment.end) / 2 <= end for start, end in part.spans)
    ]


def _weight(part: FacePart, segments: Iterable[Segment], labels: Sequence[str]) -> float:
    """Return what a part counts in the answer of the whole: the sum over its segments."""
    own = _within(part, segments)
    used = [segment for segment in own if not segment.unsure] or own
    rows = np.array([[segment.probabilities[label] for label in labels] for segment in used]).reshape(-1, len(labels))
    return float(answer_weights(rows, np.array([segment.end - segment.start for segment in used]), labels).sum())


def _in_order(faces: Sequence[FacePrediction], where: str) -> list[Segment]:
    """Return the segments of all faces in order of time; where a shot dissolves into the next, the first one stays."""
    stretches = [(stretch, face) for face in faces for stretch in face.stretches]
    stretches.sort(key=lambda item: (item[0][0].start, item[0][-1].end))
    segments: list[Segment] = []
    begun, last = -np.inf, faces[0]
    for stretch, face in stretches:
        start, end, until = stretch[0].start, stretch[-1].end, segments[-1].end if segments else -np.inf
        if start < until - _SAME_S:
            if until - start > MAX_DISSOLVE_S or start <= begun or end <= until:
                what = f"faces {last.id} and {face.id} are seen at the same time"
                when = f"from {start:.2f} to {min(end, until):.2f} s"
                raise UsageError(f"{what}, {when}: they cannot be one person", where=where, hint="do not merge them")
            stretch = [replace(one, start=max(one.start, until)) for one in stretch if one.end > until + _SAME_S]
        segments += stretch
        begun, last = start, face
    return segments


def _with_faces(prediction: Prediction, faces: Mapping[int, FacePrediction]) -> Prediction:
    """Return the prediction with other faces: those that stay in their order unless something was merged or split."""
    before = {face.id: face for face in prediction.faces}
    same = {number for number, face in faces.items() if number in before and face.segments is before[number].segments}
    ordered = [faces[number] for number in before if number in faces]
    ordered += [face for number, face in faces.items() if number not in before]
    if len(same) < len(faces) or len(faces) < len(before):
        ordered.sort(key=lambda face: -face.visible)
    bins = prediction.bins
    if bins:
        bin_s, known = bins[-1].end / len(bins), {face.face: n for n, face in enumerate(bins[0].faces)}
        columns = [
            [one.faces[known[face.id]] for one in bins] if face.id in same else face_bins(face, bin_s, len(bins))
            for face in ordered
        ]
        bins = [replace(one, faces=[column[n] for column in columns]) for n, one in enumerate(bins)]
    return replace(prediction, faces=ordered, bins=bins)


def _owners(faces: Iterable[FacePrediction]) -> dict[int, int]:
    """Return the number of the face that each number, also of a merged one, belongs to."""
    return {number: face.id for face in faces for number in (face.id, *(part.id for part in face.parts))}


def _check_name(number: int, name: str, where: str) -> str:
    name = name.strip()
    if not name or len(name) > MAX_NAME or printable(name, keep="") != name:
        hint = f"a name is one line of 1 to {MAX_NAME} letters"
        raise UsageError(f"face {number} cannot be named {name[:40]!r}", where=where, hint=hint)
    return name


def _require_distinct(faces: Iterable[FacePrediction], where: str) -> None:
    for one, other in combinations(faces, 2):
        if one.title == other.title:
            raise _same_name(one.title, one.id, other.id, where)


def _same_name(name: str, one: int, other: int, where: str) -> UsageError:
    hint = f"merge them if they are one person: --merge {one},{other}"
    return UsageError(f"faces {one} and {other} are both named {name!r}", where=where, hint=hint)


def _unknown(number: int, known: Sequence[int], where: str) -> UsageError:
    if not known:
        return UsageError(f"there is no face {number}: no face was found", where=where)
    nearest = min(known, key=lambda other: (abs(other - number), other))
    listed = _list(sorted(known)) if len(known) <= 12 else f"{min(known)} to {max(known)}"
    hint = f"the nearest is {nearest}; faces of this video: {listed}"
    if known == [0]:
        hint = "the only face is 0; --faces all follows every one"
    return UsageError(f"there is no face {number}", where=where, hint=hint)


def _list(numbers: Iterable[int]) -> str:
    return ",".join(map(str, numbers))
