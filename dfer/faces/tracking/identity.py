"""One identity through cuts: sightings of several shots that surely show the same person become one face."""

from __future__ import annotations

from dataclasses import dataclass, field

from dfer.faces.tracking.appearance import Look, likeness
from dfer.faces.tracking.tracklets import Sightings

# Of 1,300 pairs of different people in FER+ none is as alike as this; one person in two shots of a scene mostly is.
# Two tracks for one person cost less than one track for two people.
MIN_LIKENESS = 0.8
# A rival, seen at the same time, must be less alike by this much.
_MIN_LEAD = 0.05
_MAX_LOOKS = 16  # of a person, spread over the shots


@dataclass
class _Person:
    parts: list[Sightings]
    looks: list[Look] = field(default_factory=list)

    def add(self, part: Sightings) -> None:
        self.parts.append(part)
        self.looks += part.looks
        while len(self.looks) > _MAX_LOOKS:
            self.looks = self.looks[::2]

    def meets(self, other: Sightings) -> bool:
        """Whether both are seen at the same time."""
        return any(_meet(part, other) for part in self.parts)


def join_sightings(found: list[Sightings]) -> list[Sightings]:
    """Join faces by how they look, never two that are seen at the same time.

    A face is compared with the people seen before it. Where two people of one shot are about equally alike to it,
    or it and another face of its shot to one person, it stays on its own.

    Args:
        found: a face per person and shot.

    Returns:
        The joined faces, each with its sightings in the order of time.
    """
    people: list[_Person] = []
    for batch in _batches(sorted(found, key=lambda face: face.frames[0])):
        alike = [[likeness(face.looks, person.looks) for person in people] for face in batch]
        newcomers = []
        chosen: list[tuple[_Person, Sightings]] = []
        for number, face in enumerate(batch):
            values = [0.0 if person.meets(face) else value for person, value in zip(people, alike[number], strict=True)]
            best = max(range(len(people)), key=values.__getitem__, default=None)
            if best is None or values[best] < MIN_LIKENESS or _has_rival(number, best, batch, people, alike):
                newcomers.append(face)
            else:
                chosen.append((people[best], face))
        for person, face in chosen:
            if person.meets(face):  # another face of the batch has just become this person
                newcomers.append(face)
            else:
                person.add(face)
        for face in newcomers:
            person = _Person([])
            person.add(face)
            people.append(person)
    return [_joined(person.parts) for person in people]


def _has_rival(number: int, best: int, batch: list[Sightings], people: list[_Person], alike: list[list[float]]) -> bool:
    """Whether another face could as well be this person, or this face another person."""
    limit = alike[number][best] - _MIN_LEAD
    others = (n for n, face in enumerate(batch) if n != number and _meet(face, batch[number]))
    if any(alike[n][best] > limit for n in others):
        return True
    return any(
        value > limit and n != best and any(people[n].meets(part) for part in people[best].parts)
        for n, value in enumerate(alike[number])
    )


def _batches(faces: list[Sightings]) -> list[list[Sightings]]:
    """Faces in the order of time, those that overlap together."""
    batches: list[list[Sightings]] = []
    end = -1
    for face in faces:
        if face.frames[0] > end:
            batches.append([])
        batches[-1].append(face)
        end = max(end, face.frames[-1])
    return batches


def _meet(one: Sightings, other: Sightings) -> bool:
    """Whether the two are seen at the same time, from first to last sighting."""
    return one.frames[0] <= other.frames[-1] and other.frames[0] <= one.frames[-1]


def _joined(parts: list[Sightings]) -> Sightings:
    whole = Sightings()
    for part in sorted(parts, key=lambda part: part.frames[0]):
        whole.frames += part.frames
        whole.visits += part.visits
        whole.shots += part.shots
        whole.faces += part.faces
        whole.sharpness += part.sharpness
        whole.looks += part.looks
    return whole
