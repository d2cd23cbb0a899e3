"""One identity through cuts: sightings of several shots that surely show the same person become one face."""

from __future__ import annotations

import heapq

import numpy as np

from dfer.faces.appearance import likeness
from dfer.faces.sightings import Sightings

# Of 1,300 pairs of different people in FER+ none is as alike as this; one person's face is, in most pairs of shots
# of one scene. Two tracks for one person cost less than one track for two people.
MIN_LIKENESS = 0.8
# The next best candidate of the same shot must be less alike by this much.
_MIN_LEAD = 0.05


def join_sightings(found: list[Sightings]) -> list[Sightings]:
    """Join faces by how they look, the most alike first, never two that are seen at the same time.

    Args:
        found: a face per person and shot.

    Returns:
        The joined faces, sightings in the order of time. Whom a face belongs to is left open where two faces of
        one shot are about equally alike to it.
    """
    groups = {number: [number] for number in range(len(found))}
    group_of = list(range(len(found)))
    candidates = _candidates(found)
    heapq.heapify(candidates)
    while candidates:
        _, one, other = heapq.heappop(candidates)
        kept, merged = group_of[one], group_of[other]
        if kept == merged or any(_meet(found[a], found[b]) for a in groups[kept] for b in groups[merged]):
            continue
        for number in groups[merged]:
            group_of[number] = kept
        groups[kept] += groups.pop(merged)
    return [_joined([found[number] for number in sorted(members)]) for members in groups.values()]


def _candidates(found: list[Sightings]) -> list[tuple[float, int, int]]:
    """(minus likeness, first, second) of the pairs that may be one person and that nothing speaks against."""
    means = [np.mean([look.colour for look in face.looks], axis=0) for face in found]
    alike: dict[tuple[int, int], float] = {}
    for one in range(len(found)):
        # The cheap test first: a film has thousands of faces.
        near = np.flatnonzero(np.asarray(means[one + 1 :]) @ means[one] > 0.5) + one + 1 if one + 1 < len(found) else ()
        for other in map(int, near):
            value = likeness(found[one].looks, found[other].looks)
            if value >= MIN_LIKENESS - _MIN_LEAD:
                alike[one, other] = value
    rivals: dict[int, list[tuple[int, float]]] = {}
    for (one, other), value in alike.items():
        rivals.setdefault(one, []).append((other, value))
        rivals.setdefault(other, []).append((one, value))

    def ambiguous(face: int, chosen: int, value: float) -> bool:
        return any(
            other != chosen and value - rival < _MIN_LEAD and _meet(found[other], found[chosen])
            for other, rival in rivals[face]
        )

    return [
        (-value, one, other)
        for (one, other), value in alike.items()
        if value >= MIN_LIKENESS
        and not _meet(found[one], found[other])
        and not ambiguous(one, other, value)
        and not ambiguous(other, one, value)
    ]


def _meet(one: Sightings, other: Sightings) -> bool:
    """Whether the two are seen at the same time, from first to last sighting."""
    return one.frames[0] <= other.frames[-1] and other.frames[0] <= one.frames[-1]


def _joined(parts: list[Sightings]) -> Sightings:
    if len(parts) == 1:
        return parts[0]
    parts = sorted(parts, key=lambda part: part.frames[0])
    whole = Sightings()
    for part in parts:
        whole.frames += part.frames
        whole.visits += part.visits
        whole.shots += part.shots
        whole.faces += part.faces
        whole.sharpness += part.sharpness
        whole.looks += part.looks
    return whole
